//! Watches the other nodes' signs of life and adopts the logs of those that are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::orders::Orders;
use crate::model::{Event, Incarnation, UtcTime};
use crate::platform::{Host, Listed, StoreError};
use crate::queue::adoption::{Adopter, Adoption, AdoptionError};
use crate::queue::liveness::{MISSED_BEATS, Observer, is_dead, watchers};
use crate::service::Context;
use crate::service::authentication::LockWatch;
use crate::state::beat::{Beat, HOLDING_INTERVAL, IDLE_INTERVAL, Release, announced};
use crate::state::frame::FrameError;
use crate::state::requests::{Purpose, Requests};
use crate::state::{frame, layout};

/// When released logs are adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// As soon as they are seen.
    AtOnce,
    /// When the first of their entries is due.
    WhenDue,
}

/// What a round has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether this node is to look again in 10 s.
    pub is_watching: bool,
    /// Whether this node comes first among those that watch: what one of them is to do falls to it.
    pub is_first: bool,
    /// Logs of others that may be dying: their heartbeats are late, or stand still, or they are dead and were not adopted now.
    pub dying: usize,
    /// Logs of others.
    pub others: usize,
    /// Logs of others that hold mail and of which nothing shows yet that they live, or which are dead and were not adopted now.
    pub doubtful: usize,
    /// Released logs that were left alone until they are due.
    pub waiting: usize,
    /// Messages in those.
    pub waiting_messages: u64,
    /// When the first entry of those is due.
    pub next_due: Option<UtcTime>,
    /// The store's clock: when this node's own heartbeat was written.
    pub store_now: Option<UtcTime>,
}

/// Heartbeats that a node reads when it starts, to see whether a process of this machine has left them: where there are more, those that are
/// oldest. A thousand nodes that start together must not ask a million times, and who is not found is adopted like any other.
const READ_AT_START: usize = 32;

/// What this node knows of the others.
#[derive(Debug)]
pub struct Watch {
    context: Arc<Context>,
    requests: Requests,
    host: Host,
    observer: Observer,
    /// Whether it has looked for logs of this machine that were left when it started.
    has_looked: bool,
    /// Logs whose process on this machine is known to be gone.
    gone: BTreeSet<Incarnation>,
    /// Logs without any sign of life that were found in the spool.
    unattended: BTreeSet<Incarnation>,
    /// Logs whose adoption was begun here and broke off. They may be sealed already, so they are seen to whatever their heartbeats say now.
    unfinished: BTreeSet<Incarnation>,
    /// Released logs that are being left alone: when they are due, and how many messages are in them.
    waiting: BTreeMap<Incarnation, (Option<UtcTime>, u64)>,
    orders: Orders,
    locks: LockWatch,
}

impl Watch {
    /// Nothing is known yet.
    pub fn new(context: Arc<Context>, host: Host) -> Self {
        Self {
            requests: context.requests.of(Purpose::Watch),
            context,
            host,
            observer: Observer::default(),
            has_looked: false,
            gone: BTreeSet::new(),
            unattended: BTreeSet::new(),
            unfinished: BTreeSet::new(),
            waiting: BTreeMap::new(),
            orders: Orders::default(),
            locks: LockWatch::default(),
        }
    }

    /// A log was found that nobody looks after: it counts as dead.
    pub fn add_unattended(&mut self, log: Incarnation) {
        self.unattended.insert(log);
    }

