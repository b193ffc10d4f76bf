//! How requests to the simulated store go wrong.

use std::time::Duration;

use bytes::Bytes;
use fulmar_core::config::Config;
use fulmar_core::engine::{Engine, StartError};
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Domain, UtcTime};
use fulmar_core::platform::{Payload, StoreError, When};
use fulmar_tests::faults::Verb;
use fulmar_tests::listing::keys as keys_in;
use fulmar_tests::sim::{CreateIfAbsent, Faults, Machine, Simulation, Simulator, run};
use futures::FutureExt;
use futures::future::join_all;

use super::{SEEDS, SPAN_OF_LATE_EFFECTS, machine};

/// What a create is told where one thing goes wrong, whether its object is there at once, and whether it is later.
struct Case {
    faults: Faults,
    told: fn(&Result<(), StoreError>) -> bool,
    at_once: bool,
    later: bool,
}

fn check(case: &Case) {
    for seed in 0..SEEDS {
        run(seed, async |simulator| {
            let simulation = Simulation::new(simulator.clone());
            let machine = machine(&simulation, "a");
            simulation.weather().set(case.faults.clone());
            let told = create(&machine, "key").await;
            let seen = (&case.faults, &told, seed);
            assert!((case.told)(&told), "{seen:?}");
            assert_eq!(simulation.bucket().get("key").is_some(), case.at_once, "{seen:?}");
            simulator.sleep(SPAN_OF_LATE_EFFECTS).await;
            assert_eq!(simulation.bucket().get("key").is_some(), case.later, "{seen:?}");
        });
    }
}

#[test]
fn what_was_told_and_what_happened_are_two_things() {
    let is_unknown = |told: &Result<(), StoreError>| matches!(told, Err(StoreError::Unknown(_)));
    let is_unavailable = |told: &Result<(), StoreError>| matches!(told, Err(StoreError::Unavailable(_)));
    let is_refused = |told: &Result<(), StoreError>| matches!(told, Err(StoreError::Refused(_)));
    let none = Faults::default;
    let cases = [
        Case { faults: none(), told: Result::is_ok, at_once: true, later: true },
        Case {
            faults: Faults { lost_request: 1.0, ..none() },
            told: is_unknown,
            at_once: false,
            later: false,
        },
        Case { faults: Faults { lost_answer: 1.0, ..none() }, told: is_unknown, at_once: true, later: true },
        Case {
            faults: Faults { error_before: 1.0, ..none() },
            told: is_unknown,
            at_once: false,
            later: false,
        },
        Case { faults: Faults { error_after: 1.0, ..none() }, told: is_unknown, at_once: true, later: true },
        Case {
            faults: Faults { slow_down: 1.0, ..none() },
            told: is_unavailable,
            at_once: false,
            later: false,
        },
        Case {
            faults: Faults { forbidden: vec![Verb::Put], ..none() },
            told: is_refused,
            at_once: false,
            later: false,
        },
    ];
    cases.iter().for_each(check);
}

#[test]
fn a_late_effect_comes_after_its_sender_has_given_up_and_meets_what_a_second_try_has_made() {
    let mut over_20_s = 0;
    for seed in 0..10 * SEEDS {
        run(seed, async |simulator| {
            let simulation = Simulation::new(simulator.clone());
            let store = machine(&simulation, "a").platform().store;
            simulation.weather().set(Faults { late_effect: 1.0, ..Faults::default() });
            // Its sender is gone at once.
            assert!(store.put("key", payload("first"), When::Absent).now_or_never().is_none());
            assert!(store.put("other", payload("first"), When::Absent).now_or_never().is_none());
            simulation.weather().calm();
            simulator.sleep(Duration::from_secs(1)).await;
            assert_eq!(simulation.bucket().keys(""), [""; 0]);
            store.put("key", payload("second"), When::Absent).await.unwrap();
            simulator.sleep(Duration::from_secs(20)).await;
            over_20_s += u32::from(simulation.bucket().get("other").is_none());
            simulator.sleep(SPAN_OF_LATE_EFFECTS).await;
            assert_eq!(simulation.bucket().get("key"), Some(Bytes::from("second")));
            assert_eq!(simulation.bucket().get("other"), Some(Bytes::from("first")));
        });
    }
    assert!((10..90).contains(&over_20_s), "{over_20_s} of 100");
}

#[test]
fn faults_come_as_often_as_they_are_said_to() {
    run(0, async |simulator| {
        let simulation = Simulation::new(simulator);
        let machine = machine(&simulation, "a");
        simulation.weather().set(Faults { error_after: 0.3, ..Faults::default() });
        let creates = (0..1_000).map(|number| create_owned(machine.clone(), format!("key {number}")));
        let failed = join_all(creates).await.iter().filter(|told| told.is_err()).count();
        assert!((250..350).contains(&failed), "{failed}");
        assert_eq!(machine.requests().put, 1_000);
    });
}

#[test]
fn what_is_read_may_be_cut_short_and_what_is_written_is_whole() {
    run(0, async |simulator| {
        let simulation = Simulation::new(simulator);
        let store = machine(&simulation, "a").platform().store;
        simulation.weather().set(Faults { truncated: 1.0, ..Faults::default() });
        store.put("key", payload("whole"), When::Absent).await.unwrap();
        assert!(matches!(store.get("key", None).await, Err(StoreError::Unknown(_))));
        assert_eq!(simulation.bucket().get("key"), Some(Bytes::from("whole")));
    });
}

