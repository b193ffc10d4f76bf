//! The object store: the only state there is.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::UtcTime;

/// What an object consists of, in pieces that need not lie together in memory.
#[derive(Clone, Debug, Default)]
pub struct Payload(Vec<Bytes>);

impl Payload {
    /// Adds a piece at the end. Empty ones are dropped.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.0.push(piece);
        }
    }

    /// The pieces in order; none is empty.
    pub fn pieces(&self) -> &[Bytes] {
        &self.0
    }

    /// Octets in all.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One buffer with everything; copies unless there is only one piece.
    pub fn to_bytes(&self) -> Bytes {
        match &self.0[..] {
            [only] => only.clone(),
            pieces => pieces.concat().into(),
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        let mut payload = Self::default();
        payload.push(bytes);
        payload
    }
}

impl FromIterator<Bytes> for Payload {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut payload = Self::default();
        pieces.into_iter().for_each(|piece| payload.push(piece));
        payload
    }
}

/// On what condition a put takes effect. There is no compare-and-swap: see ARCHITECTURE.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Replaces what is there. Only for keys that one writer uses.
    Always,
    /// Only where the key holds nothing. Of several racing creates exactly one succeeds.
    Absent,
}

/// An object, or the range of it that was asked for.
#[derive(Clone, Debug)]
pub struct Object {
    /// Content of the range.
    pub bytes: Bytes,
    /// Octets of the whole object.
    pub size: u64,
    /// Changes when the content changes; may stay when it does not. Empty where the store has none.
    pub etag: String,
    /// When it was written, by the store's clock.
    pub modified: UtcTime,
}

/// An object as a listing or a head shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Octets.
    pub size: u64,
    /// As in [`Object::etag`].
    pub etag: String,
    /// When it was written, by the store's clock.
    pub modified: UtcTime,
}

/// One answer to a list request.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// In the store's own order, which need not be that of octets: some put `/` before every other character.
    pub objects: Vec<Listed>,
    /// Whether to ask again, after the last key of this page.
    pub more: bool,
}

/// What went wrong, by what the caller can do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No such object.
    #[error("no such object")]
    NotFound,
    /// A create met an object. It may be one's own, from an earlier try whose answer was lost: compare the nonce.
    #[error("the object exists already")]
    AlreadyExists,
    /// It did not happen, and may succeed later: not reached, slow-down, disk full.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// The request was sent and no answer came. It may have happened, or may still happen.
    #[error("store gave no answer: {0}")]
    Unknown(String),
    /// It did not happen and will not: no permission, no such bucket, a request that the store cannot do.
    #[error("store refused: {0}")]
    Refused(String),
}

impl StoreError {
    /// Whether the same request may be sent again with hope.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Unknown(_))
    }
}

/// The object store. Keys are relative to the deployment's prefix, `/`-separated, of visible ASCII, without empty, `.` or
/// `..` segments. All calls may run at once. Dropping a call's future may leave it done or not done.
#[async_trait]
pub trait Store: Send + Sync {
    /// Writes an object whole. Durable on success.
    async fn put(&self, key: &str, payload: Payload, when: When) -> Result<(), StoreError>;
    /// Reads an object, or the part of `range` (octets, end excluded) that lies within it.
    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError>;
    /// What a listing would show of one object.
    async fn head(&self, key: &str) -> Result<Listed, StoreError>;
    /// Deletes objects. Those that do not exist count as deleted.
    async fn delete(&self, keys: &[String]) -> Result<(), StoreError>;
    /// Copies an object within the store, replacing what is at `to`. Durable on success.
    async fn copy(&self, from: &str, to: &str) -> Result<(), StoreError>;
    /// Lists objects below `prefix`, which is empty or ends with `/`, after the key `after` in the store's order.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError>;
}
