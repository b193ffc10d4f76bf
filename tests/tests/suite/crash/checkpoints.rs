//! Adoption of logs that are long enough to have checkpoints.

use std::collections::BTreeSet;

use fulmar_core::model::Incarnation;
use fulmar_core::state::layout;
use fulmar_core::state::log::{Body, Checkpoint};
use fulmar_tests::faults::{Failure, Verb, Which};

use super::ledger::{self, Ledger, Letter, send};
use super::world::{Ground, Node, World};

const SEGMENTS: u64 = 3;

/// What becomes of the log after its writer's death.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Nothing,
    /// The segments that the latest checkpoint covers, and that hold nothing of a live entry, are deleted.
    Compacted,
    /// That, and the latest checkpoint cannot be read.
    Broken,
}

#[test]
fn adoption_begins_with_the_checkpoint_whether_what_it_covers_is_there_or_not() {
    let ground = Ground::new();
    for then in [Then::Nothing, Then::Compacted, Then::Broken] {
        smol::block_on(check(&ground, then));
    }
}

#[test]
fn a_log_with_a_checkpoint_of_another_version_is_left_alone() {
    let ground = Ground::new();
    smol::block_on(async {
        let mut world = ground.world().await;
        world.config.queue.checkpoint_segments = SEGMENTS;
        let (first, _) = dead_with_checkpoint(&world).await;
        let log = first.incarnations()[0];
        let (key, octets) = world.objects(&layout::checkpoints(log)).await.pop_last().unwrap();
        let mut octets = octets.to_vec();
        octets[4] = 9;
        world.overwrite(&key, octets).await;
        let before = world.objects(&layout::log(log)).await.len();
        let second = world.start(2).await;
        let told = ["adoption_left", &key, "format version 9; this program knows version 1"];
        world.until("its name", || async { second.has_told(&told) }).await;
        assert_eq!(world.objects(&layout::log(log)).await.len(), before, "nothing is sealed");
        assert!(!world.is_closed(log).await && world.live().await.contains(&log));
        let ledger = send(&second, vec![Letter::small("beside")]).await;
        assert_eq!(ledger::accepted(&ledger), 1);
        second.kill();
    });
}

async fn check(ground: &Ground, then: Then) {
    let mut world = ground.world().await;
    world.config.queue.checkpoint_segments = SEGMENTS;
    let (first, mut ledger) = dead_with_checkpoint(&world).await;
    let log = first.incarnations()[0];
    let (key, checkpoint) = latest(&world, log).await;
    let covered: Vec<String> = (0..checkpoint.covers).map(|number| layout::segment(log, number)).collect();
    if then != Then::Nothing {
        let needed = holding_live_content(&checkpoint, log);
        let gone: Vec<String> = covered.iter().filter(|key| !needed.contains(*key)).cloned().collect();
        assert!(gone.len() >= 4, "{gone:?}");
        world.store.delete(&gone).await.unwrap();
    }
    if then == Then::Broken {
        for key in world.objects(&layout::checkpoints(log)).await.into_keys() {
            world.overwrite(&key, "not a checkpoint").await;
        }
    }

    let second = world.start(2).await;
    world.until_settled(&[&second]).await;
    let read_whole = |key: &String| second.faults.requests().contains(&(Verb::Get, key.clone()));
    match then {
        Then::Nothing | Then::Compacted => {
            // What it holds may be read for its content; what was done with is not looked at.
            assert!(!read_whole(&covered[0]), "{then:?}");
        }
        Then::Broken => {
            assert!(second.has_told(&["object_damaged", &key]));
            assert!(second.has_told(&["object_damaged", &covered[0], "missing"]));
        }
    }
    assert!(world.is_closed(log).await);
    if then == Then::Broken {
        // The first messages were done with, and the last ones stand behind the gap.
        ledger.retain(|(letter, _)| letter.name.starts_with("later"));
        let boxes = world.admin.mailbox(&super::world::address(super::world::ACCOUNTS[0]), "INBOX").await;
        assert!(boxes.unwrap().len() >= ledger.len());
    } else {
        ledger::check(&world, &ledger, &format!("{then:?}")).await;
    }
    second.kill();
}

/// A node that delivered its first messages, acknowledged later ones, and is no more.
async fn dead_with_checkpoint(world: &World) -> (Node, Ledger) {
    let first = world.start(1).await;
    let letters = |name: &str, count: u32| (0..count).map(|n| Letter::small(format!("{name} {n}"))).collect();
    let mut ledger = send(&first, letters("early", 6)).await;
    world.until_settled(&[&first]).await;
    first.faults.fail(Which::new(Verb::Put, "account/"), Failure::Unavailable, usize::MAX);
    ledger.extend(send(&first, letters("later", 8)).await);
    assert_eq!(ledger::accepted(&ledger), ledger.len());
    let log = first.incarnations()[0];
    world
        .until("a checkpoint of the later ones", || async {
            let checkpoints = world.objects(&layout::checkpoints(log)).await;
            checkpoints.values().next_back().is_some_and(|octets| {
                Checkpoint::decode(octets).is_ok_and(|checkpoint| !checkpoint.live.is_empty())
            })
        })
        .await;
    first.kill();
    (first, ledger)
}

async fn latest(world: &World, log: Incarnation) -> (String, Checkpoint) {
    let (key, octets) = world.objects(&layout::checkpoints(log)).await.pop_last().unwrap();
    (key, Checkpoint::decode(&octets).unwrap())
}

fn holding_live_content(checkpoint: &Checkpoint, log: Incarnation) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    for entry in checkpoint.live.entries.iter() {
        let content = &entry.envelope.content;
        needed.insert(layout::segment(log, content.header.seq));
        if let Body::Inline(part) = &content.body {
            needed.insert(layout::segment(log, part.seq));
        }
    }
    needed
}
