//! Invariant 5: mailboxes only go forward, and whoever reads one sees it as it was at some time.

use std::collections::{BTreeMap, BTreeSet};

use fulmar_core::model::{Address, Event, Outcome, QueueId};
use fulmar_core::state::account::{Account, INBOX};
use fulmar_core::state::layout;

use super::Violation;
use crate::world::case::Case;
use crate::world::history::Fact;

/// INBOX of one account, after each commit.
#[derive(Debug, Default)]
struct Course {
    states: Vec<State>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    commit: u64,
    uid_validity: u64,
    uid_next: u32,
    modseq: u64,
    messages: BTreeMap<u32, Option<QueueId>>,
}

impl Course {
    fn of(case: &Case, account: &Address) -> Self {
        let mut states = Vec::new();
        case.archive.replay(account, |commit, account| states.extend(State::of(commit, account)));
        Self { states }
    }
}

impl State {
    fn of(commit: u64, account: &Account) -> Option<Self> {
        let inbox = account.mailboxes.get(INBOX)?;
        let messages = inbox.messages.iter().map(|(uid, message)| (*uid, message.queue_id)).collect();
        let (uid_validity, uid_next, modseq) = (inbox.uid_validity, inbox.uid_next, inbox.modseq);
        Some(Self { commit, uid_validity, uid_next, modseq, messages })
    }

    fn uids(&self) -> Vec<u32> {
        self.messages.keys().copied().collect()
    }
}

/// Invariant 5.
pub(super) fn mailboxes_go_forward(case: &Case) -> Vec<Violation> {
    let mut violations = Vec::new();
    for account in &case.plan.accounts {
        let course = Course::of(case, account);
        let mut words = forward(&course);
        words.extend(numbered_without_gaps(case, account));
        words.extend(shown(case, account, &course));
        words.extend(changes_kept(case, account, &course));
        words.extend(as_at_the_end(case, account, &course));
        violations.extend(
            words.into_iter().map(|words| Violation { invariant: 5, words: format!("{account}: {words}") }),
        );
    }
    violations
}

/// UIDs rise and are not given twice, UIDVALIDITY stays, MODSEQ rises.
fn forward(course: &Course) -> Vec<String> {
    let mut words = Vec::new();
    for pair in course.states.windows(2) {
        let [before, after] = pair else { continue };
        let commit = after.commit;
        if before.uid_validity != after.uid_validity {
            words.push(format!("commit {commit} changes UIDVALIDITY"));
        }
        if after.modseq < before.modseq || after.uid_next < before.uid_next {
            words.push(format!("commit {commit} goes back: {before:?} to {after:?}"));
        }
        let is_new = |uid: &u32| !before.messages.contains_key(uid);
        if let Some(uid) = after.messages.keys().find(|uid| is_new(uid) && **uid < before.uid_next) {
            words.push(format!("commit {commit} gives UID {uid} a second time"));
        }
        let changed =
            after.messages.iter().find(|(uid, id)| before.messages.get(uid).is_some_and(|was| was != *id));
        if let Some((uid, _)) = changed {
            words.push(format!("commit {commit} puts another message under UID {uid}"));
        }
    }
    words
}

/// Every commit that was ever seen has its predecessor.
fn numbered_without_gaps(case: &Case, account: &Address) -> Option<String> {
    let commits = case.archive.accounts.get(&layout::account(account))?;
    let missing = commits.keys().zip(1_u64..).find(|(number, expected)| **number != *expected);
    missing.map(|(_, expected)| format!("commit {expected} is missing below others"))
}

/// Readers see a prefix, and whoever reads later sees no less of it than what had been acknowledged before the reading.
fn shown(case: &Case, account: &Address, course: &Course) -> Vec<String> {
    let mut words = Vec::new();
    for (at, fact) in &case.history.facts {
        let Fact::Read { account: of, shown: (validity, uids), .. } = fact else { continue };
        if of != account {
            continue;
        }
        let is_it = |state: &State| state.uids() == *uids && [0, state.uid_validity].contains(validity);
        if !course.states.iter().any(is_it) {
            words.push(format!("a reader at {at:?} was shown {uids:?}, which the mailbox never was"));
        }
    }
    words
}

