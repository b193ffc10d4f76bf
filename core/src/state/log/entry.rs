//! One message in the queue: its envelope, where its content lies, and the state of each recipient.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::verdict::Judgement;
use crate::model::{
    Address, BodyId, Incarnation, MailOptions, QueueId, RecipientOptions, Reply, ReversePath, UtcTime,
};
use crate::state::frame::Extent;

/// A message that is not done with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What does not change.
    pub envelope: Arc<Envelope>,
    /// Recipients that are not done with.
    pub recipients: Vec<Recipient>,
}

/// What was accepted (RFC 5321 §2.3.1), and where its content lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Names the message.
    pub id: QueueId,
    /// When it was accepted.
    pub accepted: UtcTime,
    /// Where reports go.
    pub reverse_path: ReversePath,
    /// What the client asked for.
    #[serde(skip_serializing_if = "is_default", default)]
    pub options: MailOptions,
    /// What its verification came to, where it was verified.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verdict: Option<Judgement>,
    /// Octets of content, our trace fields included.
    pub size: u64,
    /// Where the content lies.
    pub content: Content,
}

/// One recipient, after expansion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipient {
    /// Its number in the message, which stays when others are done with.
    pub to: u32,
    /// The final address.
    pub address: Address,
    /// What the client had named, where that was an alias.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alias: Option<Address>,
    /// How it is delivered.
    pub class: Class,
    /// Attempts so far.
    #[serde(skip_serializing_if = "is_default", default)]
    pub attempts: u32,
    /// When the next attempt is due.
    pub next: UtcTime,
    /// What the last attempt was told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_reply: Option<Reply>,
    /// What the client asked for.
    #[serde(skip_serializing_if = "is_default", default)]
    pub options: RecipientOptions,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// How a recipient is delivered; decided when it was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Into an account of ours.
    Local,
    /// To another host.
    Relay,
}

/// Where a message's content lies. The header block is apart from the body, so that trace fields can be put in front of
/// a body that has been streamed away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// The header block, with the empty line that ends it.
    pub header: Part,
    /// The body.
    pub body: Body,
}

/// Where a body lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// In a segment.
    Inline(Part),
    /// In objects of its own.
    Pieces(Pieces),
}

/// Octets in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The segment's log.
    pub inc: Incarnation,
    /// The segment's number.
    pub seq: u64,
    /// Where in the whole object (in an Accept record as written: in the data area).
    #[serde(flatten)]
    pub extent: Extent,
}

/// A body in `spool/<hh>/<inc>/body/<ulid>/<k>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pieces {
    /// In whose folder.
    pub inc: Incarnation,
    /// Its folder there.
    pub body: BodyId,
    /// Each piece, in order; its index is `<k>`.
    pub pieces: Vec<Piece>,
}

/// One piece of a large body; an object without a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Octets.
    pub len: u64,
    /// CRC-32 (IEEE).
    pub crc: u32,
}

impl Pieces {
    /// Octets in all.
    pub fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len).sum()
    }

    /// Whether there is not one piece.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

impl Content {
    /// Moves what lies in a segment by so many octets.
    pub(super) fn move_by(&mut self, octets: u64) {
        self.header.extent.at += octets;
        if let Body::Inline(part) = &mut self.body {
            part.extent.at += octets;
        }
    }
}

impl Envelope {
    /// When it could be delivered first: from then on it ages (RFC 4865 §4).
    pub fn released(&self) -> UtcTime {
        self.options.hold_until.map_or(self.accepted, |until| until.max(self.accepted))
    }

    /// When a delay of this recipient is to be told of, where it is: some time after it came, if its sender asks for that, or when the time is over
    /// by which its sender wanted it delivered or to be told (RFC 3461 §5.2.4, RFC 2852 §4.1).
    pub fn delay_due(&self, recipient: &Recipient, notice: Duration) -> Option<UtcTime> {
        let (options, by) = (&recipient.options, &self.options.deliver_by);
        let asked = options.reports_delay().then(|| self.released().after(notice));
        let by = by.as_ref().filter(|by| !by.is_return && options.notify.is_none_or(|notify| notify.delay));
        [asked, by.map(|by| by.at)].into_iter().flatten().min()
    }

    /// Whether it is to be told of now.
    pub fn is_delay_due(&self, recipient: &Recipient, notice: Duration, now: UtcTime) -> bool {
        self.delay_due(recipient, notice).is_some_and(|due| due <= now)
    }
}

impl Entry {
    /// Turns places in a segment's data area into places in the whole object. Called once, on an entry that nobody shares.
    pub fn move_content(&mut self, data_at: u64) {
        Arc::make_mut(&mut self.envelope).content.move_by(data_at);
    }

    /// The recipient of this number, if it is not done with.
    pub fn recipient(&self, to: u32) -> Option<&Recipient> {
        let index = self.recipients.binary_search_by_key(&to, |recipient| recipient.to).ok()?;
        self.recipients.get(index)
    }

    /// The earliest due time among the recipients.
    pub fn next_due(&self) -> Option<UtcTime> {
        self.recipients.iter().map(|recipient| recipient.next).min()
    }
}
