//! Entries as rows of octets: how they are kept in memory, in checkpoints and in Adopt records.
//!
//! A message has one row for its envelope and its first recipients, and one for every [`ROW_RECIPIENTS`] further ones, so that an attempt at
//! one recipient of thousands rewrites one row and not the message.
//!
//! ```text
//! offset  octets
//!      0      16  queue id, as it sorts
//!     16       4  number of the row within the message, little-endian
//!     20       4  octets that follow, little-endian
//!     24       n  row 0: a `Head`; then, as in every row, a list of `Packed`
//! ```
//!
//! Both are encoded by postcard, which names no fields: whoever changes them raises [`FORM`] and goes on reading the forms before.

mod options;

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::options::{PackedClass, PackedMailOptions};
use super::{Attempt, Body, Class, Content, Entry, Envelope, Part, Piece, Pieces, Recipient};
use crate::model::id::IDENTITY_OCTETS;
use crate::model::reply::EnhancedStatus;
use crate::model::{Address, BodyId, Incarnation, QueueId, Reply, ReversePath, UtcTime};
use crate::state::frame::Extent;

/// The form of rows that this code writes.
pub(super) const FORM: u16 = 3;
/// The oldest form that it reads: what was added since stands in variants that rows of this form do not have.
pub(super) const OLDEST_FORM: u16 = 1;
/// Recipients in one row, at most.
const ROW_RECIPIENTS: u32 = 64;
/// Room that suffices for most rows.
const USUAL_OCTETS: usize = 512;
/// Octets before a row's content.
const PREAMBLE: usize = IDENTITY_OCTETS + 8;

/// A row's place in the order of rows: the message, and the row's number within it.
pub(super) type Key = (QueueId, u32);

/// Where a recipient stands.
pub(super) fn row_of(to: u32) -> u32 {
    to / ROW_RECIPIENTS
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row<'a> {
    pub(super) key: Key,
    /// The whole row.
    pub(super) octets: &'a [u8],
}

/// What does not change.
#[derive(Serialize, Deserialize)]
struct Head<'a> {
    accepted: Offset,
    #[serde(borrow)]
    reverse_path: Cow<'a, str>,
    #[serde(borrow)]
    options: PackedMailOptions<'a>,
    size: u64,
    header: Place,
    body: PackedBody,
}

/// Milliseconds after the queue id was drawn: mostly few, and few octets.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Offset(i64);

#[derive(Serialize, Deserialize)]
struct Place {
    inc: [u8; IDENTITY_OCTETS],
    seq: u64,
    extent: Extent,
}

#[derive(Serialize, Deserialize)]
enum PackedBody {
    /// In the same segment, so many octets behind the end of the header block: nearly always.
    Behind(Extent),
    Inline(Place),
    Pieces {
        inc: [u8; IDENTITY_OCTETS],
        body: [u8; IDENTITY_OCTETS],
        pieces: Vec<Piece>,
    },
}

/// One recipient.
#[derive(Serialize, Deserialize)]
struct Packed<'a> {
    to: u32,
    #[serde(borrow)]
    address: Cow<'a, str>,
    /// Empty where there is none.
    #[serde(borrow)]
    alias: Cow<'a, str>,
    #[serde(borrow)]
    class: PackedClass<'a>,
    attempts: u32,
    next: Offset,
    #[serde(borrow)]
    last_reply: Option<PackedReply<'a>>,
}

#[derive(Serialize, Deserialize)]
struct PackedReply<'a> {
    code: u16,
    enhanced_status: Option<EnhancedStatus>,
    #[serde(borrow)]
    text: Cow<'a, str>,
}

/// A row that is not one. Of rows in memory there is none: they were encoded here, or read by [`Row::check`] before.
#[derive(Debug)]
pub(super) struct BadRow;

impl<T: std::error::Error> From<T> for BadRow {
    fn from(_: T) -> Self {
        Self
    }
}

/// The rows of an entry, in order; there is at least one.
pub(super) fn rows(entry: &Entry) -> Vec<(Key, Vec<u8>)> {
    let id = entry.envelope.id;
    let mut recipients = entry.recipients.chunk_by(|a, b| row_of(a.to) == row_of(b.to)).peekable();
    let first = recipients.next_if(|recipients| row_of(recipients[0].to) == 0).unwrap_or_default();
    let octets = append(begin((id, 0)), &Head::of(&entry.envelope));
    let first = ((id, 0), end(octets, &pack(first, id)));
    let further = recipients.map(|recipients| {
        let key = (id, row_of(recipients[0].to));
        (key, end(begin(key), &pack(recipients, id)))
    });
    std::iter::once(first).chain(further).collect()
}

fn pack(recipients: &[Recipient], id: QueueId) -> Vec<Packed<'_>> {
    recipients.iter().map(|recipient| Packed::of(recipient, id)).collect()
}

