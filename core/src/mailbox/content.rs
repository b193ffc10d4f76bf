//! Message content out of the store, checked against its sums.

use bytes::Bytes;

use crate::platform::StoreError;
use crate::state::StateError;
use crate::state::frame::Extent;
use crate::state::log::Piece;
use crate::state::requests::Requests;

/// What a failed request means for content that must be there.
pub(super) fn missing(key: &str, error: StoreError) -> StateError {
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

/// Reads an extent of an object, given by its place in the whole object.
pub(crate) async fn read_part(requests: &Requests, key: &str, extent: &Extent) -> Result<Bytes, StateError> {
    if extent.len == 0 {
        return Ok(Bytes::new());
    }
    let object = requests.get(key, Some(extent.range())).await.map_err(|error| missing(key, error))?;
    if extent.matches(&object.bytes) { Ok(object.bytes) } else { Err(wrong_sum(key)) }
}

/// Reads one piece of a large body.
pub(super) async fn read_piece(requests: &Requests, key: &str, piece: &Piece) -> Result<Bytes, StateError> {
    let object = requests.get(key, None).await.map_err(|error| missing(key, error))?;
    let whole = Extent { at: 0, len: piece.len, crc: piece.crc };
    if whole.matches(&object.bytes) { Ok(object.bytes) } else { Err(wrong_sum(key)) }
}
