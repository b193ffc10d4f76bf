//! Looks after the other nodes: watches their signs of life and adopts the logs of those that are gone.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_channel::Receiver;
use futures::future::{Either, select};
use futures::pin_mut;

use super::Context;
use crate::model::{Event, Incarnation};
use crate::platform::{Host, StoreError};
use crate::queue::adoption::{Adopter, Adoption};
use crate::queue::liveness::{Observer, is_dead};
use crate::state::beat::{Beat, IDLE_INTERVAL};
use crate::state::frame::FrameError;
use crate::state::requests::Requests;
use crate::state::{frame, layout};

/// Pause between listings while there is somebody to watch.
const WATCHING: Duration = Duration::from_secs(10);
/// Pause between listings otherwise.
const IDLE: Duration = Duration::from_mins(1);

/// Runs until the node shuts down.
pub async fn run(context: Arc<Context>, host: Host, shutdown: Receiver<Infallible>) {
    let clock = context.requests.platform().clock.clone();
    let mut watch = Watch { context, host, observer: Observer::default(), gone: BTreeSet::new() };
    loop {
        let pause = match watch.round().await {
            Ok(false) => IDLE,
            Ok(true) | Err(_) => WATCHING,
        };
        let (rest, end) = (clock.sleep(pause), shutdown.recv());
        pin_mut!(rest, end);
        if let Either::Right(_) = select(rest, end).await {
            return;
        }
    }
}

struct Watch {
    context: Arc<Context>,
    host: Host,
    observer: Observer,
    /// Logs whose process on this machine is known to be gone.
    gone: BTreeSet<Incarnation>,
}

impl Watch {
    /// One listing and what follows from it. Gives whether there is anybody to watch.
    async fn round(&mut self) -> Result<bool, StoreError> {
        let requests = self.context.requests.clone();
        let now = requests.platform().clock.instant();
        let listed = requests.list(layout::LIVE, None).await?;
        let ours = self.context.spool.incarnation().await;
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
        Ok(!dead.is_empty() || sighting.beating.iter().any(|incarnation| Some(*incarnation) != ours))
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