/// A row without content.
fn begin((id, number): Key) -> Vec<u8> {
    let mut octets = Vec::with_capacity(USUAL_OCTETS);
    octets.extend_from_slice(&id.to_octets());
    octets.extend_from_slice(&number.to_le_bytes());
    octets.extend_from_slice(&[0; 4]);
    octets
}

/// Ends a row with its recipients.
fn end(octets: Vec<u8>, recipients: &[Packed]) -> Vec<u8> {
    let mut octets = append(octets, &recipients);
    // A row of so few recipients is far shorter than what the field can say.
    let length = (octets.len() - PREAMBLE) as u32;
    octets[PREAMBLE - 4..PREAMBLE].copy_from_slice(&length.to_le_bytes());
    octets
}

fn append<T: Serialize>(octets: Vec<u8>, value: &T) -> Vec<u8> {
    // Structs of numbers, strings and lists of known length: there is nothing in them that postcard refuses.
    let written = postcard::to_extend(value, octets);
    debug_assert!(written.is_ok(), "{written:?}");
    written.unwrap_or_default()
}

impl<'a> Row<'a> {
    /// Takes the first row off what follows each other.
    pub(super) fn take(octets: &mut &'a [u8]) -> Result<Self, BadRow> {
        let (id, rest) = octets.split_first_chunk().ok_or(BadRow)?;
        let (number, rest) = rest.split_first_chunk().ok_or(BadRow)?;
        let (length, rest) = rest.split_first_chunk().ok_or(BadRow)?;
        let content = u32::from_le_bytes(*length) as usize;
        let (row, rest) =
            if content <= rest.len() { octets.split_at(PREAMBLE + content) } else { return Err(BadRow) };
        *octets = rest;
        Ok(Self { key: (QueueId::from_octets(*id), u32::from_le_bytes(*number)), octets: row })
    }

    /// Whether everything in it can be read.
    pub(super) fn check(&self) -> Result<(), BadRow> {
        let (head, recipients) = self.parts()?;
        if let Some(head) = head {
            head.envelope(self.key.0)?;
        }
        let mut last = None;
        for packed in recipients {
            let recipient = packed.recipient(self.key.0)?;
            if row_of(recipient.to) != self.key.1 || last >= Some(recipient.to) {
                return Err(BadRow);
            }
            last = Some(recipient.to);
        }
        Ok(())
    }

    /// What row 0 holds: the envelope, and those of the recipients that are wanted.
    pub(super) fn entry(&self, is_wanted: impl Fn(u32) -> bool) -> Result<Entry, BadRow> {
        let (head, recipients) = self.parts()?;
        let envelope = Arc::new(head.ok_or(BadRow)?.envelope(self.key.0)?);
        let wanted = recipients.into_iter().filter(|packed| is_wanted(packed.to));
        let recipients = wanted.map(|packed| packed.recipient(self.key.0)).collect::<Result<_, _>>()?;
        Ok(Entry { envelope, recipients })
    }

    /// Those of the recipients that are wanted.
    pub(super) fn recipients(&self, is_wanted: impl Fn(u32) -> bool) -> Result<Vec<Recipient>, BadRow> {
        let (_, recipients) = self.parts()?;
        let wanted = recipients.into_iter().filter(|packed| is_wanted(packed.to));
        wanted.map(|packed| packed.recipient(self.key.0)).collect()
    }

    /// The number of each recipient, how it is delivered, and when it is due.
    pub(super) fn due(&self) -> Result<Vec<(u32, Class, UtcTime)>, BadRow> {
        let (_, recipients) = self.parts()?;
        let due =
            recipients.iter().map(|packed| (packed.to, packed.class.class(), packed.next.time(self.key.0)));
        Ok(due.collect())
    }

    /// How many recipients stand in it.
    pub(super) fn len(&self) -> Result<usize, BadRow> {
        let (_, recipients) = self.split()?;
        // A list begins with its length.
        Ok(postcard::take_from_bytes::<usize>(recipients)?.0)
    }

    /// The row after these attempts, and whether recipients are left in it. Those that are done with leave it.
    pub(super) fn attempted(&self, outcomes: &[&Attempt]) -> Result<(Vec<u8>, bool), BadRow> {
        let (head, list) = self.split()?;
        let mut recipients: Vec<Packed> = postcard::from_bytes(list)?;
        for attempt in outcomes {
            let Ok(index) = recipients.binary_search_by_key(&attempt.to, |packed| packed.to) else {
                continue;
            };
            if attempt.outcome.is_final() {
                recipients.remove(index);
            } else {
                let recipient = &mut recipients[index];
                recipient.attempts = recipient.attempts.saturating_add(1);
                recipient.next = Offset::of(attempt.next, self.key.0);
                recipient.last_reply = Some(PackedReply::of(attempt.outcome.reply()));
                if attempt.is_told {
                    recipient.class = recipient.class.without_delay()?;
                }
            }
        }
        let mut octets = begin(self.key);
        octets.extend_from_slice(head);
        Ok((end(octets, &recipients), !recipients.is_empty()))
    }

