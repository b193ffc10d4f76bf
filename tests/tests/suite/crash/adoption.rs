//! Adoptions that are interrupted by the store, and taken up again by the same node.

use std::time::Duration;

use fulmar_core::model::Event;
use fulmar_core::state::layout;
use fulmar_core::state::owner::{Claim, Owner};
use fulmar_core::state::{frame, log};
use fulmar_tests::faults::{Failure, Verb, Which};

use super::ledger;
use super::world::{Ground, Node, World};

/// Between two rounds of a node that watches others.
const ROUND: Duration = Duration::from_secs(11);
/// After this long an owner that has no Adopt gives up.
const GIVING_UP: Duration = Duration::from_mins(11);

#[test]
fn an_adoption_that_failed_while_closing_is_finished_without_a_second_adopt() {
    let ground = Ground::new();
    for pause in [ROUND, GIVING_UP] {
        smol::block_on(async {
            let world = ground.world().await;
            let (first, ledger) = ledger::dead_with_entries(&world, 1).await;
            let log = first.incarnations()[0];
            let closing = Which::new(Verb::Put, &layout::owner(log, 2));
            let prepare = |faults: &fulmar_tests::faults::Faulty| {
                faults.fail(closing.clone(), Failure::Unavailable, usize::MAX);
            };
            let second = world.try_start(2, prepare).await.unwrap();
            until_left(&world, &second, 1).await;
            world.until("the deliveries", || async { second.engine.statistics().delivered >= 9 }).await;
            world.clock.advance(pause);
            until_left(&world, &second, 2).await;
            second.faults.heal();
            world.clock.advance(ROUND);
            world.until_settled(&[&second]).await;
            assert_eq!(adopts(&world, &second).await, 1, "{pause:?}");
            assert!(!claims(&world, log).await.contains(&Claim::GivenUp), "{pause:?}");
            ledger::check(&world, &ledger, &format!("{pause:?}")).await;
            second.kill();
        });
    }
}

#[test]
fn an_owner_that_cannot_adopt_gives_up_and_another_one_goes_on() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        let (first, ledger) = ledger::dead_with_entries(&world, 1).await;
        let log = first.incarnations()[0];
        let reading = Which::new(Verb::Get, &layout::log(log));
        let second =
            world.try_start(2, |faults| faults.fail(reading, Failure::Refused, usize::MAX)).await.unwrap();
        until_left(&world, &second, 1).await;
        let third = world.start(3).await;
        until_left(&world, &third, 1).await;
        assert!(third.has_told(&["adoption_left", "is adopting it"]));
        world.clock.advance(GIVING_UP);
        world.until("its giving up", || async { claims(&world, log).await.contains(&Claim::GivenUp) }).await;
        world.advance_until("another owner", async || world.is_closed(log).await).await;
        world.until_settled(&[&second, &third]).await;
        ledger::check(&world, &ledger, "given up").await;
        second.kill();
        third.kill();
    });
}

async fn until_left(world: &World, node: &Node, times: usize) {
    let is_left = |event: &Event| matches!(event, Event::AdoptionLeft { .. }).then_some(());
    world.until("an adoption that is left", || async { node.find(is_left).len() >= times }).await;
}

/// Adopt records in the logs of a node.
async fn adopts(world: &World, node: &Node) -> usize {
    let mut adopts = 0;
    for incarnation in node.incarnations() {
        for octets in world.objects(&layout::log(incarnation)).await.values() {
            let records = log::Segment::decode(octets).unwrap().records;
            adopts += records.iter().filter(|record| matches!(record, log::Record::Adopt { .. })).count();
        }
    }
    adopts
}

async fn claims(world: &World, log: fulmar_core::model::Incarnation) -> Vec<Claim> {
    let owners = world.objects(&layout::owners(log)).await;
    owners.values().map(|octets| frame::decode::<Owner>(octets).unwrap().header.claim).collect()
}
