//! How the rest of the engine talks to the manager.

use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures::channel::oneshot;

use super::command::{
    Acceptance, Attempted, Bounce, Command, Current, Holdings, Ordered, Refusal, Rewritten, Upload, Work,
};
use super::intake::{Intake, Overload, Taken};
use crate::model::dmarc_report::Row;
use crate::model::{Domain, Incarnation, Outcome, UtcTime};
use crate::platform::Instant;
use crate::state::log::Record;
use crate::state::order::Order;
use crate::state::requests::{Purpose, Requests};

/// The queue, to everybody else. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Spool {
    commands: Sender<Command>,
    work: Receiver<Work>,
    relay_work: Receiver<Work>,
    requests: Requests,
    intake: Arc<Intake>,
}

impl Spool {
    pub(super) fn new(
        commands: Sender<Command>,
        [work, relay_work]: [Receiver<Work>; 2],
        requests: Requests,
        intake: Arc<Intake>,
    ) -> Self {
        Self { commands, work, relay_work, requests, intake }
    }

    /// Whether another message may be begun, while contents of so many octets are being received. To be asked before its content is sent.
    pub fn admit(&self, receiving: usize) -> Result<(), Overload> {
        let clock = &self.requests.platform().clock;
        self.intake.admit(clock.instant(), clock.utc(), receiving)
    }

    /// A transaction was refused for a reason that is not the queue's to see.
    pub fn refuse(&self, overload: Overload) {
        self.intake.refuse(overload);
    }

    /// What waits to become durable, and what was refused therefore.
    pub fn taken(&self) -> Taken {
        self.intake.taken(self.requests.platform().clock.instant())
    }

    /// What is to be delivered into accounts. Each must be answered with [`Spool::attempted`].
    pub fn work(&self) -> &Receiver<Work> {
        &self.work
    }

    /// Accepts a message: on success it is durable, whatever happens to this node. Waits for a store that is away, but not longer than its
    /// operations are repeated.
    pub async fn accept(&self, acceptance: Acceptance) -> Result<Incarnation, Refusal> {
        let clock = &self.requests.platform().clock;
        let _place = self.intake.enter(clock.instant(), acceptance.octets());
        // The manager answers earlier; this bounds a wait for the heartbeat, which is repeated for ever.
        let deadline = clock.instant() + self.requests.deadline() + Duration::from_secs(15);
        let answer = self.ask(|done| Command::Accept { acceptance, done });
        clock.before(deadline, answer).await.unwrap_or(Err(Refusal::Unknown))?
    }

    /// Begins to upload a large body under the current incarnation.
    pub async fn upload(&self) -> Result<Upload, Refusal> {
        let incarnation = self.ask(|done| Command::Lease { done }).await??;
        Ok(Upload::new(incarnation, self.commands.clone(), self.requests.of(Purpose::Accept)))
    }

    /// What is to be handed to other hosts. Each must be answered with [`Spool::attempted`].
    pub fn relay_work(&self) -> &Receiver<Work> {
        &self.relay_work
    }

    /// Tells how attempts ended, by the recipients' numbers. Those that are left out are attempted again by whoever adopts the log.
    /// What is reported to the sender is durable together with the outcomes, or neither is.
    /// `delays` are the recipients whose delay has been told of with it.
    pub fn attempted(
        &self,
        work: &Work,
        outcomes: Vec<(u32, Outcome)>,
        bounce: Option<Bounce>,
        delays: &[u32],
    ) {
        let outcomes = outcomes.into_iter().filter_map(|(to, outcome)| {
            let recipient = work.recipients.iter().find(|recipient| recipient.to == to)?;
            Some((to, recipient.attempts + 1, outcome))
        });
        let attempted = Attempted {
            incarnation: work.incarnation,
            id: work.envelope.id,
            destination: work.destination.clone(),
            outcomes: outcomes.collect(),
            bounce,
            delays: delays.to_vec(),
        };
        // The channel has no bound and closes only when the manager ends; what is lost then is attempted again by the adopter.
        let _ = self.commands.try_send(Command::Attempted(attempted));
    }

