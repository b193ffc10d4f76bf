//! What nodes no longer need goes, and what they need stays, over days of virtual time.

use std::sync::Arc;
use std::time::Duration;

use fulmar_core::config::Config;
use fulmar_core::model::{Event, Incarnation};
use fulmar_core::state::owner::{Claim, Owner};
use fulmar_core::state::{frame, layout};
use fulmar_tests::faults::{Failure, Verb, Which};
use fulmar_tests::runtime::Runtime;
use futures::future::join;

use super::simulated;
use super::world::{ALICE, BOB, Node, World, address};

/// Messages that wait, each in a segment with much else.
const SLOW: usize = 3;

fn slow(number: usize) -> Vec<u8> {
    format!("Subject: {number}\r\n\r\n{number} waits\r\n").into_bytes()
}

fn quick(lines: usize) -> Vec<u8> {
    format!("Subject: quick\r\n\r\n{}", "quick\r\n".repeat(lines)).into_bytes()
}

/// A world with a node that has delivered what is for Alice and cannot deliver what is for Bob.
async fn with_survivors(runtime: Arc<dyn Runtime>) -> (World, Node) {
    let change = |config: &mut Config| {
        config.queue.checkpoint_segments = 4;
        config.queue.window = Duration::from_secs(3);
    };
    let world = World::new(runtime, change).await;
    let node = world.start(1).await;
    bar(&node);
    for number in 0..SLOW {
        // While this one's segment is held back, what else comes goes into the next one together.
        let hold = node.faults.hold(Which::new(Verb::Put, "/log/"), 1);
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(world.smtp(&node).await);
        }
        let mut clients = clients.iter_mut();
        let mut client = || clients.next().unwrap();
        let (first, second, third) = (client(), client(), client());
        let others = async {
            hold.reached(1).await;
            join(second.deliver(&[BOB], slow(number)), third.deliver(&[ALICE], quick(2_000))).await;
            hold.release();
        };
        join(first.deliver(&[ALICE], quick(1)), others).await;
    }
    world.until("Alice's mail", || async { world.queued().await == SLOW }).await;
    (world, node)
}

/// From now on a node can deliver nothing to Bob.
fn bar(node: &Node) {
    let commits = layout::account(&address(BOB)) + "c/";
    node.faults.fail(Which::new(Verb::Put, &commits), Failure::Unavailable, usize::MAX);
}

/// Bob gets everything once, whole.
async fn check(world: &World, node: &Node) {
    assert_eq!(world.queued().await, SLOW);
    node.faults.heal();
    world.until_done().await;
    let inbox = world.inbox(BOB).await;
    assert_eq!(inbox.len(), SLOW);
    for number in 0..SLOW {
        assert_eq!(inbox.iter().filter(|stored| stored.ends_with(&slow(number))).count(), 1);
    }
}

fn log_of(node: &Node) -> Incarnation {
    let begun = node.events(|event| match event {
        Event::IncarnationBegun { incarnation } => Some(*incarnation),
        _ => None,
    });
    begun[0]
}

#[test]
fn a_log_is_rid_of_its_history_and_keeps_what_waits() {
    simulated(async |runtime| {
        let (world, node) = with_survivors(runtime).await;
        let log = layout::log(log_of(&node));
        let before = world.keys(&log).await;
        world.pass(Duration::from_hours(20)).await;
        assert!(before.iter().all(|key| !node.faults.requests().contains(&(Verb::Delete, key.clone()))));
        world.pass(Duration::from_hours(30)).await;
        let after = world.keys(&log).await;
        let left = before.iter().filter(|key| after.contains(key)).count();
        assert!(left < before.len() / 2, "{left} of {} are left", before.len());
        check(&world, &node).await;
    });
}

#[test]
fn an_adopted_folder_is_given_up_though_some_of_its_messages_wait_on() {
    simulated(async |runtime| {
        let (world, first) = with_survivors(runtime).await;
        let log = log_of(&first);
        world.kill(first);
        let second = world.start(2).await;
        bar(&second);
        world.pass(Duration::from_hours(4)).await;
        let owners = world.objects(&layout::owners(log)).await;
        let claims = owners.iter().map(|octets| frame::decode::<Owner>(octets).unwrap().header.claim);
        let claims: Vec<Claim> = claims.collect();
        assert!(matches!(claims[..], [Claim::By(_), Claim::Closed, Claim::Ended]), "{claims:?}");
        for key in world.keys(&layout::log(log)).await {
            world.remove(&key).await;
        }
        check(&world, &second).await;
    });
}
