//! Who sweeps, and when.

use bytes::Bytes;
use fulmar_core::state::frame;
use fulmar_core::state::layout;
use fulmar_core::state::sweep_mark::{SweepMark, day};
use fulmar_tests::sim::run;
use futures::join;

use super::world::{DAY, HOUR, Node, World, folder};

fn requests(node: &Node) -> u64 {
    let counts = node.context.requests.meter().counts();
    counts.put + counts.get + counts.head + counts.list + counts.delete
}

#[test]
fn one_node_sweeps_on_a_day_and_the_others_ask_once() {
    run(1, async |simulator| {
        let world = World::new(simulator);
        let nodes = [world.node(), world.node(), world.node()];
        for number in 1..=3 {
            let swept = join!(nodes[0].sweep(&world), nodes[1].sweep(&world), nodes[2].sweep(&world));
            let sweepers = [swept.0, swept.1, swept.2].iter().filter(|swept| swept.is_complete).count();
            assert_eq!(sweepers, 1);
            assert_eq!(world.keys(layout::SWEEPS).await.len(), number);
            let before: Vec<u64> = nodes.iter().map(requests).collect();
            for node in &nodes {
                assert!(!node.sweep(&world).await.is_complete);
            }
            assert_eq!(nodes.iter().map(requests).collect::<Vec<_>>(), before);
            world.sleep(DAY).await;
        }
    });
}

#[test]
fn marks_tell_what_was_done_and_go_after_some_days() {
    run(2, async |simulator| {
        let world = World::new(simulator);
        let node = world.node();
        for _ in 0..13 {
            node.sweep(&world).await;
            let key = layout::sweep(day(world.now().await));
            let mark = frame::decode::<SweepMark>(&world.get(&key).await).unwrap().header;
            assert!(mark.done.is_some());
            world.sleep(DAY).await;
        }
        assert_eq!(world.keys(layout::SWEEPS).await.len(), 9);
    });
}

#[test]
fn traces_of_tests_of_the_store_go_after_a_day_and_unknown_objects_stay() {
    run(3, async |simulator| {
        let world = World::new(simulator);
        let node = world.node();
        let old = layout::check(world.nonce()) + "racing";
        let unknown = ["unknown/object", "account/00/u@x.test/unknown", "spool/unknown", "domain/x"];
        for key in unknown.iter().copied().chain([old.as_str()]) {
            world.put(key, Bytes::from_static(b"object")).await;
        }
        world.sleep(DAY - HOUR).await;
        let young = layout::check(world.nonce()) + "racing";
        world.put(&young, Bytes::from_static(b"object")).await;
        world.sleep(HOUR).await;
        node.sweep(&world).await;
        let left = world.keys("").await;
        assert!(!left.contains(&old) && left.contains(&young));
        assert!(unknown.iter().all(|key| left.iter().any(|left| left == key)));
    });
}

#[test]
fn accounts_in_which_nothing_changed_for_long_are_passed_over_where_a_sweep_came_to_its_end_lately() {
    run(4, async |simulator| {
        let world = World::new(simulator);
        let node = world.node();
        node.deliver_some(&world, "kept", 3).await;
        let mut reads = Vec::new();
        for days in [1, 1, 1, 7, 1] {
            let before = node.context.requests.meter().counts().get;
            assert!(node.sweep(&world).await.is_complete);
            reads.push(node.context.requests.meter().counts().get - before);
            world.sleep(DAY * days).await;
        }
        // On the fourth day nothing was due; after a week without a sweep all was looked into again, and on the day after, nothing.
        assert!(reads[3] > 0, "{reads:?}");
        assert_eq!(world.keys(&folder()).await.len(), 3);
    });
}

#[test]
fn a_sweep_ends_when_the_node_shuts_down_and_is_not_taken_for_complete() {
    run(5, async |simulator| {
        let world = World::new(simulator);
        let node = world.node();
        node.deliver_some(&world, "kept", 3).await;
        node.shut_down();
        let swept = node.sweep(&world).await;
        assert!(!swept.is_complete && swept.tally.objects == 0, "{swept:?}");
    });
}
