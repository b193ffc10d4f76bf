//! When a drain ends, and what it says of what it could not do.

use std::time::Duration;

use fulmar_core::engine::DrainSettings;
use fulmar_core::model::Event;
use fulmar_core::state::layout;
use fulmar_tests::faults::{Failure, Faulty, Verb, Which};

use super::world::{FIRST_PAUSE, in_world};

const AT_ONCE: DrainSettings = DrainSettings { deadline: None, until_empty: false };

fn within(deadline: u64) -> DrainSettings {
    DrainSettings { deadline: Some(Duration::from_secs(deadline)), until_empty: false }
}

#[test]
fn a_store_that_is_away_makes_it_end_within_its_deadline_without_having_done_what_is_due() {
    for (what, which) in [
        ("from the beginning", Which::any("")),
        ("once it has begun", Which::any(layout::LIVE)),
        ("when it delivers", Which::any("/log/")),
        ("for writes", Which::new(Verb::Put, "")),
    ] {
        for failure in [Failure::Unavailable, Failure::LostRequest] {
            in_world(async |world| {
                world.released(1).await;
                world.pass(FIRST_PAUSE).await;
                let fail = |faults: &Faulty| faults.fail(which.clone(), failure, usize::MAX);
                let drained = world.drain_by(within(30), fail).await;
                assert!(drained.took <= Duration::from_secs(30), "{what}, {failure:?}: {:?}", drained.took);
                assert!(
                    drained.report.as_ref().is_ok_and(|said| !said.is_done) || is_away(&drained.report),
                    "{what}"
                );
                // Whoever comes next finds everything.
                drained.way.life.end();
                world.pass(Duration::from_mins(10)).await;
                world.drain(DrainSettings::default()).await;
                world.pass(FIRST_PAUSE * 8).await;
                world.drain(DrainSettings::default()).await;
                assert_eq!(world.delivered().await, 1, "{what}, {failure:?}");
            });
        }
    }
}

fn is_away(report: &Result<fulmar_core::engine::DrainReport, fulmar_core::engine::StartError>) -> bool {
    report.as_ref().is_err_and(|error| {
        error.to_string().contains("store unavailable") || error.to_string().contains("no answer")
    })
}

#[test]
fn without_a_deadline_a_store_that_is_away_is_not_waited_for_for_ever() {
    in_world(async |world| {
        let fail = |faults: &Faulty| faults.fail(Which::any(layout::LIVE), Failure::Unavailable, usize::MAX);
        let drained = world.drain_by(DrainSettings::default(), fail).await;
        assert!(drained.took < Duration::from_mins(3), "{:?}", drained.took);
        let said = drained.said();
        assert_eq!((said.is_done, said.remaining), (false, None));
    });
}

#[test]
fn a_deadline_that_comes_before_a_log_can_be_told_dead_leaves_something_undone() {
    in_world(async |world| {
        let node = world.holding(1).await;
        // Until a heartbeat has told what is queued.
        world.pass(Duration::from_secs(11)).await;
        node.way.life.end();
        let drained = world.drain(within(20)).await;
        assert!(drained.took <= Duration::from_secs(20), "{:?}", drained.took);
        let said = drained.said();
        assert_eq!((said.is_done, said.remaining), (false, Some(1)));
        assert!(said.next_due.is_some());
    });
}

#[test]
fn until_empty_goes_on_until_nothing_is_queued_anywhere() {
    in_world(async |world| {
        world.released(2).await;
        let settings = DrainSettings { until_empty: true, deadline: None };
        let twice = |faults: &Faulty| faults.fail(Which::new(Verb::Put, "account/"), Failure::Refused, 2);
        let drained = world.drain_by(settings, twice).await;
        let said = drained.said();
        assert_eq!((said.delivered, said.remaining, said.next_due, said.is_done), (2, Some(0), None, true));
        assert!(said.deferred > 0);
        assert!(drained.took > FIRST_PAUSE && drained.took < Duration::from_mins(10), "{:?}", drained.took);
        assert_eq!((world.delivered().await, world.keys(layout::LIVE).await.len()), (2, 0));
    });
}

#[test]
fn until_empty_waits_for_other_nodes_as_well_and_takes_nothing_from_them() {
    in_world(async |world| {
        let node = world.holding(1).await;
        let settings = DrainSettings { until_empty: true, deadline: None };
        let healing = async {
            world.pass(Duration::from_mins(3)).await;
            node.way.faults.heal();
        };
        let (drained, ()) = futures::join!(world.drain(settings), healing);
        let said = drained.said();
        assert_eq!((said.delivered, said.remaining, said.is_done), (0, Some(0), true));
        assert!(drained.took > Duration::from_mins(3), "{:?}", drained.took);
        assert_eq!(world.delivered().await, 1);
    });
}

#[test]
fn until_empty_ends_at_its_deadline_and_is_done_where_nothing_is_due_by_then() {
    in_world(async |world| {
        world.released(1).await;
        let settings = DrainSettings { until_empty: true, deadline: Some(Duration::from_secs(20)) };
        let drained = world.drain(settings).await;
        let said = drained.said();
        assert!(drained.took <= Duration::from_secs(20), "{:?}", drained.took);
        assert_eq!((said.delivered, said.remaining, said.is_done), (0, Some(1), true));
    });
}

#[test]
fn drains_alone_sweep_the_store_once_a_day_where_they_have_the_time() {
    in_world(async |world| {
        world.released(2).await;
        world.pass(FIRST_PAUSE).await;
        assert_eq!(world.drain(within(60)).await.said().delivered, 2);
        assert_eq!(world.keys(layout::SWEEPS).await.len(), 0, "it had no time for a sweep");
        assert_ne!(world.keys(layout::SPOOL).await.len(), 0);
        for day in 1..=3 {
            world.pass(Duration::from_hours(25)).await;
            for swept in [1, 0] {
                let drained = world.drain(AT_ONCE).await;
                assert!(drained.said().is_done);
                let is_sweep = |event: &Event| matches!(event, Event::Swept { complete: true, .. });
                assert_eq!(drained.way.events(is_sweep), swept, "day {day}");
            }
        }
        assert_eq!(world.keys(layout::SPOOL).await, Vec::<String>::new());
        assert_eq!(world.keys(layout::CHECKS).await, Vec::<String>::new());
    });
}
