//! Message content out of the store, checked against its sums.

use std::collections::VecDeque;

use bytes::Bytes;

use super::StateError;
use super::frame::Extent;
use super::layout;
use super::log::{Body, Envelope, Piece};
use super::requests::Requests;
use crate::platform::StoreError;

/// A message's content as it was received, for first attempts.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The header block.
    pub header: Bytes,
    /// The body where it is small; a large one is in the store.
    pub body: Vec<Bytes>,
}

/// Content being read, never more of it than a piece at a time.
#[derive(Debug)]
pub struct ContentReader {
    requests: Requests,
    ready: VecDeque<Bytes>,
    /// Pieces of a large body, each with its key.
    pieces: VecDeque<(String, Piece)>,
}

impl ContentReader {
    /// A reader of what is `ready`, then of `pieces`.
    pub fn new(
        requests: Requests,
        ready: impl IntoIterator<Item = Bytes>,
        pieces: impl IntoIterator<Item = (String, Piece)>,
    ) -> Self {
        let ready = ready.into_iter().filter(|part| !part.is_empty()).collect();
        Self { requests, ready, pieces: pieces.into_iter().collect() }
    }

    /// Begins to read a message of the queue.
    pub async fn open(
        requests: &Requests,
        envelope: &Envelope,
        fresh: Option<&Fresh>,
    ) -> Result<Self, StateError> {
        let ready = read_inline(requests, envelope, fresh).await?;
        let pieces = match &envelope.content.body {
            Body::Inline(_) => Vec::new(),
            Body::Pieces(pieces) => {
                let key = |index| layout::spool_piece(pieces.inc, pieces.body, index);
                pieces.pieces.iter().enumerate().map(|(index, piece)| (key(index), *piece)).collect()
            }
        };
        Ok(Self::new(requests.clone(), ready, pieces))
    }

    /// The next part, header block first; nothing at the end. No part is empty.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StateError> {
        if let Some(part) = self.ready.pop_front() {
            return Ok(Some(part));
        }
        match self.pieces.pop_front() {
            Some((key, piece)) => read_piece(&self.requests, &key, &piece).await.map(Some),
            None => Ok(None),
        }
    }
}

/// Header block and small body of a message of the queue, in order; without the body where it is large. From memory where
/// they are `fresh`, otherwise with one request each.
pub async fn read_inline(
    requests: &Requests,
    envelope: &Envelope,
    fresh: Option<&Fresh>,
) -> Result<Vec<Bytes>, StateError> {
    if let Some(Fresh { header, body }) = fresh {
        return Ok([header].into_iter().chain(body).cloned().collect());
    }
    let inline = match &envelope.content.body {
        Body::Inline(part) => Some(part),
        Body::Pieces(_) => None,
    };
    let mut parts = Vec::new();
    for part in [&envelope.content.header].into_iter().chain(inline) {
        parts.push(read_part(requests, &layout::segment(part.inc, part.seq), &part.extent).await?);
    }
    Ok(parts)
}

/// Reads an extent of an object, given by its place in the whole object.
pub async fn read_part(requests: &Requests, key: &str, extent: &Extent) -> Result<Bytes, StateError> {
    if extent.len == 0 {
        return Ok(Bytes::new());
    }
    let object = requests.get(key, Some(extent.range())).await.map_err(|error| missing(key, error))?;
    if extent.matches(&object.bytes) { Ok(object.bytes) } else { Err(wrong_sum(key)) }
}

/// Reads one piece of a large body.
async fn read_piece(requests: &Requests, key: &str, piece: &Piece) -> Result<Bytes, StateError> {
    let object = requests.get(key, None).await.map_err(|error| missing(key, error))?;
    let whole = Extent { at: 0, len: piece.len, crc: piece.crc };
    if whole.matches(&object.bytes) { Ok(object.bytes) } else { Err(wrong_sum(key)) }
}

/// What a failed request means for content that must be there.
pub fn missing(key: &str, error: StoreError) -> StateError {
    match error {
        StoreError::NotFound => {
            StateError::Damaged { key: key.to_owned(), reason: "no such object".to_owned() }
        }
        error => error.into(),
    }
}

fn wrong_sum(key: &str) -> StateError {
    StateError::Damaged { key: key.to_owned(), reason: "content with a wrong checksum".to_owned() }
}
