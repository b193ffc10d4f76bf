//! A log: one incarnation's part of the spool, as a sequence of numbered segments with checkpoints.
//!
//! A segment's header carries records, its data the header blocks and small bodies of the messages accepted in it.
//! Replaying the records of all segments in the order of their numbers, on top of the latest checkpoint, gives the log's
//! live entries. Replay is idempotent: a checkpoint may already hold effects of segments that it does not cover.

mod entries;
mod entry;
mod replay;
mod scan;

use serde::{Deserialize, Serialize};

pub use entries::Entries;
pub use entry::{Body, Class, Content, Entry, Envelope, Part, Piece, Pieces, Recipient};
pub use replay::Live;
pub use scan::{ScanError, Scanned, Seal, read_log};

use super::frame::{self, Data, Encoded, FrameError};
use crate::model::{Incarnation, Nonce, Outcome, QueueId, UtcTime};

/// How many segments may be under way at once: number s is issued only while s < lowest unacknowledged + `WINDOW`.
/// Whoever adopts a log therefore looks this many numbers past the first hole.
pub const WINDOW: u64 = 4;

/// `spool/<hh>/<inc>/log/<seq>`: a segment, or the seal that ends the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// The log.
    pub inc: Incarnation,
    /// The number, as in the key.
    pub seq: u64,
    /// Whose object this is.
    pub nonce: Nonce,
    /// When it was put together, by its writer's clock.
    pub at: UtcTime,
    /// What happened, in order.
    pub records: Vec<Record>,
}

/// One thing that happened to the log's entries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// A message was accepted. Its content lies in this segment's data area, at offsets from where that begins, but for
    /// pieces of a large body.
    Accept(Entry),
    /// Attempts ended, each for the recipient of that index. Final ones leave the entry.
    Attempted {
        /// The message.
        id: QueueId,
        /// Index of the recipient, how the attempt ended, and when the next one is due (for deferrals).
        outcomes: Vec<Attempt>,
    },
    /// A message's content lies here from now on, as that of an Accept record does: what it lay in before is not needed for it any more.
    Moved {
        /// The message.
        id: QueueId,
        /// Where it lies. Pieces of a large body stay where they are.
        content: Content,
    },
    /// The live entries of another log, which are from now on entries of this one.
    Adopt {
        /// The log that they were in.
        of: Incarnation,
        /// Under which link of its chain of owners.
        epoch: u64,
        /// Spool folders that entries' bodies may lie in, besides that log's own.
        folders: Vec<Incarnation>,
        /// Objects of that log which could not be read; never to be deleted.
        damaged: Vec<String>,
        /// The entries, whole.
        entries: Entries,
    },
    /// The writer writes nothing after this.
    Close {},
    /// Not the writer's: the adopter of this epoch has ended the log here.
    Seal {
        /// The adopter.
        by: Incarnation,
        /// Its link in the chain of owners.
        epoch: u64,
    },
}

/// How an attempt at one recipient ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Index of the recipient in the envelope.
    pub to: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// When the next attempt is due; meaningless after a final outcome.
    pub next: UtcTime,
}

impl Record {
    /// Turns places in a segment's data area into places in the whole object. Called once.
    pub fn move_content(&mut self, data_at: u64) {
        match self {
            Self::Accept(entry) => entry.move_content(data_at),
            Self::Moved { content, .. } => content.move_by(data_at),
            Self::Attempted { .. } | Self::Adopt { .. } | Self::Close {} | Self::Seal { .. } => {}
        }
    }
}

impl Segment {
    /// The object.
    pub fn encode(&self, data: Data) -> Encoded {
        frame::encode(self, data)
    }

    /// Reads a segment; the content of accepted messages is given by its place in the whole object.
    pub fn decode(octets: &[u8]) -> Result<Self, FrameError> {
        let frame = frame::decode::<Self>(octets)?;
        let mut segment = frame.header;
        segment.records.iter_mut().for_each(|record| record.move_content(frame.data_at));
        Ok(segment)
    }
}

/// `spool/<hh>/<inc>/ck/<seq>`: the live entries after all segments below the number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The log.
    pub inc: Incarnation,
    /// Segments below this number are covered.
    pub covers: u64,
    /// Whose object this is.
    pub nonce: Nonce,
    /// The state of the log.
    pub live: Live,
}

impl Checkpoint {
    /// The object.
    pub fn encode(&self) -> Encoded {
        frame::encode(self, Data::default())
    }
}

#[cfg(test)]
mod tests;
