//! One message on its way to one destination.

use std::mem;

use async_trait::async_trait;
use bytes::Bytes;

use super::{LONGEST_SEARCH, Relay, Useless};
use crate::config::Destination;
use crate::conversation::smtp_client::{Content, Transaction, Withdrawn};
use crate::delivery::Host;
use crate::delivery::connections::Connection;
use crate::delivery::exchanges::{self, Unroutable};
use crate::delivery::meaning::{self, Verdict};
use crate::model::{Outcome, Reply};
use crate::platform::Instant;
use crate::queue::{Refusal, Work};

use crate::smtp::client::{Envelope, Phase, RecipientOutcome};
use crate::state::StateError;
use crate::state::content::ContentReader;

/// An attempt at all recipients of a work.
pub(super) struct Delivery<'a> {
    relay: &'a Relay,
    work: &'a Work,
    destination: &'a Destination,
    /// What becomes of each recipient, by its index in the work, if nothing else is tried.
    outcomes: Vec<Option<Outcome>>,
    /// Indices of those for whom something else is to be tried.
    open: Vec<usize>,
}

impl<'a> Delivery<'a> {
    pub(super) fn new(relay: &'a Relay, work: &'a Work, destination: &'a Destination) -> Self {
        let recipients = work.recipients.len();
        Self { relay, work, destination, outcomes: vec![None; recipients], open: (0..recipients).collect() }
    }

    /// What becomes of the recipients, by their numbers. Where the message may not be sent now, those that do not have it are
    /// to be tried again: by us, or by whoever has adopted the message, to whom what we say of it is nothing.
    pub(super) async fn run(mut self) -> Vec<(u32, Outcome)> {
        let unattempted = match self.hand_over().await {
            Ok(()) => Reply::new(451, (4, 4, 1), "no host was tried in time"),
            Err(refusal) => {
                Reply::new(451, (4, 3, 0), format!("not sent, to keep it from going out twice: {refusal}"))
            }
        };
        let outcomes = self.work.recipients.iter().zip(self.outcomes);
        let or_again =
            |outcome: Option<Outcome>| outcome.unwrap_or_else(|| Outcome::Deferred(unattempted.clone()));
        outcomes.map(|(to, outcome)| (to.to, or_again(outcome))).collect()
    }

    async fn hand_over(&mut self) -> Result<(), Refusal> {
        if let Some(connection) = self.relay.connections.take(self.destination) {
            self.transact(connection, true).await?;
        }
        if self.open.is_empty() {
            return Ok(());
        }
        if !self.work.is_ordered
            && let Some(reply) = self.relay.connections.unreachable(self.destination)
        {
            self.note_all(&Verdict::Settled(Outcome::Deferred(reply)));
            return Ok(());
        }
        let platform = self.relay.context.requests.platform();
        let config = &self.relay.context.config;
        let (dns, entropy) = (&*platform.dns, &*platform.entropy);
        let deadline = platform.clock.instant() + LONGEST_SEARCH;
        let hosts = exchanges::find(self.destination, &config.relay, &config.hostname, dns, entropy);
        let hosts = match platform.clock.before(deadline, hosts).await {
            Some(Ok(hosts)) => hosts,
            Some(Err(Unroutable { outcome })) => {
                self.note_all(&Verdict::Settled(outcome));
                return Ok(());
            }
            None => return Ok(()),
        };
        self.try_hosts(hosts, deadline).await
    }

    async fn try_hosts(&mut self, hosts: Vec<Host>, deadline: Instant) -> Result<(), Refusal> {
        let clock = self.relay.context.requests.platform().clock.clone();
        let mut left = hosts.len() as u32;
        let (mut is_reached, mut silence) = (false, None);
        for host in &hosts {
            let now = clock.instant();
            if self.open.is_empty() || now >= deadline {
                break;
            }
            // A host that takes its time leaves some to the others.
            let share = deadline.since(now) / left.min(2);
            left -= 1;
            match self.relay.connect(host, now + share).await {
                Ok(connection) => {
                    is_reached = true;
                    self.transact(connection, false).await?;
                }
                Err(Useless { verdict, is_silent }) => {
                    is_reached |= !is_silent;
                    self.note_all(&verdict);
                    silence = Some(verdict.into_outcome());
                }
            }
        }
        if let (false, Some(silence)) = (is_reached, silence) {
            self.relay.connections.set_unreachable(self.destination, silence.reply().clone());
        }
        Ok(())
    }

