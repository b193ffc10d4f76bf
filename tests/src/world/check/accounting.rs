//! Invariants 1 and 2: what was acknowledged ends somewhere, and nothing else turns up anywhere.

use std::collections::{BTreeMap, BTreeSet};

use fulmar_core::model::{Address, Outcome, QueueId, ReversePath};
use fulmar_core::state::log::{Attempt, Entry};

use super::{Violation, named};
use crate::world::case::Case;
use crate::world::content::Copy;
use crate::world::history::Answer;

/// What is known of the messages, drawn together from all who know something.
#[derive(Debug)]
pub(super) struct Books<'a> {
    pub(super) case: &'a Case,
    /// Under which queue ids each message was acknowledged.
    pub(super) acknowledged: BTreeMap<QueueId, usize>,
    /// What was accepted, reports included.
    pub(super) accepted: BTreeMap<QueueId, &'a Entry>,
    /// Attempts on record.
    pub(super) attempts: BTreeMap<QueueId, Vec<&'a Attempt>>,
    /// What mailboxes were ever given: account and queue id, with each UID that it had there.
    pub(super) arrived: BTreeMap<(Address, QueueId), BTreeSet<u32>>,
    /// What other hosts took: recipient and queue id, with how often.
    pub(super) taken: BTreeMap<(Address, QueueId), Vec<bool>>,
    /// What is in the queue at the end.
    pub(super) queued: BTreeSet<(Address, QueueId)>,
    /// The message that each report is about.
    pub(super) reported: BTreeMap<QueueId, QueueId>,
}

impl<'a> Books<'a> {
    pub(super) fn new(case: &'a Case) -> Self {
        let acknowledged = case.history.offers().filter_map(|offer| match offer.answer {
            Answer::Taken(queue_id) => Some((queue_id, offer.number)),
            _ => None,
        });
        let mut taken = BTreeMap::<_, Vec<_>>::new();
        for (_, taking) in case.history.takings() {
            let Some(queue_id) = taking.queue_id.filter(|_| taking.end.is_taken()) else { continue };
            for recipient in &taking.recipients {
                let is_heard = taking.end == crate::world::history::End::Taken;
                taken.entry((recipient.clone(), queue_id)).or_default().push(is_heard);
            }
        }
        Self {
            case,
            acknowledged: acknowledged.collect(),
            accepted: case.archive.accepted(),
            attempts: case.archive.attempts(),
            arrived: arrived(case),
            taken,
            queued: case.queue.iter().map(|item| (item.recipient.clone(), item.queue_id)).collect(),
            reported: reported(case),
        }
    }

    /// Which message this queue id stands for, in words.
    pub(super) fn name(&self, queue_id: QueueId) -> String {
        match self.acknowledged.get(&queue_id) {
            Some(number) => format!("message {number} ({queue_id})"),
            None => format!("{queue_id}, which nobody was told of"),
        }
    }

    /// What became of one recipient; nothing where nobody knows.
    fn fate(&self, queue_id: QueueId, recipient: &Address, to: u32) -> Option<&'static str> {
        let place = (recipient.clone(), queue_id);
        if self.arrived.contains_key(&place) || self.taken.contains_key(&place) {
            return Some("delivered");
        }
        if self.queued.contains(&place) {
            return Some("queued");
        }
        let mut outcomes = self.attempts.get(&queue_id).into_iter().flatten();
        let last = outcomes.find(|attempt| attempt.to == to && attempt.outcome.is_final())?;
        match last.outcome {
            Outcome::Failed(_) => Some("failed"),
            Outcome::Cancelled(_) => Some("cancelled"),
            // On record as delivered, but nobody has it.
            _ => None,
        }
    }
}

fn arrived(case: &Case) -> BTreeMap<(Address, QueueId), BTreeSet<u32>> {
    let mut arrived = BTreeMap::<_, BTreeSet<u32>>::new();
    for account in &case.plan.accounts {
        case.archive.replay(account, |_, state| {
            for (uid, message) in state.mailboxes.values().flat_map(|mailbox| &mailbox.messages) {
                if let Some(queue_id) = message.queue_id {
                    arrived.entry((account.clone(), queue_id)).or_default().insert(*uid);
                }
            }
        });
    }
    arrived
}

/// Reports stand in the segment of the failures that they are about, right behind them.
fn reported(case: &Case) -> BTreeMap<QueueId, QueueId> {
    use fulmar_core::state::log::Record;
    let mut reported = BTreeMap::new();
    let mut last = None;
    for (log, number, record) in case.archive.records() {
        match record {
            Record::Attempted { id, .. } => last = Some((log, number, *id)),
            Record::Accept(entry) if entry.envelope.reverse_path == ReversePath::Null => {
                if let Some((.., of)) = last.filter(|(of, at, _)| (*of, *at) == (log, number)) {
                    reported.insert(entry.envelope.id, of);
                }
            }
            _ => last = None,
        }
    }
    reported
}

