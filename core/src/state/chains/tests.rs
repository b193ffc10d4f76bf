use serde::{Deserialize, Serialize};

use super::*;
use crate::state::chain::Position;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Nothing;

impl State for Nothing {
    type Op = ();
    fn apply(&mut self, (): &(), _: &Position) {}
    fn summary(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
    fn octets(&self) -> usize {
        0
    }
}

/// Chains of these weights, the first unused for longest.
fn kept(octets: &[(&str, usize)]) -> Kept<Nothing> {
    let slot = |(last_use, (folder, octets)): (usize, &(&str, usize))| {
        let chain = Arc::new(Turns::new(Chain::new((*folder).to_owned())));
        ((*folder).to_owned(), Slot { chain, last_use: last_use as u64, octets: *octets })
    };
    let slots: BTreeMap<_, _> = octets.iter().enumerate().map(slot).collect();
    let weights = || octets.iter().map(|(_, octets)| *octets);
    Kept { slots, uses: octets.len() as u64, octets: weights().sum(), heaviest: weights().max().unwrap_or(0) }
}

#[track_caller]
fn check(kept: &Kept<Nothing>, expected: &[&str]) {
    assert_eq!(kept.slots.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    assert_eq!(kept.octets, kept.slots.values().map(|slot| slot.octets).sum::<usize>());
}

#[test]
fn chains_that_together_weigh_too_much_go_the_longest_unused_first() {
    const QUARTER: usize = KEPT_OCTETS / 4;
    let mut kept =
        kept(&[("a", QUARTER), ("b", QUARTER), ("c", QUARTER), ("d", QUARTER), ("e", 0), ("f", 0)]);
    kept.weigh("e", QUARTER);
    check(&kept, &["a", "b", "c", "d", "e", "f"]);
    kept.weigh("f", 1);
    check(&kept, &["d", "e", "f"]);
    for folder in ["d", "e", "f"] {
        kept.weigh(folder, 0);
    }
    assert_eq!(kept.octets, 0);
}

#[test]
fn one_heavy_chain_leaves_the_others_where_they_are() {
    let mut kept = kept(&[("a", 1), ("b", KEPT_OCTETS - 1), ("heavy", 0)]);
    kept.weigh("heavy", 3 * KEPT_OCTETS);
    kept.weigh("a", 1);
    check(&kept, &["a", "b", "heavy"]);
    kept.weigh("a", 2);
    check(&kept, &["heavy"]);
}

#[test]
fn what_was_the_heaviest_spares_nothing_once_it_is_gone() {
    let mut kept = kept(&[("heavy", 3 * KEPT_OCTETS), ("a", KEPT_OCTETS), ("b", 0)]);
    kept.weigh("b", KEPT_OCTETS);
    check(&kept, &["a", "b"]);
    assert_eq!(kept.heaviest, KEPT_OCTETS);
}

#[test]
fn a_chain_that_somebody_has_or_waits_for_stays_however_heavy() {
    let mut kept = kept(&[("used", KEPT_OCTETS), ("too", KEPT_OCTETS), ("idle", 0)]);
    let in_use = [kept.slots["used"].chain.clone(), kept.slots["too"].chain.clone()];
    kept.weigh("idle", 1);
    check(&kept, &["too", "used"]);
    drop(in_use);
    kept.weigh("too", KEPT_OCTETS + 1);
    check(&kept, &["too", "used"]);
    kept.weigh("used", KEPT_OCTETS + 1);
    check(&kept, &["too"]);
}

#[test]
fn too_many_chains_are_halved() {
    let names: Vec<String> = (0..KEPT).map(|number| format!("{number:05}")).collect();
    let all: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let mut kept = kept(&all);
    kept.make_room();
    check(&kept, &all[KEPT / 2..].iter().map(|(name, _)| *name).collect::<Vec<_>>());
}
