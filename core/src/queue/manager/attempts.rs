//! Attempts: handed out when they are due, their outcomes noted, their final dots permitted, and an operator's orders about
//! them.

use std::time::Duration;

use futures::channel::oneshot;

use super::Manager;
use crate::config::QueueSettings;
use crate::model::{Domain, Incarnation, Outcome, QueueId, Reply, UtcTime};
use crate::queue::command::{Attempted, Ordered, Refusal, Work};
use crate::queue::open_log::{Pending, RIGHT};
use crate::queue::schedule::{Schedule, pause};
use crate::state::log::{Attempt, Class, Entry, Envelope, Recipient, Record};
use crate::state::order::{Action, Order};

/// How long ago the last heartbeat that stands may have been sent for a final dot to need no other proof. A node that is
/// taken for dead has been silent for longer; one that ever was needs a proof for each dot ([`Pulse::surely_ours_at`](super::super::pulse::Pulse)).
const PROOF: Duration = Duration::from_secs(20);
/// A right that ends sooner than this is renewed before a final dot: the dot is still to be sent.
const MARGIN: Duration = Duration::from_mins(1);

/// Recipients that enter their lines in one turn of the loop. A million may be due at once, and commands wait meanwhile.
const LINED_UP_AT_ONCE: usize = 10_000;

/// Recipients of an entry are to be attempted when they are due.
pub(super) fn enter(local: &mut Schedule, relay: &mut Schedule, entry: &Entry) {
    local.enter(entry, Class::Local);
    relay.enter(entry, Class::Relay);
}

/// When something becomes of a recipient though no attempt succeeds: it expires, its sender's time is over, or its delay is to be told of.
fn moments(
    envelope: &Envelope,
    recipient: &Recipient,
    is_told: bool,
    settings: &QueueSettings,
) -> [Option<UtcTime>; 3] {
    let by = envelope.options.deliver_by.as_ref().filter(|by| by.is_return);
    let delay = envelope.delay_due(recipient, settings.delay_notice).filter(|_| !is_told);
    [Some(envelope.released().after(settings.expire)), by.map(|by| by.at), delay]
}

impl Manager {
    /// When the next recipient is due that is not being attempted.
    pub(super) fn next_due(&self) -> Option<UtcTime> {
        self.local.next().into_iter().chain(self.relay.next()).min()
    }

    /// Whether attempts have not been answered.
    pub(super) fn is_attempting(&self) -> bool {
        self.outstanding > 0 || self.lines.under_way() > 0
    }

    /// Whether something is being attempted or written, or due to be.
    pub(super) fn is_busy(&self) -> bool {
        let now = self.requests.platform().clock.utc();
        let is_writing = self.log.as_ref().is_some_and(|log| !log.under_way.is_empty() || log.has_vacancy());
        let is_due = self.next_due().is_some_and(|due| due <= now);
        is_due || is_writing || !self.pending.is_empty() || self.is_attempting()
    }

    /// Hands out what is due.
    pub(super) fn dispatch(&mut self) {
        if self.log.is_none() || self.closing.is_some() {
            return;
        }
        let now = self.requests.platform().clock.utc();
        while self.outstanding < self.settings.local_attempts
            && let Some((id, to)) = self.local.take(now)
        {
            let Some(work) = self.work(id, &[to]) else { continue };
            // Unbounded, and we hold a receiver's sender: it fails only when everybody else has gone.
            if self.work.try_send(work).is_ok() {
                self.outstanding += 1;
            }
        }
        // What is left is taken in the next turn, which comes at once.
        let due = std::iter::from_fn(|| self.relay.take(now)).take(LINED_UP_AT_ONCE);
        for (id, to) in due.collect::<Vec<_>>() {
            let entry = self.log.as_ref().and_then(|log| log.live.entries.part(id, &[to]));
            if let Some(entry) = &entry
                && let Some(recipient) = entry.recipient(to)
            {
                let priority = entry.envelope.options.priority;
                let destination = self.routing.destination(recipient.address.domain());
                self.lines.enter(destination, id, to, priority);
            }
        }
        while let Some((destination, id, recipients)) = self.lines.take() {
            match self.work(id, &recipients) {
                Some(work) => {
                    let work = Work { destination: Some(destination), ..work };
                    // As above.
                    let _ = self.relay_work.try_send(work);
                }
                None => self.lines.done(&destination),
            }
        }
    }

