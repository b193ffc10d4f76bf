//! Invariants 3 and 4: how many copies there are.

use std::collections::{BTreeMap, BTreeSet};

use fulmar_core::model::{Address, QueueId};
use fulmar_core::state::log::Record;

use super::Violation;
use super::accounting::Books;

/// Invariant 3: at other hosts.
pub(super) fn copies_have_reasons(books: &Books<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let adoptions = adoptions(books);
    for ((recipient, queue_id), taken) in &books.taken {
        let lost = taken.iter().filter(|is_heard| !**is_heard).count();
        let adopted = adoptions.get(queue_id).copied().unwrap_or(0);
        let (copies, allowed) = (taken.len(), 1 + lost + adopted);
        if copies > allowed {
            violations.push(Violation {
                invariant: 3,
                words: format!(
                    "{recipient} got {copies} copies of {}, with {lost} replies lost and {adopted} adoptions",
                    books.name(*queue_id)
                ),
            });
        }
    }
    violations.extend(resends(books));
    if books.case.plan.is_exact() {
        violations.extend(exactly_one(books));
    }
    violations
}

/// How often each entry has passed from one log into another.
fn adoptions(books: &Books<'_>) -> BTreeMap<QueueId, usize> {
    let mut adoptions = BTreeMap::new();
    for (.., record) in books.case.archive.records() {
        if let Record::Adopt { entries, .. } = record {
            for entry in entries.iter() {
                *adoptions.entry(entry.envelope.id).or_default() += 1;
            }
        }
    }
    adoptions
}

/// No message was accepted more often than it was sent whole.
fn resends(books: &Books<'_>) -> Vec<Violation> {
    let mut whole = BTreeMap::<usize, usize>::new();
    for offer in books.case.history.offers().filter(|offer| offer.is_whole) {
        *whole.entry(offer.number).or_default() += 1;
    }
    let mut ids = BTreeMap::<usize, BTreeSet<QueueId>>::new();
    for (_, taking) in books.case.history.takings() {
        if let (Some(number), Some(queue_id)) = (taking.number, taking.queue_id) {
            ids.entry(number).or_default().insert(queue_id);
        }
    }
    let too_many = ids.into_iter().filter_map(|(number, ids)| {
        let sent = whole.get(&number).copied().unwrap_or(0);
        (ids.len() > sent).then(|| Violation {
            invariant: 3,
            words: format!("message {number} was sent whole {sent} times, and other hosts know {ids:?}"),
        })
    });
    too_many.collect()
}

/// Where nothing went wrong.
fn exactly_one(books: &Books<'_>) -> Vec<Violation> {
    let mut copies = BTreeMap::<(Address, usize), usize>::new();
    for ((recipient, queue_id), taken) in &books.taken {
        if let Some(number) = books.acknowledged.get(queue_id) {
            *copies.entry((recipient.clone(), *number)).or_default() += taken.len();
        }
    }
    let doubled = copies.into_iter().filter(|(_, copies)| *copies > 1);
    let words = |((recipient, number), copies)| {
        format!("{recipient} got {copies} copies of message {number}, though nothing went wrong")
    };
    doubled.map(|doubled| Violation { invariant: 3, words: words(doubled) }).collect()
}

/// Invariant 4: in mailboxes.
pub(super) fn mailboxes_have_one_copy(books: &Books<'_>) -> Vec<Violation> {
    let doubled = books.arrived.iter().filter(|(_, uids)| uids.len() > 1);
    let words = |(account, queue_id): &(Address, QueueId), uids: &BTreeSet<u32>| {
        format!("{account} got {} under the UIDs {uids:?}", books.name(*queue_id))
    };
    doubled.map(|(place, uids)| Violation { invariant: 4, words: words(place, uids) }).collect()
}
