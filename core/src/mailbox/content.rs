//! Message content out of the store, checked against its sums.

use bytes::Bytes;

use crate::platform::StoreError;
use crate::state::frame::Extent;
use crate::state::log::Piece;
use crate::state::requests::Requests;

/// Why content could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ContentError {
    /// To be tried again.
    #[error("{0}")]
    Unavailable(String),
    /// It is not there, or not what was written.
    #[error("{key}: {reason}")]
    Damaged {
        /// The object.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ContentError {
    pub(super) fn of(key: &str, error: StoreError) -> Self {
        match error {
            StoreError::NotFound => {
                Self::Damaged { key: key.to_owned(), reason: "no such object".to_owned() }
            }
            error => Self::Unavailable(error.to_string()),
        }
    }

    fn sum(key: &str) -> Self {
        Self::Damaged { key: key.to_owned(), reason: "content with a wrong checksum".to_owned() }
    }
}

/// Reads an extent of an object, given by its place in the whole object.
pub async fn read_part(requests: &Requests, key: &str, extent: &Extent) -> Result<Bytes, ContentError> {
    if extent.len == 0 {
        return Ok(Bytes::new());
    }
    let object =
        requests.get(key, Some(extent.range())).await.map_err(|error| ContentError::of(key, error))?;
    if extent.matches(&object.bytes) { Ok(object.bytes) } else { Err(ContentError::sum(key)) }
}

/// Reads one piece of a large body.
pub async fn read_piece(requests: &Requests, key: &str, piece: &Piece) -> Result<Bytes, ContentError> {
    let object = requests.get(key, None).await.map_err(|error| ContentError::of(key, error))?;
    let whole = Extent { at: 0, len: piece.len, crc: piece.crc };
    if whole.matches(&object.bytes) { Ok(object.bytes) } else { Err(ContentError::sum(key)) }
}
