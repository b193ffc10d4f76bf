//! How often it is reported about a domain, and to an address.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::platform::Instant;

/// Reports about one author's domain, and to one destination, within [`WINDOW`] (RFC 9991 §2, §8.1).
pub(super) const PER_WINDOW: u32 = 10;
pub(super) const WINDOW: Duration = Duration::from_hours(1);
/// Domains and destinations that are remembered. Beyond: nothing is told about further ones, until some have been quiet for [`WINDOW`].
const SUBJECTS: usize = 2_000;

/// What has been told lately on this node.
#[derive(Debug, Default)]
pub(super) struct Rates {
    counts: BTreeMap<String, Count>,
}

#[derive(Debug)]
struct Count {
    since: Instant,
    told: u32,
    /// Since the last report.
    left_out: u64,
    is_exhausted: bool,
}

/// Whether something is told once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Yes; and before this so often nothing was.
    Granted { left_out: u64 },
    /// No, and this is the first time within this window.
    Exhausted,
    /// No.
    LeftOut,
}

impl Rates {
    /// One report about a domain, or to an address.
    pub(super) fn take(&mut self, subject: &str, now: Instant) -> Turn {
        if !self.counts.contains_key(subject) && self.counts.len() >= SUBJECTS {
            self.counts.retain(|_, count| now.since(count.since) < WINDOW);
            if self.counts.len() >= SUBJECTS {
                return Turn::Exhausted;
            }
        }
        let fresh = Count { since: now, told: 0, left_out: 0, is_exhausted: false };
        let count = self.counts.entry(subject.to_owned()).or_insert(fresh);
        if now.since(count.since) >= WINDOW {
            *count = Count { since: now, told: 0, is_exhausted: false, ..*count };
        }
        if count.told < PER_WINDOW {
            count.told += 1;
            return Turn::Granted { left_out: std::mem::take(&mut count.left_out) };
        }
        count.left_out += 1;
        match std::mem::replace(&mut count.is_exhausted, true) {
            true => Turn::LeftOut,
            false => Turn::Exhausted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    /// What so many messages come to, in letters: granted, exhausted, left out.
    fn turns(rates: &mut Rates, subject: &str, messages: usize, now: Instant) -> String {
        let letter = |turn| match turn {
            Turn::Granted { left_out: 0 } => 'g',
            Turn::Granted { .. } => 'G',
            Turn::Exhausted => 'x',
            Turn::LeftOut => '.',
        };
        (0..messages).map(|_| letter(rates.take(subject, now))).collect()
    }

    #[test]
    fn a_window_has_so_many_reports_and_the_next_one_tells_of_the_rest() {
        let mut rates = Rates::default();
        let start = Instant::from_origin(MINUTE);
        assert_eq!(turns(&mut rates, "a.test", 13, start), "ggggggggggx..");
        assert_eq!(turns(&mut rates, "b.test", 1, start), "g");
        assert_eq!(turns(&mut rates, "a.test", 2, start + WINDOW - MINUTE), "..");
        assert_eq!(rates.take("a.test", start + WINDOW), Turn::Granted { left_out: 5 });
        assert_eq!(turns(&mut rates, "a.test", 10, start + WINDOW), "gggggggggx");
    }

    #[test]
    fn no_more_subjects_are_remembered_than_there_is_room_for() {
        let mut rates = Rates::default();
        let start = Instant::from_origin(MINUTE);
        for number in 0..SUBJECTS {
            assert_eq!(turns(&mut rates, &format!("{number}.test"), 1, start), "g");
        }
        assert_eq!(turns(&mut rates, "late.test", 2, start), "xx");
        assert_eq!(turns(&mut rates, "0.test", 1, start), "g");
        assert_eq!(turns(&mut rates, "late.test", 1, start + WINDOW), "g");
        assert_eq!(rates.counts.len(), 1);
    }
}
