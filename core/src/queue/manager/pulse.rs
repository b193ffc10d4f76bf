//! Heartbeats: that the log is being written, and how soon the next sign of life will come.

use std::time::Duration;

use futures::channel::oneshot;

use super::{Done, Manager};
use crate::model::Incarnation;
use crate::platform::{Instant, StoreError};
use crate::queue::spool::Refusal;
use crate::state::beat::{Beat, HOLDING_INTERVAL, IDLE_INTERVAL};
use crate::state::layout;

/// Pause before a heartbeat that failed is sent again.
const BEAT_PAUSE: Duration = Duration::from_secs(1);

/// Signs of life of the open log.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// The interval that the heartbeat in the store announces.
    pub(super) announced: Option<u64>,
    pub(super) under_way: bool,
    /// The last one did not get through.
    failed: bool,
    seq: u64,
    last_sent: Option<Instant>,
    /// Somebody asked the log to stand until then.
    pub(super) stand_until: Option<Instant>,
    /// Who waits for 10 s to be announced: those who asked for it, and those whose segment is durable.
    pub(super) standing: Vec<oneshot::Sender<Result<Incarnation, Refusal>>>,
}

impl Pulse {
    /// Another log begins. Who waits for one to stand waits on.
    pub(super) fn begin_anew(&mut self) {
        *self = Self {
            standing: std::mem::take(&mut self.standing),
            stand_until: self.stand_until,
            ..Self::default()
        };
    }
}

impl Manager {
    /// Whether the log must be seen to be alive: somebody else would have to take over if we were gone.
    pub(super) fn is_holding(&self) -> bool {
        let Some(log) = &self.log else { return false };
        !(log.live.is_empty()
            && log.under_way.is_empty()
            && log.leases == 0
            && !log.has_vacancy()
            && self.pending.is_empty()
            && self.pulse.standing.is_empty()
            && self.pulse.stand_until.is_none_or(|until| until <= self.instant()))
    }

    /// Whether the heartbeat in the store announces 10 s, as far as is known, and no other is on its way.
    pub(super) fn stands(&self) -> bool {
        let Pulse { announced, under_way, failed, .. } = self.pulse;
        announced == Some(HOLDING_INTERVAL) && !under_way && !failed
    }

    /// Whether nobody would see that the log is being written, because the store does not take heartbeats.
    pub(super) fn is_unseen(&self) -> bool {
        self.log.is_some() && self.pulse.failed && self.pulse.announced != Some(HOLDING_INTERVAL)
    }

    /// When the next heartbeat is to be sent, if none is under way.
    pub(super) fn beat_due(&self) -> Option<Instant> {
        self.log.as_ref()?;
        if self.pulse.under_way || self.is_ending() {
            return None;
        }
        let Some(sent) = self.pulse.last_sent else { return Some(Instant::from_origin(Duration::ZERO)) };
        let wanted = self.wanted_interval();
        let rest = match self.pulse.announced {
            _ if self.pulse.failed => BEAT_PAUSE,
            Some(announced) if announced <= wanted => Duration::from_secs(announced),
            // Somebody may be waiting for it.
            _ => Duration::ZERO,
        };
        Some(sent + rest)
    }

    fn wanted_interval(&self) -> u64 {
        if self.is_holding() { HOLDING_INTERVAL } else { IDLE_INTERVAL }
    }

    /// Sends a heartbeat if one is due.
    pub(super) fn beat(&mut self) {
        let now = self.instant();
        let interval = self.wanted_interval();
        let Some(log) = &self.log else { return };
        if self.beat_due().is_none_or(|due| now < due) {
            return;
        }
        self.pulse.under_way = true;
        self.pulse.seq += 1;
        self.pulse.last_sent = Some(now);
        let beat = Beat {
            inc: log.incarnation,
            seq: self.pulse.seq,
            interval,
            next_due: self.schedule.next(),
            hostname: self.hostname.clone(),
            process: self.host.process.clone(),
        };
        let (incarnation, payload) = (log.incarnation, beat.encode().payload);
        let requests = self.requests.clone();
        self.jobs.push(Box::pin(async move {
            let result = requests.put(&layout::beat(incarnation), &payload).await;
            Done::Beat { incarnation, interval, result }
        }));
    }

    /// A heartbeat ended.
    pub(super) fn beaten(
        &mut self,
        incarnation: Incarnation,
        interval: u64,
        result: &Result<(), StoreError>,
    ) {
        self.pulse.under_way = false;
        self.pulse.failed = result.is_err();
        if result.is_ok() {
            self.pulse.announced = Some(interval);
        }
        if self.pulse.announced == Some(HOLDING_INTERVAL) {
            let standing = std::mem::take(&mut self.pulse.standing);
            standing.into_iter().for_each(|done| drop(done.send(Ok(incarnation))));
        }
    }
}