/// What was acknowledged is so ever after: deletions, and deliveries.
fn changes_kept(case: &Case, account: &Address, course: &Course) -> Vec<String> {
    let mut words = Vec::new();
    let Some(last) = course.states.last() else { return words };
    let ever: BTreeSet<QueueId> =
        course.states.iter().flat_map(|state| state.messages.values().flatten().copied()).collect();
    for (at, fact) in &case.history.facts {
        match fact {
            Fact::Deleted { account: of, uids, is_acknowledged: true } if of == account => {
                if let Some(uid) = uids.iter().find(|uid| last.messages.contains_key(uid)) {
                    words.push(format!("UID {uid} is there, though its deletion was acknowledged at {at:?}"));
                }
            }
            Fact::Event {
                event: Event::Attempted { queue_id, recipient, outcome: Outcome::Delivered(_), .. },
                ..
            } if recipient == account && !ever.contains(queue_id) => {
                words.push(format!("{queue_id} was delivered at {at:?}, and no commit says so"));
            }
            _ => {}
        }
    }
    let deleted: BTreeSet<u32> = case
        .history
        .facts
        .iter()
        .filter_map(|(_, fact)| match fact {
            Fact::Deleted { account: of, uids, .. } if of == account => Some(uids),
            _ => None,
        })
        .flatten()
        .copied()
        .collect();
    let vanished = (1..last.uid_next).find(|uid| !last.messages.contains_key(uid) && !deleted.contains(uid));
    words.extend(vanished.map(|uid| format!("UID {uid} is gone, and nobody deleted it")));
    words
}

/// What a node makes of snapshots and of the commits that are left is what all commits make, but for those that came while it was read.
fn as_at_the_end(case: &Case, account: &Address, course: &Course) -> Option<String> {
    let held: BTreeMap<_, _> =
        case.mailboxes.get(account)?.iter().map(|held| (held.uid, held.queue_id)).collect();
    let came_later = |state: &State| {
        let key = layout::numbered(&layout::commits(&layout::account(account)), state.commit);
        case.archive.present.get(&key).is_some_and(|(_, modified)| *modified >= case.read_at)
    };
    let (early, late): (Vec<&State>, Vec<&State>) =
        course.states.iter().partition(|state| !came_later(state));
    let mut possible = early.last().into_iter().chain(&late);
    let last = course.states.last()?;
    (!possible.any(|state| state.messages == held))
        .then(|| format!("reads as {held:?}, though its commits make {:?}", last.messages))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(commit: u64, uid_next: u32, uids: &[u32]) -> State {
        let messages = uids.iter().map(|uid| (*uid, None)).collect();
        State { commit, uid_validity: 1, uid_next, modseq: commit, messages }
    }

    #[test]
    fn a_mailbox_that_goes_back_is_found() {
        let good = || vec![state(1, 1, &[]), state(2, 2, &[1]), state(3, 3, &[1, 2]), state(4, 3, &[2])];
        let check = |states| forward(&Course { states }).join("; ");
        assert_eq!(check(good()), "");
        let mut renamed = good();
        renamed[2].uid_validity = 3;
        assert!(check(renamed).contains("changes UIDVALIDITY"));
        let mut reused = good();
        reused.push(state(5, 3, &[1, 2]));
        assert_eq!(check(reused), "commit 5 gives UID 1 a second time");
        let mut back = good();
        back.push(State { modseq: 2, ..state(5, 3, &[2]) });
        assert!(check(back).contains("goes back"));
        let mut other = good();
        let id = QueueId::draw(fulmar_core::model::UtcTime(1), [1; 10]);
        other.push(State { messages: BTreeMap::from([(2, Some(id))]), ..state(5, 3, &[]) });
        assert!(check(other).contains("another message under UID 2"));
    }
}
