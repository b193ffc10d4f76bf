//! `reports/dmarc/<day>/`: what is on its way from the logs into a day's aggregate reports (RFC 9990).
//!
//! | object | what it is | written by |
//! |---|---|---|
//! | `rows/<log>-<cut>` | a batch of rows; create-only, and determined by the log alone | whoever holds the log |
//! | `run/<n>` | that a node merges these batches; create-only | whoever wins it |
//! | `done/<n>` | that run `n` came to its end | the node that did it |
//! | `sent/<name>` | that one report of the day was handed to the queue for one destination | the node that merges |

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::frame::{self, Data, Encoded};
use super::log::Batch;
use crate::model::{Nonce, UtcTime};

/// How long all of it stays: longer than anything is still made of a day.
pub const KEPT: Duration = Duration::from_hours(16 * 24);

/// A batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FiledBatch {
    /// Whose object this is.
    pub nonce: Nonce,
    /// What it holds.
    #[serde(flatten)]
    pub batch: Batch,
}

/// What a node has begun to merge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Whose object this is.
    pub nonce: Nonce,
    /// When it began, by its clock.
    pub at: UtcTime,
    /// The first run that had these batches; this one goes on with it. Its own number where it is the first.
    pub of: u64,
    /// Names of batches, as in their keys.
    pub batches: Vec<String>,
}

/// That something was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Whose object this is.
    pub nonce: Nonce,
    /// When, by its writer's clock.
    pub at: UtcTime,
}

impl FiledBatch {
    /// The object.
    pub fn encode(&self) -> Encoded {
        frame::encode(self, Data::default())
    }
}

impl Run {
    /// The object.
    pub fn encode(&self) -> Encoded {
        frame::encode(self, Data::default())
    }
}

impl Mark {
    /// The object.
    pub fn encode(&self) -> Encoded {
        frame::encode(self, Data::default())
    }
}
