//! One message on its way to one destination.

use std::mem;

use super::content::{Spooled, Trouble};
use super::forwarding::reverse_paths;
use super::plan::{self, Plan};
use super::renewal::{Front, front};
use super::slot::Slot;
use super::{LONGEST_SEARCH, Relay, Useless};
use crate::config::Destination;
use crate::conversation::smtp_client::Transaction;
use crate::delivery::Host;
use crate::delivery::connections::Connection;
use crate::delivery::exchanges::{self, Unroutable};
use crate::delivery::meaning::{self, Verdict};
use crate::model::{Outcome, Reply, ReversePath};
use crate::platform::Instant;
use crate::queue::{Refusal, Work};
use crate::service::settle::{Ended, Remote, overdue};
use crate::smtp::client::{Envelope, Extensions, Phase, Recipient, RecipientOutcome};

/// An attempt at all recipients of a work.
pub(super) struct Delivery<'a> {
    relay: &'a Relay,
    work: &'a Work,
    destination: &'a Destination,
    /// What becomes of each recipient, by its index in the work, if nothing else is tried.
    slots: Vec<Slot>,
    /// Indices of those for whom something else is to be tried.
    open: Vec<usize>,
    /// Under which reverse-path each is sent to, by its index in the work; for those who are open, this is known.
    reverse_paths: Vec<ReversePath>,
}

impl<'a> Delivery<'a> {
    pub(super) fn new(relay: &'a Relay, work: &'a Work, destination: &'a Destination) -> Self {
        let recipients = work.recipients.len();
        let slots = vec![Slot::default(); recipients];
        let reverse_paths = vec![work.envelope.reverse_path.clone(); recipients];
        Self { relay, work, destination, slots, open: (0..recipients).collect(), reverse_paths }
    }

    /// What becomes of the recipients, by their numbers. Where the message may not be sent now, those that do not have it are
    /// to be tried again: by us, or by whoever has adopted the message, to whom what we say of it is nothing.
    pub(super) async fn run(mut self) -> Vec<Ended> {
        let unattempted = match self.hand_over().await {
            Ok(()) => Reply::new(451, (4, 4, 1), "no host was tried in time"),
            Err(refusal) => {
                Reply::new(451, (4, 3, 0), format!("not sent, to keep it from going out twice: {refusal}"))
            }
        };
        let slots = self.work.recipients.iter().zip(self.slots);
        let ended = slots.map(|(recipient, slot)| Ended {
            to: recipient.to,
            outcome: slot.outcome.unwrap_or_else(|| Outcome::Deferred(unattempted.clone())),
            remote: slot.remote,
        });
        ended.collect()
    }

