//! Nodes that are told to end.

use std::time::Duration;

use fulmar_core::model::Incarnation;
use fulmar_core::state::layout;
use fulmar_core::state::log::{Record, Segment};
use fulmar_tests::faults::{Failure, Verb, Which};

use super::ledger::{self, Letter, scenario, send, send_all};
use super::world::{Ground, World};

const GRACE: Duration = Duration::from_secs(5);

#[test]
fn a_node_that_ends_with_entries_left_releases_them_without_a_seal() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        let first = world.start(1).await;
        first.faults.fail(Which::new(Verb::Put, "account/"), Failure::Unavailable, usize::MAX);
        let ledger = send_all(&first, scenario()).await;
        assert_eq!(ledger::accepted(&ledger), ledger.len());
        first.engine.shutdown(GRACE).await;

        let log = first.incarnations()[0];
        let live: Vec<String> = world.objects(layout::LIVE).await.into_keys().collect();
        assert_eq!(live, [layout::free(log)]);
        let second = world.start(2).await;
        world.until_settled(&[&second]).await;
        ledger::check(&world, &ledger, "released").await;
        assert!(world.is_closed(log).await);
        assert_eq!(seals(&world, log).await, 0);
        second.kill();
    });
}

#[test]
fn a_node_that_ends_with_nothing_left_leaves_no_sign_of_life() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        let first = world.start(1).await;
        let ledger = send_all(&first, scenario()).await;
        world.until_settled(&[&first]).await;
        first.engine.shutdown(GRACE).await;
        assert!(world.live().await.is_empty());
        assert!(world.is_closed(first.incarnations()[0]).await);
        ledger::check(&world, &ledger, "closed").await;
    });
}

#[test]
fn a_node_that_ends_while_it_is_busy_loses_nothing() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        let first = world.start(1).await;
        let sessions: Vec<Vec<Letter>> = (0..10)
            .map(|session| (0..20).map(|n| Letter::small(format!("{session}-{n}"))).collect())
            .collect();
        let ending = async {
            world.until("some mail", || async { first.engine.statistics().accepted >= 40 }).await;
            first.engine.shutdown(GRACE).await;
        };
        let (ledger, ()) = futures::join!(send_all(&first, sessions), ending);
        let accepted = ledger::accepted(&ledger);
        assert!((40..200).contains(&accepted), "{accepted}");
        let second = world.start(2).await;
        world.until_settled(&[&second]).await;
        ledger::check(&world, &ledger, "busy").await;
        second.kill();
    });
}

#[test]
fn a_node_that_ends_before_it_has_closed_what_it_adopted_leaves_that_to_the_next() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        let (first, ledger) = ledger::dead_with_entries(&world, 1).await;
        let log = first.incarnations()[0];
        let closing = layout::owner(log, 2);
        let second = world
            .try_start(2, |faults| {
                faults.fail(Which::new(Verb::Put, &closing), Failure::Unavailable, usize::MAX);
            })
            .await
            .unwrap();
        world.until("the deliveries", || async { second.engine.statistics().delivered >= 9 }).await;
        second.engine.shutdown(GRACE).await;
        assert!(world.live().await.contains(&log));

        let third = world.start(3).await;
        world.until_settled(&[&third]).await;
        assert!(world.is_closed(log).await);
        ledger::check(&world, &ledger, "left open").await;
        third.kill();
    });
}

#[test]
fn a_node_that_ends_with_something_due_does_not_turn_without_rest() {
    let ground = Ground::new();
    smol::block_on(async {
        let mut world = ground.world().await;
        world.config.store.attempt_timeout = Duration::from_mins(10);
        world.config.queue.retry = vec![Duration::from_millis(1)];
        let first = world.start(1).await;
        let bob = layout::account(&super::world::address(super::world::ACCOUNTS[1]));
        let hold = first.faults.hold(Which::new(Verb::Put, &bob), 1);
        let account = Which::new(Verb::Put, "account/");
        let to_bob = Letter::new("held", &super::world::ACCOUNTS[1..2], &super::world::ACCOUNTS[1..2], 300);
        let mut ledger = send(&first, vec![to_bob]).await;
        hold.reached(1).await;
        // From now on one delivery is under way, and one is always due.
        first.faults.fail(account, Failure::Refused, usize::MAX);
        ledger.extend(send(&first, vec![Letter::small("due")]).await);
        let before = world.clock.readings();
        first.engine.shutdown(Duration::from_millis(500)).await;
        let readings = world.clock.readings() - before;
        assert!(readings < 5_000, "{readings} looks at the clock");
        hold.release();
        first.kill();
        let second = world.start(2).await;
        world.until_settled(&[&second]).await;
        ledger::check(&world, &ledger, "due").await;
        second.kill();
    });
}

async fn seals(world: &World, log: Incarnation) -> usize {
    let segments = world.objects(&layout::log(log)).await;
    let is_seal = |octets: &bytes::Bytes| {
        let segment = Segment::decode(octets).unwrap();
        segment.records.iter().any(|record| matches!(record, Record::Seal { .. }))
    };
    segments.values().filter(|octets| is_seal(octets)).count()
}
