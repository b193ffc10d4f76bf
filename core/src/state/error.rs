//! Why something in the store cannot be read or written, by what the caller can do about it.

use crate::platform::StoreError;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// To be tried again later.
    #[error("{0}")]
    Unavailable(String),
    /// The store refuses: no permission, no such bucket. To be tried again once an operator has seen to it.
    #[error("{0}")]
    Refused(String),
    /// An object is missing, not what was written, or of a newer version. Nobody but an operator can mend that.
    #[error("{key}: {reason}")]
    Damaged {
        /// The object.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<StoreError> for StateError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(_) => Self::Refused(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}
