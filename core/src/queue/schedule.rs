//! What is due when, and how often it is tried.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::QueueSettings;
use crate::model::{QueueId, UtcTime};
use crate::state::log::{Class, Entry};

/// Due times of recipients that are not being attempted.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    due: BTreeSet<(UtcTime, QueueId, u32)>,
}

impl Schedule {
    /// Every recipient of an entry that is of this class is to be attempted when it is due.
    pub(super) fn enter(&mut self, entry: &Entry, class: Class) {
        let of_class = entry.recipients.iter().filter(|to| to.class == class);
        self.due.extend(of_class.map(|to| (to.next, entry.envelope.id, to.to)));
    }

    /// Takes the recipients of a message out.
    pub(super) fn remove(&mut self, id: QueueId) -> Vec<u32> {
        let removed = self.due.extract_if(.., |(_, other, _)| *other == id);
        removed.map(|(_, _, to)| to).collect()
    }

    /// One recipient is to be attempted again.
    pub(super) fn again(&mut self, id: QueueId, to: u32, at: UtcTime) {
        self.due.insert((at, id, to));
    }

    /// The recipient that has been due for longest, if any is.
    pub(super) fn take(&mut self, now: UtcTime) -> Option<(QueueId, u32)> {
        let first = self.due.first()?;
        if first.0 > now {
            return None;
        }
        self.due.pop_first().map(|(_, id, to)| (id, to))
    }

    /// When the next recipient is due.
    pub(super) fn next(&self) -> Option<UtcTime> {
        self.due.first().map(|(at, ..)| *at)
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
}
