//! Invariant 6: who owns a log, and where its entries live.

use std::collections::BTreeMap;

use fulmar_core::model::{Address, Incarnation, QueueId};
use fulmar_core::state::owner::Claim;

use super::Violation;
use crate::world::archive::Archive;

/// Invariant 6.
pub(super) fn logs_have_one_owner(archive: &Archive) -> Vec<Violation> {
    let mut words = rewritten(archive);
    words.extend(archive.unreadable.iter().map(|(key, reason)| format!("{key} cannot be read: {reason}")));
    words.extend(adopted_once(archive));
    words.extend(chains(archive));
    words.extend(live_once(archive));
    words.into_iter().map(|words| Violation { invariant: 6, words }).collect()
}

/// What is written once says the same for ever.
fn rewritten(archive: &Archive) -> Vec<String> {
    let words = |(at, key): &(std::time::Duration, String)| {
        format!("{key}, which is written once, was found at {at:?} to say something else")
    };
    archive.rewritten.iter().map(words).collect()
}

/// A log's entries pass into one other log, under the claim of that log's writer.
fn adopted_once(archive: &Archive) -> Vec<String> {
    let mut words = Vec::new();
    for (of, adoptions) in archive.adoptions() {
        if adoptions.len() > 1 {
            words.push(format!("the entries of {of} were adopted more than once: {adoptions:?}"));
        }
        for (into, number, epoch) in adoptions {
            let claim = archive.logs.get(&of).and_then(|log| log.owners.get(&epoch)).map(|owner| owner.claim);
            if claim != Some(Claim::By(into)) {
                words.push(format!(
                    "segment {number} of {into} adopts {of} under epoch {epoch}, where there is {claim:?}"
                ));
            }
        }
    }
    words
}

/// Links are numbered from 1 on, and nothing but an end follows a closing one. What is closed without having been adopted holds nothing.
fn chains(archive: &Archive) -> Vec<String> {
    let mut words = Vec::new();
    let adoptions = archive.adoptions();
    for (log, found) in &archive.logs {
        let claims: Vec<Claim> = found.owners.values().map(|owner| owner.claim).collect();
        if found.owners.keys().zip(1_u64..).any(|(epoch, expected)| *epoch != expected) {
            words.push(format!(
                "the owners of {log} have gaps: {:?}",
                found.owners.keys().collect::<Vec<_>>()
            ));
        }
        let closing = claims.iter().position(|claim| claim.is_closing());
        if let Some(closing) = closing
            && claims[closing + 1..].iter().any(|claim| *claim != Claim::Ended)
        {
            words.push(format!("somebody claimed {log} after it was closed: {claims:?}"));
        }
        if closing.is_some() && !adoptions.contains_key(log) {
            let live = found.live();
            if !live.is_empty() {
                words.push(format!("{log} was closed with {:?} in it, which nobody adopted", live.keys()));
            }
        }
    }
    words
}

/// No recipient is left to do in two logs that nobody has adopted.
fn live_once(archive: &Archive) -> Vec<String> {
    let mut words = Vec::new();
    let mut places = BTreeMap::<(QueueId, Address), Incarnation>::new();
    for (log, entries) in archive.live() {
        for (queue_id, entry) in entries {
            for recipient in entry.recipients {
                if let Some(other) = places.insert((queue_id, recipient.address.clone()), log) {
                    words.push(format!("{queue_id} for {} lives in {other} and in {log}", recipient.address));
                }
            }
        }
    }
    words
}
