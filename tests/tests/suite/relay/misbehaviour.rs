//! A next hop that fails at any point costs neither the message nor, where that can be avoided, a copy.

use std::time::Duration;

use fulmar_core::model::Outcome;
use fulmar_tests::node::Node;
use fulmar_tests::smtp_servers::{Act, Phase, Script, Sink};

use super::{CONTENT, GRACE, attempted_while_time_flies, below_received, is_delivered, large, one_hop, send};

/// The recipient that misbehaviour at RCPT is about, and one that is always taken.
const RECIPIENTS: [&str; 2] = ["a@far.test", "b@far.test"];

/// What becomes of a recipient at first.
#[derive(Clone, Copy, Debug, PartialEq)]
enum First {
    Delivered,
    /// With a reply that holds this.
    Deferred(&'static str),
    Failed(&'static str),
}
use First::{Deferred, Delivered, Failed};

const CLOSE: Act = Act::Close;
const GARBAGE: Act = Act::Garbage;
const CLOSING: Act = Act::ReplyAndClose("421 4.3.2 going down");
const TRANSIENT: Act = Act::Reply("450 4.2.0 greylisted");
const PERMANENT: Act = Act::Reply("550 5.7.1 not from you");

/// Where, what, what becomes of either recipient at first, and copies that the sink holds in the end.
type Case = (Phase, Act, [First; 2], usize);

fn cases() -> Vec<Case> {
    let both = |first| [first, first];
    let mut cases = Vec::new();
    // Nothing is final before MAIL: the host does not serve us, which says nothing about the message.
    for (phase, name) in [(Phase::Greeting, "greeting"), (Phase::Ehlo, "EHLO")] {
        let lost = if name == "EHLO" { "connection lost at EHLO" } else { "connection lost at greeting" };
        cases.push((phase, CLOSE, both(Deferred(lost)), 1));
        cases.push((phase, GARBAGE, both(Deferred("4.5.0")), 1));
        cases.push((phase, CLOSING, both(Deferred("421 4.3.2")), 1));
        if name == "greeting" {
            cases.push((phase, TRANSIENT, both(Deferred("4.2.0")), 1));
            cases.push((phase, PERMANENT, both(Deferred("451 4.7.1")), 1));
        }
    }
    // An EHLO that is refused is followed by HELO (RFC 5321 §3.2).
    cases.push((Phase::Ehlo, PERMANENT, both(Delivered), 1));
    cases.extend([
        (Phase::Mail, CLOSE, both(Deferred("connection lost at MAIL")), 1),
        (Phase::Mail, GARBAGE, both(Deferred("4.5.0")), 1),
        (Phase::Mail, CLOSING, both(Deferred("421 4.3.2")), 1),
        (Phase::Mail, TRANSIENT, both(Deferred("450 4.2.0")), 1),
        (Phase::Mail, PERMANENT, both(Failed("550 5.7.1")), 0),
        (Phase::RcptTo(RECIPIENTS[0]), CLOSE, both(Deferred("connection lost at RCPT")), 1),
        (Phase::RcptTo(RECIPIENTS[0]), GARBAGE, both(Deferred("4.5.0")), 1),
        (Phase::RcptTo(RECIPIENTS[0]), CLOSING, both(Deferred("421 4.3.2")), 1),
        // Only the one is tried again.
        (Phase::RcptTo(RECIPIENTS[0]), TRANSIENT, [Deferred("450 4.2.0"), Delivered], 2),
        (Phase::RcptTo(RECIPIENTS[0]), PERMANENT, [Failed("550 5.7.1"), Delivered], 1),
        (Phase::Data, CLOSE, both(Deferred("connection lost at DATA")), 1),
        (Phase::Data, GARBAGE, both(Deferred("4.5.0")), 1),
        (Phase::Data, CLOSING, both(Deferred("421 4.3.2")), 1),
        (Phase::Data, TRANSIENT, both(Deferred("450 4.2.0")), 1),
        (Phase::Data, PERMANENT, both(Failed("550 5.7.1")), 0),
        (Phase::Content, TRANSIENT, both(Deferred("450 4.2.0")), 1),
        (Phase::Content, CLOSING, both(Deferred("421 4.3.2")), 1),
        (Phase::Content, PERMANENT, both(Failed("550 5.7.1")), 0),
        // Whether it was taken nobody knows; the sink says of such that it was not.
        (Phase::Content, CLOSE, both(Deferred("it may have been delivered")), 1),
        (Phase::Content, Act::ReplyAndClose("250 2.0.0 taken"), both(Delivered), 1),
        // What is said after the message was taken changes nothing.
        (Phase::Quit, CLOSE, both(Delivered), 1),
        (Phase::Quit, GARBAGE, both(Delivered), 1),
        (Phase::Quit, PERMANENT, both(Delivered), 1),
    ]);
    cases
}

#[test]
fn wherever_a_next_hop_fails_the_message_arrives_once_it_recovers() {
    let extensions: [&[&'static str]; 2] = [&[], &["PIPELINING", "SIZE 0"]];
    for offered in extensions {
        for (phase, act, first, copies) in cases() {
            let context = format!("{phase:?} {act:?} {offered:?}");
            let script = Script::default().offering(offered).first(1, phase, act);
            let (sink, mut node) = one_hop(script, |_| ());
            let id = send(&node, "", &RECIPIENTS, CONTENT);
            for (recipient, first) in RECIPIENTS.into_iter().zip(first) {
                check(&node, &id, recipient, first, &context);
            }
            node.shut_down(GRACE);
            assert!(node.queue().is_empty(), "{context}");
            assert_arrived(&sink, first, copies, &context);
        }
    }
}

fn check(node: &Node, id: &str, recipient: &str, first: First, context: &str) {
    let outcome = node.attempted(id, recipient, 1);
    let is_so = match (first, &outcome) {
        (Delivered, outcome) => is_delivered(outcome),
        (Deferred(part), Outcome::Deferred(reply)) | (Failed(part), Outcome::Failed(reply)) => {
            reply.to_string().contains(part)
        }
        _ => false,
    };
    assert!(is_so, "{context}: {recipient}: {first:?} and not {outcome:?}");
    if matches!(first, Deferred(_)) {
        assert!(is_delivered(&node.attempted(id, recipient, 2)), "{context}: {recipient}");
    }
}

fn assert_arrived(sink: &Sink, first: [First; 2], copies: usize, context: &str) {
    let accepted = sink.accepted();
    assert_eq!(accepted.len(), copies, "{context}: {accepted:?}");
    for (recipient, first) in RECIPIENTS.iter().zip(first) {
        let mine = accepted.iter().flat_map(|message| &message.forward_paths).filter(|to| to == recipient);
        assert_eq!(mine.count(), usize::from(!matches!(first, Failed(_))), "{context}: {recipient}");
    }
    for message in &accepted {
        assert_eq!(below_received(&message.content), CONTENT.as_bytes(), "{context}");
    }
}

#[test]
fn a_next_hop_that_falls_silent_is_given_up_and_tried_again() {
    for (phase, expected) in [
        (Phase::Greeting, "timed out at greeting"),
        (Phase::Ehlo, "timed out at EHLO"),
        (Phase::Mail, "timed out at MAIL"),
        (Phase::Rcpt(1), "timed out at RCPT"),
        (Phase::Data, "timed out at DATA"),
        (Phase::Content, "it may have been delivered"),
    ] {
        let (sink, node) = one_hop(Script::default().first(1, phase, Act::Silence), |_| ());
        let id = send(&node, "", &["a@far.test"], CONTENT);
        let outcome = attempted_while_time_flies(&node, &id, "a@far.test", Duration::from_secs(10));
        let is_so = matches!(&outcome, Outcome::Deferred(reply) if reply.to_string().contains(expected));
        assert!(is_so, "{phase:?}: {outcome:?}");
        assert!(is_delivered(&node.attempted(&id, "a@far.test", 2)), "{phase:?}");
        assert_eq!(sink.accepted().len(), 1, "{phase:?}");
    }
}

#[test]
fn a_copy_that_may_have_been_delivered_is_followed_by_another() {
    let (sink, node) = one_hop(Script::default().first(1, Phase::Content, CLOSE), |_| ());
    let id = send(&node, "", &RECIPIENTS, CONTENT);
    assert!(is_delivered(&node.attempted(&id, RECIPIENTS[0], 2)));
    let copies = sink.connections().into_iter().flat_map(|connection| connection.messages);
    let copies: Vec<_> = copies.map(|copy| (copy.content, copy.is_accepted)).collect();
    assert_eq!(copies.len(), 2);
    assert!(copies[0].0 == copies[1].0 && !copies[0].1 && copies[1].1, "{copies:?}");
}

#[test]
fn a_next_hop_that_speaks_or_leaves_amid_content_is_heard() {
    for (act, first) in [
        (CLOSE, Deferred("4.4.2")),
        (GARBAGE, Deferred("4.5.0")),
        (CLOSING, Deferred("421 4.3.2")),
        (TRANSIENT, Deferred("450 4.2.0")),
        (PERMANENT, Failed("550 5.7.1")),
        (Act::ReplyAndClose("552 5.3.4 too long"), Failed("552 5.3.4")),
        // It cannot have taken what it does not have.
        (Act::Reply("250 2.0.0 taken"), Deferred("4.5.0")),
    ] {
        let context = format!("{act:?}");
        let (sink, mut node) = one_hop(Script::default().first(1, Phase::AmidContent, act), |_| ());
        let id = send(&node, "", &RECIPIENTS, large());
        for recipient in RECIPIENTS {
            check(&node, &id, recipient, first, &context);
        }
        node.shut_down(GRACE);
        assert!(node.queue().is_empty(), "{context}");
        let accepted = sink.accepted();
        assert_eq!(accepted.len(), usize::from(!matches!(first, Failed(_))), "{context}");
        let arrived = accepted.iter().all(|message| below_received(&message.content) == large().as_bytes());
        assert!(arrived, "{context}");
    }
}

#[test]
fn recipients_beyond_what_a_next_hop_takes_go_in_another_transaction_at_once() {
    for reply in ["452 4.5.3 too many recipients", "452 no more", "552 too many"] {
        // Nothing is tried again in time: so what arrives has been sent in the first attempt.
        let script = Script::default().always(Phase::Rcpt(3), Act::Reply(reply));
        let script =
            script.always(Phase::Rcpt(4), Act::Reply(reply)).always(Phase::Rcpt(5), Act::Reply(reply));
        let (sink, node) = one_hop(script, |config| config.queue.retry = vec![Duration::from_hours(1)]);
        let recipients = ["a@far.test", "b@far.test", "c@far.test", "d@far.test", "e@far.test"];
        let id = send(&node, "", &recipients, CONTENT);
        for recipient in recipients {
            let outcome = node.attempted(&id, recipient, 1);
            assert!(is_delivered(&outcome), "{reply}: {outcome:?}");
        }
        let transactions: Vec<_> =
            sink.accepted().into_iter().map(|message| message.forward_paths.len()).collect();
        assert_eq!(transactions, [2, 2, 1], "{reply}");
        assert_eq!(sink.connections().len(), 1, "{reply}");
    }
}

#[test]
fn a_next_hop_that_takes_no_recipient_at_all_is_not_asked_at_once_again() {
    let script = Script::default().always(Phase::Rcpt(1), Act::Reply("452 4.5.3 too many recipients"));
    let (sink, node) = one_hop(script, |config| config.queue.retry = vec![Duration::from_hours(1)]);
    let id = send(&node, "", &["a@far.test"], CONTENT);
    let outcome = node.attempted(&id, "a@far.test", 1);
    assert!(matches!(&outcome, Outcome::Deferred(reply) if reply.code == 452), "{outcome:?}");
    let commands = &sink.connections()[0].commands;
    assert_eq!(commands.iter().filter(|line| line.starts_with("MAIL ")).count(), 1, "{commands:?}");
}

#[test]
fn connections_that_the_next_hop_closed_meanwhile_cost_no_attempt() {
    for act in [CLOSE, CLOSING, Act::ReplyAndClose("451 4.4.2 idle for too long")] {
        // The second message finds the connection of the first, which is closed in its face.
        let (sink, mut node) = one_hop(Script::default(), |_| ());
        let first = send(&node, "", &["a@far.test"], CONTENT);
        assert!(is_delivered(&node.attempted(&first, "a@far.test", 1)));
        sink.follow(Script::default().first(1, Phase::Mail, act));
        let second = send(&node, "", &["a@far.test"], CONTENT);
        let outcome = node.attempted(&second, "a@far.test", 1);
        node.shut_down(GRACE);
        assert!(is_delivered(&outcome) || matches!(act, Act::ReplyAndClose(_)), "{act:?}: {outcome:?}");
    }
}
