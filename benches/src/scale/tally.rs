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
    /// When each `250` came, and how long after the final dot.
    taken: Vec<(Duration, Duration)>,
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
    pub(super) fn taken(&self, queue_id: QueueId, now: Duration, latency: Duration) {
        let mut state = self.state();
        state.taken.push((now, latency));
        if !state.early.remove(&queue_id) {
            state.owed.insert(queue_id);
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
        let within = |(at, latency): &(Duration, Duration)| window.contains(at).then_some(*latency);
        let mut latencies: Vec<_> = state.taken.iter().filter_map(within).collect();
        latencies.sort_unstable();
        let (killed, adopted) = (state.killed, state.adopted);
        Figures {
            messages: latencies.len(),
            window: window.end - window.start,
            median: quantile(&latencies, 50),
            p99: quantile(&latencies, 99),
            refused: state.refused.iter().filter(|at| window.contains(*at)).count(),
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
