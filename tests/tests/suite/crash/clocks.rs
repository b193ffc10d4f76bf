//! Who is taken for dead, and when: nobody by a clock that is off, and everybody who is, though those that were to watch are.

use std::time::Duration;

use fulmar_core::model::{Event, Incarnation};
use fulmar_core::platform::{Clock, ProcessIdentity};
use fulmar_core::queue::liveness::watchers;
use fulmar_core::state::beat::{Beat, HOLDING_INTERVAL};
use fulmar_core::state::layout;
use fulmar_tests::faults::{Failure, Verb, Which};
use futures::future::join_all;

use super::ledger::{self, Ledger, Letter, send};
use super::world::{Ground, Node, World};

const OFF: Duration = Duration::from_hours(1);
/// Between two heartbeats, and between two listings.
const BEAT: Duration = Duration::from_secs(10);
/// Four times as long as takes for a heartbeat that stands still to count as dead.
const BEATS: usize = 12;
const MESSAGES: usize = 4;
/// How far the clock jumps at a time while nothing is watched, and what a node has for what is due then.
const STEP: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(100);

/// Lets time pass for all nodes, until each of these, which hold something, has beaten once more and has looked at the others.
async fn pass(worlds: &[World; 2], alive: &[&Node]) {
    let (beats, listings) = (Which::new(Verb::Put, ".beat"), Which::new(Verb::List, "live/"));
    let counts = |node: &Node| [node.faults.count(&beats), node.faults.count(&listings)];
    let before: Vec<_> = alive.iter().map(|node| counts(node)).collect();
    worlds.iter().for_each(|world| world.clock.advance(BEAT));
    let has_beaten = || {
        let mut nodes = alive.iter().zip(&before);
        nodes.all(|(node, before)| counts(node).iter().zip(before).all(|(now, before)| now > before))
    };
    worlds[0].until("a heartbeat", || async { has_beaten() }).await;
}

#[test]
fn a_node_whose_clock_is_an_hour_off_takes_nobody_for_dead_and_nothing_is_lost_when_one_is() {
    let ground = Ground::new();
    let cases = [(OFF, Duration::ZERO), (Duration::ZERO, OFF)];
    smol::block_on(join_all(cases.map(async |(first_ahead, second_ahead)| {
        let context = format!("{first_ahead:?} and {second_ahead:?}");
        let world = ground.world().await;
        let worlds = [world.with_clock_ahead(first_ahead), world.with_clock_ahead(second_ahead)];
        let (first, second) = (worlds[0].start(1).await, worlds[1].start(2).await);
        let mut ledger = Ledger::new();
        for (node, name) in [(&first, "first"), (&second, "second")] {
            // They hold what they cannot deliver.
            node.faults.fail(Which::new(Verb::Put, "account/"), Failure::Unavailable, usize::MAX);
            let letters = (0..MESSAGES).map(|number| Letter::small(format!("{name} {number}")));
            ledger.extend(send(node, letters.collect()).await);
        }
        assert_eq!(ledger::accepted(&ledger), 2 * MESSAGES, "{context}: {ledger:?}");
        for _ in 0..BEATS {
            pass(&worlds, &[&first, &second]).await;
        }
        for node in [&first, &second] {
            let is_harm = |event: &Event| matches!(event, Event::Adopted { .. } | Event::Fenced { .. });
            assert_eq!(node.find(|event| is_harm(event).then(|| event.clone())).len(), 0, "{context}");
            assert_eq!(node.incarnations().len(), 1, "{context}");
        }

        first.life.end();
        let log = first.incarnations()[0];
        for _ in 0..BEATS {
            pass(&worlds, &[&second]).await;
        }
        world.until("its adoption", || async { world.is_closed(log).await }).await;
        second.faults.heal();
        // What the first node would have tried next, by its clock, may be an hour away for the second.
        let is_empty = async || world.admin.queue().await.unwrap().is_empty();
        let mut waited = Duration::ZERO;
        while !is_empty().await {
            assert!(waited < OFF * 2, "{context}: {}", world.picture().await);
            waited += STEP;
            worlds[1].clock.advance(STEP);
            smol::Timer::after(PAUSE).await;
        }
        world.until_settled(&[&second]).await;
        ledger::check(&world, &ledger, &context).await;
        second.kill();
    })));
}

/// Those that are to watch have died together.
const WATCHERS: usize = 3;
/// From a death until somebody else owns the entries.
const TAKEOVER: Duration = Duration::from_secs(50);

#[test]
fn who_is_not_to_watch_does_so_while_those_that_are_show_no_sign_of_life() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        let node = world.start(1).await;
        node.faults.fail(Which::new(Verb::Put, "account/"), Failure::Unavailable, usize::MAX);
        let ledger = send(&node, vec![Letter::small("waiting")]).await;
        assert_eq!(ledger::accepted(&ledger), 1);
        let ours = node.incarnations()[0];
        let comes_before = |log: &Incarnation| watchers([*log, ours].into_iter())[0] == *log;
        let drawn = (0..=u8::MAX).map(|n| Incarnation::draw(ours.drawn_at(), [n; 10]));
        let dead: Vec<Incarnation> = drawn.filter(comes_before).take(WATCHERS).collect();
        for log in &dead {
            let beat = Beat {
                inc: *log,
                seq: 1,
                interval: HOLDING_INTERVAL,
                next_due: None,
                queued: 1,
                hostname: "dead.test".parse().unwrap(),
                process: ProcessIdentity::default(),
            };
            world.overwrite(&layout::beat(*log), beat.encode().payload.to_bytes()).await;
        }
        let died = world.clock.instant();
        for log in dead {
            world.advance_until("its adoption", || world.is_closed(log)).await;
        }
        let waited = world.clock.instant().since(died);
        assert!(waited < TAKEOVER, "{waited:?}: {}", world.picture().await);
        node.kill();
    });
}
