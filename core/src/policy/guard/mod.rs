//! How often may be guessed: failed logins slow down whoever fails, and then lock him out.
//!
//! Everything is in memory. A node's locks are shared with the others through the store, its counts are not: who goes from node to node
//! gets as many guesses from each until the first lock is known to all.
//!
//! What an attacker can do to a user is bounded. At an address that the user has logged in from before, nothing counts but what fails
//! there, at that account; from everywhere else the account may be locked by failures at it. A login takes back what failed at that
//! account from that address, and no more, so that nobody whitens an address with an account of his own.

mod table;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use ring::digest::{SHA256, digest};

use self::table::Table;
use crate::config::AuthSettings;
use crate::platform::Instant;
use crate::state::lock::{LOCKS, Lock, NAME_OCTETS, Subject};

/// Addresses, networks, names, and pairs of a name and an address that are remembered, of each. Beyond: the longest unused half goes.
const REMEMBERED: usize = 50_000;

/// Counts failures.
#[derive(Debug)]
pub struct Guard {
    settings: AuthSettings,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    subjects: Table<Subject, Count>,
    pairs: Table<Pair, Count>,
    /// When somebody logged in there last.
    familiar: Table<Pair, ()>,
    /// Whether anybody was ever locked out here since the others were told.
    has_news: bool,
}

/// Failures of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    failures: u32,
    /// Until when it is locked.
    locked: Option<Instant>,
    /// Whether the lock is this node's own.
    is_ours: bool,
    /// The last wrong guess, in a form that tells nothing.
    guess: Option<Guess>,
}

type Pair = (IpNet, [u8; NAME_OCTETS]);

/// Tells a guess from another: a program that repeats an old password is no attacker.
pub type Guess = [u8; 8];

/// Who tries to log in, and as whom.
#[derive(Clone, Debug)]
pub struct Visitor {
    address: IpNet,
    network: IpNet,
    name: [u8; NAME_OCTETS],
}

/// What a failure brings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// How much longer than usual its answer has to wait.
    pub delay: Duration,
    /// What it has locked.
    pub locked: Vec<Subject>,
}

impl Visitor {
    /// Somebody at this address who tries this name.
    pub fn new(address: IpAddr, name: &str) -> Self {
        let (own, around) = match address.to_canonical() {
            IpAddr::V4(address) => {
                let net = |length| Ipv4Net::new_assert(address, length).trunc().into();
                (net(32), net(24))
            }
            IpAddr::V6(address) => {
                let net = |length| Ipv6Net::new_assert(address, length).trunc().into();
                (net(64), net(48))
            }
        };
        let mut hash = [0; NAME_OCTETS];
        hash.copy_from_slice(&digest(&SHA256, name.to_ascii_lowercase().as_bytes()).as_ref()[..NAME_OCTETS]);
        Self { address: own, network: around, name: hash }
    }

    fn pair(&self) -> Pair {
        (self.address, self.name)
    }

    fn subjects(&self) -> [Subject; 3] {
        [Subject::Address(self.address), Subject::Network(self.network), Subject::Name(self.name)]
    }
}

impl Guard {
    /// Nobody has failed yet.
    pub fn new(settings: AuthSettings) -> Self {
        let memory = Memory {
            subjects: Table::new(REMEMBERED * 3),
            pairs: Table::new(REMEMBERED),
            familiar: Table::new(REMEMBERED),
            has_news: false,
        };
        Self { settings, memory: Mutex::new(memory) }
    }

    /// Whether a guess of theirs is not even looked at.
    pub fn is_barred(&self, visitor: &Visitor, now: Instant) -> bool {
        let memory = self.memory();
        if self.is_familiar(&memory, visitor, now) {
            return memory.pairs.find(&visitor.pair()).is_some_and(|count| count.is_locked(now));
        }
        let mut subjects = visitor.subjects().into_iter();
        subjects.any(|subject| memory.subjects.find(&subject).is_some_and(|count| count.is_locked(now)))
    }

