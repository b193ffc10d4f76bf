//! Which messages share a segment, and how long a client waits for company.

use std::time::Duration;

use fulmar_core::state::layout;
use fulmar_core::state::log::{Record, Segment};
use fulmar_tests::faults::{Verb, Which};
use futures::future::{join, join3};

use super::simulated;
use super::world::{ALICE, World};

/// How long a message waits for company at most.
const WINDOW: Duration = Duration::from_secs(3);
/// What passes without a wait for company.
const AT_ONCE: Duration = Duration::from_secs(1);
const MESSAGE: &[u8] = b"Subject: one of many\r\n\r\nsome text\r\n";

#[test]
fn clients_who_were_answered_join_those_who_wait_and_a_lone_one_waits_for_nobody() {
    simulated(async |runtime| {
        let world = World::new(runtime, |config| config.queue.window = WINDOW).await;
        let node = world.start(1).await;
        let (mut one, mut other) = (world.smtp(&node).await, world.smtp(&node).await);
        let hold = node.faults.hold(Which::new(Verb::Put, "/log/"), 1);
        let began = world.now();
        join3(
            async {
                one.deliver(&[ALICE], MESSAGE).await;
                one.deliver(&[ALICE], MESSAGE).await;
            },
            async {
                hold.reached(1).await;
                other.deliver(&[ALICE], MESSAGE).await;
            },
            async {
                hold.reached(1).await;
                world.pass(AT_ONCE / 2).await;
                hold.release();
            },
        )
        .await;
        assert!(world.now().since(began) < WINDOW);
        assert_eq!(accepted(&world).await, [1, 2]);

        // Two are expected, and only one comes.
        let lone = world.now();
        other.deliver(&[ALICE], MESSAGE).await;
        assert!(world.now().since(lone) < WINDOW + AT_ONCE);
        let alone = world.now();
        for _ in 0..3 {
            other.deliver(&[ALICE], MESSAGE).await;
        }
        assert!(world.now().since(alone) < AT_ONCE);
        assert_eq!(accepted(&world).await, [1, 2, 1, 1, 1, 1]);
    });
}

#[test]
fn a_store_that_is_another_machine_is_given_two_segments_at_a_time_and_no_more() {
    simulated(async |runtime| {
        let world = World::new(runtime, |config| {
            config.queue.window = WINDOW;
            config.store.endpoint = Some("http://store.test".to_owned());
        })
        .await;
        let node = world.start(1).await;
        let (mut one, mut two, mut three) =
            (world.smtp(&node).await, world.smtp(&node).await, world.smtp(&node).await);
        let held = node.faults.hold(Which::new(Verb::Put, "/log/"), 2);
        let began = world.now();
        join3(
            one.deliver(&[ALICE], MESSAGE),
            async {
                held.reached(1).await;
                two.deliver(&[ALICE], MESSAGE).await;
            },
            async {
                held.reached(2).await;
                join(three.deliver(&[ALICE], MESSAGE), async {
                    world.pass(AT_ONCE / 2).await;
                    held.release();
                })
                .await;
            },
        )
        .await;
        assert!(world.now().since(began) >= AT_ONCE / 2);
        assert!(world.now().since(began) < WINDOW);
        assert_eq!(accepted(&world).await, [1, 1, 1]);
    });
}

/// How many messages each segment took, of those that took any.
async fn accepted(world: &World) -> Vec<usize> {
    let segments = world.objects(layout::SPOOL).await;
    let records = segments.iter().filter_map(|octets| Some(Segment::decode(octets).ok()?.records));
    let counts = records.map(|records| records.iter().filter(|r| matches!(r, Record::Accept(_))).count());
    counts.filter(|count| *count > 0).collect()
}
