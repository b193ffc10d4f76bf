//! Counts what is asked of the store, by what it is asked for: a store bills by the request.

use std::iter::Sum;
use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use strum::{EnumCount, IntoStaticStr, VariantArray};

/// What a request is sent for: the kind of work, and `work` in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumCount, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum Purpose {
    /// Writing the log: segments, whatever records they carry, and large bodies on their way into the spool.
    Accept,
    /// Signs of life, and the end of a log: its release, or its closing.
    Heartbeat,
    /// Listing the others' signs of life and reading them.
    Watch,
    /// Taking over logs. The segment that carries the Adopt record is the log's.
    Adopt,
    /// Into accounts: their chains, content that is not in memory any more, and the copying of large bodies.
    Deliver,
    /// To other hosts: content that is not in memory any more.
    Relay,
    /// Mailboxes, for those who own them: login, listing, reading and deleting.
    Read,
    /// Who is who: domains, whether accounts are there, and certificates of our own.
    Directory,
    /// Looking after what has been written: checkpoints, compaction, the day's sweep.
    Maintain,
    /// Messages that are put into a folder.
    Pickup,
    /// Reports of DMARC: what goes into them, and the making.
    Report,
    /// Whether the store is sound: the races at a start, where no verdict stands, and an operator's check of it.
    Probe,
    /// Operators: their orders, and whatever a command line asks. The layout's version at a start.
    Administer,
}

impl Purpose {
    /// All of them, in this order.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// In lower case, as in metrics and logs.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Requests sent, by purpose and verb, repeated ones included; what a store bills.
#[derive(Debug, Default)]
pub struct Meter {
    counters: [Counters; Purpose::COUNT],
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) put: Counter,
    pub(super) get: Counter,
    pub(super) head: Counter,
    pub(super) list: Counter,
    pub(super) delete: Counter,
    pub(super) copy: Counter,
    pub(super) put_bytes: Counter,
    pub(super) get_bytes: Counter,
    pub(super) copy_bytes: Counter,
}

impl Counters {
    fn read(&self) -> RequestCounts {
        RequestCounts {
            put: self.put.read(),
            get: self.get.read(),
            head: self.head.read(),
            list: self.list.read(),
            delete: self.delete.read(),
            copy: self.copy.read(),
            put_bytes: self.put_bytes.read(),
            get_bytes: self.get_bytes.read(),
            copy_bytes: self.copy_bytes.read(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Meter {
    /// The counts so far, for all purposes together.
    pub fn counts(&self) -> RequestCounts {
        self.by_purpose().total()
    }

    /// The counts so far.
    pub fn by_purpose(&self) -> PurposeCounts {
        Purpose::ALL.iter().map(|purpose| (*purpose, self.of(*purpose).read())).collect()
    }

    pub(super) fn of(&self, purpose: Purpose) -> &Counters {
        &self.counters[purpose as usize]
    }
}

/// Counts read off a [`Meter`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct RequestCounts {
    pub put: u64,
    pub get: u64,
    pub head: u64,
    pub list: u64,
    /// Keys, not requests: how many one request takes is the store's affair.
    pub delete: u64,
    pub copy: u64,
    /// Octets.
    pub put_bytes: u64,
    /// Octets.
    pub get_bytes: u64,
    /// Octets that the store copied by itself: nobody sent them, but they are kept.
    pub copy_bytes: u64,
}

impl RequestCounts {
    /// What came after `before`.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            put: self.put - before.put,
            get: self.get - before.get,
            head: self.head - before.head,
            list: self.list - before.list,
            delete: self.delete - before.delete,
            copy: self.copy - before.copy,
            put_bytes: self.put_bytes - before.put_bytes,
            get_bytes: self.get_bytes - before.get_bytes,
            copy_bytes: self.copy_bytes - before.copy_bytes,
        }
    }

    /// Requests of all verbs.
    pub fn requests(&self) -> u64 {
        self.put + self.get + self.head + self.list + self.delete + self.copy
    }
}

impl Add for RequestCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            put: self.put + other.put,
            get: self.get + other.get,
            head: self.head + other.head,
            list: self.list + other.list,
            delete: self.delete + other.delete,
            copy: self.copy + other.copy,
            put_bytes: self.put_bytes + other.put_bytes,
            get_bytes: self.get_bytes + other.get_bytes,
            copy_bytes: self.copy_bytes + other.copy_bytes,
        }
    }
}

impl Sum for RequestCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

/// Counts by purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PurposeCounts([RequestCounts; Purpose::COUNT]);

impl PurposeCounts {
    /// Those of one purpose.
    pub fn of(&self, purpose: Purpose) -> RequestCounts {
        self.0[purpose as usize]
    }

    /// Those of all purposes, in the order of [`Purpose::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Purpose, RequestCounts)> {
        Purpose::ALL.iter().map(|purpose| (*purpose, self.of(*purpose)))
    }

    /// Of all purposes together.
    pub fn total(&self) -> RequestCounts {
        self.0.into_iter().sum()
    }
}

impl FromIterator<(Purpose, RequestCounts)> for PurposeCounts {
    fn from_iter<I: IntoIterator<Item = (Purpose, RequestCounts)>>(counts: I) -> Self {
        let mut by_purpose = Self::default();
        for (purpose, counts) in counts {
            by_purpose.0[purpose as usize] = by_purpose.of(purpose) + counts;
        }
        by_purpose
    }
}
