//! The contract of the store: that ours keep it, and that breaking it is noticed.

use std::future::poll_fn;
use std::ops::Range;
use std::task::Poll;

use async_trait::async_trait;
use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Listed, Object, Page, Payload, Store, StoreError, When};
use fulmar_core::state::contract::{self, Verdict};
use fulmar_runtime_smol::SmolRuntime;
use fulmar_storage_s3::{DirectoryStore, MemoryStore};

const RANGES: &str = "a range gives the part of it that lies within the object";
const CREATE: &str = "a create succeeds where nothing is, and leaves alone what is there";
const RACE: &str = "of creates that race for one key exactly one succeeds, and what it wrote stays";
const MANY: &str = "a listing of over 1,000 objects gives each key once, with its size";

#[test]
fn memory_keeps_the_contract_and_is_left_empty() {
    let store = MemoryStore::new();
    assert_eq!(failed(&store), []);
    assert!(smol::block_on(store.list("", None)).unwrap().objects.is_empty());
}

#[test]
fn a_directory_keeps_the_contract_and_is_left_empty() {
    let runtime = SmolRuntime::new(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(directory.path(), runtime.spawn()).unwrap();
    assert_eq!(failed(&store), []);
    assert!(smol::block_on(store.list("", None)).unwrap().objects.is_empty());
}

#[test]
fn a_store_that_breaks_the_contract_fails_the_case_that_says_so() {
    for (fault, cases) in [
        (Fault::CreateOverwrites, &[CREATE, RACE][..]),
        (Fault::RacersOvertake, &[RACE]),
        (Fault::ListForgets, &[MANY]),
        (Fault::RangeRunsOver, &[RANGES]),
    ] {
        let failed = failed(&Faulty { store: MemoryStore::new(), fault });
        let failed_cases: Vec<_> = failed.iter().map(|verdict| verdict.case).collect();
        assert_eq!(failed_cases, cases, "{fault:?}: {failed:?}");
    }
}

/// How a store did in the cases that it fails.
fn failed(store: &dyn Store) -> Vec<Verdict> {
    let draw = (UtcTime(1_795_306_347_500), [7; 10]);
    let verdicts = smol::block_on(contract::check(store, "deployment/", draw));
    verdicts.into_iter().filter(|verdict| verdict.outcome.is_err()).collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// Ignores create-if-absent.
    CreateOverwrites,
    /// Looks, then writes; what happens between the two is not seen.
    RacersOvertake,
    /// Leaves out one key of a long listing.
    ListForgets,
    /// Gives one octet too many.
    RangeRunsOver,
}

/// A memory store with a fault.
pub(super) struct Faulty {
    pub(super) store: MemoryStore,
    pub(super) fault: Fault,
}

#[async_trait]
impl Store for Faulty {
    async fn put(&self, key: &str, payload: Payload, when: When) -> Result<(), StoreError> {
        let when = match (self.fault, when) {
            (Fault::CreateOverwrites, When::Absent) => When::Always,
            (Fault::RacersOvertake, When::Absent) => {
                if self.store.head(key).await.is_ok() {
                    return Err(StoreError::AlreadyExists);
                }
                give_way().await;
                When::Always
            }
            _ => when,
        };
        self.store.put(key, payload, when).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        let range = match (self.fault, range) {
            (Fault::RangeRunsOver, Some(range)) => Some(range.start..range.end + 1),
            (_, range) => range,
        };
        self.store.get(key, range).await
    }

    async fn head(&self, key: &str) -> Result<Listed, StoreError> {
        self.store.head(key).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        self.store.delete(keys).await
    }

    async fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.store.copy(from, to).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        let mut page = self.store.list(prefix, after).await?;
        if self.fault == Fault::ListForgets && page.more {
            page.objects.remove(page.objects.len() / 2);
        }
        Ok(page)
    }
}

/// Lets others run once.
async fn give_way() {
    let mut has_waited = false;
    poll_fn(|context| {
        if has_waited {
            return Poll::Ready(());
        }
        has_waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
