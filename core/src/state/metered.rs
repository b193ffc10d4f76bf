//! A store that counts what it is asked, for what asks it without [`Requests`](super::requests::Requests): races and the contract, which are
//! about single requests and must see each answer.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use super::meter::Counters;
use crate::platform::{Listed, Object, Page, Payload, Store, StoreError, When};

/// Counts requests when they are sent, as a store bills them: those that fail as well.
pub(super) struct Metered<'a> {
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) counters: &'a Counters,
}

#[async_trait]
impl Store for Metered<'_> {
    async fn put(&self, key: &str, payload: Payload, when: When) -> Result<(), StoreError> {
        self.counters.put.add(1);
        self.counters.put_bytes.add(payload.len() as u64);
        self.store.put(key, payload, when).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        self.counters.get.add(1);
        let object = self.store.get(key, range).await?;
        self.counters.get_bytes.add(object.bytes.len() as u64);
        Ok(object)
    }

    async fn head(&self, key: &str) -> Result<Listed, StoreError> {
        self.counters.head.add(1);
        self.store.head(key).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        self.counters.delete.add(keys.len() as u64);
        self.store.delete(keys).await
    }

    async fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.counters.copy.add(1);
        self.store.copy(from, to).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        self.counters.list.add(1);
        self.store.list(prefix, after).await
    }
}
