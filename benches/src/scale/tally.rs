//! What clients were promised, what nodes report, and what follows from both.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fulmar_core::model::event::Event;
use fulmar_core::model::{Incarnation, Outcome, QueueId};

use super::figures::Figures;
use super::meter::Counts;

#[derive(Debug)]
pub(super) struct Tally {
    victim: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Transactions that came to their `250`.
    taken: Vec<Taken>,
    /// When transactions failed.
    refused: Vec<Duration>,
    /// Promised, and not delivered yet.
    owed: BTreeSet<QueueId>,
    /// Delivered, and not promised yet: the client has still to hear of it.
    early: BTreeSet<QueueId>,
    /// The log that the victim was writing last.
    victims_log: Option<Incarnation>,
    killed: Option<Duration>,
    adopted: Option<Adopted>,
}

/// A transaction that came to its `250`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) queue_id: QueueId,
    /// When the `250` came.
    pub(super) at: Duration,
    /// How long the `354` took, from the sending of MAIL, RCPT and DATA together.
    pub(super) begun: Duration,
    /// How long the `250` took, from the final dot.
    pub(super) latency: Duration,
}

/// The victim's log has changed hands.
#[derive(Clone, Copy, Debug)]
struct Adopted {
    at: Duration,
    entries: usize,
}

impl Tally {
    /// Nothing has happened. The node at this place is the one that will be killed.
    pub(super) fn new(victim: usize) -> Self {
        Self { victim, state: Mutex::default() }
    }

    /// A client was told `250`.
    pub(super) fn taken(&self, taken: Taken) {
        let mut state = self.state();
        state.taken.push(taken);
        if !state.early.remove(&taken.queue_id) {
            state.owed.insert(taken.queue_id);
        }
    }

    /// A transaction failed.
    pub(super) fn refused(&self, now: Duration) {
        self.state().refused.push(now);
    }

    /// A node reports something.
    pub(super) fn event(&self, place: usize, event: &Event, now: Duration) {
        match event {
            Event::Attempted { queue_id, outcome: Outcome::Delivered(_), .. } => {
                let mut state = self.state();
                if !state.owed.remove(queue_id) {
                    state.early.insert(*queue_id);
                }
            }
            Event::IncarnationBegun { incarnation } if place == self.victim => {
                self.state().victims_log = Some(*incarnation);
            }
            Event::Adopted { from, entries, .. } => {
                let mut state = self.state();
                if state.victims_log == Some(*from) {
                    state.adopted = Some(Adopted { at: now, entries: *entries });
                }
            }
            _ => {}
        }
    }

    /// The victim is no more.
    pub(super) fn killed(&self, now: Duration) {
        self.state().killed = Some(now);
    }

    /// Whether everything is delivered that was promised, and the victim's log taken over.
    pub(super) fn is_settled(&self) -> bool {
        let state = self.state();
        state.owed.is_empty() && (state.killed.is_none() || state.adopted.is_some())
    }

    /// What is to be told of the messages that were taken in this time.
    pub(super) fn figures(&self, window: Range<Duration>, requests: Counts) -> Figures {
        let state = self.state();
        let sorted = |time: fn(&Taken) -> Duration| {
            let within = state.taken.iter().filter(|taken| window.contains(&taken.at));
            let mut times: Vec<_> = within.map(time).collect();
            times.sort_unstable();
            times
        };
        let (begun, latencies) = (sorted(|taken| taken.begun), sorted(|taken| taken.latency));
        let (killed, adopted) = (state.killed, state.adopted);
        Figures {
            messages: latencies.len(),
            window: window.end - window.start,
            begun: quantile(&begun, 50),
            median: quantile(&latencies, 50),
            p99: quantile(&latencies, 99),
            refused: state.refused.iter().filter(|at| window.contains(*at)).count(),
            arrival: Counts::default(),
            requests,
            takeover: killed.zip(adopted).map(|(killed, adopted)| adopted.at.saturating_sub(killed)),
            adopted: adopted.map_or(0, |adopted| adopted.entries),
            undelivered: state.owed.len(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The least of the sorted times that so many hundredths of them do not exceed; zero where there are none.
fn quantile(sorted: &[Duration], hundredths: usize) -> Duration {
    let place = (sorted.len() * hundredths).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_times() {
        let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        for (count, hundredths, expected) in
            [(200, 50, 100), (200, 99, 198), (1, 99, 1), (3, 50, 2), (0, 50, 0)]
        {
            let found = quantile(&times[..count], hundredths);
            assert_eq!(found, Duration::from_millis(expected), "{hundredths} of {count}");
        }
    }
}
