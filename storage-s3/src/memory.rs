//! Objects in memory.

use std::ops::Range;

use async_trait::async_trait;
use fulmar_core::platform::{Listed, Object, Page, Payload, Store, StoreError, When};
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::{PAGE_OBJECTS, adapter};

/// A store that lasts as long as the value: for tests and trials.
#[derive(Debug, Default)]
pub struct MemoryStore(InMemory);

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn put(&self, key: &str, payload: Payload, when: When) -> Result<(), StoreError> {
        adapter::put(&self.0, key, &payload, when).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        adapter::get(&self.0, key, range).await
    }

    async fn head(&self, key: &str) -> Result<Listed, StoreError> {
        adapter::head(&self.0, key).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        for key in keys {
            adapter::delete(&self.0, key).await?;
        }
        Ok(())
    }

    async fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        adapter::copy(&self.0, from, to).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        let folder = adapter::folder(prefix)?;
        // It holds its objects in the order of their keys, and lists them so.
        let found: Vec<_> = self.0.list(folder.as_ref()).try_collect().await.map_err(adapter::failure)?;
        let mut rest = found.into_iter().filter(|meta| after.is_none_or(|key| meta.location.as_ref() > key));
        let objects = rest.by_ref().take(PAGE_OBJECTS).map(adapter::listed).collect();
        Ok(Page { objects, more: rest.next().is_some() })
    }
}