    /// One listing and what follows from it.
    pub async fn round(&mut self, released: Released) -> Result<Seen, StoreError> {
        let requests = self.requests.clone();
        let now = requests.platform().clock.instant();
        let listed = requests.list(layout::LIVE, None).await?;
        let ours = self.context.spool.current().await.map(|current| current.incarnation);
        let sighting = self.observer.observe(&listed, now);
        let others: Vec<Incarnation> =
            sighting.beating.iter().copied().filter(|beating| Some(*beating) != ours).collect();
        let beats = Beats::read_off(&listed, ours);
        // The manager ends when the node does.
        self.context.limits.share(others.len() + 1);
        let _ = self.context.spool.seen(beats.store_now, others.len() + 1).await;
        if !self.has_looked {
            self.look_for_predecessors(&listed, ours).await?;
            self.has_looked = true;
        }
        self.gone.retain(|incarnation| sighting.beating.contains(incarnation));
        // Whoever holds the message has to look: an operator's order is not for later.
        let released = if sighting.orders.is_empty() { released } else { Released::AtOnce };
        let mut dead = self.due(&sighting.free, released).await?;
        dead.extend(&self.gone);
        // One that shows itself after all is judged by its heartbeat.
        self.unattended.retain(|log| !sighting.beating.contains(log));
        dead.extend(&self.unattended);
        dead.extend(&self.unfinished);
        for (incarnation, still_for) in sighting.still {
            if Some(incarnation) != ours
                && is_dead(beats.interval(incarnation), still_for)
                && self.is_ours_to_judge(incarnation, still_for, beats.etag(incarnation)).await?
            {
                dead.insert(incarnation);
            }
        }
        let suspect = sighting.suspect.iter().filter(|log| Some(**log) != ours);
        let mut dying: BTreeSet<Incarnation> = suspect.chain(&beats.late).copied().collect();
        let is_doubtful = |log: &Incarnation| Some(*log) != ours && beats.interval(*log) == HOLDING_INTERVAL;
        let mut doubtful: BTreeSet<Incarnation> = sighting.unmoved.into_iter().filter(is_doubtful).collect();
        for incarnation in &dead {
            match self.adopt(*incarnation, &dead).await {
                true => (dying.remove(incarnation), doubtful.remove(incarnation)),
                false => (dying.insert(*incarnation), doubtful.insert(*incarnation)),
            };
        }
        self.orders.carry_out(&self.context, &sighting.orders, &listed).await;
        self.locks.round(&self.context, &listed).await;
        let is_holding = self.context.spool.current().await.is_some_and(|current| current.is_holding);
        let watchers = watchers(ours.into_iter().chain(others.iter().copied()));
        let is_watcher = ours.is_none_or(|ours| watchers.contains(&ours))
            // One that may have died leaves its part to the others.
            || watchers.iter().any(|watcher| !sighting.fresh.contains(watcher));
        Ok(Seen {
            is_watching: !dying.is_empty() || (is_watcher && (is_holding || beats.is_any_holding)),
            is_first: others.is_empty() || watchers.first() == ours.as_ref(),
            dying: dying.len(),
            others: others.len(),
            doubtful: doubtful.len(),
            waiting: self.waiting.len(),
            waiting_messages: self
                .waiting
                .values()
                .fold(0, |sum: u64, (_, messages)| sum.saturating_add(*messages)),
            next_due: self.waiting.values().filter_map(|(due, _)| *due).min(),
            store_now: beats.store_now,
        })
    }

    /// Looks for logs whose process on this machine is gone.
    async fn look_for_predecessors(
        &mut self,
        listed: &[Listed],
        ours: Option<Incarnation>,
    ) -> Result<(), StoreError> {
        let mut beats: Vec<(UtcTime, Incarnation)> = listed
            .iter()
            .filter_map(|object| match layout::parse_live(&object.key) {
                Some(layout::LiveKey::Beat(log)) if Some(log) != ours => Some((object.modified, log)),
                _ => None,
            })
            .collect();
        beats.sort_unstable();
        for (_, log) in beats.into_iter().take(READ_AT_START) {
            if let Some(ReadBeat { beat: Ok(beat), .. }) = read_beat(&self.requests, log).await?
                && (self.host.is_gone)(&beat.process)
            {
                self.gone.insert(log);
            }
        }
        Ok(())
    }

    /// Released logs that are to be adopted now.
    async fn due(
        &mut self,
        free: &[Incarnation],
        released: Released,
    ) -> Result<BTreeSet<Incarnation>, StoreError> {
        if released == Released::AtOnce {
            return Ok(free.iter().copied().collect());
        }
        let requests = &self.requests;
        self.waiting.retain(|log, _| free.contains(log));
        for log in free {
            if !self.waiting.contains_key(log)
                && let Some(object) = requests.find(&layout::free(*log)).await?
            {
                // One that cannot be read says nothing of when it is due: now.
                let release = frame::decode::<Release>(&object.bytes).ok().map(|frame| frame.header);
                let waiting = release.map_or((None, 0), |release| (release.next_due, release.queued));
                self.waiting.insert(*log, waiting);
            }
        }
        let now = requests.platform().clock.utc();
        let is_due = |due: &Option<UtcTime>| due.is_none_or(|due| due <= now);
        Ok(self.waiting.extract_if(.., |_, (due, _)| is_due(due)).map(|(log, _)| log).collect())
    }

