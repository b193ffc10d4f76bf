//! `format`: the version of the layout, written once by the first node that opens a store.

use serde::{Deserialize, Serialize};

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

fn accept(format: Result<Format, FrameError>) -> Result<(), FormatError> {
    match format {
        Ok(Format { layout: LAYOUT, .. }) => Ok(()),
        Ok(Format { layout, .. }) => {
            Err(FormatError::Foreign(format!("layout {layout}; this program knows layout {LAYOUT}")))
        }
        Err(error) => Err(FormatError::Foreign(error.to_string())),
    }
}
