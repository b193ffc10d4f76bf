//! Looks after the other nodes: watches their signs of life and adopts the logs of those that are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_channel::Receiver;
use futures::future::{Either, select};
use futures::pin_mut;

use super::Context;
use crate::model::{Event, Incarnation, Nonce, UtcTime};
use crate::platform::{Host, Listed, StoreError};
use crate::queue::Ordered;
use crate::queue::adoption::{Adopter, Adoption};
use crate::queue::liveness::{Observer, is_dead};
use crate::state::beat::{Beat, IDLE_INTERVAL};
use crate::state::frame::FrameError;
use crate::state::order::Order;
use crate::state::requests::Requests;
use crate::state::{frame, layout};

/// Pause between listings while there is somebody to watch.
const WATCHING: Duration = Duration::from_secs(10);
/// Pause between listings otherwise.
const IDLE: Duration = Duration::from_mins(1);

/// Orders that are looked at in one round.
const ORDERS: usize = 1_000;
/// How long an order that nobody can carry out is kept.
const ORDER_LIFE: Duration = Duration::from_hours(24);

/// Runs until the node shuts down.
pub async fn run(context: Arc<Context>, host: Host, shutdown: Receiver<Infallible>) {
    let clock = context.requests.platform().clock.clone();
    let mut watch = Watch {
        context,
        host,
        observer: Observer::default(),
        gone: BTreeSet::new(),
        orders: BTreeMap::new(),
    };
    loop {
        let pause = match watch.round().await {
            Ok(false) => IDLE,
            Ok(true) | Err(_) => WATCHING,
        };
        let until = clock.instant() + pause;
        while clock.instant() < until {
            let (rest, end) = (clock.sleep_until(until.min(clock.instant() + WATCHING)), shutdown.recv());
            pin_mut!(rest, end);
            if let Either::Right(_) = select(rest, end).await {
                return;
            }
            // An operator's orders about mail that has come meanwhile are not to wait for so long.
            if watch.is_holding().await {
                break;
            }
        }
    }
}

struct Watch {
    context: Arc<Context>,
    host: Host,
    observer: Observer,
    /// Logs whose process on this machine is known to be gone.
    gone: BTreeSet<Incarnation>,
    /// Orders that have been read.
    orders: BTreeMap<Nonce, Order>,
}

impl Watch {
    /// Whether somebody would have to take over if this node were gone.
    async fn is_holding(&self) -> bool {
        self.context.spool.current().await.is_some_and(|current| current.is_holding)
    }

    /// One listing and what follows from it. Gives whether there is anybody to watch.
    async fn round(&mut self) -> Result<bool, StoreError> {
        let requests = self.context.requests.clone();
        let now = requests.platform().clock.instant();
        let listed = requests.list(layout::LIVE, None).await?;
        let current = self.context.spool.current().await;
        let ours = current.map(|current| current.incarnation);
        let sighting = self.observer.observe(&listed, now);
        for incarnation in sighting.new {
            if Some(incarnation) != ours
                && let Some(Ok(beat)) = read_beat(&requests, incarnation).await?
                && (self.host.is_gone)(&beat.process)
            {
                self.gone.insert(incarnation);
            }
        }
        let mut dead: BTreeSet<Incarnation> = sighting.free.iter().copied().collect();
        for (incarnation, still_for) in sighting.still {
            // Read only now: what it announces may have changed since it was first seen.
            if Some(incarnation) == ours {
                continue;
            }
            let interval = match read_beat(&requests, incarnation).await? {
                Some(Ok(beat)) => beat.interval,
                // Nobody can say what it announces. A living node will have written another by then.
                Some(Err(FrameError::Damaged(_))) => IDLE_INTERVAL,
                // Nodes of another version look after each other.
                Some(Err(FrameError::Version { .. })) | None => continue,
            };
            if is_dead(interval, still_for) {
                dead.insert(incarnation);
            }
        }
        self.gone.retain(|incarnation| sighting.beating.contains(incarnation));
        dead.extend(&self.gone);
        for incarnation in &dead {
            self.adopt(*incarnation, &dead).await;
        }
        self.carry_out(&sighting.orders, &listed).await;
        let is_holding = current.is_some_and(|current| current.is_holding);
        Ok(is_holding
            || !dead.is_empty()
            || sighting.beating.iter().any(|incarnation| Some(*incarnation) != ours))
    }

    /// Carries out those of an operator's orders that are about messages in this node's log.
    async fn carry_out(&mut self, listed_orders: &[Nonce], listed: &[Listed]) {
        self.orders.retain(|nonce, _| listed_orders.contains(nonce));
        // The store's own clock says what is out of date: nothing else is compared with it.
        let now = listed.iter().map(|object| object.modified).max().unwrap_or(UtcTime(0));
        for nonce in listed_orders.iter().take(ORDERS) {
            let key = layout::order(*nonce);
            let is_old = now.since(written(listed, &key)) >= ORDER_LIFE;
            match self.carry_out_one(*nonce, &key).await {
                Ok(Ordered::NotHere) if !is_old => {}
                Err(error) if !is_old => {
                    let doing = format!("carrying out {key}");
                    self.context.journal.report(&Event::Trouble { doing, error });
                }
                // If that fails it is carried out again, which changes nothing.
                _ => drop(self.context.requests.delete(&[key]).await),
            }
        }
    }

    async fn carry_out_one(&mut self, nonce: Nonce, key: &str) -> Result<Ordered, String> {
        let order = match self.orders.get(&nonce) {
            Some(order) => order.clone(),
            None => {
                let found = self.context.requests.find(key).await.map_err(|error| error.to_string())?;
                let Some(object) = found else { return Ok(Ordered::Done) };
                let order = frame::decode::<Order>(&object.bytes).map_err(|error| error.to_string())?.header;
                self.orders.insert(nonce, order.clone());
                order
            }
        };
        let (queue_id, action) = (order.queue_id, order.action.name());
        let ordered = self.context.spool.order(order).await.map_err(|refusal| refusal.to_string())?;
        if ordered == Ordered::Done {
            self.context.journal.report(&Event::Ordered { queue_id, action });
        }
        Ok(ordered)
    }

    async fn adopt(&mut self, from: Incarnation, dead: &BTreeSet<Incarnation>) {
        let adopter = Adopter { requests: &self.context.requests, spool: &self.context.spool, dead };
        let reason = match adopter.adopt(from).await {
            Ok(Adoption::Done { .. } | Adoption::Closed) => {
                self.gone.remove(&from);
                return;
            }
            Ok(Adoption::Left(reason)) => reason,
            Err(error) => error.to_string(),
        };
        self.context.journal.report(&Event::AdoptionLeft { from, reason });
    }
}

/// When the store says that an object was written.
fn written(listed: &[Listed], key: &str) -> UtcTime {
    listed.iter().find(|object| object.key == key).map_or(UtcTime(0), |object| object.modified)
}

/// A heartbeat's content, if it is still there. One that cannot be read is reported.
async fn read_beat(
    requests: &Requests,
    incarnation: Incarnation,
) -> Result<Option<Result<Beat, FrameError>>, StoreError> {
    let key = layout::beat(incarnation);
    let Some(object) = requests.find(&key).await? else { return Ok(None) };
    let beat = frame::decode::<Beat>(&object.bytes).map(|frame| frame.header);
    if let Err(error) = &beat {
        requests.journal().report(&Event::ObjectDamaged { key, reason: error.to_string() });
    }
    Ok(Some(beat))
}