    /// Reads a heartbeat that counts as dead once more: by now it may announce something else.
    async fn is_ours_to_judge(
        &self,
        log: Incarnation,
        still_for: Duration,
        etag: &str,
    ) -> Result<bool, StoreError> {
        let Some(read) = read_beat(&self.requests, log).await? else { return Ok(false) };
        Ok(match read.beat {
            // Written since it was listed: it has not stood still.
            _ if read.etag != etag => false,
            Ok(beat) => is_dead(beat.interval, still_for),
            // Nobody can say what it announces. A living node will have written another by then.
            Err(FrameError::Damaged(_)) => is_dead(IDLE_INTERVAL, still_for),
            // Nodes of another version look after each other.
            Err(FrameError::Version { .. }) => false,
        })
    }

    /// Adopts a log; whether nothing is left to be done about it.
    async fn adopt(&mut self, from: Incarnation, dead: &BTreeSet<Incarnation>) -> bool {
        let requests = &self.requests.of(Purpose::Adopt);
        let adopter = Adopter { requests, spool: &self.context.spool, dead };
        let adoption = adopter.adopt(from).await;
        match &adoption {
            Ok(_) => self.unfinished.remove(&from),
            Err(AdoptionError::BrokenOff(_)) => self.unfinished.insert(from),
            // Not claimed: if it shows itself alive by the next round, it is.
            Err(_) => false,
        };
        let reason = match adoption {
            Ok(Adoption::Done { .. } | Adoption::Closed) => {
                self.gone.remove(&from);
                self.unattended.remove(&from);
                return true;
            }
            Ok(Adoption::Left(reason)) => reason,
            Err(error) => error.to_string(),
        };
        self.context.journal.report(&Event::AdoptionLeft { from, reason });
        false
    }
}

/// What a listing says about heartbeats without reading them.
struct Beats {
    intervals: BTreeMap<Incarnation, u64>,
    etags: BTreeMap<Incarnation, String>,
    store_now: Option<UtcTime>,
    /// Others' that are late by the store's clock.
    late: BTreeSet<Incarnation>,
    is_any_holding: bool,
}

impl Beats {
    fn read_off(listed: &[Listed], ours: Option<Incarnation>) -> Self {
        let beats: Vec<(Incarnation, &Listed)> = listed
            .iter()
            .filter_map(|object| match layout::parse_live(&object.key) {
                Some(layout::LiveKey::Beat(incarnation)) => Some((incarnation, object)),
                _ => None,
            })
            .collect();
        let own = beats.iter().find(|(incarnation, _)| Some(*incarnation) == ours);
        let store_now = own.map(|(_, object)| object.modified);
        let others = || beats.iter().filter(|(incarnation, _)| Some(*incarnation) != ours);
        let is_late = |object: &Listed| {
            let allowed = Duration::from_secs(announced(object.size)) * MISSED_BEATS;
            store_now.is_some_and(|now| now.since(object.modified) >= allowed)
        };
        Self {
            etags: beats.iter().map(|(log, object)| (*log, object.etag.clone())).collect(),
            intervals: beats.iter().map(|(log, object)| (*log, announced(object.size))).collect(),
            store_now,
            late: others().filter(|(_, object)| is_late(object)).map(|(log, _)| *log).collect(),
            is_any_holding: others().any(|(_, object)| announced(object.size) == HOLDING_INTERVAL),
        }
    }

    /// The ETag of a log's heartbeat.
    fn etag(&self, log: Incarnation) -> &str {
        self.etags.get(&log).map_or("", String::as_str)
    }

    /// Seconds that a log's heartbeat announces.
    fn interval(&self, log: Incarnation) -> u64 {
        self.intervals.get(&log).copied().unwrap_or(HOLDING_INTERVAL)
    }
}

/// A heartbeat, read.
pub(in crate::service) struct ReadBeat {
    /// What it says.
    pub(in crate::service) beat: Result<Beat, FrameError>,
    etag: String,
}

/// A heartbeat's content, if it is still there. One that cannot be read is reported.
pub(in crate::service) async fn read_beat(
    requests: &Requests,
    incarnation: Incarnation,
) -> Result<Option<ReadBeat>, StoreError> {
    let key = layout::beat(incarnation);
    let Some(object) = requests.find(&key).await? else { return Ok(None) };
    let beat = frame::decode::<Beat>(&object.bytes).map(|frame| frame.header);
    if let Err(error) = &beat {
        requests.journal().report(&Event::ObjectDamaged { key, reason: error.to_string() });
    }
    Ok(Some(ReadBeat { beat, etag: object.etag }))
}