    /// Those of the recipients that are not done with.
    fn work(&self, id: QueueId, recipients: &[u32]) -> Option<Work> {
        let log = self.log.as_ref()?;
        let Entry { envelope, recipients } = log.live.entries.part(id, recipients)?;
        let work = Work {
            incarnation: log.incarnation,
            envelope,
            recipients,
            destination: None,
            fresh: self.in_memory.get(&id).map(|kept| kept.content.clone()),
            is_ordered: self.ordered.contains(&id),
        };
        (!work.recipients.is_empty()).then_some(work)
    }

    /// Attempts have ended.
    pub(super) fn attempted(&mut self, attempted: Attempted) {
        let Attempted { incarnation, id, destination, outcomes, bounce, delays } = attempted;
        let is_remote = destination.is_some();
        match destination {
            Some(destination) => self.lines.done(&destination),
            None => self.outstanding = self.outstanding.saturating_sub(1),
        }
        self.ordered.remove(&id);
        let Some(log) = self.log.as_ref().filter(|log| log.incarnation == incarnation) else { return };
        // After its Close record nothing may be written into a log: whoever takes it over attempts again.
        if self.closing.as_ref().is_some_and(|closing| closing.said) || outcomes.is_empty() {
            return;
        }
        if self.cancelled.contains(&id) {
            return;
        }
        let numbers: Vec<u32> = outcomes.iter().map(|(to, ..)| *to).collect();
        let Some(entry) = log.live.entries.part(id, &numbers) else { return };
        let now = self.requests.platform().clock.utc();
        let mut attempts = Vec::with_capacity(outcomes.len());
        for (to, count, outcome) in outcomes {
            let Some(recipient) = entry.recipient(to) else { continue };
            let is_told = delays.contains(&to);
            // An attempt comes when some time is up, and not long after.
            let ahead = moments(&entry.envelope, recipient, is_told, &self.settings);
            let ahead = ahead.into_iter().flatten().filter(|moment| now < *moment).min();
            let next = now.after(pause(&self.settings, count, id));
            let next = next.min(ahead.unwrap_or(next));
            if !outcome.is_final() {
                let schedule = match recipient.class {
                    Class::Local => &mut self.local,
                    Class::Relay => &mut self.relay,
                };
                schedule.again(id, to, next);
            }
            attempts.push(Attempt { to, outcome, next, is_told });
        }
        if attempts.is_empty() {
            return;
        }
        self.let_go(id, attempts.len());
        let record = Record::Attempted { id, outcomes: attempts };
        self.push(match bounce {
            Some(bounce) => Pending::Bounce(record, bounce),
            None if is_remote => Pending::Urgent(record),
            None => Pending::Note(record),
        });
    }

    /// A message's content need not be kept for so many attempts any more.
    fn let_go(&mut self, id: QueueId, attempts: usize) {
        if let Some(content) = self.in_memory.get_mut(&id) {
            content.left = content.left.saturating_sub(attempts);
            if content.left == 0 {
                self.in_memory_octets -= content.octets;
                self.in_memory.remove(&id);
            }
        }
    }