    /// Hands the message to one host, in several transactions if it takes some recipients later than others. Over a connection that
    /// `was_idle` and turns out to be dead nothing has happened.
    async fn transact(&mut self, mut connection: Connection, was_idle: bool) -> Result<(), Refusal> {
        let mut candidates = mem::take(&mut self.open);
        loop {
            let mut content = Spooled { relay: self.relay, work: self.work, reader: None, trouble: None };
            let transaction = connection.client.transact(self.envelope(&candidates), &mut content).await;
            match content.trouble {
                Some(Trouble::Refusal(refusal)) => return Err(refusal),
                Some(Trouble::Content(error)) => {
                    // Damage does not mend, but an operator may mend it; the entry stays until it expires.
                    let reply = Reply::new(451, (4, 3, 0), format!("content cannot be read: {error}"));
                    let unreadable = Verdict::Settled(Outcome::Deferred(reply));
                    self.note(&transaction, &candidates, &connection.host, Some(&unreadable));
                    return Ok(());
                }
                None if was_idle && transaction.is_unheard() => {
                    self.open = candidates;
                    return Ok(());
                }
                None => {}
            }
            let again = self.note(&transaction, &candidates, &connection.host, None);
            let has_taken = |index: &usize| matches!(self.outcomes[*index], Some(Outcome::Delivered(_)));
            let is_progress = candidates.iter().any(has_taken);
            if again.is_empty() || !is_progress || !connection.client.is_ready() {
                break;
            }
            candidates = again;
        }
        self.relay.connections.put(self.destination, connection);
        Ok(())
    }

    fn envelope(&self, recipients: &[usize]) -> Envelope {
        let envelope = &self.work.envelope;
        let address = |index: &usize| self.work.recipients[*index].address.clone();
        Envelope {
            reverse_path: envelope.reverse_path.clone(),
            forward_paths: recipients.iter().map(address).collect(),
            size: envelope.size,
            body: envelope.options.body,
        }
    }

    /// Takes down what a transaction came to for its recipients. `cut` is what a cut before the final dot means, where that is known better
    /// than by how the session ended. Gives those whom the same host may take at once.
    fn note(
        &mut self,
        transaction: &Transaction,
        candidates: &[usize],
        host: &Host,
        cut: Option<&Verdict>,
    ) -> Vec<usize> {
        let mut again = Vec::new();
        for (recipients, outcome) in &transaction.settled {
            let verdict = match (outcome, cut, &transaction.end) {
                (RecipientOutcome::CutBeforeDot, Some(cut), _) => cut.clone(),
                (RecipientOutcome::CutBeforeDot, None, Some(end)) if end.phase != Phase::FinalDot => {
                    meaning::closed(&end.closing, end.phase, host)
                }
                _ => meaning::outcome(outcome, host),
            };
            let indices = recipients.iter().map(|recipient| candidates[*recipient]);
            match verdict {
                Verdict::Settled(_) => {}
                Verdict::NextHost(_) => self.open.extend(indices.clone()),
                Verdict::Again(_) => again.extend(indices.clone()),
            }
            let outcome = verdict.into_outcome();
            indices.for_each(|index| self.outcomes[index] = Some(outcome.clone()));
        }
        again
    }

    /// The same for all that are open. They stay so where another host may take them.
    fn note_all(&mut self, verdict: &Verdict) {
        for index in &self.open {
            self.outcomes[*index] = Some(verdict.clone().into_outcome());
        }
        if !matches!(verdict, Verdict::NextHost(_)) {
            self.open.clear();
        }
    }
}

/// A message's content on its way out of the queue.
struct Spooled<'a> {
    relay: &'a Relay,
    work: &'a Work,
    /// Once it was asked for: a host that wants none of it costs no request.
    reader: Option<ContentReader>,
    /// Why it was withdrawn.
    trouble: Option<Trouble>,
}

enum Trouble {
    Content(StateError),
    Refusal(Refusal),
}

impl Spooled<'_> {
    async fn read(&mut self) -> Result<Option<Bytes>, StateError> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => {
                let (requests, work) = (&self.relay.requests, self.work);
                none.insert(ContentReader::open(requests, &work.envelope, work.fresh.as_ref()).await?)
            }
        };
        reader.next().await
    }
}

#[async_trait]
impl Content for Spooled<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, Withdrawn> {
        self.read().await.map_err(|error| {
            self.trouble = Some(Trouble::Content(error));
            Withdrawn
        })
    }

    async fn may_conclude(&mut self) -> Result<(), Withdrawn> {
        let asked = self.relay.context.spool.may_conclude(self.work.incarnation).await;
        asked.map_err(|refusal| {
            self.trouble = Some(Trouble::Refusal(refusal));
            Withdrawn
        })
    }
}
