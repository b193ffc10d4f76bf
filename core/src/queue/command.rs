//! What the manager is asked, in values.

use std::sync::Arc;
use std::time::Duration;

use async_channel::Sender;
use bytes::Bytes;
use futures::channel::oneshot;

use crate::config::Destination;
use crate::model::dmarc_report::Row;
use crate::model::verdict::Judgement;
use crate::model::{
    Address, BodyId, Domain, Event, Incarnation, MailOptions, Outcome, QueueId, RecipientOptions,
    ReversePath, UtcTime,
};
use crate::platform::{Instant, Payload};
use crate::state::layout;
use crate::state::log::{Class, Envelope, Live, Piece, Pieces, Recipient, Record};
use crate::state::order::Order;
use crate::state::requests::Requests;

pub use crate::state::content::Fresh;

/// How long after its first piece was uploaded a body may be committed to: the folder that it lies in could be given up
/// after that.
const UPLOAD_RIGHT: Duration = Duration::from_hours(1);

/// Why the queue did not take something. The client is told `451`, and that is always safe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The store did not take it.
    #[error("storage is not available: {0}")]
    Store(String),
    /// It may have been taken: the answer is not known.
    #[error("storage gave no answer in time")]
    Unknown,
    /// The log it was meant for is not ours any more.
    #[error("the queue changed hands")]
    Fenced,
    /// The node is ending.
    #[error("the node is shutting down")]
    Closing,
}

/// A message to be accepted.
#[derive(Debug)]
pub struct Acceptance {
    /// Names it.
    pub id: QueueId,
    /// The only log that may take it, where it is promised to one: else [`Refusal::Fenced`].
    pub under: Option<Incarnation>,
    /// Where reports go.
    pub reverse_path: ReversePath,
    /// What the client asked for.
    pub options: MailOptions,
    /// What its verification came to, where it was verified.
    pub verdict: Option<Judgement>,
    /// Final recipients.
    pub recipients: Vec<Addressee>,
    /// The header block, our trace fields included.
    pub header: Bytes,
    /// CRC-32 of the header block.
    pub header_crc: u32,
    /// The body.
    pub body: AcceptedBody,
    /// What its sender is to be told of it already. The one is never without the other.
    pub report: Option<Box<Bounce>>,
}

/// A final recipient of a message to be accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Addressee {
    /// The address.
    pub address: Address,
    /// The alias that led there.
    pub alias: Option<Address>,
    /// How it is delivered.
    pub class: Class,
    /// What the client asked for.
    pub options: RecipientOptions,
}

impl Acceptance {
    /// Octets of it that are in memory, and go into a segment.
    pub(super) fn octets(&self) -> usize {
        self.header.len()
            + match &self.body {
                AcceptedBody::Inline(pieces, _) => pieces.iter().map(Bytes::len).sum(),
                AcceptedBody::Uploaded(_) => 0,
            }
            + self.report.as_ref().map_or(0, |report| report.header.len() + report.body.len())
    }
}

/// The body of a message to be accepted.
#[derive(Debug)]
pub enum AcceptedBody {
    /// Small enough to go into the segment; with its CRC-32.
    Inline(Vec<Bytes>, u32),
    /// In the store already.
    Uploaded(Upload),
}

/// Recipients of one message to be attempted together.
#[derive(Clone, Debug)]
pub struct Work {
    /// The log that the entry is in.
    pub incarnation: Incarnation,
    /// The message.
    pub envelope: Arc<Envelope>,
    /// The recipients; never empty. One where it is an account of ours, else all that have the same destination.
    pub recipients: Vec<Recipient>,
    /// Where to, unless into an account of ours.
    pub destination: Option<Destination>,
    /// The content, where it is still in memory.
    pub fresh: Option<Fresh>,
    /// Whether an operator wants it tried now, whatever came of other attempts a moment ago.
    pub is_ordered: bool,
}

/// A report, which becomes durable together with the outcomes that it tells of: the one is never without the other. Its null reverse-path is not said.
#[derive(Clone, Debug)]
pub struct Bounce {
    /// Names it; derived from the id of the message that it is about.
    pub id: QueueId,
    /// Final recipients.
    pub recipients: Vec<Addressee>,
    /// Of what kind it is.
    pub options: MailOptions,
    /// The header block, with the empty line that ends it.
    pub header: Bytes,
    /// The body.
    pub body: Bytes,
    /// Whether it tells of a failure.
    pub is_failure: bool,
}

impl Bounce {
    /// What is reported of it in turn, once it is durable.
    pub(super) fn event(&self, queue_id: QueueId) -> Event {
        match self.is_failure {
            true => Event::Bounced { queue_id, report: self.id },
            false => Event::Notified { queue_id, report: self.id },
        }
    }
}

impl From<&Bounce> for Acceptance {
    fn from(bounce: &Bounce) -> Self {
        let Bounce { id, recipients, options, header, body, .. } = bounce.clone();
        let body_crc = crc32fast::hash(&body);
        Self {
            id,
            under: None,
            reverse_path: ReversePath::Null,
            options,
            verdict: None,
            recipients,
            header_crc: crc32fast::hash(&header),
            header,
            body: AcceptedBody::Inline(vec![body], body_crc),
            report: None,
        }
    }
}