    /// A guess was wrong. The same one again costs its delay and is not counted again.
    pub fn failed(&self, visitor: &Visitor, guess: Option<Guess>, now: Instant) -> Failed {
        let mut memory = self.memory();
        let is_familiar = self.is_familiar(&memory, visitor, now);
        let pair = memory.pairs.touch(visitor.pair(), now, self.memory_of_failures());
        let is_new = guess.is_none() || pair.guess != guess;
        pair.guess = guess;
        let step = u32::from(is_new);
        let limit = if is_familiar { self.settings.failures_per_address } else { u32::MAX };
        pair.add(step, limit, self.settings.lock, now);
        let mut failures = pair.failures;
        let mut locked = Vec::new();
        if !is_familiar {
            for subject in visitor.subjects() {
                let limit = self.limit(&subject);
                let count = memory.subjects.touch(subject.clone(), now, self.memory_of_failures());
                if count.add(step, limit, self.settings.lock, now) {
                    locked.push(subject.clone());
                }
                if !matches!(subject, Subject::Network(_)) {
                    failures = failures.max(count.failures);
                }
            }
        }
        memory.has_news |= !locked.is_empty();
        let beyond = failures.saturating_sub(self.settings.free_failures);
        Failed { delay: (self.settings.delay_step * beyond).min(self.settings.delay_limit), locked }
    }

    /// They have logged in.
    pub fn succeeded(&self, visitor: &Visitor, now: Instant) {
        let mut memory = self.memory();
        let pair = memory.pairs.remove(&visitor.pair()).map_or(0, |count| count.failures);
        for subject in visitor.subjects() {
            if let Some(count) = memory.subjects.find_mut(&subject) {
                count.failures = count.failures.saturating_sub(pair);
            }
        }
        memory.familiar.touch(visitor.pair(), now, self.settings.familiar_for);
    }

    /// The locks of this node that hold, if there is one that the others do not know. They count as told.
    pub fn take_news(&self, now: Instant) -> Option<Vec<Lock>> {
        let mut memory = self.memory();
        if !std::mem::take(&mut memory.has_news) {
            return None;
        }
        let mut locks: Vec<Lock> = memory
            .subjects
            .iter()
            .filter_map(|(subject, count)| {
                let rest = count.locked.filter(|_| count.is_ours)?.since(now);
                (!rest.is_zero()).then(|| Lock { subject: subject.clone(), seconds: rest.as_secs().max(1) })
            })
            .collect();
        locks.sort_by_key(|lock| std::cmp::Reverse(lock.seconds));
        locks.truncate(LOCKS);
        Some(locks)
    }

    /// The others were not told after all.
    pub fn put_back_news(&self) {
        self.memory().has_news = true;
    }

    /// Another node has locked somebody out.
    pub fn learn(&self, lock: &Lock, now: Instant) {
        // No node locks for longer than it is set to, but a damaged or foreign object must not lock anybody out for ever.
        let until = now + Duration::from_secs(lock.seconds).min(self.settings.lock);
        let mut memory = self.memory();
        let count = memory.subjects.touch(lock.subject.clone(), now, self.memory_of_failures());
        if count.locked.is_none_or(|locked| locked < until) {
            count.locked = Some(until);
            count.is_ours = false;
        }
    }

    /// A count with a lock is kept for as long as that holds.
    fn memory_of_failures(&self) -> Duration {
        self.settings.failure_window.max(self.settings.lock)
    }

    fn is_familiar(&self, memory: &Memory, visitor: &Visitor, now: Instant) -> bool {
        memory.familiar.age(&visitor.pair(), now).is_some_and(|age| age <= self.settings.familiar_for)
    }

    fn limit(&self, subject: &Subject) -> u32 {
        match subject {
            Subject::Address(_) => self.settings.failures_per_address,
            Subject::Network(_) => self.settings.failures_per_network,
            Subject::Name(_) => self.settings.failures_per_account,
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    fn is_locked(&self, now: Instant) -> bool {
        self.locked.is_some_and(|until| now < until)
    }

    /// Counts; whether that has locked it. A lock that is over leaves a count that begins anew.
    fn add(&mut self, step: u32, limit: u32, lock: Duration, now: Instant) -> bool {
        if self.is_locked(now) {
            return false;
        }
        if self.locked.take().is_some() {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(step);
        let locks = self.failures >= limit;
        if locks {
            self.locked = Some(now + lock);
            self.is_ours = true;
        }
        locks
    }
}