    /// The octets of the head, and those of the list of recipients.
    fn split(&self) -> Result<(&'a [u8], &'a [u8]), BadRow> {
        let content = &self.octets[PREAMBLE..];
        if self.key.1 > 0 {
            return Ok((&[], content));
        }
        let (_, recipients) = postcard::take_from_bytes::<Head>(content)?;
        Ok(content.split_at(content.len() - recipients.len()))
    }

    fn parts(&self) -> Result<(Option<Head<'a>>, Vec<Packed<'a>>), BadRow> {
        let content = &self.octets[PREAMBLE..];
        if self.key.1 > 0 {
            return Ok((None, postcard::from_bytes(content)?));
        }
        let (head, recipients) = postcard::take_from_bytes(content)?;
        Ok((Some(head), postcard::from_bytes(recipients)?))
    }
}

impl Offset {
    fn of(time: UtcTime, id: QueueId) -> Self {
        Self(time.0.wrapping_sub(id.drawn_at().0).cast_signed())
    }

    fn time(self, id: QueueId) -> UtcTime {
        UtcTime(id.drawn_at().0.wrapping_add(self.0.cast_unsigned()))
    }
}

impl Place {
    fn of(part: &Part) -> Self {
        Self { inc: part.inc.to_octets(), seq: part.seq, extent: part.extent }
    }

    fn part(&self) -> Part {
        Part { inc: Incarnation::from_octets(self.inc), seq: self.seq, extent: self.extent }
    }
}

/// Where a header block ends.
fn end_of(header: &Part) -> u64 {
    header.extent.at.wrapping_add(header.extent.len)
}

impl PackedBody {
    fn of(content: &Content) -> Self {
        let header = &content.header;
        match &content.body {
            Body::Inline(part) if (part.inc, part.seq) == (header.inc, header.seq) => {
                Self::Behind(Extent { at: part.extent.at.wrapping_sub(end_of(header)), ..part.extent })
            }
            Body::Inline(part) => Self::Inline(Place::of(part)),
            Body::Pieces(Pieces { inc, body, pieces }) => {
                Self::Pieces { inc: inc.to_octets(), body: body.to_octets(), pieces: pieces.clone() }
            }
        }
    }

    fn body(self, header: &Part) -> Body {
        match self {
            Self::Behind(extent) => Body::Inline(Part {
                extent: Extent { at: end_of(header).wrapping_add(extent.at), ..extent },
                ..*header
            }),
            Self::Inline(place) => Body::Inline(place.part()),
            Self::Pieces { inc, body, pieces } => Body::Pieces(Pieces {
                inc: Incarnation::from_octets(inc),
                body: BodyId::from_octets(body),
                pieces,
            }),
        }
    }
}

impl Head<'_> {
    fn of(envelope: &Envelope) -> Self {
        Self {
            accepted: Offset::of(envelope.accepted, envelope.id),
            reverse_path: Cow::Owned(envelope.reverse_path.to_string()),
            options: PackedMailOptions::of(&envelope.options, envelope.verdict.as_ref()),
            size: envelope.size,
            header: Place::of(&envelope.content.header),
            body: PackedBody::of(&envelope.content),
        }
    }

    fn envelope(self, id: QueueId) -> Result<Envelope, BadRow> {
        let header = self.header.part();
        let (options, verdict) = self.options.read()?;
        Ok(Envelope {
            id,
            accepted: self.accepted.time(id),
            reverse_path: ReversePath::try_from(self.reverse_path.into_owned())?,
            options,
            verdict,
            size: self.size,
            content: Content { header, body: self.body.body(&header) },
        })
    }
}

impl<'a> Packed<'a> {
    fn of(recipient: &'a Recipient, id: QueueId) -> Self {
        let alias = recipient.alias.as_ref().map(ToString::to_string);
        Self {
            to: recipient.to,
            address: Cow::Owned(recipient.address.to_string()),
            alias: Cow::Owned(alias.unwrap_or_default()),
            class: PackedClass::of(recipient),
            attempts: recipient.attempts,
            next: Offset::of(recipient.next, id),
            last_reply: recipient.last_reply.as_ref().map(PackedReply::of),
        }
    }

    fn recipient(self, id: QueueId) -> Result<Recipient, BadRow> {
        let alias = (!self.alias.is_empty()).then(|| Address::parse_utf8(&self.alias)).transpose()?;
        Ok(Recipient {
            to: self.to,
            address: Address::parse_utf8(&self.address)?,
            alias,
            class: self.class.class(),
            options: self.class.options()?,
            attempts: self.attempts,
            next: self.next.time(id),
            last_reply: self.last_reply.map(PackedReply::reply),
        })
    }
}

impl<'a> PackedReply<'a> {
    fn of(reply: &'a Reply) -> Self {
        Self { code: reply.code, enhanced_status: reply.enhanced_status, text: Cow::Borrowed(&reply.text) }
    }

    fn reply(self) -> Reply {
        Reply {
            code: self.code,
            enhanced_status: self.enhanced_status,
            text: Cow::Owned(self.text.into_owned()),
        }
    }
}
