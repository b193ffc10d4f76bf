//! What happened to each message, in the order of time, with the faults between: for people who look into one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fulmar_core::model::{Event, Incarnation, QueueId};
use fulmar_core::state::log::Record;

use super::case::Case;
use super::content::Copy;
use super::history::{Answer, Fact, Node};

/// One line for people, and when it happened.
type Line = (Duration, String);

/// The lines of the whole story: first what concerns all, then each message.
pub fn timeline(case: &Case) -> Vec<String> {
    let numbers = numbers(case);
    let mut stories = BTreeMap::<usize, Vec<Line>>::new();
    for (at, fact) in &case.history.facts {
        for (number, words) in tell(case, &numbers, fact) {
            stories.entry(number).or_default().push((*at, words));
        }
    }
    let common: Vec<Line> =
        case.history.facts.iter().filter_map(|(at, fact)| Some((*at, common(fact)?))).collect();
    let mut lines = vec!["== what concerns everybody".to_owned()];
    lines.extend(common.iter().map(written));
    for (number, message) in case.plan.messages.iter().enumerate() {
        let recipients: Vec<_> = message.recipients.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "== message {number}, {} octets: <{}> to {}",
            message.octets,
            message.reverse_path,
            recipients.join(", ")
        ));
        let mut story = stories.remove(&number).unwrap_or_default();
        if let (Some((from, _)), Some((to, _))) = (story.first().cloned(), story.last().cloned()) {
            let between = common.iter().filter(|(at, _)| from <= *at && *at <= to);
            story.extend(between.map(|(at, words)| (*at, format!("~ {words}"))));
        }
        story.sort_by_key(|(at, _)| *at);
        lines.extend(story.iter().map(written));
    }
    lines
}

fn written((at, words): &Line) -> String {
    format!("{:>12.3}s  {words}", at.as_secs_f64())
}

/// What happened to nodes and to the world.
fn common(fact: &Fact) -> Option<String> {
    match fact {
        Fact::Life(node, turn) => Some(format!("{node} {turn:?}")),
        Fact::Weather(words) => Some(format!("weather, {words}")),
        Fact::Healed => Some("everything is healed".to_owned()),
        Fact::Event { node, event } => match event {
            Event::IncarnationBegun { incarnation } => Some(format!("{node} begins {incarnation}")),
            Event::Fenced { incarnation, reason } => Some(format!("{node} loses {incarnation}: {reason}")),
            Event::Adopted { from, into, entries } => {
                Some(format!("{node} adopts {from} into {into}: {entries} entries"))
            }
            Event::AdoptionLeft { from, reason } => Some(format!("{node} leaves {from}: {reason}")),
            Event::StoreAway { .. } | Event::StoreBack { .. } | Event::Trouble { .. } => {
                Some(format!("{node}: {event:?}"))
            }
            _ => None,
        },
        _ => None,
    }
}

/// What a fact says of messages.
fn tell(case: &Case, numbers: &BTreeMap<QueueId, usize>, fact: &Fact) -> Vec<(usize, String)> {
    let of = |queue_id: &QueueId| numbers.get(queue_id).copied();
    let one =
        |number: Option<usize>, words: String| number.map(|number| (number, words)).into_iter().collect();
    match fact {
        Fact::Offered(offer) => {
            let whole = if offer.is_whole { "whole" } else { "not to its end" };
            let answer = match &offer.answer {
                Answer::Taken(queue_id) => format!("250, {queue_id}"),
                Answer::Refused(reply) | Answer::Later(reply) => reply.clone(),
            };
            one(
                Some(offer.number),
                format!("attempt {} at m{}, {whole}: {answer}", offer.attempt, offer.place),
            )
        }
        Fact::Taken(taking) => {
            let number = taking.number.or_else(|| taking.queue_id.as_ref().and_then(of));
            let recipients: Vec<_> = taking.recipients.iter().map(ToString::to_string).collect();
            let (host, from) =
                (taking.host, taking.node.map_or("?".to_owned(), |node: Node| node.to_string()));
            let words = format!("host {host}: {:?} by {from} for {}", taking.end, recipients.join(", "));
            one(number, words)
        }
        Fact::Ordered { queue_id, action } => one(of(queue_id), format!("an operator orders: {action}")),
        Fact::Event { node, event } => match event {
            Event::Accepted { queue_id, incarnation, recipients, .. } => one(
                of(queue_id),
                format!("{node} accepts {queue_id} into {incarnation}: {recipients} recipients"),
            ),
            Event::Attempted { queue_id, recipient, outcome, attempts } => {
                let words = format!("{node} tries {recipient}, {attempts}: {}", super::check::named(outcome));
                one(of(queue_id), words)
            }
            Event::Bounced { queue_id, report } => one(of(queue_id), format!("{node} reports by {report}")),
            Event::BounceDropped { queue_id, reason, .. } => {
                one(of(queue_id), format!("{node} reports to nobody: {reason}"))
            }
            Event::Ordered { queue_id, action } => one(of(queue_id), format!("{node} carries out: {action}")),
            Event::Adopted { from, into, .. } => {
                let words = format!("{node} adopts it from {from} into {into}");
                let passed = passed(case, *from, *into);
                let found: BTreeSet<usize> = passed.iter().filter_map(of).collect();
                found.into_iter().map(|number| (number, words.clone())).collect()
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The entries that passed from one log into another.
fn passed(case: &Case, from: Incarnation, into: Incarnation) -> Vec<QueueId> {
    let adopts = case.archive.records().filter_map(|(log, _, record)| match record {
        Record::Adopt { of, entries, .. } if log == into && *of == from => Some(entries),
        _ => None,
    });
    adopts.flat_map(|entries| entries.iter().map(|entry| entry.envelope.id).collect::<Vec<_>>()).collect()
}

/// Which message each queue id stands for: from replies, copies, and content in the bucket.
fn numbers(case: &Case) -> BTreeMap<QueueId, usize> {
    let mut numbers = BTreeMap::new();
    for (queue_id, entry) in case.archive.accepted() {
        if let Some(Copy { number: Some(number), .. }) = case.archive.header(entry).and_then(Copy::read) {
            numbers.insert(queue_id, number);
        }
    }
    for offer in case.history.offers() {
        if let Answer::Taken(queue_id) = offer.answer {
            numbers.insert(queue_id, offer.number);
        }
    }
    for (_, taking) in case.history.takings() {
        if let (Some(queue_id), Some(number)) = (taking.queue_id, taking.number) {
            numbers.insert(queue_id, number);
        }
    }
    numbers
}
