//! Which message is next, and when it is due.
//!
//! In closed loop a session takes a message when it has done with the one before. In open loop message n is due n periods
//! after the start, whatever became of those before it: a session takes the next number ahead of time and waits for its
//! instant, so that the earliest messages are always those with a session, and a message that finds none is taken
//! late, still with the instant at which it was due.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::options::Options;

/// The messages of a run, shared by all of its sessions.
#[derive(Debug)]
pub(super) struct Schedule {
    taken: AtomicU64,
    messages: u64,
    until: Duration,
    rate: Option<f64>,
}

/// A message to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// From 0 on, each once in a run.
    pub(super) number: u64,
    /// When it is due, from the start of the run; none in closed loop.
    pub(super) due: Option<Duration>,
}

impl Schedule {
    /// The messages that these options ask for.
    pub(super) fn new(options: &Options) -> Self {
        Self {
            taken: AtomicU64::new(0),
            messages: options.messages.unwrap_or(u64::MAX),
            until: options.seconds.map_or(Duration::MAX, Duration::from_secs_f64),
            rate: options.rate,
        }
    }

    /// Takes the next message, so long after the start; none when there are no more.
    pub(super) fn take(&self, elapsed: Duration) -> Option<Turn> {
        if self.rate.is_none() && elapsed >= self.until {
            return None;
        }
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        // From the number rather than from the one before: rounding does not add up.
        let due = self.rate.map(|rate| Duration::from_secs_f64(number as f64 / rate));
        (number < self.messages && due.is_none_or(|due| due < self.until)).then_some(Turn { number, due })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(messages: u64, until: Duration, rate: Option<f64>) -> Schedule {
        Schedule { taken: AtomicU64::new(0), messages, until, rate }
    }

    #[test]
    fn in_open_loop_messages_are_due_at_fixed_instants_however_late_they_are_taken() {
        let schedule = schedule(u64::MAX, Duration::from_secs(1), Some(4.0));
        for (late, due) in [(0, 0), (3_000, 250), (0, 500), (9_000, 750)] {
            let turn = schedule.take(Duration::from_millis(late)).unwrap();
            assert_eq!(turn.due, Some(Duration::from_millis(due)));
        }
        assert_eq!(schedule.take(Duration::ZERO), None, "what is due at the end is not sent");
    }

    #[test]
    fn rounding_does_not_add_up() {
        let schedule = schedule(u64::MAX, Duration::MAX, Some(3.0));
        let last = (0..=300_000).filter_map(|_| schedule.take(Duration::ZERO)).last().unwrap();
        assert_eq!(last.due.unwrap().as_micros(), 100_000_000_000);
    }

    #[test]
    fn in_closed_loop_messages_end_with_their_number_or_the_time() {
        let few = schedule(2, Duration::MAX, None);
        let taken: Vec<_> = (0..4).map(|_| few.take(Duration::ZERO)).collect();
        let turn = |number| Some(Turn { number, due: None });
        assert_eq!(taken, [turn(0), turn(1), None, None]);
        let short = schedule(u64::MAX, Duration::from_secs(1), None);
        assert_eq!(short.take(Duration::from_millis(999)), turn(0));
        assert_eq!(short.take(Duration::from_secs(1)), None);
    }
}
