//! Overload: whether this node may take on another message.
//!
//! A message that has been begun takes memory until it is durable, and its client then waits for a `250` or sends everything again. So the
//! question is asked before its content is sent, and the answer is a plain law over what the node holds at that moment ([`Overload`]):
//! it knows no rates and predicts nothing. What waits to become durable does so in the order in which it came, all of it for the same
//! store and the same processor; how long the first in the line has waited is therefore about how long the next one would.
//!
//! A lone client is never refused for having sent a message before: its messages are in the line one at a time.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strum::{EnumCount, IntoStaticStr, VariantArray};

use crate::config::QueueSettings;
use crate::model::UtcTime;
use crate::platform::Instant;

/// Why no message is taken on now. Clients are told `452 4.3.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumCount, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Overload {
    /// The processor does not keep up: jobs wait for their turn for longer than
    /// [`SmtpLimits::turn`](crate::config::SmtpLimits::turn).
    Processor,
    /// Messages have waited for longer than [`QueueSettings::commit_wait`] to become durable.
    CommitWait,
    /// Messages that are not durable yet take more memory than [`QueueSettings::intake`].
    Intake,
    /// The queue has more entries than [`QueueSettings::entries`].
    Entries,
    /// Local recipients have been due for longer than [`QueueSettings::delivery_wait`].
    DeliveryWait,
}

impl Overload {
    /// All of them, in this order.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// In lower case, as in metrics.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What a node has taken on, and how often it has refused to take on more.
#[derive(Debug)]
pub(super) struct Intake {
    commit_wait: Duration,
    most_octets: usize,
    most_entries: usize,
    delivery_wait: Duration,
    line: Mutex<Line>,
    /// As the manager last said: messages in the queue, and since when the first local recipient has been due, in milliseconds since 1970.
    entries: AtomicUsize,
    first_due: AtomicU64,
    refused: [AtomicU64; Overload::COUNT],
}

/// Messages that are whole and not durable.
#[derive(Debug, Default)]
struct Line {
    /// Since when each has waited, made unique.
    since: BTreeSet<(Instant, u64)>,
    count: u64,
    octets: usize,
}

/// What operators see of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Messages that are whole and wait to become durable.
    pub waiting: usize,
    /// How long the first of them has waited.
    pub longest_wait: Duration,
    /// Octets of theirs in memory.
    pub octets: usize,
    /// Transactions that were refused, in the order of [`Overload::ALL`].
    pub refused: [u64; Overload::COUNT],
}

impl Intake {
    pub(super) fn new(settings: &QueueSettings) -> Arc<Self> {
        Arc::new(Self {
            commit_wait: settings.commit_wait,
            most_octets: settings.intake,
            most_entries: settings.entries,
            delivery_wait: settings.delivery_wait,
            line: Mutex::default(),
            entries: AtomicUsize::new(0),
            first_due: AtomicU64::new(u64::MAX),
            refused: Default::default(),
        })
    }

    /// Whether another message may be begun, while contents of so many octets are being received.
    pub(super) fn admit(&self, now: Instant, utc: UtcTime, receiving: usize) -> Result<(), Overload> {
        let Line { since, octets, .. } = &*self.line();
        let waits = since.first().map_or(Duration::ZERO, |(since, _)| now.since(*since));
        let first_due = UtcTime(self.first_due.load(Ordering::Relaxed));
        let overload = if waits > self.commit_wait {
            Overload::CommitWait
        } else if receiving.saturating_add(*octets) > self.most_octets {
            Overload::Intake
        } else if self.entries.load(Ordering::Relaxed) >= self.most_entries {
            Overload::Entries
        } else if utc.since(first_due) > self.delivery_wait {
            Overload::DeliveryWait
        } else {
            return Ok(());
        };
        self.refuse(overload);
        Err(overload)
    }