    /// Permits a final dot: at once where a heartbeat was written lately, else when a segment has been.
    pub(super) fn conclude(&mut self, incarnation: Incarnation, done: oneshot::Sender<Result<(), Refusal>>) {
        self.check_right();
        let now = self.now();
        let Some(log) = self.log.as_ref().filter(|log| log.incarnation == incarnation) else {
            return drop(done.send(Err(Refusal::Fenced)));
        };
        if self.closing.as_ref().is_some_and(|closing| closing.said) {
            return drop(done.send(Err(Refusal::Closing)));
        }
        let stands = self.pulse.surely_ours_at().is_some_and(|at| now.instant().since(at) <= PROOF);
        if stands && log.right.elapsed(now) + MARGIN < RIGHT {
            // Whoever asked may have given up meanwhile.
            drop(done.send(Ok(())));
        } else {
            self.push(Pending::Proof(done));
        }
    }

    /// Attempts now what waits to be handed to hosts of a domain. Gives how many messages that is. Looks at every entry.
    pub(super) fn hasten(&mut self, domain: &Domain, with_subdomains: bool) -> usize {
        let is_meant = |name: &Domain| {
            let below =
                || name.as_str().strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'));
            name == domain || (with_subdomains && below())
        };
        let Some(log) = self.log.as_ref().filter(|_| self.closing.is_none()) else { return 0 };
        let waiting: Vec<(QueueId, Vec<u32>)> = log
            .live
            .entries
            .iter()
            .map(|entry| {
                let meant = entry
                    .recipients
                    .iter()
                    .filter(|to| to.class == Class::Relay && is_meant(to.address.domain()));
                (entry.envelope.id, meant.map(|recipient| recipient.to).collect::<Vec<_>>())
            })
            .filter(|(_, recipients)| !recipients.is_empty())
            .collect();
        let now = self.requests.platform().clock.utc();
        for (id, meant) in &waiting {
            let (due, others): (Vec<u32>, Vec<u32>) =
                self.relay.remove(*id).into_iter().partition(|to| meant.contains(to));
            // That a host was away a moment ago counts less than that it asks for its mail.
            if !due.is_empty() {
                self.ordered.insert(*id);
            }
            // Those that are in line already stay there; the others of the message keep waiting.
            due.into_iter().for_each(|to| self.relay.again(*id, to, now));
            let entry = self.log.as_ref().and_then(|log| log.live.entries.get(*id));
            for recipient in
                entry.iter().flat_map(|entry| &entry.recipients).filter(|to| others.contains(&to.to))
            {
                self.relay.again(*id, recipient.to, recipient.next);
            }
        }
        waiting.len()
    }

    /// Carries out an operator's order. What is being attempted at this moment goes on.
    pub(super) fn order(&mut self, order: &Order, done: oneshot::Sender<Result<Ordered, Refusal>>) {
        let id = order.queue_id;
        let entry = self.log.as_ref().and_then(|log| log.live.entries.get(id));
        let Some(entry) = entry.filter(|_| self.closing.is_none()) else {
            return drop(done.send(Ok(Ordered::NotHere)));
        };
        let recipients: Vec<u32> = entry.recipients.iter().map(|recipient| recipient.to).collect();
        let now = self.requests.platform().clock.utc();
        let local = self.local.remove(id);
        let mut relay = self.relay.remove(id);
        relay.extend(self.lines.remove(id));
        match order.action {
            Action::Retry => {
                if !(local.is_empty() && relay.is_empty()) {
                    self.ordered.insert(id);
                }
                local.into_iter().for_each(|to| self.local.again(id, to, now));
                relay.into_iter().for_each(|to| self.relay.again(id, to, now));
                drop(done.send(Ok(Ordered::Done)));
            }
            Action::Cancel => {
                self.cancelled.insert(id);
                self.ordered.remove(&id);
                self.let_go(id, usize::MAX);
                let outcome = Outcome::Cancelled(Reply::new(554, (5, 7, 0), "cancelled by an operator"));
                let cancel = |to| Attempt { to, outcome: outcome.clone(), next: now, is_told: false };
                let record = Record::Attempted { id, outcomes: recipients.into_iter().map(cancel).collect() };
                self.push(Pending::Cancel(record, done));
            }
        }
    }
}
