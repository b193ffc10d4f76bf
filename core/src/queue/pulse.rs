//! Heartbeats of the open log: how soon the next sign of life is due, and who waits for one.

use std::time::Duration;

use futures::channel::oneshot;

use super::command::Refusal;
use crate::model::Incarnation;
use crate::platform::Instant;
use crate::state::beat::{HOLDING_INTERVAL, IDLE_INTERVAL};

/// Pause before a heartbeat that failed is sent again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a log that was asked to stand announces 10 s without holding anything.
const STANDING: Duration = Duration::from_mins(10);

/// So many announced intervals may lie between two heartbeats that stand, and nobody thinks the log dead: that takes three
/// ([`super::liveness::MISSED_BEATS`]).
const SILENCE: u32 = 2;

/// Who waits for the log to stand.
type Waiter = oneshot::Sender<Result<Incarnation, Refusal>>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// The interval that the heartbeat in the store announces.
    announced: Option<u64>,
    /// What the heartbeat announces that has been sent and not answered.
    under_way: Option<u64>,
    /// The last one did not get through.
    failed: bool,
    count: u64,
    last_sent: Option<Instant>,
    /// When the last one that got through was sent.
    stood: Option<Instant>,
    /// There was a pause between heartbeats that others may have taken for death. Whoever did may be slow to act on it, so that no
    /// heartbeat written since says anything about whose the log is.
    was_silent: bool,
    /// Somebody asked the log to stand until then.
    stand_until: Option<Instant>,
    /// Those who asked the log to stand, and those whose segment is durable.
    waiting: Vec<Waiter>,
}

impl Pulse {
    /// Another log begins. Who waits for one to stand waits on.
    pub(super) fn begin_anew(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        *self = Self { waiting, stand_until: self.stand_until, ..Self::default() };
    }

    /// Whether a log that nobody waits for may begin: an idle node writes no more than its idle heartbeats.
    pub(super) fn may_appear(&self, now: Instant) -> bool {
        self.last_sent.is_none_or(|sent| now.since(sent) >= Duration::from_secs(IDLE_INTERVAL))
    }

    /// Somebody wants the log to stand for some minutes, whether it holds anything or not.
    pub(super) fn stand(&mut self, now: Instant, incarnation: Incarnation, waiter: Waiter) {
        self.stand_until = Some(now + STANDING);
        self.tell(incarnation, waiter);
    }

    /// Tells the waiter as soon as the log stands: now, if it does.
    pub(super) fn tell(&mut self, incarnation: Incarnation, waiter: Waiter) {
        self.waiting.push(waiter);
        self.tell_all(incarnation);
    }

    /// Whether somebody wants the log to stand.
    pub(super) fn is_wanted(&self, now: Instant) -> bool {
        !self.waiting.is_empty() || self.stand_until.is_some_and(|until| now < until)
    }

    /// Whether a heartbeat has been sent and not answered.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Whether nobody would see that the log is being written, because the store does not take heartbeats.
    pub(super) fn is_unseen(&self) -> bool {
        self.failed && self.announced != Some(HOLDING_INTERVAL)
    }

    /// When the next heartbeat is due, if none is under way. What is due at once is due at the clock's origin.
    pub(super) fn due(&self, is_holding: bool) -> Option<Instant> {
        if self.is_under_way() {
            return None;
        }
        let Some(sent) = self.last_sent else { return Some(Instant::from_origin(Duration::ZERO)) };
        let rest = match self.announced {
            _ if self.failed => PAUSE,
            Some(announced) if announced <= interval(is_holding) => Duration::from_secs(announced),
            // Somebody may be waiting for it.
            _ => Duration::ZERO,
        };
        Some(sent + rest)
    }

    /// A heartbeat is being sent; gives its number and the interval that it announces.
    pub(super) fn send(&mut self, now: Instant, is_holding: bool) -> (u64, u64) {
        self.under_way = Some(interval(is_holding));
        self.last_sent = Some(now);
        self.count += 1;
        (self.count, interval(is_holding))
    }

    /// Since when nobody can have thought the log dead: the sending of the last heartbeat that stands. Nothing once somebody may have.
    pub(super) fn surely_ours_at(&self) -> Option<Instant> {
        self.stood.filter(|_| !self.was_silent)
    }

