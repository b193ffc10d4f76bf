//! A map that forgets what is old, and has a bound.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::platform::Instant;

/// Values by key, each with when it was touched last.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    entries: BTreeMap<K, (V, Instant)>,
    limit: usize,
}

impl<K: Ord, V: Default> Table<K, V> {
    /// Nothing in it, and never more than that.
    pub(super) fn new(limit: usize) -> Self {
        Self { entries: BTreeMap::new(), limit }
    }

    pub(super) fn find(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(value, _)| value)
    }

    pub(super) fn find_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(value, _)| value)
    }

    /// How long ago it was touched.
    pub(super) fn age(&self, key: &K, now: Instant) -> Option<Duration> {
        self.entries.get(key).map(|(_, touched)| now.since(*touched))
    }

    /// The value, which counts as touched now; a new one where it is not there, or was touched longer ago than `memory`.
    pub(super) fn touch(&mut self, key: K, now: Instant, memory: Duration) -> &mut V {
        if self.entries.len() >= self.limit && !self.entries.contains_key(&key) {
            self.make_room();
        }
        let (value, touched) = self.entries.entry(key).or_insert_with(|| (V::default(), now));
        if now.since(*touched) > memory {
            *value = V::default();
        }
        *touched = now;
        value
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key).map(|(value, _)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, (value, _))| (key, value))
    }

    /// Drops the half that was touched longest ago.
    fn make_room(&mut self) {
        let mut times: Vec<Instant> = self.entries.values().map(|(_, touched)| *touched).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        self.entries.retain(|_, (_, touched)| *touched > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_forgotten_and_what_is_much_too() {
        let at = |seconds| Instant::from_origin(Duration::from_secs(seconds));
        let mut table: Table<u32, u32> = Table::new(10);
        for key in 0..10 {
            *table.touch(key, at(u64::from(key)), Duration::from_secs(60)) = key;
        }
        assert_eq!((table.find(&3), table.age(&3, at(9))), (Some(&3), Some(Duration::from_secs(6))));
        table.touch(10, at(10), Duration::from_secs(60));
        assert_eq!(table.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [6, 7, 8, 9, 10]);
        assert_eq!(*table.touch(9, at(69), Duration::from_secs(60)), 9);
        assert_eq!(*table.touch(9, at(130), Duration::from_secs(60)), 0);
    }
}
