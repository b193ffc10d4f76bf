//! Nodes that are suspended amid something for longer than what they know holds.

use std::collections::BTreeSet;

use fulmar_core::model::Outcome;
use fulmar_tests::sim::run;
use futures::future::{Either, select};
use futures::{join, pin_mut};

use super::world::{DAY, HOUR, Node, World};

/// So long that its body lies in several pieces.
const LATE: &str = "a message that comes late";

/// Does the work on a node that is suspended at one of its steps while something else happens; gives also whether the work has as
/// many steps.
async fn suspended<T>(
    node: &Node,
    world: &World,
    step: usize,
    work: impl Future<Output = T>,
    meanwhile: impl Future<Output = ()>,
) -> (T, bool) {
    node.suspension.stop_at(step);
    let disturb = async {
        let (stopped, done) = (node.suspension.stopped(), world.sleep(HOUR));
        pin_mut!(stopped, done);
        let is_stopped = matches!(select(stopped, done).await, Either::Left(_));
        if is_stopped {
            meanwhile.await;
        }
        node.suspension.go_on();
        is_stopped
    };
    join!(work, disturb)
}

#[test]
fn a_delivery_that_sleeps_for_days_is_made_or_said_not_to_be_and_destroys_nothing() {
    for (is_warm, is_busy) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut step = 0;
        loop {
            let (is_stopped, _) = run(step as u64, async |simulator| {
                let world = World::new(simulator);
                let (sleeper, other) = (world.node(), world.node());
                let mut texts: BTreeSet<String> =
                    other.deliver_some(&world, "first", 70).await.into_iter().collect();
                if is_warm {
                    sleeper.texts().await;
                }
                let letter = world.letter(LATE, true).await;
                let mut during = Vec::new();
                let (outcome, is_stopped) =
                    suspended(&sleeper, &world, step, sleeper.deliver(letter), async {
                        if is_busy {
                            let mut gone = other.deliver_some(&world, "during", 70).await;
                            during = gone.split_off(60);
                            // So that the numbers after the tip that the sleeper knows are free again.
                            let mut inbox = other.inbox().await;
                            inbox.retain(|_, text| gone.contains(text));
                            other.expunge(inbox.into_keys().collect()).await;
                        }
                        for _ in 0..4 {
                            world.sleep(DAY).await;
                            other.sweep(&world).await;
                        }
                    })
                    .await;
                texts.extend(during);
                if matches!(outcome, Outcome::Delivered(_)) {
                    texts.insert(LATE.to_owned());
                }
                for _ in 0..3 {
                    let found: Vec<String> = world.node().texts().await;
                    let is_late = found.iter().any(|text| text == LATE);
                    // Whoever was not told may find it there; whoever was told must.
                    assert!(
                        found.len() == texts.len() + usize::from(is_late && !texts.contains(LATE)),
                        "step {step}"
                    );
                    assert!(texts.iter().all(|text| found.contains(text)), "step {step}");
                    assert_eq!(sleeper.texts().await, found);
                    world.sleep(DAY).await;
                    other.sweep(&world).await;
                }
                let more = sleeper.deliver_some(&world, "after", 1).await;
                assert!(world.node().texts().await.ends_with(&more));
                is_stopped
            });
            if !is_stopped {
                break;
            }
            step += 1;
        }
        // Each piece, the probe and the create, when sent and when answered.
        assert!(step >= 2 * (7 + 2), "{step}");
    }
}

#[test]
fn a_sweep_that_sleeps_for_days_deletes_nothing_that_came_meanwhile() {
    let mut step = 0;
    loop {
        let (is_stopped, _) = run(step as u64, async |simulator| {
            let world = World::new(simulator);
            let (sleeper, other) = (world.node(), world.node());
            other.deliver_some(&world, "first", 70).await;
            other.deliver(world.letter("large", true).await).await;
            other.expunge((1..=60).collect()).await;
            world.orphan().await;
            world.sleep(DAY * 2).await;
            let sweep = sleeper.try_sweep(&world);
            let (_, is_stopped) = Box::pin(suspended(&sleeper, &world, step, sweep, async {
                for day in 0..3 {
                    other.deliver_some(&world, &format!("day {day}"), 30).await;
                    other.deliver(world.letter(&format!("large {day}"), true).await).await;
                    other.expunge(vec![62 + day]).await;
                    world.sleep(DAY).await;
                    other.sweep(&world).await;
                }
            }))
            .await;
            let found = other.texts().await;
            assert_eq!(world.node().texts().await, found);
            assert!(found.len() == 11 || found.len() == 11 + 3 * 31 - 3, "{}", found.len());
            is_stopped
        });
        if !is_stopped {
            break;
        }
        step += 1;
    }
    assert!(step > 20, "{step}");
}
