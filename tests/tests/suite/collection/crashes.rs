//! Sweeps that die at each of their requests, and two at once.

use std::collections::BTreeMap;

use fulmar_core::state::account::Account;
use fulmar_core::state::collect::chain::ChainFolder;
use fulmar_core::state::collect::{Clearing, Pace};
use fulmar_tests::sim::run;
use futures::future::{Either, join_all, select};
use futures::pin_mut;

use super::spool::Spool;
use super::world::{DAY, Node, World, folder};

/// An account with garbage of all kinds, and logs that ended.
async fn prepare(world: &World, node: &Node) -> (BTreeMap<u32, String>, Spool) {
    node.deliver_some(world, "first", 70).await;
    node.deliver(world.letter("expunged", true).await).await;
    node.deliver(world.letter("kept", true).await).await;
    node.expunge((1..=60).chain([71]).collect()).await;
    node.deliver_some(world, "second", 70).await;
    world.orphan().await;
    let spool = Spool::ended(world).await;
    (node.inbox().await, spool)
}

#[test]
fn a_sweep_that_dies_at_any_of_its_requests_does_no_harm_and_the_next_one_goes_on() {
    let mut step = 0;
    loop {
        let (is_done, _) = run(step as u64, async |simulator| {
            let world = World::new(simulator);
            let node = world.node();
            let (inbox, spool) = prepare(&world, &node).await;
            world.sleep(DAY + DAY / 2).await;
            let before = world.keys("").await.len();
            let dying = world.node();
            let is_done = {
                dying.suspension.stop_at(step);
                let (sweep, died) = (dying.sweep(&world), dying.suspension.stopped());
                pin_mut!(sweep, died);
                matches!(select(sweep, died).await, Either::Left(_))
            };
            assert_eq!(world.node().inbox().await, inbox);
            assert_eq!(node.inbox().await, inbox);
            spool.expect_open_untouched(&world).await;
            for _ in 0..5 {
                world.sleep(DAY).await;
                node.sweep(&world).await;
                assert_eq!(world.node().inbox().await, inbox);
            }
            spool.expect_collected(&world).await;
            assert!(world.keys("").await.len() < before);
            assert_eq!(node.complaints(), [""; 0]);
            is_done
        });
        step += 1;
        if is_done {
            break;
        }
    }
    assert!(step > 20, "{step}");
}

#[test]
fn several_that_collect_at_once_do_no_harm() {
    for seed in 0..10 {
        run(seed, async |simulator| {
            let world = World::new(simulator);
            let nodes = [world.node(), world.node(), world.node()];
            let (inbox, _) = prepare(&world, &nodes[0]).await;
            for _ in 0..4 {
                world.sleep(DAY).await;
                let now = world.now().await;
                let collecting = nodes.iter().map(async |node| {
                    let mut listed = ChainFolder::new(&folder());
                    world.list(&folder()).await.iter().for_each(|object| listed.add(object));
                    let requests = &node.context.requests;
                    let pace = Pace::unhurried(requests.platform().clock.clone());
                    listed.collect::<Account>(&mut Clearing::new(requests, pace), now).await.unwrap();
                });
                join_all(collecting).await;
                for node in &nodes {
                    assert_eq!(node.inbox().await, inbox);
                }
                assert_eq!(world.node().inbox().await, inbox);
            }
        });
    }
}
