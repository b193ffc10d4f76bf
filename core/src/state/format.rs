//! `format`: the version of the layout, written once by the first node that opens a store.

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::error::StateError;
use super::frame::{self, Data, FrameError};
use super::layout;
use super::requests::Requests;
use crate::model::Nonce;
use crate::platform::StoreError;

/// The layout that this code keeps.
pub const LAYOUT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Format {
    nonce: Nonce,
    layout: u32,
}

/// Why a store cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FormatError {
    /// It holds something newer, or something else.
    #[error("the object `format` in the store: {0}")]
    Foreign(String),
    /// It could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes sure that the store is ours to use: it names our layout, or none and gets ours.
pub async fn ensure(requests: &Requests) -> Result<(), FormatError> {
    if let Some(object) = requests.find(layout::FORMAT).await? {
        return accept(frame::decode(&object.bytes).map(|frame| frame.header));
    }
    let (now, entropy) = requests.platform().draw();
    let nonce = Nonce::draw(now, entropy);
    let ours = frame::encode(&Format { nonce, layout: LAYOUT }, Data::default());
    requests.create(layout::FORMAT, &ours.payload, nonce).await?;
    let object = requests.get(layout::FORMAT, None).await?;
    accept(frame::decode(&object.bytes).map(|frame| frame.header))
}

/// A secret of this store, the same for every node and for ever: made of the nonce that was drawn when the store was first opened, which
/// only those know who can read the store.
pub async fn secret(requests: &Requests) -> Result<[u8; 32], StateError> {
    let object = requests.get(layout::FORMAT, None).await?;
    let damaged =
        |error: FrameError| StateError::Damaged { key: layout::FORMAT.to_owned(), reason: error.to_string() };
    let format: Format = frame::decode(&object.bytes).map_err(damaged)?.header;
    let mut secret = [0; 32];
    secret.copy_from_slice(digest(&SHA256, format!("secret of {}", format.nonce).as_bytes()).as_ref());
    Ok(secret)
}

fn accept(format: Result<Format, FrameError>) -> Result<(), FormatError> {
    match format {
        Ok(Format { layout: LAYOUT, .. }) => Ok(()),
        Ok(Format { layout, .. }) => {
            Err(FormatError::Foreign(format!("layout {layout}; this program knows layout {LAYOUT}")))
        }
        Err(error) => Err(FormatError::Foreign(error.to_string())),
    }
}
