//! How the rest of the engine talks to the manager.

use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures::channel::oneshot;

use super::command::{Acceptance, Command, Refusal, Upload, Work};
use crate::model::{Incarnation, Outcome};
use crate::platform::Instant;
use crate::state::log::Record;
use crate::state::requests::Requests;

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
        Ok(Upload::new(incarnation, self.commands.clone(), self.requests.clone()))
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