    /// Counts a message for its author's domain. It becomes durable with whatever does next, or some minutes later.
    pub fn observe(&self, row: Row) {
        // As above; what is lost then was in no segment.
        let _ = self.commands.try_send(Command::Observe(Box::new(row)));
    }

    /// To be asked before a final dot is sent to another host: whether the entries of this log are surely still this node's to
    /// attempt. If not, somebody else may be attempting them, and the message would go out twice.
    pub async fn may_conclude(&self, incarnation: Incarnation) -> Result<(), Refusal> {
        self.ask(|done| Command::Conclude { incarnation, done }).await?
    }

    /// Attempts now what this node holds for hosts of a domain, or of its subdomains too. Gives how many messages that is.
    pub async fn hasten(&self, domain: Domain, with_subdomains: bool) -> Result<usize, Refusal> {
        self.ask(|done| Command::Hasten { domain, with_subdomains, done }).await
    }

    /// Carries out an operator's order, if the message is in this node's log.
    pub async fn order(&self, order: Order) -> Result<Ordered, Refusal> {
        self.ask(|done| Command::Order { order, done }).await?
    }

    /// Makes sure that this node has a log whose heartbeat announces 10 s, and that it stays so for some minutes.
    pub async fn stand(&self) -> Result<Incarnation, Refusal> {
        self.ask(|done| Command::Stand { done }).await?
    }

    /// From now on this node always has a log, so that its heartbeat shows the others that it is there.
    pub async fn belong(&self) -> Result<(), Refusal> {
        self.commands.send(Command::Belong).await.map_err(|_| Refusal::Closing)
    }

    /// Tells what a listing of all nodes' heartbeats has shown: what time it is by the store's clock, where that is known, and how many nodes
    /// there are, this one included.
    pub async fn seen(&self, store_now: Option<UtcTime>, nodes: usize) -> Result<(), Refusal> {
        self.commands.send(Command::Seen { store_now, nodes }).await.map_err(|_| Refusal::Closing)
    }

    /// The log that this node is writing now, if any.
    pub async fn current(&self) -> Option<Current> {
        self.ask(|done| Command::Current { done }).await.ok().flatten()
    }

    /// Writes an Adopt record into the log of this incarnation, if it is still the one being written.
    pub async fn adopt(&self, incarnation: Incarnation, record: Record) -> Result<(), Refusal> {
        self.ask(|done| Command::Adopt { incarnation, record, done }).await?
    }

    /// The latest time that was seen on the store's clock.
    pub async fn store_now(&self) -> Option<UtcTime> {
        self.ask(|done| Command::StoreNow { done }).await.ok().flatten()
    }

    /// The log that this node is writing, if any, and what lives in it as far as that is durable.
    pub(super) async fn holdings(&self) -> Result<Option<Holdings>, Refusal> {
        self.ask(|done| Command::Holdings { done }).await
    }

    /// Writes a message's content anew. A message that is done with meanwhile is left as it is.
    pub(super) async fn rewrite(
        &self,
        incarnation: Incarnation,
        rewritten: Rewritten,
    ) -> Result<(), Refusal> {
        self.ask(|done| Command::Rewrite { incarnation, rewritten, done }).await?
    }

    /// An adopted folder has nothing more to do with the log.
    pub(super) async fn forget(&self, incarnation: Incarnation, folder: Incarnation) -> Result<(), Refusal> {
        self.commands.send(Command::Forget { incarnation, folder }).await.map_err(|_| Refusal::Closing)
    }

    /// A log whose Adopt stands in the log of this incarnation has been closed.
    pub(super) async fn settled(&self, incarnation: Incarnation, of: Incarnation) -> Result<(), Refusal> {
        self.commands.send(Command::Settled { incarnation, of }).await.map_err(|_| Refusal::Closing)
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