#[test]
fn a_store_that_is_away_from_one_machine_or_all_comes_back_by_itself() {
    for seed in 0..SEEDS {
        run(seed, async |simulator: Simulator| {
            let simulation = Simulation::new(simulator.clone());
            let (one, other) = (machine(&simulation, "one"), machine(&simulation, "other"));
            simulation.weather().store_away(Some("one"), Duration::from_mins(3));
            assert!(create(&one, "a").await.is_err());
            create(&other, "b").await.unwrap();
            simulation.weather().store_away(None, Duration::from_mins(5));
            assert!(create(&other, "c").await.is_err());
            simulator.sleep(Duration::from_mins(5)).await;
            create(&one, "d").await.unwrap();
            assert_eq!(simulation.bucket().keys(""), ["b", "d"]);
        });
    }
}

#[test]
fn slow_down_comes_in_bursts_and_machines_may_have_faults_of_their_own() {
    run(0, async |simulator| {
        let simulation = Simulation::new(simulator.clone());
        let (one, other) = (machine(&simulation, "one"), machine(&simulation, "other"));
        simulation.weather().set_for("one", Faults { error_before: 1.0, ..Faults::default() });
        assert!(matches!(create(&one, "a").await, Err(StoreError::Unknown(_))));
        create(&other, "a").await.unwrap();
        simulation.weather().slow_down(Duration::from_mins(1));
        let told = join_all((0..100).map(|number| create_owned(other.clone(), format!("{number}")))).await;
        let turned_away = told.iter().filter(|told| matches!(told, Err(StoreError::Unavailable(_)))).count();
        assert!(turned_away > 80, "{turned_away}");
        simulation.weather().calm();
        create(&one, "b").await.unwrap();
        create(&other, "c").await.unwrap();
    });
}

#[test]
fn a_store_that_does_not_keep_create_if_absent_is_refused_where_it_must_prove_itself() {
    for (create, is_refused) in
        [(CreateIfAbsent::Kept, false), (CreateIfAbsent::Raced, true), (CreateIfAbsent::Ignored, true)]
    {
        for seed in 0..SEEDS {
            run(seed, async |simulator| {
                let simulation = Simulation::new(simulator);
                let machine = machine(&simulation, "a");
                simulation.weather().change_store(|store| store.create = create);
                let mut config = Config::new(Domain::parse("mx.test").unwrap());
                config.store.endpoint = Some("http://store.test".to_owned());
                let (platform, host) = (machine.platform(), machine.host());
                let started =
                    machine.run(Engine::start(config, platform, host, Journal::silent())).await.unwrap();
                let was_refused = matches!(&started, Err(StartError::UnsafeStore { .. }));
                assert_eq!(was_refused, is_refused, "{create:?} with seed {seed}: {:?}", started.err());
            });
        }
    }
}

#[test]
fn the_clock_of_the_store_is_its_own_and_may_tell_whole_seconds_only() {
    run(0, async |simulator| {
        let simulation = Simulation::new(simulator.clone());
        let store = machine(&simulation, "a").platform().store;
        simulation.weather().change_store(|habits| {
            habits.whole_seconds = true;
            habits.clock_offset = -3_600_000;
        });
        store.put("key", payload("x"), When::Always).await.unwrap();
        let UtcTime(modified) = store.head("key").await.unwrap().modified;
        let UtcTime(now) = machine(&simulation, "b").platform().clock.utc();
        assert_eq!(modified % 1_000, 0);
        assert!((3_600_000..3_603_000).contains(&(now - modified)), "{modified} at {now}");
    });
}

#[test]
fn pages_follow_the_order_of_the_store_and_together_hold_everything_once() {
    let expected = [
        (false, ["f/a-", "f/a/b", "f/a/c", "f/a0", "f/b"]),
        // A slash before all others.
        (true, ["f/a/b", "f/a/c", "f/a-", "f/a0", "f/b"]),
    ];
    for (slash_first, keys) in expected {
        run(0, async |simulator| {
            let simulation = Simulation::new(simulator);
            let store = machine(&simulation, "a").platform().store;
            simulation.weather().change_store(|habits| {
                habits.slash_first = slash_first;
                habits.page_objects = (1, 2);
            });
            for key in ["e", "f/b", "f/a/c", "f/a0", "f/a/b", "f/a-", "g/a"] {
                simulation.bucket().put(key, "x");
            }
            assert_eq!(keys_in(&*store, "f/").await, keys);
            let page = store.list("f/", Some("f/a/b")).await.unwrap();
            assert_eq!(page.objects[0].key, "f/a/c");
        });
    }
}

#[test]
fn what_is_put_by_hand_is_there_at_once_and_what_is_removed_is_not() {
    run(0, async |simulator| {
        let simulation = Simulation::new(simulator);
        let (bucket, store) = (simulation.bucket(), machine(&simulation, "a").platform().store);
        bucket.put("pickup/one.eml", "Subject: one");
        assert_eq!(store.get("pickup/one.eml", None).await.unwrap().bytes, "Subject: one");
        assert!(bucket.remove("pickup/one.eml") && !bucket.remove("pickup/one.eml"));
        assert_eq!(store.head("pickup/one.eml").await, Err(StoreError::NotFound));
        assert!(bucket.objects().is_empty());
    });
}

async fn create(machine: &Machine, key: &str) -> Result<(), StoreError> {
    machine.platform().store.put(key, payload("x"), When::Absent).await
}

async fn create_owned(machine: Machine, key: String) -> Result<(), StoreError> {
    create(&machine, &key).await
}

fn payload(text: &'static str) -> Payload {
    Payload::from(Bytes::from(text))
}
