//! What the nodes ask of the store, counted at their doors when it is answered.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use fulmar_core::platform::{Listed, Object, Page, Payload, Platform, Store, StoreError, When};
use fulmar_core::state::layout;

/// Kinds of requests, as they are priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PUT and COPY.
    Put,
    /// GET and HEAD.
    Get,
    /// LIST.
    List,
    /// DELETE; many keys at once count once.
    Delete,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Put, Self::Get, Self::List, Self::Delete];

    /// As it stands above a column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Get => "GET",
            Self::List => "LIST",
            Self::Delete => "DELETE",
        }
    }
}

/// Folders that are told apart; what lies in none of them is counted behind the last.
pub(super) const FOLDERS: [&str; 4] = [layout::SPOOL, layout::ACCOUNTS, layout::DOMAINS, layout::LIVE];

/// Where the spool and accounts lie among [`FOLDERS`].
pub(super) const SPOOL: usize = 0;
/// See [`SPOOL`].
pub(super) const ACCOUNTS: usize = 1;
/// Where heartbeats lie among [`FOLDERS`].
pub(super) const LIVE: usize = 3;

/// Sums of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By folder, then by kind.
    answered: [[u64; Kind::ALL.len()]; FOLDERS.len() + 1],
    /// Octets that were written, by folder.
    written: [u64; FOLDERS.len() + 1],
    /// Answered 503, which costs nothing.
    pub turned_away: u64,
    /// About accounts that the node had not written to before.
    pub cold: Visits,
    /// About those to which it had.
    pub warm: Visits,
}

/// What nodes ask of accounts until they have written to them, and in order to do so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visits {
    /// Commits: nearly always one for each message.
    pub commits: u64,
    /// GET and HEAD.
    pub reads: u64,
    /// LIST.
    pub lists: u64,
}

impl Visits {
    fn since(self, before: Self) -> Self {
        Self {
            commits: self.commits - before.commits,
            reads: self.reads - before.reads,
            lists: self.lists - before.lists,
        }
    }
}

impl Counts {
    /// All of this kind that were answered.
    pub fn all(&self, kind: Kind) -> u64 {
        self.answered.iter().map(|folder| folder[kind as usize]).sum()
    }

    /// Those of this kind below one of [`FOLDERS`].
    pub(super) fn below(&self, folder: usize, kind: Kind) -> u64 {
        self.answered[folder][kind as usize]
    }

    /// Octets that were written below one of [`FOLDERS`].
    pub(super) fn written(&self, folder: usize) -> u64 {
        self.written[folder]
    }

    /// What came after `before`.
    #[must_use]
    pub fn since(mut self, before: &Self) -> Self {
        self.written.iter_mut().zip(before.written).for_each(|(now, before)| *now -= before);
        self.cold = self.cold.since(before.cold);
        self.warm = self.warm.since(before.warm);
        let pairs = self.answered.as_flattened_mut().iter_mut().zip(before.answered.as_flattened());
        pairs.for_each(|(now, before)| *now -= before);
        self.turned_away -= before.turned_away;
        self
    }
}

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Counts>);

impl Meter {
    /// The sums now.
    pub(super) fn counts(&self) -> Counts {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Doors of one node, whose store counts.
pub(super) fn counted(platform: Platform, meter: &Arc<Meter>) -> Platform {
    let (store, meter) = (platform.store.clone(), meter.clone());
    Platform { store: Arc::new(Counted { store, meter, known: Mutex::default() }), ..platform }
}

struct Counted {
    store: Arc<dyn Store>,
    meter: Arc<Meter>,
    /// Folders of accounts to which this node has written.
    known: Mutex<BTreeSet<String>>,
}

impl Counted {
    fn count<T>(&self, kind: Kind, key: &str, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(answer, Err(StoreError::Unavailable(_))) {
            self.meter.change(|counts| counts.turned_away += 1);
            return answer;
        }
        let is_commit = kind == Kind::Put && answer.is_ok() && key.contains("/c/");
        let is_known = layout::folder(layout::ACCOUNTS, key).map(|account| self.knows(account, is_commit));
        self.meter.change(|counts| {
            counts.answered[place(key)][kind as usize] += 1;
            let visits = match is_known {
                Some(true) => &mut counts.warm,
                Some(false) => &mut counts.cold,
                None => return,
            };
            match kind {
                Kind::Put => visits.commits += u64::from(is_commit),
                Kind::Get => visits.reads += 1,
                Kind::List => visits.lists += 1,
                Kind::Delete => {}
            }
        });
        answer
    }

    /// Whether this node has written to an account before; from now on it has, where it writes.
    fn knows(&self, account: &str, writes: bool) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(account) {
            return true;
        }
        if writes {
            known.insert(account.to_owned());
        }
        false
    }
}

fn place(key: &str) -> usize {
    FOLDERS.iter().position(|folder| key.starts_with(folder)).unwrap_or(FOLDERS.len())
}

#[async_trait]
impl Store for Counted {
    async fn put(&self, key: &str, payload: Payload, when: When) -> Result<(), StoreError> {
        let octets = payload.len() as u64;
        let answer = self.store.put(key, payload, when).await;
        if answer.is_ok() {
            self.meter.change(|counts| counts.written[place(key)] += octets);
        }
        self.count(Kind::Put, key, answer)
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        self.count(Kind::Get, key, self.store.get(key, range).await)
    }

    async fn head(&self, key: &str) -> Result<Listed, StoreError> {
        self.count(Kind::Get, key, self.store.head(key).await)
    }

    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        let first = keys.first().map_or("", String::as_str);
        self.count(Kind::Delete, first, self.store.delete(keys).await)
    }

    async fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.count(Kind::Put, to, self.store.copy(from, to).await)
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        self.count(Kind::List, prefix, self.store.list(prefix, after).await)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use fulmar_tests::sim::{self, Simulation};

    use super::*;

    #[test]
    fn an_account_is_cold_until_its_node_has_written_to_it() {
        let counts = sim::run(1, async |simulator| {
            let simulation = Simulation::new(simulator.clone());
            let (zone, meter) = (Arc::default(), Arc::<Meter>::default());
            let store = counted(simulation.outside(&zone), &meter).store;
            for number in 1..=2 {
                let _ = store.list("account/00/a@home.test/snap/", None).await;
                let _ = store.get("account/00/a@home.test/c/0000000000000001", None).await;
                let content = Bytes::from_static(b"commit").into();
                let key = format!("account/00/a@home.test/c/000000000000000{number}");
                store.put(&key, content, When::Absent).await.unwrap();
            }
            simulator.sleep(Duration::ZERO).await;
            meter.counts()
        });
        let once = Visits { commits: 1, reads: 1, lists: 1 };
        assert_eq!((counts.0.cold, counts.0.warm, counts.0.written(ACCOUNTS)), (once, once, 12));
    }
}
