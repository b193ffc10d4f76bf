//! Who is told of what failed.

use std::time::Duration;

use fulmar_core::model::{Event, Outcome};
use fulmar_tests::node::Node;
use fulmar_tests::smtp_servers::{Act, Phase, Script, Sink};

use super::{ALICE, CONTENT, ground, is_delivered, one_hop, route, send};

const NOBODY: Act = Act::Reply("550 5.1.1 nobody of that name");
/// The field that tells a report, on a line of its own.
const REPORT: &str = "Content-Type: multipart/report";

/// Waits for the report of a message, and gives its queue id.
fn bounced(node: &Node, id: &str) -> String {
    let is_it =
        |event: &Event| matches!(event, Event::Bounced { queue_id, .. } if queue_id.to_string() == id);
    match node.wait_for("a report", is_it) {
        Event::Bounced { report, .. } => report.to_string(),
        other => panic!("{other:?}"),
    }
}

fn assert_tells(report: &str, facts: &[&str]) {
    assert!(report.contains(REPORT), "{report}");
    for fact in facts {
        assert!(report.contains(fact), "{fact:?} is not in\n{report}");
    }
}

fn assert_nobody_told(node: &Node, id: &str) {
    node.wait_for(
        "a failure that nobody is told of",
        |event| matches!(event, Event::BounceDropped { queue_id, .. } if queue_id.to_string() == id),
    );
}

fn bounces(node: &Node) -> usize {
    node.events().iter().filter(|event| matches!(event, Event::Bounced { .. })).count()
}

#[test]
fn a_sender_here_finds_a_report_of_those_who_failed_and_of_nobody_else() {
    let refusing = Script::default()
        .always(Phase::RcptTo("b@far.test"), NOBODY)
        .always(Phase::RcptTo("c@far.test"), Act::Reply("553 no"))
        .first(1, Phase::RcptTo("d@far.test"), Act::Reply("451 4.7.1 later"));
    let sink = Sink::start(refusing);
    let mut node = ground(|config| route(config, None, sink.address())).account(ALICE).start();
    let recipients = ["a@far.test", "b@far.test", "c@far.test", "d@far.test"];
    let id = send(&node, ALICE, &recipients, CONTENT);
    let report = bounced(&node, &id);
    node.delivered(&report, ALICE);
    assert!(is_delivered(&node.attempted(&id, "d@far.test", 2)));
    node.shut_down(super::GRACE);
    assert!(node.queue().is_empty());
    let inbox = node.inbox(ALICE);
    assert_eq!(inbox.len(), 1, "one report for both");
    let report = String::from_utf8(inbox[0].clone()).unwrap();
    assert_tells(
        &report,
        &[
            "Return-Path: <>\r\n",
            "\r\nFinal-Recipient: rfc822; b@far.test\r\n",
            "\r\nFinal-Recipient: rfc822; c@far.test\r\n",
            "\r\nAction: failed\r\n",
            "\r\nStatus: 5.1.1\r\n",
            "\r\nStatus: 5.0.0\r\n",
            "nobody of that name",
            "\r\nDiagnostic-Code: smtp; 550 5.1.1 ",
            "\r\nDiagnostic-Code: smtp; 553 5.0.0 ",
            "\r\nSubject: lunch\r\n",
        ],
    );
    for other in ["a@far.test", "d@far.test", "At one?"] {
        assert!(!report.contains(other), "{other} is in\n{report}");
    }
}

#[test]
fn a_sender_elsewhere_is_sent_a_report_from_the_null_reverse_path() {
    let refusing = Script::default().always(Phase::RcptTo("b@far.test"), NOBODY);
    let (sink, mut node) = one_hop(refusing, |_| ());
    let id = send(&node, "sender@client.test", &["b@far.test"], CONTENT);
    let report = bounced(&node, &id);
    assert!(is_delivered(&node.attempted(&report, "sender@client.test", 1)));
    node.shut_down(super::GRACE);
    assert!(node.queue().is_empty());
    let accepted = sink.accepted();
    assert_eq!(accepted.len(), 1, "{accepted:?}");
    assert_eq!(
        (&*accepted[0].reverse_path, &accepted[0].forward_paths[..]),
        ("", &["sender@client.test".to_owned()][..])
    );
    let text = String::from_utf8(accepted[0].content.clone()).unwrap();
    assert_tells(&text, &["\r\nFinal-Recipient: rfc822; b@far.test\r\n", "\r\nStatus: 5.1.1\r\n"]);
}

