//! How the requests of all nodes ended, counted at their doors.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use fulmar_core::platform::{Listed, Object, Page, Payload, Platform, Store, StoreError, When};

/// Sums of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// That were answered one way or another, or waited for until then.
    pub requests: u64,
    /// That certainly did not happen.
    pub turned_away: u64,
    /// Of which nobody knows.
    pub unanswered: u64,
}

/// Counts.
#[derive(Debug, Default)]
pub struct Counter {
    requests: AtomicU64,
    turned_away: AtomicU64,
    unanswered: AtomicU64,
}

impl Counter {
    /// The sums now.
    pub fn so_far(&self) -> Answers {
        let [requests, turned_away, unanswered] =
            [&self.requests, &self.turned_away, &self.unanswered].map(|sum| sum.load(Ordering::Relaxed));
        Answers { requests, turned_away, unanswered }
    }

    fn count<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        match &result {
            Err(StoreError::Unavailable(_) | StoreError::Refused(_)) => {
                self.turned_away.fetch_add(1, Ordering::Relaxed);
            }
            Err(StoreError::Unknown(_)) => {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
            }
            Ok(_) | Err(StoreError::NotFound | StoreError::AlreadyExists) => {}
        }
        result
    }
}

/// Doors whose store counts.
pub fn counted(platform: Platform, counter: &Arc<Counter>) -> Platform {
    let (store, counter) = (platform.store.clone(), counter.clone());
    Platform { store: Arc::new(Counted { store, counter }), ..platform }
}

struct Counted {
    store: Arc<dyn Store>,
    counter: Arc<Counter>,
}

#[async_trait]
impl Store for Counted {
    async fn put(&self, key: &str, payload: Payload, when: When) -> Result<(), StoreError> {
        self.counter.count(self.store.put(key, payload, when).await)
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        self.counter.count(self.store.get(key, range).await)
    }

    async fn head(&self, key: &str) -> Result<Listed, StoreError> {
        self.counter.count(self.store.head(key).await)
    }

    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        self.counter.count(self.store.delete(keys).await)
    }

    async fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.counter.count(self.store.copy(from, to).await)
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        self.counter.count(self.store.list(prefix, after).await)
    }
}
