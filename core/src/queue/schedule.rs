//! What is due when, and how often it is tried.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::QueueSettings;
use crate::model::{QueueId, UtcTime};
use crate::state::log::{Class, Entry};

/// Milliseconds of what is scheduled together.
const MINUTE: u64 = 60_000;

/// Due times of recipients that are not being attempted.
///
/// There may be a million of them. Those of minutes ahead lie in the order of their queue ids, minute by minute, so that a message is found by
/// looking into each minute, of which there are some hundreds, and not at each recipient. Within the first minute they are sorted by time.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// Due in the first minute, or before.
    first: BTreeSet<Due>,
    /// Number of the first minute since 1970.
    first_minute: u64,
    /// Due in later ones; none is empty.
    later: BTreeMap<u64, Minute>,
}

/// Packed: of a million every octet counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C, packed(4))]
struct Due {
    at: UtcTime,
    id: QueueId,
    to: u32,
}

/// Recipients that are due within a minute.
#[derive(Debug)]
struct Minute {
    /// The earliest of them is not due before.
    earliest: UtcTime,
    recipients: BTreeSet<Place>,
}

/// As [`Due`], by queue id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C, packed(2))]
struct Place {
    id: QueueId,
    to: u32,
    /// Milliseconds since the minute began.
    offset: u16,
}

impl Schedule {
    /// Every recipient of an entry that is of this class is to be attempted when it is due.
    pub(super) fn enter(&mut self, entry: &Entry, class: Class) {
        let of_class = entry.recipients.iter().filter(|to| to.class == class);
        of_class.for_each(|to| self.again(entry.envelope.id, to.to, to.next));
    }

    /// Takes the recipients of a message out.
    pub(super) fn remove(&mut self, id: QueueId) -> Vec<u32> {
        let mut removed: Vec<u32> =
            self.first.extract_if(.., |due| { due.id } == id).map(|due| due.to).collect();
        let range = Place { id, to: 0, offset: 0 }..=Place { id, to: u32::MAX, offset: u16::MAX };
        self.later.retain(|_, minute| {
            removed.extend(minute.recipients.extract_if(range.clone(), |_| true).map(|place| place.to));
            !minute.recipients.is_empty()
        });
        removed
    }

    /// One recipient is to be attempted again.
    pub(super) fn again(&mut self, id: QueueId, to: u32, at: UtcTime) {
        let minute = at.0 / MINUTE;
        if minute <= self.first_minute {
            self.first.insert(Due { at, id, to });
        } else {
            let minute = self.later.entry(minute);
            let minute = minute.or_insert(Minute { earliest: at, recipients: BTreeSet::new() });
            minute.earliest = minute.earliest.min(at);
            // The rest of a division by 60,000.
            minute.recipients.insert(Place { id, to, offset: (at.0 % MINUTE) as u16 });
        }
    }

    /// The recipient that has been due for longest, if any is.
    pub(super) fn take(&mut self, now: UtcTime) -> Option<(QueueId, u32)> {
        if self.first.is_empty() {
            let next = self.later.first_entry().filter(|minute| minute.get().earliest <= now)?;
            self.first_minute = *next.key();
            let began = self.first_minute * MINUTE;
            let due = |place: Place| Due {
                at: UtcTime(began + u64::from(place.offset)),
                id: place.id,
                to: place.to,
            };
            self.first = next.remove().recipients.into_iter().map(due).collect();
        }
        let at = self.first.first()?.at;
        if at > now {
            return None;
        }
        self.first.pop_first().map(|due| (due.id, due.to))
    }

    /// When the next recipient is due; or earlier, where that one has been taken out.
    pub(super) fn next(&self) -> Option<UtcTime> {
        let first = self.first.first().map(|due| due.at);
        first.or_else(|| self.later.first_key_value().map(|(_, minute)| minute.earliest))
    }
}

/// How long to wait after this many attempts. Spread by up to an eighth, by the queue id, so that what failed together
/// does not come back together.
pub(super) fn pause(settings: &QueueSettings, attempts: u32, id: QueueId) -> Duration {
    let last = settings.retry.last().copied().unwrap_or(Duration::from_hours(1));
    let base = settings.retry.get(attempts.saturating_sub(1) as usize).copied().unwrap_or(last);
    let spread =
        id.to_string().bytes().fold(0u32, |sum, b| sum.wrapping_mul(31).wrapping_add(u32::from(b))) % 128;
    base + base.mul_f64(f64::from(spread) / 1024.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pauses_follow_the_settings_and_the_last_one_repeats() {
        let settings = QueueSettings {
            retry: vec![Duration::from_secs(8), Duration::from_secs(80)],
            ..Default::default()
        };
        let id = QueueId::draw(UtcTime(1), [1; 10]);
        for (attempts, seconds) in [(1, 8), (2, 80), (3, 80), (99, 80)] {
            let pause = pause(&settings, attempts, id).as_secs_f64();
            assert!((seconds as f64..=seconds as f64 * 1.125).contains(&pause), "{attempts}: {pause}");
        }
    }

    #[test]
    fn nothing_is_taken_before_it_is_due_and_the_oldest_first() {
        let mut schedule = Schedule::default();
        let id = |n: u8| QueueId::draw(UtcTime(1), [n; 10]);
        schedule.again(id(1), 0, UtcTime(20));
        schedule.again(id(2), 1, UtcTime(10));
        assert_eq!(schedule.take(UtcTime(9)), None);
        assert_eq!(schedule.next(), Some(UtcTime(10)));
        assert_eq!(schedule.take(UtcTime(30)), Some((id(2), 1)));
        assert_eq!(schedule.take(UtcTime(30)), Some((id(1), 0)));
        assert_eq!(schedule.take(UtcTime(30)), None);
    }

    /// What happens to a schedule.
    #[derive(Clone, Debug)]
    enum Step {
        Again(u8, u32, u64),
        Take(u64),
        Remove(u8),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let time = || prop_oneof![0u64..1_000, 0u64..400_000];
        prop_oneof![
            4 => (0u8..9, 0u32..4, time()).prop_map(|(n, to, at)| Step::Again(n, to, at)),
            3 => time().prop_map(Step::Take),
            1 => (0u8..9).prop_map(Step::Remove),
        ]
    }

    proptest! {
        #[test]
        fn a_schedule_does_what_a_sorted_list_would(steps in prop::collection::vec(any_step(), 0..80)) {
            let (mut schedule, mut list) = (Schedule::default(), BTreeSet::new());
            let id = |n: u8| QueueId::draw(UtcTime(1), [n; 10]);
            for step in steps {
                match step {
                    Step::Again(n, to, at) => {
                        schedule.again(id(n), to, UtcTime(at));
                        list.insert((UtcTime(at), id(n), to));
                    }
                    Step::Take(now) => {
                        let due = list.first().is_some_and(|(at, ..)| *at <= UtcTime(now));
                        let taken = if due { list.pop_first() } else { None };
                        prop_assert_eq!(schedule.take(UtcTime(now)), taken.map(|(_, id, to)| (id, to)));
                    }
                    Step::Remove(n) => {
                        let mut removed = schedule.remove(id(n));
                        removed.sort();
                        let of_message = list.extract_if(.., |(_, other, _)| *other == id(n));
                        let mut expected: Vec<u32> = of_message.map(|(.., to)| to).collect();
                        expected.sort();
                        prop_assert_eq!(removed, expected);
                    }
                }
                let next = list.first().map(|(at, ..)| *at);
                prop_assert!(schedule.next() <= next, "nobody wakes too late");
                prop_assert_eq!(schedule.next().is_some(), next.is_some());
            }
        }
    }
}