    async fn hand_over(&mut self) -> Result<(), Refusal> {
        if let Some(late) = overdue(&self.work.envelope, self.relay.context.requests.platform().clock.utc()) {
            self.note_all(&Verdict::Settled(late));
            return Ok(());
        }
        self.find_reverse_paths().await;
        if self.open.is_empty() {
            return Ok(());
        }
        let needs_tls = self.work.envelope.options.require_tls;
        if let Some(connection) = self.relay.connections.take(self.destination, needs_tls) {
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

    /// Settles those who cannot be sent to now for want of a reverse-path.
    async fn find_reverse_paths(&mut self) {
        let found = reverse_paths(&self.relay.context, self.work).await;
        for (index, found) in found {
            match found {
                Ok(reverse_path) => self.reverse_paths[index] = reverse_path,
                Err(outcome) => {
                    self.slots[index].set(&Verdict::Settled(outcome), None);
                    self.open.retain(|open| *open != index);
                }
            }
        }
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
            let needs_tls = self.work.envelope.options.require_tls;
            // Once more where the host takes only so much in one session (RFC 9422 §4).
            while !self.open.is_empty() {
                match self.relay.connect(host, now + share, needs_tls).await {
                    Ok(connection) => {
                        is_reached = true;
                        if !self.transact(connection, false).await? {
                            break;
                        }
                    }
                    Err(Useless { verdict, is_silent }) => {
                        is_reached |= !is_silent;
                        self.note_all(&verdict);
                        silence = Some(verdict.into_outcome());
                        break;
                    }
                }
            }
        }
        if let (false, Some(silence)) = (is_reached, silence) {
            self.relay.connections.set_unreachable(self.destination, silence.reply().clone());
        }
        Ok(())
    }

    /// Hands the message to one host, in several transactions if it takes some recipients later than others, or only so many at a time. Over a
    /// connection that `was_idle` and turns out to be dead nothing has happened. Says whether another connection to the same host may take some of
    /// those who are open.
    async fn transact(&mut self, mut connection: Connection, was_idle: bool) -> Result<bool, Refusal> {
        let mut candidates = mem::take(&mut self.open);
        let offered = connection.client.extensions().cloned().unwrap_or_default();
        let (plan, front) = match self.plan(&offered, &connection.host).await {
            Ok(plan) => plan,
            Err(verdict) => {
                self.note_indices(&candidates, &verdict, None);
                self.relay.connections.put(self.destination, connection);
                return Ok(false);
            }
        };
        if !offered.smtputf8 {
            let (work, host) = (self.work, &connection.host);
            let left_out = plan::leave_out_international(&mut candidates, work, host, &mut self.slots);
            self.open.extend(left_out);
        }
        let mut is_progress = false;
        while !candidates.is_empty() && connection.client.is_ready() && !connection.is_worn() {
            let mut batch =
                plan::take_batch(&mut candidates, self.work, &self.reverse_paths, &offered.limits);
            let mut content = Spooled::new(self.relay, self.work, plan.convert_to, front.as_ref());
            let envelope = self.envelope(&batch, &plan);
            let transaction = connection.client.transact(envelope, &mut content).await;
            let cut = match content.trouble {
                Some(Trouble::Refusal(refusal)) => return Err(refusal),
                Some(Trouble::Content(error)) => Some(meaning::unreadable(&error)),
                Some(Trouble::Structure(error)) => Some(meaning::unconvertible(error, &connection.host)),
                None if was_idle && !is_progress && transaction.is_unheard() => {
                    self.open.extend(batch);
                    self.open.append(&mut candidates);
                    return Ok(false);
                }
                None => None,
            };
            let again = self.note(&transaction, &batch, &connection.host, &offered, cut.as_ref());
            batch.retain(|index| !again.contains(index));
            let has_taken = |index: &usize| matches!(self.slots[*index].outcome, Some(Outcome::Delivered(_)));
            // Those whom the host would have taken later it takes now, if it took others.
            if batch.iter().any(has_taken) {
                candidates.splice(0..0, again);
            }
            is_progress |= batch.iter().any(|index| !self.open.contains(index));
        }
        let is_worn = connection.is_worn() && connection.client.is_ready();
        let may_go_on = is_worn && is_progress && !candidates.is_empty();
        self.open.append(&mut candidates);
        self.relay.connections.put(self.destination, connection);
        Ok(may_go_on)
    }

    /// How the message goes to a host that offers this, and with what header block if not its own; or why not.
    async fn plan(&self, offered: &Extensions, host: &Host) -> Result<(Plan, Option<Front>), Verdict> {
        let nature = match plan::wants_nature(&self.work.envelope.options, offered) {
            false => None,
            true => {
                let nature = Spooled::new(self.relay, self.work, None, None).nature().await;
                Some(nature.map_err(|error| meaning::unreadable(&error))?)
            }
        };
        let now = self.relay.context.requests.platform().clock.utc();
        let plan = plan::plan(self.work, offered, nature, host, now)?;
        let front = match plan.convert_to {
            Some(convert_to) => front(self.relay, self.work, convert_to, host).await?,
            None => None,
        };
        Ok((plan, front))
    }

    fn envelope(&self, recipients: &[usize], plan: &Plan) -> Envelope {
        let envelope = &self.work.envelope;
        let recipient = |index: &usize| {
            let recipient = &self.work.recipients[*index];
            Recipient { address: recipient.address.clone(), options: recipient.options.clone() }
        };
        // A guess where it is converted, which RFC 1870 §5 allows: base64 makes four octets of three.
        let size = if plan.convert_to.is_some() { envelope.size / 3 * 4 } else { envelope.size };
        let first = recipients.first().and_then(|index| self.reverse_paths.get(*index));
        Envelope {
            // The same for all of a batch.
            reverse_path: first.unwrap_or(&envelope.reverse_path).clone(),
            recipients: recipients.iter().map(recipient).collect(),
            size,
            options: plan.options.clone(),
            now: self.relay.context.requests.platform().clock.utc(),
        }
    }

    /// Takes down what a transaction came to for its recipients. `cut` is what a cut before the final dot means, where that is known better
    /// than by how the session ended. Gives those whom the same host may take at once.
    fn note(
        &mut self,
        transaction: &Transaction,
        candidates: &[usize],
        host: &Host,
        offered: &Extensions,
        cut: Option<&Verdict>,
    ) -> Vec<usize> {
        let mut again = Vec::new();
        let remote = Remote { name: host.name.clone(), offers_dsn: offered.dsn };
        for (recipients, outcome) in &transaction.settled {
            let verdict = match (outcome, cut, &transaction.end) {
                (RecipientOutcome::CutBeforeDot, Some(cut), _) => cut.clone(),
                (RecipientOutcome::CutBeforeDot, None, Some(end)) if end.phase != Phase::FinalDot => {
                    meaning::closed(&end.closing, end.phase, host)
                }
                _ => meaning::outcome(outcome, host),
            };
            let indices: Vec<usize> = recipients.iter().map(|recipient| candidates[*recipient]).collect();
            if let Verdict::Again(_) = verdict {
                again.extend_from_slice(&indices);
            }
            self.note_indices(&indices, &verdict, Some(&remote));
        }
        again
    }

    fn note_indices(&mut self, indices: &[usize], verdict: &Verdict, remote: Option<&Remote>) {
        if let Verdict::NextHost(_) = verdict {
            self.open.extend_from_slice(indices);
        }
        indices.iter().for_each(|index| self.slots[*index].set(verdict, remote.cloned()));
    }

    /// The same for all that are open. They stay so where another host may take them.
    fn note_all(&mut self, verdict: &Verdict) {
        for index in &self.open {
            self.slots[*index].set(verdict, None);
        }
        if !matches!(verdict, Verdict::NextHost(_)) {
            self.open.clear();
        }
    }
}
