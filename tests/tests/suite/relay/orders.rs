//! An operator has a message tried again or given up.

use std::time::Duration;

use fulmar_core::admin::Action;
use fulmar_core::model::{Event, Outcome};
use fulmar_tests::node::Node;
use fulmar_tests::smtp_servers::{Act, Phase, Script, Sink};

use super::{ALICE, CONTENT, ground, is_delivered, route, send};

/// Longer than any test.
const FAR: Duration = Duration::from_hours(1);
/// How long a node that holds mail rests between two looks at orders.
const WATCHING: Duration = Duration::from_secs(10);

/// A sink, and a node that holds a message for it, deferred for an hour.
fn deferred() -> (Sink, Node, String) {
    let sink = Sink::start(Script::default().first(1, Phase::Mail, Act::Reply("450 4.7.1 later")));
    let ground = ground(|config| {
        route(config, None, sink.address());
        config.queue.retry = vec![FAR];
    });
    let node = ground.account(ALICE).start();
    let id = send(&node, ALICE, &["a@far.test", "b@far.test"], CONTENT);
    for recipient in ["a@far.test", "b@far.test"] {
        assert!(matches!(node.attempted(&id, recipient, 1), Outcome::Deferred(_)));
    }
    (sink, node, id)
}

/// Lets time fly until an order has been carried out, which must take no longer than its node rests between two looks.
fn until_ordered(node: &Node, id: &str, action: &str) {
    let is_it = |event: &Event| matches!(event, Event::Ordered { queue_id, action: done } if queue_id.to_string() == id && *done == action);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| node.wait_for(action, is_it));
        let mut advanced = Duration::ZERO;
        while !waiting.is_finished() && advanced < WATCHING {
            node.advance(Duration::from_millis(500));
            advanced += Duration::from_millis(500);
            std::thread::sleep(Duration::from_millis(10));
        }
        waiting.join().unwrap();
    });
}

fn orders(node: &Node) -> Vec<String> {
    node.keys().into_iter().filter(|key| key.ends_with(".todo")).collect()
}

#[test]
fn a_deferred_message_is_tried_at_once_when_an_operator_says_so() {
    let (sink, mut node, id) = deferred();
    node.order(&id, Action::Retry);
    assert_eq!(orders(&node).len(), 1);
    until_ordered(&node, &id, "retry");
    for recipient in ["a@far.test", "b@far.test"] {
        assert!(is_delivered(&node.attempted(&id, recipient, 2)));
    }
    assert_eq!(sink.accepted().len(), 1, "both in one transaction");
    node.shut_down(super::GRACE);
    assert!(node.queue().is_empty());
    assert_eq!(orders(&node), Vec::<String>::new());
}

#[test]
fn an_order_to_try_again_counts_more_than_that_a_host_was_away_a_moment_ago() {
    let address = Sink::start(Script::default()).address();
    let ground = ground(|config| {
        route(config, None, address);
        config.queue.retry = vec![FAR];
    });
    let mut node = ground.account(ALICE).start();
    let id = send(&node, ALICE, &["a@far.test"], CONTENT);
    assert!(matches!(node.attempted(&id, "a@far.test", 1), Outcome::Deferred(_)));
    let sink = Sink::start_at(address, Script::default()).expect("the port is free again");
    node.order(&id, Action::Retry);
    until_ordered(&node, &id, "retry");
    assert!(is_delivered(&node.attempted(&id, "a@far.test", 2)));
    assert_eq!(sink.accepted().len(), 1);
    node.shut_down(super::GRACE);
}

#[test]
fn an_order_that_cannot_be_read_is_reported_and_stands_in_the_way_of_no_other() {
    let (sink, node, id) = deferred();
    node.put("live/01M80WGG90TGXE5AD22CQYC09D.todo", b"scribble");
    node.order(&id, Action::Retry);
    until_ordered(&node, &id, "retry");
    assert!(is_delivered(&node.attempted(&id, "a@far.test", 2)));
    assert_eq!(sink.accepted().len(), 1);
    let is_reported = |event: &Event| matches!(event, Event::Trouble { doing, .. } if doing.contains("01M80WGG90TGXE5AD22CQYC09D"));
    node.wait_for("a report of it", is_reported);
}

#[test]
fn a_message_that_is_given_up_goes_without_a_report() {
    let (sink, mut node, id) = deferred();
    node.order(&id, Action::Cancel);
    until_ordered(&node, &id, "cancel");
    node.shut_down(super::GRACE);
    assert!(node.queue().is_empty());
    assert!(sink.accepted().is_empty());
    assert!(node.inbox(ALICE).is_empty());
    assert_eq!(orders(&node), Vec::<String>::new());
    let reports = node.events().into_iter().filter(|event| matches!(event, Event::Bounced { .. }));
    assert_eq!(reports.count(), 0);
}

#[test]
fn a_message_that_is_given_up_while_it_is_attempted_goes_without_a_report_too() {
    let script =
        Script::default().first(1, Phase::Mail, Act::Wait).always(Phase::Content, Act::Reply("554 5.7.1 no"));
    let sink = Sink::start(script);
    let ground = ground(|config| route(config, None, sink.address()));
    let mut node = ground.account(ALICE).start();
    let id = send(&node, ALICE, &["a@far.test"], CONTENT);
    sink.wait_for("MAIL", |connections| {
        connections.iter().any(|all| all.commands.iter().any(|line| line.starts_with("MAIL")))
    });
    node.order(&id, Action::Cancel);
    until_ordered(&node, &id, "cancel");
    sink.release();
    assert!(matches!(node.attempted(&id, "a@far.test", 1), Outcome::Failed(_)));
    node.shut_down(super::GRACE);
    assert!(node.queue().is_empty());
    assert!(node.inbox(ALICE).is_empty());
    assert_eq!(orders(&node), Vec::<String>::new());
}

#[test]
fn an_order_given_while_no_node_runs_is_carried_out_by_the_next() {
    for action in [Action::Retry, Action::Cancel] {
        let (sink, mut node, id) = deferred();
        node.shut_down(super::GRACE);
        let ground = node.into_ground();
        let waiting = ground.queue();
        assert_eq!(waiting.len(), 2);
        assert!(
            waiting.iter().all(|item| item.last_reply.as_deref().unwrap_or_default().contains("450 4.7.1"))
        );
        ground.order(&id, action);
        let mut next = ground.start();
        let name = action.name();
        until_ordered(&next, &id, name);
        if action == Action::Retry {
            assert!(is_delivered(&next.attempted(&id, "a@far.test", 1)));
        }
        next.shut_down(super::GRACE);
        assert!(next.queue().is_empty(), "{name}");
        assert_eq!(sink.accepted().len(), usize::from(action == Action::Retry), "{name}");
        assert_eq!(orders(&next), Vec::<String>::new(), "{name}");
    }
}
