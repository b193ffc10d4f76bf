//! How the rest of the engine talks to the manager.

use async_channel::{Receiver, Sender};
use bytes::Bytes;
use futures::channel::oneshot;

use super::manager::Command;
use crate::model::{Address, BodyId, Incarnation, Outcome, QueueId, ReversePath};
use crate::platform::{Instant, Payload};
use crate::state::layout;
use crate::state::log::{Class, Envelope, Piece, Pieces, Recipient, Record};
use crate::state::requests::Requests;
use std::sync::Arc;
use std::time::Duration;

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
    /// Where reports go.
    pub reverse_path: ReversePath,
    /// Whether the client declared `BODY=8BITMIME`.
    pub eight_bit: bool,
    /// Final recipients: address, the alias that led there, and how it is delivered.
    pub recipients: Vec<(Address, Option<Address>, Class)>,
    /// The header block, our trace fields included.
    pub header: Bytes,
    /// CRC-32 of the header block.
    pub header_crc: u32,
    /// The body.
    pub body: AcceptedBody,
}

/// The body of a message to be accepted.
#[derive(Debug)]
pub enum AcceptedBody {
    /// Small enough to go into the segment; with its CRC-32.
    Inline(Vec<Bytes>, u32),
    /// In the store already.
    Uploaded(Upload),
}

/// A message's content as it was received, for first attempts.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The header block.
    pub header: Bytes,
    /// The body where it is small; a large one is in the store.
    pub body: Vec<Bytes>,
}

/// One recipient to be attempted.
#[derive(Clone, Debug)]
pub struct Work {
    /// The log that the entry is in.
    pub incarnation: Incarnation,
    /// The message.
    pub envelope: Arc<Envelope>,
    /// The recipient.
    pub recipient: Recipient,
    /// The content, where it is still in memory.
    pub fresh: Option<Fresh>,
}

/// The queue, to everybody else. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Spool {
    commands: Sender<Command>,
    work: Receiver<Work>,
    requests: Requests,
}

impl Spool {
    pub(super) fn new(commands: Sender<Command>, work: Receiver<Work>, requests: Requests) -> Self {
        Self { commands, work, requests }
    }

    /// What is to be attempted. Each must be answered with [`Spool::attempted`].
    pub fn work(&self) -> &Receiver<Work> {
        &self.work
    }

    /// Accepts a message: on success it is durable, whatever happens to this node. Waits for a store that is away, but not longer than its
    /// operations are repeated.
    pub async fn accept(&self, acceptance: Acceptance) -> Result<Incarnation, Refusal> {
        let clock = &self.requests.platform().clock;
        // The manager answers earlier; this bounds a wait for the heartbeat, which is repeated for ever.
        let deadline = clock.instant() + self.requests.deadline() + Duration::from_secs(15);
        let answer = self.ask(|done| Command::Accept { acceptance, done });
        clock.before(deadline, answer).await.unwrap_or(Err(Refusal::Unknown))?
    }

    /// Begins to upload a large body under the current incarnation.
    pub async fn upload(&self) -> Result<Upload, Refusal> {
        let incarnation = self.ask(|done| Command::Lease { done }).await??;
        let lease = Lease { incarnation, commands: self.commands.clone() };
        let (now, entropy) = self.requests.platform().draw();
        let began = self.requests.platform().clock.instant();
        let pieces = Pieces { inc: incarnation, body: BodyId::draw(now, entropy), pieces: Vec::new() };
        Ok(Upload { lease, pieces, began, requests: self.requests.clone() })
    }

    /// Tells how an attempt ended.
    pub fn attempted(&self, work: &Work, outcome: Outcome) {
        let (incarnation, id, to) = (work.incarnation, work.envelope.id, work.recipient.to);
        let attempts = work.recipient.attempts + 1;
        // The channel has no bound and closes only when the manager ends; what is lost then is attempted again by the adopter.
        let _ = self.commands.try_send(Command::Attempted { incarnation, id, to, attempts, outcome });
    }

    /// Makes sure that this node has a log whose heartbeat announces 10 s, and that it stays so for some minutes.
    pub async fn stand(&self) -> Result<Incarnation, Refusal> {
        self.ask(|done| Command::Stand { done }).await?
    }

    /// The log that this node is writing now, if any.
    pub async fn incarnation(&self) -> Option<Incarnation> {
        self.ask(|done| Command::Current { done }).await.ok().flatten()
    }

    /// Writes an Adopt record into the log of this incarnation, if it is still the one being written.
    pub async fn adopt(&self, incarnation: Incarnation, record: Record) -> Result<(), Refusal> {
        self.ask(|done| Command::Adopt { incarnation, record, done }).await?
    }

    /// Whether the log of this incarnation is still the one being written, and an Adopt of the other one stands in it.
    pub async fn has_adopted(&self, incarnation: Incarnation, of: Incarnation) -> Result<bool, Refusal> {
        self.ask(|done| Command::HasAdopted { incarnation, of, done }).await
    }

    /// Ends the log: what is pending is written, and the log released or, with nothing left in it, closed. Attempts
    /// under way are waited for until `attempts_until`.
    pub async fn close(&self, attempts_until: Instant) {
        // An error means that it has ended already.
        let _ = self.ask(|done| Command::Close { attempts_until, done }).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Refusal> {
        let (done, answer) = oneshot::channel();
        self.commands.send(command(done)).await.map_err(|_| Refusal::Closing)?;
        answer.await.map_err(|_| Refusal::Closing)
    }
}

/// Holds an incarnation open while a body is uploaded into its folder.
#[derive(Debug)]
pub struct Lease {
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
