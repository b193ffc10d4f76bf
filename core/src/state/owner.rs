//! `spool/<hh>/<inc>/own/<epoch>`: who adopts a log. Create-only; the last one counts. The log's writer is no part of it.

use serde::{Deserialize, Serialize};

use super::frame::{self, Data, Encoded};
use crate::model::{Incarnation, Nonce, UtcTime};

/// One link in a log's chain of owners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Whose object this is.
    pub nonce: Nonce,
    /// The log.
    pub of: Incarnation,
    /// When it was made, by its maker's clock.
    pub at: UtcTime,
    /// What it says.
    pub claim: Claim,
    /// Of a closing link: the log that the entries were adopted into. None where nothing was left to adopt.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub into: Option<Incarnation>,
}

/// What a link says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// The owner of this incarnation is adopting the log.
    By(Incarnation),
    /// The last owner gives up; the log is anybody's.
    GivenUp,
    /// Everything in the log lives elsewhere, or nothing lives. Nobody adopts it any more.
    Closed,
    /// After [`Claim::Closed`]: no live entry of any log has content in this one's folder any more, nor will one have. Said by whoever
    /// holds the log that the entries were adopted into.
    Ended,
}

impl Claim {
    /// Whether the log is not to be adopted any more.
    pub fn is_closing(self) -> bool {
        matches!(self, Self::Closed | Self::Ended)
    }
}

impl Owner {
    /// The object.
    pub fn encode(&self) -> Encoded {
        frame::encode(self, Data::default())
    }
}
