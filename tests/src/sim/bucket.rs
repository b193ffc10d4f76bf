//! What is in the store.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hasher;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Listed, Page};

use super::doors::true_utc;
use super::executor::{Simulator, lock};
use super::trace::Sum;
use super::weather::Weather;

/// The objects of a simulated store, to be looked at and touched without requests.
#[derive(Clone)]
pub struct Bucket {
    simulator: Simulator,
    weather: Arc<Weather>,
    objects: Arc<Mutex<Objects>>,
}

/// One object.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) bytes: Bytes,
    pub(super) etag: u64,
    pub(super) modified: UtcTime,
}

impl Stored {
    pub(super) fn etag(&self) -> String {
        format!("{:016x}", self.etag)
    }

    pub(super) fn listed(&self, key: &str) -> Listed {
        let (size, etag) = (self.bytes.len() as u64, self.etag());
        Listed { key: key.to_owned(), size, etag, modified: self.modified }
    }
}

impl Bucket {
    pub(super) fn new(simulator: Simulator, weather: Arc<Weather>) -> Self {
        Self { simulator, weather, objects: Arc::default() }
    }

    /// Everything, by key, and when it was written.
    pub fn objects(&self) -> BTreeMap<String, (Bytes, UtcTime)> {
        let all = self.lock();
        all.0.iter().map(|(key, stored)| (key.clone(), (stored.bytes.clone(), stored.modified))).collect()
    }

    /// The keys that begin so, in order.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        self.lock().below(prefix).map(|(key, _)| key.clone()).collect()
    }

    /// One object.
    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.lock().0.get(key).map(|stored| stored.bytes.clone())
    }

    /// Puts an object there, as if by hand.
    pub fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        let now = self.now();
        self.lock().put(key.to_owned(), bytes.into(), now);
    }

    /// Takes an object away, as if by hand. Gives whether it was there.
    pub fn remove(&self, key: &str) -> bool {
        self.lock().0.remove(key).is_some()
    }

    /// What the store's clock says.
    pub fn now(&self) -> UtcTime {
        let habits = self.weather.habits();
        let UtcTime(now) = true_utc(self.simulator.now());
        let now = now.saturating_add_signed(habits.clock_offset);
        let second = Duration::from_secs(1).as_millis() as u64;
        UtcTime(if habits.whole_seconds { now - now % second } else { now })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Objects> {
        lock(&self.objects)
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bucket")
    }
}

/// Objects by key.
#[derive(Default)]
pub(super) struct Objects(pub(super) BTreeMap<String, Stored>);

impl Objects {
    pub(super) fn put(&mut self, key: String, bytes: Bytes, modified: UtcTime) {
        let mut sum = Sum::default();
        sum.write(&bytes);
        self.0.insert(key, Stored { bytes, etag: sum.finish(), modified });
    }

    fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a String, &'a Stored)> {
        let from = self.0.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// One page, in the order of octets or with `/` before every other character.
    pub(super) fn page(&self, prefix: &str, after: Option<&str>, limit: usize, slash_first: bool) -> Page {
        if slash_first {
            let mut keys: Vec<_> = self.below(prefix).collect();
            keys.sort_by(|(one, _), (other, _)| place(one).cmp(place(other)));
            let is_after = |key: &str| after.is_none_or(|after| place(key).gt(place(after)));
            return page(keys.into_iter().filter(|(key, _)| is_after(key)), limit);
        }
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let from = self.0.range::<str, _>((start, Bound::Unbounded));
        page(from.take_while(|(key, _)| key.starts_with(prefix)), limit)
    }
}

fn page<'a>(mut rest: impl Iterator<Item = (&'a String, &'a Stored)>, limit: usize) -> Page {
    let objects = rest.by_ref().take(limit).map(|(key, stored)| stored.listed(key)).collect();
    Page { objects, more: rest.next().is_some() }
}

/// Orders `/` before every other character.
fn place(key: &str) -> impl Iterator<Item = u8> {
    key.bytes().map(|octet| if octet == b'/' { 0 } else { octet })
}
