//! What may lie in `pickup/`: messages of every form, and objects that are none.

use std::time::Duration;

use fulmar_core::model::{Event, Outcome};
use fulmar_tests::node::{Ground, address};

const ALICE: &str = "alice@home.test";
const BOB: &str = "bob@home.test";
/// Between two rounds.
const ROUND: Duration = Duration::from_mins(1);

fn ground() -> Ground {
    Ground::new(|config| config.smtp.message_size = 100_000).account(ALICE).account(BOB)
}

fn put(ground: &Ground, name: &str, content: impl Into<Vec<u8>>) {
    // As long as the test, which is not long.
    ground.put(&format!("pickup/{name}"), content.into().leak());
}

/// Sends what is there by a node, and gives what is in an account then, without the trace fields.
fn sent(content: impl Into<Vec<u8>>, account: &str) -> String {
    let ground = ground();
    put(&ground, "m.eml", content);
    let node = ground.start();
    let recipient = address(account);
    node.wait_for("its delivery", |event| {
        let Event::Attempted { recipient: to, outcome, .. } = event else { return false };
        *to == recipient && matches!(outcome, Outcome::Delivered(_))
    });
    let inbox = node.inbox(account);
    let message = String::from_utf8(inbox.into_iter().next().expect("a message")).expect("text");
    let at = message.find(" +0000\r\n").expect("a date") + 8;
    message[at..].to_owned()
}

#[test]
fn a_message_is_sent_as_its_fields_say_and_without_what_is_not_for_its_recipients() {
    for (content, account, expected) in [
        (
            "X-Fulmar-From: x@y.test\nX-Fulmar-To: alice@home.test\nTo: list@else.test\n\nHello\n",
            ALICE,
            "To: list@else.test\r\n\r\nHello\r\n",
        ),
        (
            "From: X <x@y.test>\r\nTo: Alice <alice@home.test>\r\nBcc: bob@home.test\r\n\r\nHello",
            BOB,
            "From: X <x@y.test>\r\nTo: Alice <alice@home.test>\r\n\r\nHello\r\n",
        ),
        (
            "Resent-From: r@y.test\nResent-To: bob@home.test\nFrom: x@y.test\nTo: alice@home.test\n\n.\n..\n",
            BOB,
            "Resent-From: r@y.test\r\nResent-To: bob@home.test\r\nFrom: x@y.test\r\nTo: alice@home.test\r\n\r\n.\r\n..\r\n",
        ),
        (
            "From: x@y.test\nCc: postmaster@home.test, alice@home.test\n",
            ALICE,
            "From: x@y.test\r\nCc: postmaster@home.test, alice@home.test\r\n",
        ),
        (
            "X-Fulmar-To: alice@home.test\nX-Fulmar-From: <>\nSubject: \u{e9}\n\n\u{e9}\n",
            ALICE,
            "Subject: \u{e9}\r\n\r\n\u{e9}\r\n",
        ),
    ] {
        assert_eq!(sent(content, account), expected, "{content}");
    }
}

#[test]
fn what_cannot_be_sent_is_left_with_a_word_and_keeps_nobody_else_waiting() {
    let long = format!("From: x@y.test\nTo: alice@home.test\n\n{}", "0123456\n".repeat(20_000));
    let grows = format!("From: x@y.test\nTo: alice@home.test\n\n{}", "\n".repeat(60_000));
    let wide = format!("From: x@y.test\nTo: alice@home.test\nX: {}\n\n", " x".repeat(1 << 17));
    let loops = format!("{}From: x@y.test\nTo: alice@home.test\n\n", "Received: by y.test\n".repeat(200));
    let many = format!("From: x@y.test\nTo: {}\n\n", "alice@home.test, ".repeat(3) + "nobody@home.test");
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", "".into(), "no message"),
        ("noise", vec![0xff, 0, 1, 2, 3], "no message"),
        ("frame", b"FLMR\x01\0\0\0{}\n".to_vec(), "no message"),
        ("text", "just some words\n".into(), "no message"),
        (
            "mbox",
            "From x@y.test Sun Nov 22 07:00:00 2026\nFrom: x@y.test\nTo: alice@home.test\n\n".into(),
            "no message",
        ),
        ("torn", "From: x@y.test\nTo: alice@home.test\nno field\nBcc: bob@home.test\n\n".into(), "no field"),
        ("bare-cr", "From: x@y.test\nTo: alice@home.test\n\na\rb\n".into(), "CR that no LF"),
        ("nobody", "From: x@y.test\nTo: nobody@home.test\n\n".into(), "nobody here"),
        ("one-of-many", many.into(), "nobody here"),
        ("no-recipient", "From: x@y.test\n\n".into(), "no recipient"),
        ("no-sender", "To: alice@home.test\n\n".into(), "no sender"),
        (
            "two-senders",
            "X-Fulmar-From: a@x.test, b@x.test\nX-Fulmar-To: alice@home.test\n\n".into(),
            "more than one",
        ),
        ("bad-address", "From: x@y.test\nTo: alice@home.test\nCc: a@b@c\n\n".into(), "Cc: "),
        ("not-text", b"From: x@y.test\nTo: \xff@home.test\n\n".to_vec(), "no text"),
        ("long", long.into(), "more than 100000 octets"),
        ("grows", grows.into(), "more than 100000 octets"),
        ("wide", wide.into(), "more than 100000 octets"),
        ("loops", loops.into(), "round in circles"),
    ];
    let ground = ground();
    for (name, content, _) in &cases {
        put(&ground, &format!("{name}.eml"), content.clone());
    }
    put(&ground, "zz.eml", "From: x@y.test\nTo: alice@home.test\n\nlast\n");
    // Not meant for us.
    put(&ground, "readme.txt", "From: x@y.test\nTo: alice@home.test\n\nno\n");
    let node = ground.start();
    for (name, _, expected) in &cases {
        let key = format!("pickup/{name}.eml");
        let event =
            node.wait_for(name, |event| matches!(event, Event::PickupLeft { key: left, .. } if *left == key));
        let Event::PickupLeft { reason, .. } = event else { unreachable!("it was looked for") };
        assert!(reason.contains(expected), "{name}: {reason}");
    }
    node.delivered_in_all(1);
    node.wait_for("its removal", |event| matches!(event, Event::PickedUp { .. }));
    node.advance(ROUND);
    node.advance(ROUND);
    let left = |event: &Event| matches!(event, Event::PickupLeft { .. });
    assert_eq!(node.events().iter().filter(|event| left(event)).count(), cases.len());
    let objects: Vec<String> = node.keys().into_iter().filter(|key| key.starts_with("pickup/")).collect();
    assert_eq!(objects.len(), cases.len() + 1, "{objects:?}");
    assert_eq!(node.inbox(ALICE).len(), 1);
}
