//! How an attempt at one recipient ended.

use serde::{Deserialize, Serialize};

use super::Reply;

/// Final or not, with the reply that says why. A local delivery words its reply as an LMTP server would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Responsibility has passed on. Final.
    Delivered(Reply),
    /// It will never be delivered. Final.
    Failed(Reply),
    /// To be tried again.
    Deferred(Reply),
    /// An operator has given it up. Final; nobody is told.
    Cancelled(Reply),
}

impl Outcome {
    /// Whether nothing is left to do for this recipient.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Deferred(_))
    }

    /// The reply that tells why.
    pub fn reply(&self) -> &Reply {
        match self {
            Self::Delivered(reply) | Self::Failed(reply) | Self::Deferred(reply) | Self::Cancelled(reply) => {
                reply
            }
        }
    }
}
