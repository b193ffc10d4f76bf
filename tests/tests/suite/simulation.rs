//! Scenarios of whole engines in the simulator: that they repeat, that a few of them hold, that what is planted in a door is
//! found, and that a thousand nodes may come and go. `tests/run` runs thousands of seeds besides, by `bin/sim.rs`.

use std::collections::BTreeSet;
use std::thread;

use fulmar_tests::world::{
    DOOR_MUTANTS, Fault, Mutant, Profile, Runs, Summary, plain_doors, run, thousand, timeline,
};

/// Seeds of the short kind that every `cargo test` runs.
const SEEDS: u64 = 20;
/// Each planted mistake must be found within so many.
const MUTANT_SEEDS: u64 = 2_000;

#[test]
fn the_same_seed_gives_the_same_run_with_lines_and_without() {
    for seed in 0..3 {
        let [first, second, traced] =
            [false, false, true].map(|lines| run(seed, &Profile::SHORT, None, plain_doors, lines));
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!((first.trace.hash, first.trace.steps), (traced.trace.hash, traced.trace.steps));
        assert_eq!(timeline(&first.case), timeline(&second.case), "seed {seed}");
        let other = run(seed + 1, &Profile::SHORT, None, plain_doors, false);
        assert_ne!(first.trace.hash, other.trace.hash);
    }
}

#[test]
fn no_invariant_is_broken_in_a_handful_of_short_scenarios() {
    let summary = seeds(&Profile::SHORT, SEEDS, None, plain_doors);
    assert_eq!(summary.failures, []);
    // Things did go wrong.
    for name in ["kills", "suspensions", "adoptions", "requests without an answer", "delivered"] {
        assert!(summary.tally.sum(name) > 0, "{name}: {}", summary.tally);
    }
}

#[test]
fn where_nothing_may_go_wrong_nothing_does() {
    let summary = seeds(&Profile::SHORT, 5, Some(BTreeSet::new()), plain_doors);
    assert_eq!(summary.failures, []);
    for name in ["kills", "suspensions", "requests without an answer", "repeated copies"] {
        assert_eq!(summary.tally.sum(name), 0, "{name}");
    }
}

#[test]
fn a_run_that_panics_fails_and_the_others_go_on() {
    let summary = seeds(&Profile::SHORT, 4, None, |platform, simulator| {
        assert!(simulator.now().as_secs() < 200, "nobody starts so late");
        platform
    });
    assert!(summary.failures.len() < 4, "{:?}", summary.failures);
    assert!(summary.failures.iter().all(|failure| failure.reasons[0].contains("nobody starts so late")));
}

#[test]
fn a_thousand_nodes_come_and_go_and_leave_nothing_but_the_mail() {
    let bill = thousand(1);
    println!("{bill}");
    assert_eq!((bill.accepted, bill.delivered), (950, 950));
    assert!(bill.dollars() < 0.1 && bill.busiest_minute < 5_000, "{bill}");
    for kind in ["/log/", "/own/", "/ck/", "/body/"] {
        assert_eq!(bill.objects_later.get(kind), None, "{bill}");
    }
}

#[test]
fn every_mistake_that_is_planted_in_a_door_is_found() {
    for mutant in &DOOR_MUTANTS {
        let Mutant { name, doors, profile, faults } = mutant;
        let summary = seeds(profile, MUTANT_SEEDS, Some(faults.iter().copied().collect()), *doors);
        assert!(!summary.failures.is_empty(), "{name} goes unnoticed in {MUTANT_SEEDS} seeds");
    }
}

/// Runs seeds from 0 on, up to the first that fails.
fn seeds(
    profile: &'static Profile,
    count: u64,
    faults: Option<BTreeSet<Fault>>,
    doors: fulmar_tests::world::Doors,
) -> Summary {
    let jobs = thread::available_parallelism().map_or(1, |jobs| jobs.get());
    let runs = Runs { profile, from: 0, count, faults, doors, jobs, stops_at_failure: true };
    runs.run()
}
