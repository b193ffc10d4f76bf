//! `reports/`: what others report to us (`received/`), and what is on its way from the logs into a day's aggregate reports of ours (RFC 9990), in `dmarc/<day>/`:
//!
//! | object | what it is | written by |
//! |---|---|---|
//! | `rows/<log>-<cut>` | a batch of rows; create-only, and determined by the log alone | whoever holds the log |
//! | `run/<n>` | that a node merges these batches; create-only | whoever wins it |
//! | `done/<n>` | that run `n` came to its end | the node that did it |
//! | `sent/<name>` | that one report of the day was handed to the queue for one destination | the node that merges |

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::frame::{self, Data, Encoded, Extent, FrameError};
use super::log::Batch;
use crate::model::verdict::DmarcResult;
use crate::model::{Domain, Nonce, QueueId, UtcTime};

/// How long all of it stays: longer than anything is still made of a day.
pub const KEPT: Duration = Duration::from_hours(16 * 24);

/// How long reports of others stay.
pub const RECEIVED_KEPT: Duration = Duration::from_hours(90 * 24);

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

/// `reports/received/<hh>/<domain>/<begin>-<name>`: a report of others; create-only. Its data is the attachment as it came, since what
/// is packed may unpack to a thousand times as much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedReport {
    /// Whose object this is.
    pub nonce: Nonce,
    /// The message that it came in first.
    pub queue_id: QueueId,
    /// When that was accepted.
    pub received: UtcTime,
    /// The domain that it is about.
    pub domain: Domain,
    /// What verification of that message came to; none where it was not verified.
    pub dmarc: Option<DmarcResult>,
    /// The domain in its From: who sends the report, where that passes.
    pub author_domain: Option<Domain>,
    /// Who says that they report.
    pub organization: String,
    /// What they call it.
    pub report_id: String,
    /// The first second that it tells of.
    pub begin: u64,
    /// The last one.
    pub end: u64,
    /// Messages that it tells of.
    pub messages: u64,
    /// The attachment, by its place in the data.
    pub attachment: Extent,
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

impl ReceivedReport {
    /// The object, with its attachment, whose place is set.
    pub fn encode(mut self, attachment: Bytes) -> Encoded {
        let mut data = Data::default();
        let crc = crc32fast::hash(&attachment);
        self.attachment = data.push(&[attachment], crc);
        frame::encode(&self, data)
    }

    /// The object and its attachment.
    ///
    /// # Errors
    /// Damage.
    pub fn decode(octets: &[u8]) -> Result<(Self, &[u8]), FrameError> {
        let frame = frame::decode::<Self>(octets)?;
        let damaged = || FrameError::Damaged("an attachment with a wrong checksum".to_owned());
        let data = octets.get(frame.data_at as usize..).ok_or_else(damaged)?;
        let Extent { at, len, .. } = frame.header.attachment;
        let attachment = data.get(at as usize..at.saturating_add(len) as usize).ok_or_else(damaged)?;
        if !frame.header.attachment.matches(attachment) {
            return Err(damaged());
        }
        Ok((frame.header, attachment))
    }
}

impl Mark {
    /// The object.
    pub fn encode(&self) -> Encoded {
        frame::encode(self, Data::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_others_comes_back_with_its_attachment_and_damage_is_seen() {
        let report = ReceivedReport {
            nonce: Nonce::draw(UtcTime(1), [1; 10]),
            queue_id: QueueId::draw(UtcTime(1), [2; 10]),
            received: UtcTime(2),
            domain: Domain::parse("x.test").unwrap(),
            dmarc: Some(DmarcResult::Pass),
            author_domain: None,
            organization: "o".to_owned(),
            report_id: "1".to_owned(),
            begin: 1,
            end: u64::MAX,
            messages: 7,
            attachment: Extent { at: 0, len: 0, crc: 0 },
        };
        let payload = report.clone().encode(Bytes::from_static(b"octets")).payload;
        let mut object = payload.to_bytes().to_vec();
        let (decoded, attachment) = ReceivedReport::decode(&object).unwrap();
        assert_eq!(attachment, b"octets");
        assert_eq!(ReceivedReport { attachment: report.attachment, ..decoded }, report);
        assert!(ReceivedReport::decode(&object[..object.len() - 1]).is_err());
        *object.last_mut().unwrap() ^= 1;
        assert!(ReceivedReport::decode(&object).is_err());
    }
}