/// Invariant 1.
pub(super) fn nothing_is_lost(books: &Books<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let broken = |words| Violation { invariant: 1, words };
    let reports = books.reported.keys().map(|report| (*report, None));
    let owed = books.acknowledged.iter().map(|(queue_id, number)| (*queue_id, Some(*number)));
    for (queue_id, number) in owed.chain(reports) {
        let Some(entry) = books.accepted.get(&queue_id) else {
            violations
                .push(broken(format!("{} was answered 250 and is in no segment", books.name(queue_id))));
            continue;
        };
        let expected: BTreeSet<Address> = match number {
            Some(number) => {
                let message = &books.case.plan.messages[number];
                message.recipients.iter().flat_map(|named| books.case.plan.expand(named)).collect()
            }
            None => entry.recipients.iter().map(|recipient| recipient.address.clone()).collect(),
        };
        for address in expected {
            let recipient = entry.recipients.iter().find(|recipient| recipient.address == address);
            let Some(recipient) = recipient else {
                let words = format!("{} was accepted without {address}", books.name(queue_id));
                violations.push(broken(words));
                continue;
            };
            match books.fate(queue_id, &address, recipient.to) {
                Some("failed") => violations.extend(unreported(books, queue_id, &address).map(broken)),
                Some(_) => {}
                None => {
                    let attempts = books.attempts.get(&queue_id).into_iter().flatten();
                    let told: Vec<_> = attempts
                        .filter(|attempt| attempt.to == recipient.to)
                        .map(|attempt| named(&attempt.outcome))
                        .collect();
                    let words = format!(
                        "{} for {address} is nowhere: not delivered, bounced, cancelled or queued; on record: {told:?}",
                        books.name(queue_id)
                    );
                    violations.push(broken(words));
                }
            }
        }
    }
    violations
}

/// What is wrong where a recipient has failed: its sender is to have a report that names it.
fn unreported(books: &Books<'_>, queue_id: QueueId, failed: &Address) -> Option<String> {
    let entry = books.accepted.get(&queue_id)?;
    let ReversePath::Address(sender) = &entry.envelope.reverse_path else { return None };
    let is_ours = sender.domain().as_str() == crate::world::plan::HOME;
    if is_ours && !books.case.plan.accounts.contains(sender) {
        // Its sender is nobody here.
        return None;
    }
    let reports: Vec<_> =
        books.reported.iter().filter(|(_, of)| **of == queue_id).map(|(report, _)| *report).collect();
    if reports.is_empty() {
        return Some(format!("{} failed for {failed}, and no report was made", books.name(queue_id)));
    }
    // One that went elsewhere, or was deleted since, cannot be read, and may be the one that names it.
    let bodies: Vec<_> = reports.iter().filter_map(|report| body(books.case, sender, *report)).collect();
    let is_named = bodies.iter().any(|body| body.contains(&failed.to_string()));
    (bodies.len() == reports.len() && !is_named)
        .then(|| format!("{} failed for {failed}, which its report does not name", books.name(queue_id)))
}

fn body(case: &Case, account: &Address, queue_id: QueueId) -> Option<String> {
    let held = case.mailboxes.get(account)?.iter().find(|held| held.queue_id == Some(queue_id))?;
    Some(String::from_utf8_lossy(&held.octets).into_owned())
}

/// Invariant 2.
pub(super) fn nothing_is_made_up(books: &Books<'_>) -> Vec<Violation> {
    let case = books.case;
    let mut violations = Vec::new();
    let mut broken = |words| violations.push(Violation { invariant: 2, words });
    for (account, held) in
        case.mailboxes.iter().flat_map(|(account, held)| held.iter().map(move |held| (account, held)))
    {
        let place = format!("UID {} of {account}", held.uid);
        let copy = Copy::read(&held.octets);
        let Some(entry) = held.queue_id.and_then(|queue_id| books.accepted.get(&queue_id)) else {
            broken(format!("{place} was never accepted"));
            continue;
        };
        if !entry.recipients.iter().any(|recipient| recipient.address == *account) {
            broken(format!("{place} was accepted for others"));
        }
        if entry.envelope.reverse_path == ReversePath::Null {
            continue;
        }
        match copy.and_then(|copy| Some((copy.number?, copy))) {
            None => broken(format!("{place} is no message that was sent")),
            Some((number, copy)) => {
                let sent = crate::world::content::compose(number, case.plan.messages[number].octets);
                if copy.content != sent {
                    broken(format!("{place} differs from message {number}, which it is a copy of"));
                }
                if Some(copy.queue_id) != held.queue_id {
                    broken(format!("{place} has the trace field of {}", copy.queue_id));
                }
            }
        }
    }
    for (at, taking) in case.history.takings().filter(|(_, taking)| taking.end.is_taken()) {
        let place = format!("what host {} took at {at:?}", taking.host);
        let Some(entry) = taking.queue_id.and_then(|queue_id| books.accepted.get(&queue_id)) else {
            broken(format!("{place} was never accepted: {taking:?}"));
            continue;
        };
        let is_known =
            |address: &Address| entry.recipients.iter().any(|recipient| recipient.address == *address);
        if !taking.recipients.iter().all(is_known) {
            broken(format!("{place} was accepted for others: {taking:?}"));
        }
        if entry.envelope.reverse_path != ReversePath::Null && !taking.is_same {
            broken(format!("{place} differs from message {:?}, which it is a copy of", taking.number));
        }
    }
    violations
}
