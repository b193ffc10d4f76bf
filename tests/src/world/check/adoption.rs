//! What an adoption must be beside having one owner: whole, in its order, and by one who still may. Part of invariant 6.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fulmar_core::model::{Event, Incarnation, QueueId, UtcTime};
use fulmar_core::state::layout;
use fulmar_core::state::log::{Entry, Record};

use super::Violation;
use crate::world::archive::Archive;
use crate::world::case::Case;

/// How long after the last segment another one may be written.
const RIGHT: Duration = Duration::from_hours(1);
/// What drifting clocks may add to it.
const DRIFT: Duration = Duration::from_secs(5);

/// Recipients who are not done with, by message.
type Waiting = BTreeMap<QueueId, BTreeSet<u32>>;

/// Part of invariant 6.
pub(super) fn adoptions_are_sound(case: &Case) -> Vec<Violation> {
    let mut words = adopted_whole(&case.archive);
    words.extend(closed_in_order(&case.archive));
    words.extend(written_within_the_right(&case.archive));
    words.extend(found_damaged(case));
    words.into_iter().map(|words| Violation { invariant: 6, words }).collect()
}

/// An Adopt carries what lives in the log that it adopts, however late any of that was written.
fn adopted_whole(archive: &Archive) -> Vec<String> {
    let mut words = Vec::new();
    for (into, number, record) in archive.records() {
        let Record::Adopt { of, entries, .. } = record else { continue };
        let Some(log) = archive.logs.get(of) else { continue };
        let adopted: Waiting = entries.iter().map(|entry| waiting(&entry)).collect();
        let lived: Waiting = log.live().values().map(waiting).collect();
        if adopted != lived {
            words.push(format!(
                "segment {number} of {into} adopts {adopted:?} of {of}, in which there lives {lived:?}"
            ));
        }
    }
    words
}

fn waiting(entry: &Entry) -> (QueueId, BTreeSet<u32>) {
    (entry.envelope.id, entry.recipients.iter().map(|recipient| recipient.to).collect())
}

/// Whoever adopts a log closes first what that had adopted: who looks at it later finds nothing of the log any more. Where the adopter
/// dies amid that, whoever adopts from it knows only of the log.
fn closed_in_order(archive: &Archive) -> Vec<String> {
    let mut words = Vec::new();
    let adoptions = archive.adoptions();
    let adopters = |log| adoptions.get(&log).into_iter().flatten().map(|(into, ..)| *into);
    for of in adoptions.keys().copied() {
        for outer in adopters(of) {
            let Some(closing_outer) = Closing::of(archive, outer) else { continue };
            if !adopters(outer).any(|adopter| adopter == closing_outer.into) {
                continue;
            }
            let is_late =
                |closing: Closing| closing.at.zip(closing_outer.at).is_some_and(|(at, outer)| at > outer);
            if Closing::of(archive, of).is_none_or(is_late) {
                words.push(format!("{outer} was closed before {of}, which it had adopted"));
            }
        }
    }
    words
}

/// The link by which an adopter closed a log.
struct Closing {
    into: Incarnation,
    /// By the bucket's clock, unless it is gone already.
    at: Option<UtcTime>,
}

impl Closing {
    fn of(archive: &Archive, log: Incarnation) -> Option<Self> {
        let mut links = archive.logs.get(&log)?.owners.iter().filter(|(_, owner)| owner.claim.is_closing());
        let (epoch, into) = links.find_map(|(epoch, owner)| Some((epoch, owner.into?)))?;
        let object = archive.present.get(&layout::owner(log, *epoch));
        Some(Self { into, at: object.map(|(_, modified)| *modified) })
    }
}

/// Nobody writes on who has written nothing for an hour.
fn written_within_the_right(archive: &Archive) -> Vec<String> {
    let mut words = Vec::new();
    for (log, found) in &archive.logs {
        let mut last: Option<UtcTime> = None;
        for (number, segment) in &found.segments {
            if matches!(segment.records[..], [Record::Seal { .. }]) {
                continue;
            }
            if last.is_some_and(|last| segment.at.since(last) > RIGHT + DRIFT) {
                words.push(format!(
                    "segment {number} of {log} was written over an hour after those before it"
                ));
            }
            last = last.max(Some(segment.at));
        }
    }
    words
}

/// Nobody damages anything here.
fn found_damaged(case: &Case) -> Vec<String> {
    let damaged = case.history.events().filter_map(|(at, node, event)| match event {
        Event::ObjectDamaged { key, reason } => {
            Some(format!("{node} says at {at:?} that {key} is damaged: {reason}"))
        }
        _ => None,
    });
    damaged.collect()
}
