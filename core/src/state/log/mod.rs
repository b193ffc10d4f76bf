//! A log: one incarnation's part of the spool, as a sequence of numbered segments with checkpoints.
//!
//! A segment's header carries records, its data the header blocks and small bodies of the messages accepted in it. Entries that are
//! adopted, and those of a checkpoint, lie packed in the data, too: as JSON they would be three times as long, and take seconds to read.
//! The header tells how many they are; `fulmar queue list` shows them.
//!
//! Replaying the records of all segments in the order of their numbers, on top of the latest checkpoint, gives the log's
//! live entries. Replay is idempotent: a checkpoint may already hold effects of segments that it does not cover.

mod entries;
mod entry;
mod observations;
mod replay;
mod row;
mod scan;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use entries::Entries;
pub use entry::{Body, Class, Content, Entry, Envelope, Part, Piece, Pieces, Recipient};
pub use observations::{Batch, BatchId, Observations, Observed};
pub use replay::Live;
pub use scan::{ScanError, Scanned, Seal, read_log};

use super::frame::{self, Data, Encoded, Extent, Frame, FrameError};
use crate::model::{Incarnation, Nonce, Outcome, QueueId, UtcTime};

/// How many segments may be under way at once: number s is issued only while s < lowest unacknowledged + `WINDOW`.
/// Whoever adopts a log therefore looks this many numbers past the first hole.
pub const WINDOW: u64 = 4;

/// `spool/<hh>/<inc>/log/<seq>`: a segment, or the seal that ends the log.
#[derive(Clone, Debug, PartialEq)]
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

/// What a segment says without its data area; entries that were adopted are left out.
#[derive(Clone, Debug, Deserialize)]
pub struct SegmentHead {
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
        /// The entries, whole. They lie packed in the segment's data area.
        #[serde(skip)]
        entries: Entries,
        /// What its writer has seen and is not known to have filed.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        observed: Vec<Batch>,
    },
    /// What verification came to for mail that was seen since the last such record.
    Observed(Observed),
    /// A batch of that is filed.
    Filed(BatchId),
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
    /// Whether its sender has been told of the delay, and is not told again.
    #[serde(skip_serializing_if = "is_not", default)]
    pub is_told: bool,
}

fn is_not(told: &bool) -> bool {
    !told
}

impl Record {
    /// Turns places in a segment's data area into places in the whole object. Called once.
    pub fn move_content(&mut self, data_at: u64) {
        match self {
            Self::Accept(entry) => entry.move_content(data_at),
            Self::Moved { content, .. } => content.move_by(data_at),
            Self::Attempted { .. }
            | Self::Adopt { .. }
            | Self::Observed(_)
            | Self::Filed(_)
            | Self::Close {}
            | Self::Seal { .. } => {}
        }
    }
}

/// Where an object's data area holds entries.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Packed {
    count: usize,
    /// The form of their rows.
    form: u16,
    #[serde(flatten)]
    extent: Extent,
}

impl Packed {
    /// Puts entries into the data, which shares their memory.
    fn put(entries: &Entries, data: &mut Data) -> Self {
        let mut crc = crc32fast::Hasher::new();
        entries.pages().for_each(|page| crc.update(page));
        let pages: Vec<_> = entries.pages().cloned().collect();
        Self { count: entries.len(), form: row::FORM, extent: data.push(&pages, crc.finalize()) }
    }

    /// Where they lie in the whole object.
    fn range(&self, data_at: u64) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(data_at.checked_add(self.extent.at)?).ok()?;
        Some(start..start.checked_add(usize::try_from(self.extent.len).ok()?)?)
    }

    fn read(&self, object: &[u8], data_at: u64) -> Result<Entries, FrameError> {
        if !(row::OLDEST_FORM..=row::FORM).contains(&self.form) {
            return Err(FrameError::Version { found: self.form });
        }
        let octets = self.range(data_at).and_then(|range| object.get(range));
        let octets = octets.filter(|octets| self.extent.matches(octets));
        let entries = octets.and_then(|octets| Entries::read(octets, self.count));
        entries.ok_or_else(|| FrameError::Damaged("packed entries".to_owned()))
    }
}

#[derive(Serialize, Deserialize)]
struct SegmentHeader<'a> {
    inc: Incarnation,
    seq: u64,
    nonce: Nonce,
    at: UtcTime,
    records: Cow<'a, [Record]>,
    /// The entries of each Adopt record, in order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    adopted: Vec<Packed>,
}

impl Segment {
    /// The object.
    pub fn encode(&self, mut data: Data) -> Encoded {
        let adopted = self.records.iter().filter_map(|record| match record {
            Record::Adopt { entries, .. } => Some(Packed::put(entries, &mut data)),
            _ => None,
        });
        let adopted = adopted.collect();
        let records = Cow::Borrowed(&self.records[..]);
        let header =
            SegmentHeader { inc: self.inc, seq: self.seq, nonce: self.nonce, at: self.at, records, adopted };
        frame::encode(&header, data)
    }

    /// Reads a segment, of which at least the header must be there, and entries that were adopted; the content of accepted messages is given by its place in the whole object.
    pub fn decode(octets: &[u8]) -> Result<Self, FrameError> {
        let Frame { header, data_at } = frame::decode::<SegmentHeader>(octets)?;
        let mut records = header.records.into_owned();
        let mut adopted = header.adopted.iter();
        for record in &mut records {
            match record {
                Record::Adopt { entries, .. } => {
                    let packed = adopted.next();
                    let packed = packed.ok_or_else(|| FrameError::Damaged("no entries".to_owned()))?;
                    *entries = packed.read(octets, data_at)?;
                }
                record => record.move_content(data_at),
            }
        }
        Ok(Self { inc: header.inc, seq: header.seq, nonce: header.nonce, at: header.at, records })
    }
}

/// `spool/<hh>/<inc>/ck/<seq>`: the live entries after all segments below the number.
#[derive(Clone, Debug, PartialEq)]
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

#[derive(Serialize, Deserialize)]
struct CheckpointHeader<'a> {
    inc: Incarnation,
    covers: u64,
    nonce: Nonce,
    live: Cow<'a, Live>,
    entries: Packed,
}

impl Checkpoint {
    /// The object. It shares the entries' memory; of a million of them it takes their checksum, some 50 ms.
    pub fn encode(&self) -> Encoded {
        let mut data = Data::default();
        let entries = Packed::put(&self.live.entries, &mut data);
        let live = Cow::Borrowed(&self.live);
        let header =
            CheckpointHeader { inc: self.inc, covers: self.covers, nonce: self.nonce, live, entries };
        frame::encode(&header, data)
    }

    /// Reads a checkpoint.
    pub fn decode(octets: &[u8]) -> Result<Self, FrameError> {
        let Frame { header, data_at } = frame::decode::<CheckpointHeader>(octets)?;
        let mut live = header.live.into_owned();
        live.entries = header.entries.read(octets, data_at)?;
        Ok(Self { inc: header.inc, covers: header.covers, nonce: header.nonce, live })
    }
}

#[cfg(test)]
mod tests;
