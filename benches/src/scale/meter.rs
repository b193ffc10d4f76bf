//! What the nodes ask of the store, counted at their doors when it is answered.

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

/// Where heartbeats lie among [`FOLDERS`].
pub(super) const LIVE: usize = 3;

/// Sums of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By folder, then by kind.
    answered: [[u64; Kind::ALL.len()]; FOLDERS.len() + 1],
    /// Answered 503, which costs nothing.
    pub turned_away: u64,
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

    /// What came after `before`.
    #[must_use]
    pub fn since(mut self, before: &Self) -> Self {
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

    fn count<T>(&self, kind: Kind, key: &str, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(answer, Err(StoreError::Unavailable(_))) {
            counts.turned_away += 1;
        } else {
            let folder = FOLDERS.iter().position(|folder| key.starts_with(folder));
            counts.answered[folder.unwrap_or(FOLDERS.len())][kind as usize] += 1;
        }
        answer
    }
}

/// Doors whose store counts.
pub(super) fn counted(platform: Platform, meter: &Arc<Meter>) -> Platform {
    let (store, meter) = (platform.store.clone(), meter.clone());
    Platform { store: Arc::new(Counted { store, meter }), ..platform }
}

struct Counted {
    store: Arc<dyn Store>,
    meter: Arc<Meter>,
}

#[async_trait]
impl Store for Counted {
    async fn put(&self, key: &str, payload: Payload, when: When) -> Result<(), StoreError> {
        self.meter.count(Kind::Put, key, self.store.put(key, payload, when).await)
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        self.meter.count(Kind::Get, key, self.store.get(key, range).await)
    }

    async fn head(&self, key: &str) -> Result<Listed, StoreError> {
        self.meter.count(Kind::Get, key, self.store.head(key).await)
    }

    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        let first = keys.first().map_or("", String::as_str);
        self.meter.count(Kind::Delete, first, self.store.delete(keys).await)
    }

    async fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.meter.count(Kind::Put, to, self.store.copy(from, to).await)
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        self.meter.count(Kind::List, prefix, self.store.list(prefix, after).await)
    }
}
