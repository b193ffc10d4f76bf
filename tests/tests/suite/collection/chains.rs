//! What goes from an account's folder and what stays.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use fulmar_core::mailbox::ReadError;
use fulmar_core::model::{Outcome, UtcTime};
use fulmar_core::state::account::Account;
use fulmar_core::state::collect::chain::ChainFolder;
use fulmar_core::state::collect::{Clearing, Pace};
use fulmar_core::state::layout;
use fulmar_tests::sim::run;

use super::world::{DAY, HOUR, Node, World, account, folder};

/// Random histories that are tried.
const SEEDS: u64 = 12;
/// Things that happen in one.
const STEPS: usize = 40;

#[test]
fn whatever_happens_every_message_stays_readable_and_what_is_left_in_the_end_is_needed() {
    for seed in 0..SEEDS {
        run(seed, async |simulator| {
            let world = World::new(simulator);
            let nodes = [world.node(), world.node()];
            let mut inbox: BTreeMap<u32, String> = BTreeMap::new();
            let mut texts = nodes[0].deliver_some(&world, "first", 1).await;
            for step in 0..STEPS {
                let node = &nodes[world.below(2)];
                match world.below(8) {
                    0 | 1 => {
                        let count = 1 + world.below(30);
                        texts.extend(node.deliver_some(&world, &format!("s{step}"), count).await);
                    }
                    2 => {
                        let text = format!("large {step}");
                        let outcome = node.deliver(world.letter(&text, true).await).await;
                        assert!(matches!(outcome, Outcome::Delivered(_)));
                        texts.push(text);
                    }
                    3 | 4 => {
                        let uids: Vec<u32> = inbox.keys().copied().filter(|_| world.below(2) == 0).collect();
                        texts.retain(|text| !uids.iter().any(|uid| inbox.get(uid) == Some(text)));
                        node.expunge(uids).await;
                    }
                    5 => drop(world.orphan().await),
                    _ => {
                        world.sleep(HOUR * (1 + world.below(20) as u32)).await;
                        node.sweep(&world).await;
                    }
                }
                inbox = nodes[world.below(2)].inbox().await;
                assert_eq!(inbox.values().collect::<BTreeSet<_>>(), texts.iter().collect());
            }
            for _ in 0..6 {
                world.sleep(DAY).await;
                nodes[world.below(2)].sweep(&world).await;
                assert_eq!(nodes[world.below(2)].inbox().await, inbox);
            }
            // One that knows nothing yet reads the same.
            assert_eq!(world.node().inbox().await, inbox);
            expect_nothing_unneeded(&world, &nodes[0]).await;
            assert_eq!([nodes[0].complaints(), nodes[1].complaints()].concat(), [""; 0]);
        });
    }
}

/// One snapshot, the commits of the messages, and their bodies.
async fn expect_nothing_unneeded(world: &World, node: &Node) {
    let held = node.context.mailboxes.accounts().hold(&folder(), Duration::ZERO).await.unwrap();
    let mut expected: BTreeSet<String> = BTreeSet::new();
    for message in held.state().mailboxes.values().flat_map(|mailbox| mailbox.messages.values()) {
        expected.insert(layout::numbered(&layout::commits(&folder()), message.commit));
        if let Some(body) = &message.content.body {
            expected.extend(
                (0..body.pieces.len()).map(|piece| layout::account_piece(&account(), body.id, piece)),
            );
        }
    }
    let found: BTreeSet<String> = world.keys(&folder()).await.into_iter().collect();
    // Not of the tip where every commit since has a message: another one would set nothing free.
    let snapshots = layout::snapshots(&folder());
    let kept: Vec<&String> = found.iter().filter(|key| key.starts_with(&snapshots)).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    expected.extend(kept.into_iter().cloned());
    assert_eq!(found, expected);
}

/// Collects in the account's folder as if this were the store's now.
async fn collect_at(world: &World, node: &Node, now: UtcTime) {
    let mut listed = ChainFolder::new(&folder());
    world.list(&folder()).await.iter().for_each(|object| listed.add(object));
    let requests = &node.context.requests;
    let pace = Pace::unhurried(requests.platform().clock.clone());
    listed.collect::<Account>(&mut Clearing::new(requests, pace), now).await.unwrap();
}

#[test]
fn a_snapshot_counts_when_it_is_a_day_old_to_the_millisecond() {
    run(1, async |simulator| {
        let world = World::new(simulator);
        let node = world.node();
        node.deliver_some(&world, "gone", 70).await;
        node.expunge((1..=60).collect()).await;
        node.deliver_some(&world, "kept", 70).await;
        let snapshots = world.list(&layout::snapshots(&folder())).await;
        let [first, second] = &snapshots[..] else { panic!("{snapshots:?}") };
        let millisecond = Duration::from_millis(1);
        for (now, commits, snapshots) in [
            (first.modified.after(DAY - millisecond), 141, 2),
            // As the first has it, all messages are there still.
            (first.modified.after(DAY), 141, 2),
            (second.modified.after(DAY - millisecond), 141, 2),
            // The commits of 60 messages, and the one that expunged them.
            (second.modified.after(DAY), 80, 1),
        ] {
            collect_at(&world, &node, now).await;
            assert_eq!(world.keys(&layout::commits(&folder())).await.len(), commits);
            assert_eq!(world.keys(&layout::snapshots(&folder())).await.len(), snapshots);
        }
        assert_eq!(world.node().texts().await.len(), 80);
    });
}

