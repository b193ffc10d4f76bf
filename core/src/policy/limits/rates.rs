//! Rates in one time each.
//!
//! A rate of `limit` in a `period` gives back one every `period / limit`. Of each subject one time is kept: when all that it took is given
//! back. It may take another as long as that time is then no further away than the period (the generic cell rate algorithm). A subject
//! whose time has passed is like one that never came, so forgetting it changes nothing; where there are more subjects than are kept, the
//! one whose time is nearest is forgotten, which owes least.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ipnet::IpNet;

use crate::model::{Address, Domain};
use crate::platform::Instant;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Measure {
    Connections,
    MessagesMinute,
    MessagesHour,
    RecipientsMinute,
    RecipientsHour,
}

/// Whose.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Client(IpNet),
    User(Address),
    Domain(Domain),
}

/// How much of something somebody may take.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    pub(super) measure: Measure,
    pub(super) subject: Subject,
    pub(super) limit: u32,
    pub(super) period: Duration,
}

type Key = (Measure, Subject);

/// See the module.
#[derive(Debug)]
pub(super) struct Rates {
    kept: usize,
    pub(super) due: BTreeMap<Key, Instant>,
    /// The same, the nearest first.
    by_due: BTreeSet<(Instant, Key)>,
}

impl Rates {
    /// Nothing taken yet; times of so many subjects are kept.
    pub(super) fn new(kept: usize) -> Self {
        Self { kept, due: BTreeMap::new(), by_due: BTreeSet::new() }
    }

    /// Takes one of each, or of none and gives how long until there is one of each.
    pub(super) fn take(&mut self, rates: &[Rate], now: Instant) -> Result<(), Duration> {
        let mut wait = Duration::ZERO;
        let mut taken = Vec::with_capacity(rates.len());
        for Rate { measure, subject, limit, period } in rates {
            let key = (*measure, subject.clone());
            let owed = self.due.get(&key).map_or(Duration::ZERO, |due| due.since(now));
            let after = owed + *period / (*limit).max(1);
            wait = wait.max(after.saturating_sub(*period));
            taken.push((key, now + after));
        }
        if !wait.is_zero() {
            return Err(wait);
        }
        taken.into_iter().for_each(|(key, due)| self.keep(key, due));
        self.forget(now);
        Ok(())
    }

    fn keep(&mut self, key: Key, due: Instant) {
        if let Some(before) = self.due.insert(key.clone(), due) {
            self.by_due.remove(&(before, key.clone()));
        }
        self.by_due.insert((due, key));
    }

    /// Drops those whose time has passed, and those beyond what is kept.
    fn forget(&mut self, now: Instant) {
        while let Some((due, _)) = self.by_due.first()
            && (*due <= now || self.due.len() > self.kept)
            && let Some((_, key)) = self.by_due.pop_first()
        {
            self.due.remove(&key);
        }
    }
}
