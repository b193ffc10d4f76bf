//! Nodes that end, and others that go on.

use std::sync::Arc;
use std::time::Duration;

use fulmar_core::model::Event;
use fulmar_core::state::layout;
use fulmar_tests::faults::{Failure, Verb, Which};
use fulmar_tests::runtime::Runtime;

use super::on_every_runtime;
use super::world::{ALICE, BOB, TEAM, World};

on_every_runtime![
    what_a_killed_node_had_taken_is_delivered_once_by_another,
    what_a_node_releases_at_its_end_is_delivered_once_by_another,
    a_node_with_nothing_left_leaves_no_trace_at_its_end,
];

const MESSAGES: usize = 5;

fn message(number: usize) -> Vec<u8> {
    format!("Subject: {number}\r\n\r\n{number} of {MESSAGES}\r\n").into_bytes()
}

/// A world whose first node takes messages and can deliver none of them.
async fn with_entries(runtime: Arc<dyn Runtime>) -> (World, super::world::Node) {
    let world = World::new(runtime, |_| ()).await;
    let node = world.start(1).await;
    node.faults.fail(Which::new(Verb::Put, "/c/"), Failure::Unavailable, usize::MAX);
    let mut sender = world.smtp(&node).await;
    for number in 0..MESSAGES {
        sender.deliver(&[TEAM], message(number)).await;
    }
    sender.quit("221 ").await;
    (world, node)
}

/// Everything is delivered by another node than the first, once to each.
async fn check(world: &World, second: &super::world::Node) {
    world.until_done().await;
    let is_adopted = |event: &Event| matches!(event, Event::Adopted { entries: MESSAGES, .. });
    assert!(second.has_reported(is_adopted));
    for account in [ALICE, BOB] {
        let inbox = world.inbox(account).await;
        assert_eq!(inbox.len(), MESSAGES, "{account}");
        for number in 0..MESSAGES {
            let copies = inbox.iter().filter(|stored| stored.ends_with(&message(number))).count();
            assert_eq!(copies, 1, "message {number} to {account}");
        }
    }
    assert_eq!(second.engine.statistics().delivered, 2 * MESSAGES as u64);
}

pub(super) async fn what_a_killed_node_had_taken_is_delivered_once_by_another(runtime: Arc<dyn Runtime>) {
    let (world, first) = with_entries(runtime).await;
    world.kill(first);
    let second = world.start(2).await;
    check(&world, &second).await;
}

async fn what_a_node_releases_at_its_end_is_delivered_once_by_another(runtime: Arc<dyn Runtime>) {
    let (world, mut first) = with_entries(runtime).await;
    let waiting = world.smtp(&first).await;
    let (ending, told) = (first.shut_down(Duration::from_secs(5)), waiting.rest());
    let ((), told) = futures::join!(ending, told);
    assert!(told.starts_with("421 "), "{told:?}");
    let traces = world.keys(layout::LIVE).await;
    assert!(traces.iter().any(|key| key.ends_with(".free")), "{traces:?}");
    let second = world.start(2).await;
    check(&world, &second).await;
    drop(first);
}

async fn a_node_with_nothing_left_leaves_no_trace_at_its_end(runtime: Arc<dyn Runtime>) {
    let world = World::new(runtime, |_| ()).await;
    let mut node = world.start(1).await;
    world.smtp(&node).await.deliver(&[ALICE], message(0)).await;
    node.shut_down(Duration::from_secs(5)).await;
    assert_eq!(world.keys(layout::LIVE).await, [""; 0]);
    assert_eq!(world.inbox(ALICE).await.len(), 1);
}
