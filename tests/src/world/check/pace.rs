//! Invariants 8 to 10: how many transactions at a time, how soon, and at what price.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Violation;
use super::accounting::Books;
use crate::world::archive::Waiting;
use crate::world::case::Case;
use crate::world::history::{Fact, Node, Turn};

/// How long nodes have to learn who is there.
const LEARNING: Duration = Duration::from_secs(60);
/// How long the others take to see that a node is gone or stands still.
const NOTICING: Duration = Duration::from_secs(50);

/// Invariant 8.
pub(super) fn transactions_are_limited(case: &Case) -> Vec<Violation> {
    let turns: Vec<(Duration, Node, Turn)> = case
        .history
        .facts
        .iter()
        .filter_map(|(at, fact)| match fact {
            Fact::Life(node, turn) => Some((*at, *node, *turn)),
            _ => None,
        })
        .collect();
    let mut violations = Vec::new();
    for host in 0..case.plan.hosts.len() {
        let takings = case.history.takings().map(|(_, taking)| taking).filter(|taking| taking.host == host);
        let spans: Vec<(Duration, Duration, Node)> =
            takings.filter_map(|taking| Some((taking.began, taking.ended, taking.node?))).collect();
        for (began, ..) in &spans {
            let is_calm =
                |(at, ..): &(Duration, Node, Turn)| *at > *began || *at + LEARNING + NOTICING < *began;
            // Nodes cannot learn of one another while the store is away.
            if !turns.iter().all(is_calm)
                || *began < case.history.healed() + LEARNING + NOTICING && !case.plan.is_exact()
            {
                continue;
            }
            let at_a_time = spans
                .iter()
                .filter(|(from, to, node)| from <= began && began < to && !is_gone(&turns, *node, *began))
                .count();
            let limit = case.plan.attempts_per_destination.max(living(&turns, *began));
            if at_a_time > limit {
                violations.push(Violation {
                    invariant: 8,
                    words: format!(
                        "host {host} had {at_a_time} transactions at {began:?}, of at most {limit}"
                    ),
                });
            }
        }
    }
    violations
}

/// Whether a node was gone by then. A host may not know that, and wait for more.
fn is_gone(turns: &[(Duration, Node, Turn)], node: Node, at: Duration) -> bool {
    turns.iter().any(|(when, other, turn)| {
        *other == node && *when <= at && matches!(turn, Turn::Killed | Turn::Stopped)
    })
}

/// How many nodes live at a time.
fn living(turns: &[(Duration, Node, Turn)], at: Duration) -> usize {
    let mut lives = BTreeMap::new();
    for (_, node, turn) in turns.iter().filter(|(when, ..)| *when <= at) {
        match turn {
            Turn::Started => drop(lives.insert(*node, ())),
            Turn::Killed | Turn::Stopped => drop(lives.remove(node)),
            Turn::Suspended | Turn::Resumed | Turn::Stopping => {}
        }
    }
    lives.len()
}

/// Invariant 9. What nobody was told of is not promised so soon: it may lie in a log whose heartbeat still announces a minute.
pub(super) fn due_mail_is_attempted(books: &Books<'_>) -> Vec<Violation> {
    let case = books.case;
    let is_promised =
        |queue_id| books.acknowledged.contains_key(queue_id) || books.reported.contains_key(queue_id);
    let words = |(at, item, late): &(Duration, Waiting, Duration)| {
        let Waiting { queue_id, recipient, log, attempts, .. } = item;
        let healed = case.history.healed();
        format!(
            "at {at:?}, with everything healed at {healed:?}, {queue_id} for {recipient} in {log} had been due for {late:?} (attempts: {attempts})"
        )
    };
    let mut violations: Vec<_> = case
        .overdue
        .iter()
        .filter(|(_, item, _)| is_promised(&item.queue_id))
        .map(|late| Violation { invariant: 9, words: words(late) })
        .collect();
    violations.extend(case.troubles.iter().map(|words| Violation { invariant: 9, words: words.clone() }));
    violations
}

/// Requests that a node which has nothing to do may send in a minute, of each kind.
const IDLE_A_MINUTE: u64 = 1;
/// Beyond that, in all: what a minute that began before or ended after adds, and the daily sweep.
const IDLE_EXTRA: u64 = 2;

/// Invariant 10, where nothing went wrong.
pub(super) fn requests_are_few(case: &Case) -> Vec<Violation> {
    if !case.plan.faults.is_empty() || !case.queue.is_empty() {
        return Vec::new();
    }
    let mut words = Vec::new();
    let (rested, requests) = &case.idle;
    let minutes = rested.as_secs().div_ceil(60);
    let days = rested.as_secs() / (24 * 3_600);
    let allowed = minutes * IDLE_A_MINUTE + IDLE_EXTRA;
    for (place, counts) in requests {
        if days == 0 && (counts.put > allowed || counts.list > allowed) {
            words.push(format!(
                "idle machine {place} sent {} PUT and {} LIST in {minutes} minutes",
                counts.put, counts.list
            ));
        }
    }
    let sent = case.answers.requests;
    let allowed = budget(case);
    if sent > allowed {
        words.push(format!(
            "{sent} requests, of at most {allowed}, for {} messages",
            case.plan.messages.len()
        ));
    }
    words.into_iter().map(|words| Violation { invariant: 10, words }).collect()
}

/// Requests that a message may cost: to take it, to deliver it to a few recipients, to take down what came of it, to read what accounts have become
/// meanwhile.
const FOR_A_MESSAGE: u64 = 25;
/// The same where a node is started for it, which knows nothing yet.
const FOR_A_SENDER: u64 = 150;
/// Requests that a node may send in a minute in which it holds mail: heartbeats and listings, one of each in 10 s, and some more when it
/// starts or finds something.
const FOR_A_MINUTE: u64 = 14;

/// Requests that a scenario without faults may cost in all.
fn budget(case: &Case) -> u64 {
    let by_node = case.plan.messages.iter().filter(|message| message.place.is_none()).count() as u64;
    let minutes = case.ended.as_secs().div_ceil(60) * case.plan.machines.len() as u64;
    case.plan.messages.len() as u64 * FOR_A_MESSAGE + by_node * FOR_A_SENDER + minutes * FOR_A_MINUTE
}
