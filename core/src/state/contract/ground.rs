//! The place where one case works, and the requests that cases have in common.

use std::fmt::Debug;
use std::future::Future;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::platform::{Listed, Payload, Store, StoreError, When};

/// Requests under way at a time where a case needs many objects.
const CONCURRENT_REQUESTS: usize = 50;

/// Pages after which a listing counts as endless.
const PAGES: usize = 100;

/// Rounds of listing and deleting after which what is left counts as left behind.
const CLEARING_ROUNDS: usize = 3;

/// A store, and the folder of it that belongs to one case.
pub(super) struct Ground<'a> {
    pub(super) store: &'a dyn Store,
    /// Ends with `/`.
    pub(super) folder: String,
}

impl<'a> Ground<'a> {
    pub(super) fn new(store: &'a dyn Store, folder: String) -> Self {
        Self { store, folder }
    }

    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }

    pub(super) async fn put(&self, name: &str, content: impl Into<Bytes>) -> Result<(), String> {
        self.put_when(name, content, When::Always).await.map_err(|error| told("put", name, &error))
    }

    pub(super) async fn put_when(
        &self,
        name: &str,
        content: impl Into<Bytes>,
        when: When,
    ) -> Result<(), StoreError> {
        let payload = Payload::from(content.into());
        self.store.put(&self.key(name), payload, when).await
    }

    /// Puts many objects, several at a time.
    pub(super) async fn put_all(&self, objects: Vec<(String, Bytes)>) -> Result<(), String> {
        let puts: Vec<_> = objects
            .into_iter()
            .map(|(name, content)| async move { self.put(&name, content).await })
            .collect();
        stream::iter(puts).buffer_unordered(CONCURRENT_REQUESTS).try_collect().await
    }

    pub(super) async fn read(&self, name: &str) -> Result<Bytes, String> {
        let object = self.store.get(&self.key(name), None).await;
        object.map(|object| object.bytes).map_err(|error| told("get", name, &error))
    }

    pub(super) async fn head(&self, name: &str) -> Result<Listed, String> {
        self.store.head(&self.key(name)).await.map_err(|error| told("head", name, &error))
    }

    pub(super) async fn delete(&self, names: &[&str]) -> Result<(), String> {
        let keys: Vec<_> = names.iter().map(|name| self.key(name)).collect();
        self.store.delete(&keys).await.map_err(|error| told("delete", &names.join(", "), &error))
    }

    /// Whether the object holds this.
    pub(super) async fn expect(&self, name: &str, content: &[u8]) -> Result<(), String> {
        let found = self.read(name).await?;
        if found == content { Ok(()) } else { Err(format!("{name}: {}", difference(&found, content))) }
    }

    /// Everything below a folder of the ground, over all pages, as it came.
    pub(super) async fn list(&self, folder: &str) -> Result<Vec<Listed>, String> {
        self.list_after(folder, None).await
    }

    /// As `list`, after a name.
    pub(super) async fn list_after(&self, folder: &str, after: Option<&str>) -> Result<Vec<Listed>, String> {
        let prefix = self.key(folder);
        let mut after = after.map(|name| self.key(name));
        let mut found: Vec<Listed> = Vec::new();
        for _ in 0..PAGES {
            let page = self.store.list(&prefix, after.as_deref()).await;
            let page = page.map_err(|error| told("list", folder, &error))?;
            let last = page.objects.last().map(|listed| listed.key.clone());
            found.extend(page.objects);
            match (page.more, last) {
                (false, _) => return Ok(found),
                (true, Some(last)) => after = Some(last),
                (true, None) => return Err("an empty page promised more".into()),
            }
        }
        Err(format!("the listing had not ended after {PAGES} pages"))
    }

    /// The names below a folder of the ground, sorted.
    pub(super) async fn names(&self, folder: &str) -> Result<Vec<String>, String> {
        Ok(self.named(self.list(folder).await?))
    }

    /// The names of what was listed, sorted.
    pub(super) fn named(&self, found: Vec<Listed>) -> Vec<String> {
        let name = |key: &str| key.strip_prefix(&self.folder).unwrap_or(key).to_owned();
        let mut names: Vec<_> = found.iter().map(|listed| name(&listed.key)).collect();
        names.sort_unstable();
        names
    }

    /// Deletes everything on the ground.
    pub(super) async fn clear(&self) -> Result<(), String> {
        let mut left = self.list("").await?;
        for _ in 0..CLEARING_ROUNDS {
            let keys: Vec<_> = left.into_iter().map(|listed| listed.key).collect();
            let batches: Vec<_> =
                keys.chunks(CONCURRENT_REQUESTS).map(|keys| self.store.delete(keys)).collect();
            let cleared: Result<(), _> =
                stream::iter(batches).buffer_unordered(CONCURRENT_REQUESTS).try_collect().await;
            cleared.map_err(|error| told("delete", "everything", &error))?;
            left = self.list("").await?;
            if left.is_empty() {
                return Ok(());
            }
        }
        Err(format!("{} objects are left, the first is {}", left.len(), left[0].key))
    }
}

/// Whether a request fails, and as it should.
pub(super) async fn expect_error<T: Debug>(
    what: &str,
    request: impl Future<Output = Result<T, StoreError>>,
    expected: StoreError,
) -> Result<(), String> {
    match request.await {
        Err(error) if error == expected => Ok(()),
        Err(error) => Err(format!("{what}: {error} ({expected} was expected)")),
        Ok(_) => Err(format!("{what}: it succeeded ({expected} was expected)")),
    }
}

/// Whether two values are equal.
pub(super) fn expect_equal<T: Debug + PartialEq>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: found {found:?}, expected {expected:?}")) }
}

/// How two contents differ, without showing them.
pub(super) fn difference(found: &[u8], expected: &[u8]) -> String {
    match found.iter().zip(expected).position(|(one, other)| one != other) {
        Some(place) => format!("the content differs from octet {place} on"),
        None => format!("{} octets were found, {} expected", found.len(), expected.len()),
    }
}

/// Content that differs from place to place and from seed to seed.
pub(super) fn content(octets: usize, seed: u8) -> Bytes {
    // 251 is prime, so that no power of two is a period.
    (0..octets).map(|place| (place % 251) as u8 ^ seed).collect()
}

fn told(request: &str, name: &str, error: &StoreError) -> String {
    format!("{request} {name}: {error}")
}
