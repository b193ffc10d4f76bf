//! How long mail waits when the node that holds it dies, by the nodes' own logs.

use std::collections::BTreeSet;
use std::time::Duration;

use super::cluster::{Fault, Kind, NODES};
use super::logs::Fact;

/// From a kill until another node owns what the dead one held, where some node lives undisturbed through it all.
const LIMIT: Duration = Duration::from_secs(50);
/// One in so many kills at least must have hit a node that held something, or the run has shown little.
const LEAST_SHARE: usize = 3;

/// What followed from one fault.
struct Takeover {
    after: Duration,
    /// Whether some node was left alone all the while.
    is_watched: bool,
    /// How long it may have taken.
    allowed: Duration,
}

/// The figures in words, and whether all is as it should be.
pub(super) fn judge(faults: &[Fault], logs: &[Fact], ended: Duration) -> (String, bool) {
    let of_kind = |kind: Kind| -> Vec<Takeover> {
        let hit = faults.iter().filter(|fault| fault.kind == kind);
        hit.filter_map(|fault| takeover(fault, faults, logs, ended)).collect()
    };
    let (killed, stopped, released) = (of_kind(Kind::Kill), of_kind(Kind::Stop), of_kind(Kind::Term));
    let (watched, unwatched): (Vec<&Takeover>, Vec<&Takeover>) =
        killed.iter().partition(|takeover| takeover.is_watched);
    let kills = faults.iter().filter(|fault| fault.kind == Kind::Kill).count();
    let late = killed.iter().filter(|takeover| takeover.after > takeover.allowed).count();
    let text = format!(
        "from a kill until a survivor owns the entries: {}; where all survivors were disturbed too: {}; later than the \
         {LIMIT:?} in which some node was left alone: {late}\n\
         from a stop: {}; from a polite end: {}",
        spread(watched.into_iter()),
        spread(unwatched.into_iter()),
        spread(stopped.iter()),
        spread(released.iter())
    );
    (text, late == 0 && killed.len() * LEAST_SHARE >= kills)
}

fn spread<'a>(takeovers: impl Iterator<Item = &'a Takeover>) -> String {
    let mut times: Vec<Duration> = takeovers.map(|takeover| takeover.after).collect();
    times.sort();
    match times.as_slice() {
        [] => "none".to_owned(),
        [.., last] => {
            format!("median {:.1?}, worst {last:.1?} of {}", times[times.len() / 2], times.len())
        }
    }
}

/// When entries of the process's logs were first adopted after the fault; nothing where it held none.
fn takeover(fault: &Fault, faults: &[Fault], logs: &[Fact], ended: Duration) -> Option<Takeover> {
    let ends_process = |earlier: &&Fault| {
        let is_end = matches!(earlier.kind, Kind::Kill | Kind::Term);
        is_end && earlier.node == fault.node && earlier.at < fault.at
    };
    let started = faults.iter().rev().find(ends_process).and_then(|earlier| earlier.until);
    // A process that is told to end may still begin a log for what it was being sent.
    let life = started.unwrap_or_default()..=fault.until.unwrap_or(ended);
    let begun: BTreeSet<&str> = logs
        .iter()
        .filter(|fact| Some(fact.node) == fault.node && life.contains(&fact.at))
        .filter(|fact| fact.event() == "incarnation_begun")
        .map(|fact| fact.text("incarnation"))
        .collect();
    let is_first = |fact: &&Fact| {
        fact.event() == "adopted"
            && fact.at > fault.at
            && begun.contains(fact.text("from"))
            && fact.fields["entries"].as_u64().is_some_and(|entries| entries > 0)
    };
    let adopted = logs.iter().find(is_first)?;
    let after = adopted.at - fault.at;
    let is_watched = (0..NODES).any(|node| left_alone(node, fault.at, after, faults) == Some(fault.at));
    let left_alone = (0..NODES).filter_map(|node| left_alone(node, fault.at, LIMIT, faults)).min();
    // Whoever has not been left alone for long enough by the end may still be counting.
    let from = left_alone.filter(|from| *from + LIMIT <= ended);
    let allowed = from.map_or(Duration::MAX, |from| from + LIMIT - fault.at);
    Some(Takeover { after, is_watched, allowed })
}

/// From when on, not before `since`, a node was left alone for so long, and the store too; nothing where it never came back.
fn left_alone(node: usize, since: Duration, length: Duration, faults: &[Fault]) -> Option<Duration> {
    let mut from = since;
    for fault in faults.iter().filter(|fault| fault.node.is_none_or(|hit| hit == node)) {
        match fault.until {
            Some(until) if until < from => {}
            _ if fault.at >= from + length => break,
            Some(until) => from = until,
            None => return None,
        }
    }
    Some(from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn fault(node: Option<usize>, kind: Kind, at: u64, until: u64) -> Fault {
        Fault { node, kind, at: seconds(at), until: Some(seconds(until)) }
    }

    /// Node 0 begins log `A` and is killed at 100; node 1 adopts it later.
    fn judged(adopted_at: u64, others: &[Fault]) -> (String, bool) {
        let mut faults = vec![fault(Some(0), Kind::Kill, 100, 101)];
        faults.extend(others);
        let fact = |node, at, fields| Fact { node, at: seconds(at), fields };
        let logs = [
            fact(0, 1, json!({"event": "incarnation_begun", "incarnation": "A"})),
            fact(1, 110, json!({"event": "adopted", "from": "B", "entries": 9})),
            fact(2, 120, json!({"event": "adopted", "from": "A", "entries": 0})),
            fact(1, adopted_at, json!({"event": "adopted", "from": "A", "entries": 1})),
        ];
        judge(&faults, &logs, seconds(1_000))
    }

    #[test]
    fn a_takeover_is_late_by_the_node_that_was_left_alone_first() {
        let hit = |node, at, until| fault(Some(node), Kind::Stop, at, until);
        for (others, adopted_at, is_in_time) in [
            (vec![], 150, true),
            (vec![], 151, false),
            (vec![hit(1, 90, 150), hit(2, 149, 151)], 151, true),
            (vec![hit(1, 90, 150), hit(2, 149, 151)], 152, false),
            (vec![hit(1, 110, 120), hit(2, 150, 151)], 151, false),
            (vec![fault(Some(0), Kind::Term, 110, 111)], 151, false),
            (vec![fault(None, Kind::StoreKill, 120, 130)], 180, true),
            (vec![fault(None, Kind::StoreKill, 120, 130)], 181, false),
        ] {
            assert_eq!(judged(adopted_at, &others).1, is_in_time, "{adopted_at}, {others:?}");
        }
    }

    #[test]
    fn what_an_earlier_process_of_the_node_left_is_laid_to_the_end_of_that_one_alone() {
        let again = [fault(Some(0), Kind::Term, 120, 121), fault(Some(0), Kind::Kill, 130, 131)];
        let (text, is_in_time) = judged(140, &again);
        assert!(
            is_in_time && text.contains("worst 40.0s of 1;") && text.ends_with("polite end: none"),
            "{text}"
        );
    }

    #[test]
    fn a_run_in_which_nothing_was_taken_over_shows_nothing() {
        let killed = [fault(Some(0), Kind::Kill, 100, 101)];
        assert!(!judge(&killed, &[], seconds(1_000)).1);
    }
}
