//! Buckets on which something is forbidden: to list, or to delete. What is written is `trouble`'s.

use std::time::Duration;

use fulmar_core::engine::Readiness;
use fulmar_tests::faults::{Failure, Faulty, Verb, Which};

use super::ledger::{self, Letter, assert_all_refused, send};
use super::world::{Ground, Node, World};

/// Longer than a node goes without listing, or believes what it has found in the directory.
const ROUND: Duration = Duration::from_secs(61);

fn forbids(verb: Verb) -> impl Fn(&Faulty) {
    move |faults| faults.fail(Which::new(verb, ""), Failure::Refused, usize::MAX)
}

/// Lets time fly until the node says whether it is ready.
async fn until_ready(world: &World, node: &Node, is_ready: bool) {
    let says = || match node.engine.readiness() {
        Readiness::Ready => is_ready,
        Readiness::StoreAway { reason, .. } => {
            assert!(reason.contains("listing is refused: no permission"), "{reason}");
            !is_ready
        }
    };
    world.advance_until("a change of readiness", || async { says() }).await;
}

#[test]
fn a_node_that_may_not_list_puts_off_mail_for_whom_it_does_not_know_and_says_why() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        let node = world.try_start(1, forbids(Verb::List)).await.unwrap();
        let mut ledger = send(&node, vec![Letter::small("amid")]).await;
        assert_all_refused(&ledger, "451");
        assert!(node.has_told(&["store_trouble", "list ", "no permission"]));
        until_ready(&world, &node, false).await;
        node.faults.heal();
        world.clock.advance(ROUND);
        ledger.extend(send(&node, vec![Letter::small("mended")]).await);
        assert_eq!(ledger::accepted(&ledger), 1, "{ledger:?}");
        until_ready(&world, &node, true).await;
        world.until_settled(&[&node]).await;
        ledger::check(&world, &ledger, "listing").await;
        node.kill();
    });
}

#[test]
fn a_node_that_may_not_list_any_more_goes_on_for_whom_it_knows() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        let node = world.start(1).await;
        let mut ledger = send(&node, vec![Letter::small("before")]).await;
        world.until_settled(&[&node]).await;
        forbids(Verb::List)(&node.faults);
        until_ready(&world, &node, false).await;
        ledger.extend(send(&node, vec![Letter::small("amid")]).await);
        assert_eq!(ledger::accepted(&ledger), 2, "{ledger:?}");
        world.until("its delivery", || async { node.engine.statistics().delivered == 2 }).await;
        node.faults.heal();
        until_ready(&world, &node, true).await;
        world.until_settled(&[&node]).await;
        ledger::check(&world, &ledger, "listing").await;
        node.kill();
    });
}

#[test]
fn a_node_that_may_not_delete_goes_on_and_says_what_it_leaves_behind() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        let (first, mut ledger) = ledger::dead_with_entries(&world, 1).await;
        let log = first.incarnations()[0];
        let second = world.try_start(2, forbids(Verb::Delete)).await.unwrap();
        world.until("the adoption", || async { world.is_closed(log).await }).await;
        world.until("trouble", || async { second.has_told(&["store_trouble", "delete live/"]) }).await;
        assert!(second.has_told(&["store_trouble", &format!("delete live/{log}"), "no permission"]));
        ledger.extend(send(&second, vec![Letter::small("amid")]).await);
        assert_eq!(ledger::accepted(&ledger), ledger.len(), "{ledger:?}");
        let recipients = ledger.iter().map(|(letter, _)| letter.mailboxes.len() as u64).sum();
        let delivered = || async { second.engine.statistics().delivered >= recipients };
        world.until("all deliveries", delivered).await;
        assert!(world.live().await.contains(&log));
        until_ready(&world, &second, true).await;
        // The closed log is found dead again, with nothing to adopt.
        world
            .advance_until("another try", || async { second.has_told(&["adoption_left", "no permission"]) })
            .await;
        second.faults.heal();
        world.clock.advance(ROUND);
        world.until_settled(&[&second]).await;
        ledger::check(&world, &ledger, "deleting").await;
        second.kill();
    });
}
