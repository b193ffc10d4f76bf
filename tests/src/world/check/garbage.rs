//! Invariant 7: what was deleted was not needed, and what is not needed does not pile up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fulmar_core::model::{Address, Incarnation, UtcTime};
use fulmar_core::state::account::Account;
use fulmar_core::state::layout;

use super::Violation;
use crate::world::archive::{Archive, needs};
use crate::world::case::Case;

/// Nothing of the queue's or of a mailbox's that ever counted is deleted sooner after it was written, by the bucket's clock.
const GRACE: Duration = Duration::from_hours(24);
/// What clocks that are put into whole seconds may take off.
const ROUNDING: Duration = Duration::from_secs(2);

/// By then a sweep has come by since the grace was over: there is one a day, and an hour for it to get there.
const SWEPT: Duration = Duration::from_hours(24 + 24 + 2);

/// Invariant 7.
pub(super) fn garbage_is_garbage(case: &Case) -> Vec<Violation> {
    let archive = &case.archive;
    let mut words = needed_objects_are_there(case);
    words.extend(grace_was_kept(archive, case));
    words.extend(owners_go_last(archive));
    words.extend(logs_are_covered(archive));
    words.extend(nothing_piles_up(case));
    words.into_iter().map(|words| Violation { invariant: 7, words }).collect()
}

/// Content of what lives in the queue and in mailboxes.
fn needed_objects_are_there(case: &Case) -> Vec<String> {
    let archive = &case.archive;
    let mut words = Vec::new();
    for (log, entries) in archive.live() {
        if archive.logs.get(&log).is_some_and(|log| log.is_closed()) {
            continue;
        }
        for (queue_id, entry) in entries {
            let missing = needs(&entry).into_iter().find(|key| !archive.present.contains_key(key));
            words.extend(missing.map(|key| format!("{queue_id} waits in {log}, and its {key} is gone")));
        }
    }
    for account in &case.plan.accounts {
        let state = archive.replay(account, |_, _| ());
        let missing =
            mailbox_needs(account, &state).into_iter().find(|key| !archive.present.contains_key(key));
        words.extend(missing.map(|key| format!("{account} has a message whose {key} is gone")));
    }
    words
}

fn mailbox_needs(account: &Address, state: &Account) -> BTreeSet<String> {
    let folder = layout::account(account);
    let mut keys = BTreeSet::new();
    for message in state.mailboxes.values().flat_map(|mailbox| mailbox.messages.values()) {
        keys.insert(layout::numbered(&format!("{folder}c/"), message.commit));
        if let Some(body) = &message.content.body {
            keys.extend((0..body.pieces.len()).map(|piece| layout::account_piece(account, body.id, piece)));
        }
    }
    keys
}

fn grace_was_kept(archive: &Archive, case: &Case) -> Vec<String> {
    let early = archive.removed.iter().filter(|(at, key, modified)| {
        let now = case.began.after(*at);
        counted(archive, key) && UtcTime(modified.0).after(GRACE - ROUNDING) > now
    });
    let words = |(at, key, modified): &(Duration, String, UtcTime)| {
        format!("{key}, written at {modified}, was found to be deleted at {at:?}, within the grace of a day")
    };
    early.map(words).collect()
}

/// Segments, checkpoints, owners, commits and snapshots count from the beginning; pieces of bodies do so only once something names them.
fn counted(archive: &Archive, key: &str) -> bool {
    let is_ours = [layout::SPOOL, layout::ACCOUNTS, layout::DOMAINS].iter().any(|root| key.starts_with(root));
    if !is_ours {
        return false;
    }
    if !key.contains("/body/") {
        return true;
    }
    archive.accepted().values().any(|entry| needs(entry).iter().any(|needed| needed == key))
}

/// A folder's chain of owners stays until all else in it is gone.
fn owners_go_last(archive: &Archive) -> Vec<String> {
    let mut removed = BTreeSet::<Incarnation>::new();
    for (_, key, _) in &archive.removed {
        if key.contains("/own/") {
            removed.extend(layout::parse_spool(key));
        }
    }
    let left = archive.present.keys().filter(|key| !key.contains("/own/"));
    let mut left_in = BTreeMap::<Incarnation, &str>::new();
    for key in left {
        if let Some(log) = layout::parse_spool(key) {
            left_in.entry(log).or_insert(key);
        }
    }
    let both = removed.into_iter().filter_map(|log| Some((log, left_in.get(&log)?)));
    both.map(|(log, key)| format!("owners of {log} are deleted, and {key} is still there")).collect()
}

