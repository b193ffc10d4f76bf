//! Objects as files below one directory.

mod disk;
mod folders;
mod walk;
mod write;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_lock::Semaphore;
use async_trait::async_trait;
use fulmar_core::platform::{Listed, Object, Page, Payload, Spawn, Store, StoreError, When};

use self::disk::Disk;

/// Operations on one directory at a time; each holds a blocking thread. Beyond: the caller waits.
const SIMULTANEOUS_OPERATIONS: usize = 16;

/// A store in a local directory. Several processes may use one directory at once.
///
/// A key is the path of a file. What has been written is durable: file and folder are flushed before success. A deletion
/// is not, so a power failure may bring an object back. A copy is a second link to the same file; copying dates both by the time of
/// the copy. What a process was writing when it died is removed by whoever lists its folder a day later. Two things differ from other stores: a key cannot be the folder of another, and the last segment
/// of a key cannot end in `#` and digits, which is how files that are being written are called.
pub struct DirectoryStore {
    disk: Arc<Disk>,
    spawn: Arc<dyn Spawn>,
    slots: Arc<Semaphore>,
}

/// Why a directory cannot serve as a store.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the directory {} as a store: {reason}", path.display())]
pub struct OpenError {
    /// The directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl DirectoryStore {
    /// Opens a directory, and makes it (accessible to its owner only) where there is none. Blocks for a moment.
    pub fn open(path: impl AsRef<Path>, spawn: Arc<dyn Spawn>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let disk =
            Disk::open(path).map_err(|reason| OpenError { path: path.into(), reason: reason.to_string() })?;
        let slots = Arc::new(Semaphore::new(SIMULTANEOUS_OPERATIONS));
        Ok(Self { disk: Arc::new(disk), spawn, slots })
    }

    /// Runs an operation on a thread that may block. It runs to its end even if its caller goes away, and keeps its
    /// slot till then.
    async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Disk) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let slot = self.slots.acquire_arc().await;
        let disk = self.disk.clone();
        let work = move || {
            let result = operation(&disk);
            drop(slot);
            result
        };
        let aborted = || StoreError::Unknown("the operation was broken off".into());
        self.spawn.unblock(work).await.unwrap_or_else(|| Err(aborted()))
    }
}

#[async_trait]
impl Store for DirectoryStore {
    async fn put(&self, key: &str, payload: Payload, when: When) -> Result<(), StoreError> {
        let key = key.to_owned();
        self.run(move |disk| disk.put(&key, &payload, when)).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        let key = key.to_owned();
        self.run(move |disk| disk.get(&key, range)).await
    }

    async fn head(&self, key: &str) -> Result<Listed, StoreError> {
        let key = key.to_owned();
        self.run(move |disk| disk.head(&key)).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        let keys = keys.to_owned();
        self.run(move |disk| keys.iter().try_for_each(|key| disk.delete(key))).await
    }

    async fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.run(move |disk| disk.copy(&from, &to)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        let (prefix, after) = (prefix.to_owned(), after.unwrap_or_default().to_owned());
        self.run(move |disk| disk.list(&prefix, &after)).await
    }
}

impl fmt::Debug for DirectoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DirectoryStore").field(&self.disk).finish()
    }
}