/// What a node holds, as far as it is durable.
#[derive(Debug)]
pub(super) struct Holdings {
    pub(super) incarnation: Incarnation,
    pub(super) live: Live,
    /// The store's clock, no later than it is.
    pub(super) store_now: Option<UtcTime>,
}

/// A live message's content, to be written anew, with its sums.
#[derive(Clone, Debug)]
pub(super) struct Rewritten {
    pub(super) id: QueueId,
    pub(super) header: (Bytes, u32),
    /// Nothing where it is large and stays where it is.
    pub(super) body: Option<(Bytes, u32)>,
}

/// What became of an operator's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordered {
    /// It was done. Durable where it has to be.
    Done,
    /// The message is not in this node's log.
    NotHere,
}

/// What the manager is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Accept { acceptance: Acceptance, done: oneshot::Sender<Result<Incarnation, Refusal>> },
    Attempted(Attempted),
    Observe(Box<Row>),
    Conclude { incarnation: Incarnation, done: oneshot::Sender<Result<(), Refusal>> },
    Order { order: Order, done: oneshot::Sender<Result<Ordered, Refusal>> },
    Hasten { domain: Domain, with_subdomains: bool, done: oneshot::Sender<usize> },
    Lease { done: oneshot::Sender<Result<Incarnation, Refusal>> },
    Unlease { incarnation: Incarnation },
    Stand { done: oneshot::Sender<Result<Incarnation, Refusal>> },
    Current { done: oneshot::Sender<Option<Current>> },
    Holdings { done: oneshot::Sender<Option<Holdings>> },
    Rewrite { incarnation: Incarnation, rewritten: Rewritten, done: oneshot::Sender<Result<(), Refusal>> },
    Settled { incarnation: Incarnation, of: Incarnation },
    Forget { incarnation: Incarnation, folder: Incarnation },
    StoreNow { done: oneshot::Sender<Option<UtcTime>> },
    Belong,
    Seen { store_now: Option<UtcTime>, nodes: usize },
    Adopt { incarnation: Incarnation, record: Record, done: oneshot::Sender<Result<(), Refusal>> },
    HasAdopted { incarnation: Incarnation, of: Incarnation, done: oneshot::Sender<bool> },
    Close { attempts_until: Instant, done: oneshot::Sender<()> },
}

/// How attempts ended.
#[derive(Debug)]
pub(super) struct Attempted {
    pub(super) incarnation: Incarnation,
    pub(super) id: QueueId,
    /// Where to, as in [`Work`].
    pub(super) destination: Option<Destination>,
    /// Recipient, attempts so far, and how this one ended.
    pub(super) outcomes: Vec<(u32, u32, Outcome)>,
    pub(super) bounce: Option<Bounce>,
    /// Recipients whose delay it tells of.
    pub(super) delays: Vec<u32>,
}

/// The log that a node is writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Current {
    /// Under which incarnation.
    pub incarnation: Incarnation,
    /// Whether somebody would have to take over if the node were gone.
    pub is_holding: bool,
    /// Whether something is being attempted or written, or due to be.
    pub is_busy: bool,
    /// Messages in it that are not done with.
    pub entries: usize,
    /// Local deliveries and transactions with other hosts that are under way.
    pub attempts: usize,
    /// When the next recipient is due that is not being attempted.
    pub next_due: Option<UtcTime>,
}

/// Holds an incarnation open while a body is uploaded into its folder.
#[derive(Debug)]
struct Lease {
    incarnation: Incarnation,
    commands: Sender<Command>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Fails only when the manager has ended, and with it the log.
        let _ = self.commands.try_send(Command::Unlease { incarnation: self.incarnation });
    }
}

/// A large body on its way into the store, piece by piece. Dropped before it is accepted it leaves pieces that nothing names; they go with their
/// folder.
#[derive(Debug)]
pub struct Upload {
    lease: Lease,
    pieces: Pieces,
    began: Instant,
    requests: Requests,
}

impl Upload {
    /// Nothing uploaded yet.
    pub(super) fn new(incarnation: Incarnation, commands: Sender<Command>, requests: Requests) -> Self {
        let (now, entropy) = requests.platform().draw();
        let began = requests.platform().clock.instant();
        let pieces = Pieces { inc: incarnation, body: BodyId::draw(now, entropy), pieces: Vec::new() };
        Self { lease: Lease { incarnation, commands }, pieces, began, requests }
    }

    /// Writes the next piece.
    pub async fn push(&mut self, piece: Vec<Bytes>, crc: u32) -> Result<(), Refusal> {
        let payload: Payload = piece.into_iter().collect();
        let key = layout::spool_piece(self.pieces.inc, self.pieces.body, self.pieces.pieces.len());
        let len = payload.len() as u64;
        // The key is under an identity drawn for this upload alone: nobody else writes it.
        self.requests.put(&key, &payload).await.map_err(|error| Refusal::Store(error.to_string()))?;
        self.pieces.pieces.push(Piece { len, crc });
        Ok(())
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        self.pieces.len()
    }

    /// Whether nothing was uploaded.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn incarnation(&self) -> Incarnation {
        self.lease.incarnation
    }

    pub(super) fn pieces(&self) -> &Pieces {
        &self.pieces
    }

    pub(super) fn is_too_old(&self, now: Instant) -> bool {
        now.since(self.began) > UPLOAD_RIGHT
    }
}