#[test]
fn a_body_that_nobody_names_goes_a_day_after_its_last_piece_and_not_before() {
    run(2, async |simulator| {
        let world = World::new(simulator);
        let node = world.node();
        node.deliver_some(&world, "kept", 1).await;
        let orphan = world.orphan().await;
        world.sleep(DAY - HOUR).await;
        world.put(&layout::numbered(&orphan, 3), Bytes::from_static(b"later")).await;
        let last = world.list(&orphan).await[3].modified;
        collect_at(&world, &node, last.after(DAY - Duration::from_millis(1))).await;
        assert_eq!(world.keys(&orphan).await.len(), 4);
        collect_at(&world, &node, last.after(DAY)).await;
        assert_eq!(world.keys(&orphan).await, [""; 0]);
        assert_eq!(node.texts().await, ["kept 0"]);
    });
}

#[test]
fn a_session_reads_a_mailbox_as_it_was_for_a_day_and_is_then_told_that_the_message_is_gone() {
    run(3, async |simulator| {
        let world = World::new(simulator);
        let (node, other) = (world.node(), world.node());
        node.deliver_some(&world, "small", 1).await;
        node.deliver(world.letter("large", true).await).await;
        // A snapshot that counts knows both.
        node.deliver_some(&world, "others", 64).await;
        world.sleep(DAY + HOUR).await;
        let session = node.context.mailboxes.snapshot(&account(), "INBOX").await.unwrap();
        other.expunge(vec![1, 2]).await;
        // So many commits that a snapshot covers the expunge at once.
        other.deliver_some(&world, "more", 64).await;
        for hours in [1, 21, 1] {
            world.sleep(HOUR * hours).await;
            other.sweep(&world).await;
            for uid in [1, 2] {
                let mut reader = session.open(uid).await.unwrap();
                while reader.next().await.unwrap().is_some() {}
            }
        }
        for _ in 0..4 {
            world.sleep(DAY).await;
            other.sweep(&world).await;
        }
        for uid in [1, 2] {
            let gone = session.open(uid).await.map(drop);
            assert!(matches!(gone, Err(ReadError::NoMessage(..))), "{gone:?}");
        }
    });
}

#[test]
fn an_account_that_cannot_be_read_to_its_tip_is_left_as_it_is() {
    run(4, async |simulator| {
        let world = World::new(simulator);
        let node = world.node();
        node.deliver_some(&world, "gone", 70).await;
        node.expunge((1..=70).collect()).await;
        node.deliver_some(&world, "kept", 10).await;
        world.orphan().await;
        let last = world.keys(&layout::commits(&folder())).await.pop().unwrap();
        world.put(&last, Bytes::from_static(b"damaged")).await;
        let before = world.keys(&folder()).await;
        let sweeper = world.node();
        for _ in 0..4 {
            world.sleep(DAY).await;
            sweeper.sweep(&world).await;
        }
        assert_eq!(world.keys(&folder()).await, before);
        assert!(sweeper.complaints().iter().any(|complaint| complaint.starts_with(&last)));
    });
}

#[test]
fn nothing_goes_on_the_strength_of_a_snapshot_that_cannot_be_read() {
    for damage in [&b"damaged"[..], b""] {
        run(5, async |simulator| {
            let world = World::new(simulator);
            let node = world.node();
            node.deliver_some(&world, "gone", 70).await;
            node.expunge((1..=60).collect()).await;
            let snapshot = world.keys(&layout::snapshots(&folder())).await.pop().unwrap();
            world.put(&snapshot, Bytes::from_static(damage)).await;
            let before = world.keys(&folder()).await;
            world.sleep(DAY + HOUR).await;
            let sweeper = world.node();
            sweeper.sweep(&world).await;
            let after = world.keys(&folder()).await;
            assert!(before.iter().all(|key| after.contains(key)));
            assert_eq!(world.node().texts().await.len(), 10);
        });
    }
}

#[test]
fn a_chain_whose_only_snapshot_is_lost_is_read_only_and_never_begins_anew() {
    run(6, async |simulator| {
        let world = World::new(simulator);
        let node = world.node();
        node.deliver_some(&world, "gone", 70).await;
        node.expunge((1..=70).collect()).await;
        for _ in 0..5 {
            world.sleep(DAY).await;
            node.sweep(&world).await;
        }
        let left = world.keys(&folder()).await;
        let [snapshot] = &left[..] else { panic!("{left:?}") };
        world.put(snapshot, Bytes::from_static(b"damaged")).await;
        let late = world.node();
        let outcome = late.deliver(world.letter("late", false).await).await;
        assert!(matches!(outcome, Outcome::Deferred(_)), "{outcome:?}");
        assert_eq!(world.keys(&folder()).await, left);
    });
}

#[test]
fn a_hole_among_the_commits_is_an_obstacle_and_not_the_tip() {
    run(7, async |simulator| {
        let world = World::new(simulator);
        world.node().deliver_some(&world, "some", 9).await;
        world.delete(&layout::numbered(&layout::commits(&folder()), 5)).await;
        let node = world.node();
        let outcome = node.deliver(world.letter("late", false).await).await;
        assert!(matches!(outcome, Outcome::Deferred(_)), "{outcome:?}");
        assert_eq!(world.keys(&folder()).await.len(), 8);
    });
}