    /// A heartbeat that announced this interval was answered.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        incarnation: Incarnation,
        interval: u64,
        is_written: bool,
    ) {
        self.under_way = None;
        self.failed = !is_written;
        if is_written {
            let announced = Duration::from_secs(self.announced.unwrap_or(HOLDING_INTERVAL));
            self.was_silent |= self.stood.is_some_and(|stood| now.since(stood) > announced * SILENCE);
            self.announced = Some(interval);
            self.stood = self.last_sent;
        } else if self.announced != Some(interval) {
            // It may have been written all the same.
            self.announced = None;
        }
        self.tell_all(incarnation);
    }

    /// The log is not ours any more; who waited for it to stand is told so.
    pub(super) fn fence(&mut self) {
        self.waiting.drain(..).for_each(|waiter| drop(waiter.send(Err(Refusal::Fenced))));
    }

    fn tell_all(&mut self, incarnation: Incarnation) {
        // A heartbeat on its way must not announce less.
        let keeps = self.under_way.is_none_or(|interval| interval == HOLDING_INTERVAL);
        if self.announced == Some(HOLDING_INTERVAL) && keeps {
            self.waiting.drain(..).for_each(|waiter| drop(waiter.send(Ok(incarnation))));
        }
    }
}

fn interval(is_holding: bool) -> u64 {
    if is_holding { HOLDING_INTERVAL } else { IDLE_INTERVAL }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UtcTime;

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn heartbeats_follow_what_was_announced_and_hurry_when_somebody_waits() {
        let incarnation = Incarnation::draw(UtcTime(1), [1; 10]);
        let mut pulse = Pulse::default();
        assert_eq!(pulse.due(false), Some(at(0)), "the first is due at once");
        assert_eq!(pulse.send(at(100), false), (1, IDLE_INTERVAL));
        assert_eq!(pulse.due(true), None, "one at a time");
        pulse.answered(at(100), incarnation, IDLE_INTERVAL, true);
        assert_eq!(pulse.due(false), Some(at(160)));
        assert_eq!(pulse.due(true), Some(at(100)), "10 s must be announced at once");
        assert_eq!(pulse.send(at(105), true), (2, HOLDING_INTERVAL));
        pulse.answered(at(105), incarnation, HOLDING_INTERVAL, false);
        assert_eq!(pulse.due(true), Some(at(106)), "after a pause");
        pulse.send(at(106), true);
        pulse.answered(at(106), incarnation, HOLDING_INTERVAL, true);
        assert_eq!(pulse.due(true), Some(at(116)));
        assert_eq!(pulse.due(false), Some(at(116)), "what was announced is kept to");
    }

    #[test]
    fn who_waits_is_told_when_ten_seconds_are_announced_and_not_before() {
        let incarnation = Incarnation::draw(UtcTime(1), [1; 10]);
        let mut pulse = Pulse::default();
        let (waiter, mut told) = oneshot::channel();
        pulse.tell(incarnation, waiter);
        pulse.answered(at(10), incarnation, IDLE_INTERVAL, true);
        assert_eq!(told.try_recv(), Ok(None));
        pulse.answered(at(10), incarnation, HOLDING_INTERVAL, false);
        assert_eq!(told.try_recv(), Ok(None));
        pulse.answered(at(10), incarnation, HOLDING_INTERVAL, true);
        assert_eq!(told.try_recv(), Ok(Some(Ok(incarnation))));

        pulse.send(at(10), false);
        let (waiter, mut told) = oneshot::channel();
        pulse.tell(incarnation, waiter);
        assert_eq!(told.try_recv(), Ok(None), "one that announces 60 s is on its way");
        pulse.answered(at(10), incarnation, IDLE_INTERVAL, false);
        assert_eq!(told.try_recv(), Ok(None), "and may have arrived");
    }

    #[test]
    fn a_heartbeat_proves_nothing_any_more_once_there_was_a_pause_that_looks_like_death() {
        let incarnation = Incarnation::draw(UtcTime(1), [1; 10]);
        for (announced, sent, answered, proves) in [
            (HOLDING_INTERVAL, 110, 120, true),
            (HOLDING_INTERVAL, 110, 121, false),
            (HOLDING_INTERVAL, 135, 135, false),
            (IDLE_INTERVAL, 160, 161, true),
            (IDLE_INTERVAL, 230, 230, false),
        ] {
            let mut pulse = Pulse::default();
            pulse.send(at(100), announced == HOLDING_INTERVAL);
            pulse.answered(at(101), incarnation, announced, true);
            assert_eq!(pulse.surely_ours_at(), Some(at(100)));
            pulse.send(at(sent), true);
            pulse.answered(at(answered), incarnation, HOLDING_INTERVAL, true);
            assert_eq!(pulse.surely_ours_at(), proves.then(|| at(sent)), "{announced} {sent} {answered}");
            pulse.send(at(sent + 10), true);
            pulse.answered(at(sent + 10), incarnation, HOLDING_INTERVAL, true);
            assert_eq!(pulse.surely_ours_at().is_some(), proves, "whoever thought it dead may be slow");
            pulse.begin_anew();
            pulse.send(at(500), true);
            pulse.answered(at(500), incarnation, HOLDING_INTERVAL, true);
            assert_eq!(pulse.surely_ours_at(), Some(at(500)), "another log");
        }
    }
}