/// Segments that are gone from an open log are covered by a checkpoint that is there.
fn logs_are_covered(archive: &Archive) -> Vec<String> {
    let mut words = Vec::new();
    for (log, found) in archive.logs.iter().filter(|(_, found)| !found.is_closed()) {
        let is_there = |key: &String| archive.present.contains_key(key);
        let covered = found.checkpoints.iter().filter(|number| is_there(&layout::checkpoint(*log, **number)));
        let covered = covered.max().copied().unwrap_or(0);
        let gone = found.segments.keys().find(|number| !is_there(&layout::segment(*log, **number)));
        if let Some(number) = gone.filter(|number| **number >= covered) {
            words.push(format!("segment {number} of {log} is gone, which no checkpoint covers"));
        }
    }
    words
}

/// What had not been needed for long enough when the nodes were left alone has gone.
fn nothing_piles_up(case: &Case) -> Vec<String> {
    if case.idle.0 < SWEPT {
        return Vec::new();
    }
    let archive = &case.archive;
    let end = case.began.after(case.ended);
    let is_old =
        |key: &str| archive.present.get(key).is_some_and(|(_, modified)| modified.after(SWEPT) < end);
    let live = archive.live();
    let open = live.iter().filter(|(log, _)| archive.logs.get(log).is_some_and(|log| !log.is_closed()));
    let needed: BTreeSet<String> = open.flat_map(|(_, entries)| entries.values().flat_map(needs)).collect();
    let needed_folders: BTreeSet<Incarnation> =
        needed.iter().filter_map(|key| layout::parse_spool(key)).collect();
    let mut left = Vec::new();
    for (log, found) in &archive.logs {
        let folder = layout::spool(*log);
        let closing = found.owners.iter().find(|(_, owner)| owner.claim.is_closing());
        let (is_over, covered) = match closing {
            Some((epoch, _)) => (is_old(&layout::owner(*log, *epoch)) && !needed_folders.contains(log), 0),
            None => {
                let old =
                    found.checkpoints.iter().filter(|number| is_old(&layout::checkpoint(*log, **number)));
                (false, old.max().copied().unwrap_or(0))
            }
        };
        let objects = archive.present.range(folder.clone()..).take_while(|(key, _)| key.starts_with(&folder));
        let garbage = objects.map(|(key, _)| key).filter(|key| {
            let number = layout::number(key).filter(|_| key.contains("/log/"));
            let is_covered = number.is_some_and(|number| number < covered) && !needed.contains(*key);
            !key.contains("/own/") && is_old(key) && (is_over || is_covered)
        });
        left.extend(garbage.cloned());
    }
    left.extend(case.plan.accounts.iter().flat_map(|account| superseded(case, account, &is_old)));
    if left.is_empty() {
        return left;
    }
    let first: Vec<_> = left.iter().take(3).collect();
    vec![format!("{} objects that nothing needs are left {SWEPT:?} later, such as {first:?}", left.len())]
}

/// Commits of an account that a snapshot has covered for long, and in which no message lies.
fn superseded(case: &Case, account: &Address, is_old: &dyn Fn(&str) -> bool) -> Vec<String> {
    let folder = layout::account(account);
    let keys = |kind: &str| {
        let prefix = format!("{folder}{kind}/");
        let found =
            case.archive.present.range(prefix.clone()..).take_while(move |(key, _)| key.starts_with(&prefix));
        found.map(|(key, _)| key.clone()).collect::<Vec<_>>()
    };
    let covered =
        keys("snap").into_iter().filter(|key| is_old(key)).filter_map(|key| layout::number(&key)).max();
    let state = case.archive.replay(account, |_, _| ());
    let needed = mailbox_needs(account, &state);
    let is_covered = |key: &String| layout::number(key).is_some_and(|number| Some(number) <= covered);
    keys("c").into_iter().filter(|key| is_covered(key) && is_old(key) && !needed.contains(key)).collect()
}