#[test]
fn nobody_is_told_of_what_came_from_the_null_reverse_path() {
    let (sink, mut node) = one_hop(Script::default().always(Phase::Mail, NOBODY), |_| ());
    let id = send(&node, "", &["b@far.test"], CONTENT);
    assert_nobody_told(&node, &id);
    node.shut_down(super::GRACE);
    assert!(node.queue().is_empty() && bounces(&node) == 0);
    assert!(sink.accepted().is_empty());
}

#[test]
fn a_report_that_is_refused_is_not_reported_on() {
    for act in [NOBODY, Act::Reply("554 5.7.1 no reports")] {
        let (sink, mut node) = one_hop(Script::default().always(Phase::Rcpt(1), act), |_| ());
        let id = send(&node, "sender@client.test", &["b@far.test"], CONTENT);
        let report = bounced(&node, &id);
        assert!(matches!(node.attempted(&report, "sender@client.test", 1), Outcome::Failed(_)));
        assert_nobody_told(&node, &report);
        node.shut_down(super::GRACE);
        assert!(node.queue().is_empty());
        assert_eq!(bounces(&node), 1);
        assert!(sink.accepted().is_empty());
    }
}

#[test]
fn what_was_deferred_for_too_long_is_reported_with_the_last_reason() {
    let deferring = Script::default().always(Phase::RcptTo("b@far.test"), Act::Reply("450 4.2.1 full"));
    let sink = Sink::start(deferring);
    let expiring = ground(|config| {
        route(config, None, sink.address());
        config.queue.expire = Duration::from_millis(300);
    });
    let mut node = expiring.account(ALICE).start();
    let id = send(&node, ALICE, &["b@far.test", "a@far.test"], CONTENT);
    assert!(matches!(node.attempted(&id, "b@far.test", 1), Outcome::Deferred(_)));
    let report = bounced(&node, &id);
    node.delivered(&report, ALICE);
    node.shut_down(super::GRACE);
    assert!(node.queue().is_empty());
    let report = String::from_utf8(node.inbox(ALICE).remove(0)).unwrap();
    assert_tells(
        &report,
        &[
            "\r\nFinal-Recipient: rfc822; b@far.test\r\n",
            "\r\nStatus: 5.4.7\r\n",
            "not delivered within",
            "450 4.2.1",
        ],
    );
    assert!(!report.contains("a@far.test"), "{report}");
    assert_eq!(sink.accepted().len(), 1);
}

#[test]
fn a_domain_that_takes_no_mail_is_reported_with_its_status() {
    let ground = ground(|_| ()).account(ALICE);
    ground.zone().mx("null.test", &[(0, ".")]);
    ground.zone().mx("us.test", &[(0, "mx.test")]);
    ground.zone().mx("local.test", &[(0, "private.test")]);
    ground.zone().host("private.test", &[[10, 0, 0, 1].into()]);
    let node = ground.start();
    let cases =
        [("null.test", "5.1.10"), ("absent.test", "5.1.2"), ("us.test", "5.4.6"), ("local.test", "5.4.4")];
    for (at, (domain, status)) in cases.into_iter().enumerate() {
        let id = send(&node, ALICE, &[&format!("b@{domain}")], CONTENT);
        node.delivered(&bounced(&node, &id), ALICE);
        let report = String::from_utf8(node.inbox(ALICE).swap_remove(at)).unwrap();
        let recipient = format!("\r\nFinal-Recipient: rfc822; b@{domain}\r\n");
        assert_tells(&report, &[&recipient, &format!("\r\nStatus: {status}\r\n")]);
    }
}
