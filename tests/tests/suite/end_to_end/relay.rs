//! Mail that goes on to other hosts.

use std::sync::Arc;
use std::time::Duration;

use fulmar_core::model::{Event, Outcome};
use fulmar_core::state::layout;
use fulmar_tests::runtime::Runtime;

use super::client::SENDER;
use super::world::{ALICE, Node, World};
use super::{on_every_runtime, simulated};

on_every_runtime![
    mail_for_another_domain_goes_to_the_first_exchange_that_answers,
    a_recipient_who_is_refused_for_now_is_tried_again_until_taken,
    who_wrote_to_a_recipient_that_is_refused_for_good_is_told_so,
    what_a_killed_node_was_to_relay_is_relayed_by_another,
];

const MESSAGE: &[u8] = b"Subject: far\r\n\r\n.\r\n..dots\r\nsecret\r\n";
const FAR: [&str; 2] = ["one@other.test", "two@other.test"];
/// The domain of these.
const OTHER: &str = "other.test";

async fn mail_for_another_domain_goes_to_the_first_exchange_that_answers(runtime: Arc<dyn Runtime>) {
    let mut world = World::new(runtime, |_| ()).await;
    let sink = world.sink(OTHER);
    let node = world.start(1).await;
    let mut sender = world.smtp(&node).await;
    sender.deliver(&[FAR[0], ALICE, FAR[1]], MESSAGE).await;
    world.until_done().await;
    let taken = sink.taken();
    assert_eq!(taken.len(), 1, "one transaction for both: {taken:?}");
    assert_eq!(taken[0].reverse_path, SENDER);
    let mut forward_paths = taken[0].forward_paths.clone();
    forward_paths.sort_unstable();
    assert_eq!(forward_paths, FAR);
    assert!(taken[0].content.starts_with(b"Received: ") && taken[0].content.ends_with(MESSAGE));
    let inbox = world.inbox(ALICE).await;
    assert!(inbox.len() == 1 && inbox[0].ends_with(MESSAGE));
}

async fn a_recipient_who_is_refused_for_now_is_tried_again_until_taken(runtime: Arc<dyn Runtime>) {
    let mut world = World::new(runtime, |_| ()).await;
    let sink = world.sink(OTHER);
    sink.refuse(["450 4.2.1 busy", "451 4.7.1 come again"]);
    let node = world.start(1).await;
    world.smtp(&node).await.deliver(&FAR[..1], MESSAGE).await;
    world.until_done().await;
    let taken = sink.taken();
    assert!(taken.len() == 1 && taken[0].content.ends_with(MESSAGE), "{taken:?}");
    let is_third =
        |event: &Event| matches!(event, Event::Attempted { attempts: 3, outcome: Outcome::Delivered(_), .. });
    assert!(node.has_reported(is_third));
}

async fn who_wrote_to_a_recipient_that_is_refused_for_good_is_told_so(runtime: Arc<dyn Runtime>) {
    let mut world = World::new(runtime, |_| ()).await;
    let sink = world.sink(OTHER);
    sink.refuse(["550 5.1.1 nobody of that name"]);
    let node = world.start(1).await;
    let reply = world.smtp(&node).await.transact(ALICE, &FAR[..1], MESSAGE).await;
    assert!(reply.starts_with("250 "), "{reply:?}");
    world.until_done().await;
    assert!(sink.taken().is_empty() && sink.has_refused_all());
    let inbox = world.inbox(ALICE).await;
    assert_eq!(inbox.len(), 1);
    let report = String::from_utf8(inbox[0].clone()).unwrap();
    assert!(report.starts_with("Return-Path: <>\r\n"), "{report}");
    for fact in ["one@other.test", "5.1.1", "nobody of that name", "Subject: far"] {
        assert!(report.contains(fact), "{fact:?} is not in\n{report}");
    }
}

async fn what_a_killed_node_was_to_relay_is_relayed_by_another(runtime: Arc<dyn Runtime>) {
    let mut world = World::new(runtime, |_| ()).await;
    let sink = world.sink(OTHER);
    // Whatever is tried in this life.
    sink.refuse(["450 4.2.1 busy"; 1_000]);
    let first = world.start(1).await;
    world.smtp(&first).await.deliver(&FAR[..1], MESSAGE).await;
    let is_tried = |event: &Event| matches!(event, Event::Attempted { outcome: Outcome::Deferred(_), .. });
    world.until("an attempt", || async { first.has_reported(is_tried) }).await;
    world.kill(first);
    sink.relent();
    let second = world.start(2).await;
    world.until_done().await;
    let taken = sink.taken();
    assert!(taken.len() == 1 && taken[0].content.ends_with(MESSAGE), "{taken:?}");
    assert_eq!(second.engine.statistics().delivered, 1);
}

#[test]
fn what_any_node_holds_is_sent_when_one_is_asked_by_etrn() {
    simulated(async |runtime| {
        let mut world = World::new(runtime, |config| config.queue.retry = vec![FAR_AWAY]).await;
        let sink = world.sink(OTHER);
        sink.refuse(["450 4.2.1 busy"; 1_000]);
        let nodes = [world.start(1).await, world.start(2).await];
        for (node, recipient) in nodes.iter().zip(FAR) {
            world.smtp(node).await.deliver(&[recipient], MESSAGE).await;
        }
        world.until("a first attempt by each", || async { attempts(&nodes) == [1, 1] }).await;

        // Who is asked sends at once, and as every other node when it looks.
        let mut client = world.smtp(&nodes[1]).await;
        client.command("EHLO other.test", "250").await;
        client.command("ETRN nobody.test", "250 2.0.0").await;
        client.command("ETRN other.test", "253 2.0.0").await;
        client.command("ETRN other.test", "253 2.0.0").await;
        world.pass(ALL_HAVE_LOOKED).await;
        let [first, second] = attempts(&nodes);
        assert!(first == 2 && (2..=4).contains(&second), "{first} {second}");
        world.pass(ALL_HAVE_LOOKED * 3).await;
        assert_eq!(attempts(&nodes), [first, second], "once by each");

        sink.relent();
        let mut client = world.smtp(&nodes[0]).await;
        client.command("EHLO other.test", "250").await;
        client.command("ETRN @test", "253 2.0.0").await;
        world.pass(ALL_HAVE_LOOKED).await;
        assert_eq!(sink.taken().len(), FAR.len());
        world.pass(Duration::from_mins(12)).await;
        let left = world.keys(layout::LIVE).await;
        assert!(left.iter().all(|key| !key.ends_with(".todo")), "{left:?}");
    });
}

/// Between two attempts, where nobody asks for one.
const FAR_AWAY: Duration = Duration::from_hours(10);
/// The longest that a node rests between two looks at what is asked of all.
const ALL_HAVE_LOOKED: Duration = Duration::from_secs(70);

fn attempts(nodes: &[Node; 2]) -> [usize; 2] {
    let is_attempt = |event: &Event| matches!(event, Event::Attempted { .. }).then_some(());
    [nodes[0].events(is_attempt).len(), nodes[1].events(is_attempt).len()]
}