    /// A transaction is refused.
    pub(super) fn refuse(&self, overload: Overload) {
        self.refused[overload as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A message of so many octets is whole, and waits to become durable from now on until the place is dropped.
    pub(super) fn enter(self: &Arc<Self>, now: Instant, octets: usize) -> Place {
        let mut line = self.line();
        line.count += 1;
        let key = (now, line.count);
        line.since.insert(key);
        line.octets += octets;
        Place { intake: self.clone(), key, octets }
    }

    /// How many messages are in the queue now, and since when or from when on the first local recipient is due.
    pub(super) fn holds(&self, entries: usize, first_due: Option<UtcTime>) {
        self.entries.store(entries, Ordering::Relaxed);
        self.first_due.store(first_due.map_or(u64::MAX, |due| due.0), Ordering::Relaxed);
    }

    /// What operators see of it.
    pub(super) fn taken(&self, now: Instant) -> Taken {
        let Line { since, octets, .. } = &*self.line();
        Taken {
            waiting: since.len(),
            longest_wait: since.first().map_or(Duration::ZERO, |(since, _)| now.since(*since)),
            octets: *octets,
            refused: std::array::from_fn(|at| self.refused[at].load(Ordering::Relaxed)),
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // A panic elsewhere leaves a line that is right.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message's place in the line. Its session may be dropped while it waits.
#[derive(Debug)]
pub(super) struct Place {
    intake: Arc<Intake>,
    key: (Instant, u64),
    octets: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut line = self.intake.line();
        line.since.remove(&self.key);
        line.octets -= self.octets;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn intake() -> Arc<Intake> {
        let settings = QueueSettings {
            commit_wait: LIMIT,
            delivery_wait: LIMIT,
            intake: 100,
            entries: 10,
            ..QueueSettings::default()
        };
        Intake::new(&settings)
    }

    fn admit(intake: &Intake, now: Instant, receiving: usize) -> Result<(), Overload> {
        intake.admit(now, UtcTime(now.since_origin().as_millis() as u64), receiving)
    }

    fn after(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn a_line_whose_first_has_waited_too_long_takes_nobody_until_that_one_has_gone() {
        let intake = intake();
        let first = intake.enter(after(0), 1);
        let second = intake.enter(after(3_000), 1);
        assert_eq!(admit(&intake, after(5_000), 0), Ok(()));
        assert_eq!(admit(&intake, after(5_001), 0), Err(Overload::CommitWait));
        drop(first);
        assert_eq!(admit(&intake, after(8_000), 0), Ok(()));
        assert_eq!(admit(&intake, after(8_001), 0), Err(Overload::CommitWait));
        drop(second);
        assert_eq!(admit(&intake, after(60_000), 0), Ok(()));
    }

    #[test]
    fn what_is_received_and_what_waits_share_one_bound() {
        let intake = intake();
        let place = intake.enter(after(0), 60);
        for (receiving, expected) in [(40, Ok(())), (41, Err(Overload::Intake))] {
            assert_eq!(admit(&intake, after(1), receiving), expected, "{receiving}");
        }
        drop(place);
        assert_eq!(admit(&intake, after(1), 41), Ok(()));
    }

    #[test]
    fn a_full_queue_takes_nothing_until_something_is_done_with() {
        let intake = intake();
        for (entries, expected) in [(9, Ok(())), (10, Err(Overload::Entries)), (9, Ok(()))] {
            intake.holds(entries, None);
            assert_eq!(admit(&intake, after(0), 0), expected, "{entries}");
        }
    }

    #[test]
    fn a_node_that_is_behind_with_deliveries_takes_nothing_until_it_has_caught_up() {
        let intake = intake();
        for (first_due, expected) in [
            (Some(55_000), Ok(())),
            (Some(54_999), Err(Overload::DeliveryWait)),
            (Some(90_000), Ok(())),
            (None, Ok(())),
        ] {
            intake.holds(1, first_due.map(UtcTime));
            assert_eq!(admit(&intake, after(60_000), 0), expected, "{first_due:?}");
        }
    }

    #[test]
    fn a_lone_client_is_taken_again_and_again_however_slow_the_store_is() {
        let intake = intake();
        for message in 0..10 {
            let now = after(message * 20_000);
            assert_eq!(admit(&intake, now, 0), Ok(()));
            drop(intake.enter(now, usize::MAX));
        }
    }

    #[test]
    fn operators_see_what_waits_and_what_was_refused() {
        let intake = intake();
        let _places = [intake.enter(after(0), 60), intake.enter(after(2_000), 60)];
        assert_eq!(admit(&intake, after(3_000), 0), Err(Overload::Intake));
        assert_eq!(admit(&intake, after(6_000), 0), Err(Overload::CommitWait));
        let expected =
            Taken { waiting: 2, longest_wait: Duration::from_secs(6), octets: 120, refused: [0, 1, 1, 0, 0] };
        assert_eq!(intake.taken(after(6_000)), expected);
    }
}
