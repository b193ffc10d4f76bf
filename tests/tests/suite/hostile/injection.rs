//! Header fields and replies that a client would like to write, by way of what it may name: itself, addresses, parameters, other clients.

use fulmar_core::config::Protocol;
use fulmar_core::model::Event;
use fulmar_core::model::message::fields;
use fulmar_tests::client::Client;
use fulmar_tests::node::Node;

use super::{ALICE, FAR, ground};

const MESSAGE: &str = "Subject: hello\r\n\r\nIt works.\r\n";

/// The names of a message's header fields.
fn names(message: &[u8]) -> Vec<String> {
    fields(message).map(|field| String::from_utf8_lossy(field.name).into_owned()).collect()
}

/// The only message of Alice's, which has the fields that it was sent with and ours.
fn only_message(node: &Node) -> String {
    let mut inbox = node.inbox(ALICE);
    assert_eq!(inbox.len(), 1);
    assert_eq!(names(&inbox[0]), ["Return-Path", "Received", "Subject"], "{}", inbox[0].escape_ascii());
    String::from_utf8(inbox.remove(0)).unwrap()
}

#[test]
fn a_name_that_a_client_gives_itself_stays_within_the_trace_field() {
    for name in [
        "evil)(x",
        "a;b",
        "<evil@x.test>",
        "\"x",
        "x\\",
        "X-Evil:1",
        "%0d%0aX-Evil:1",
        "[127.0.0.1](x",
        "=?utf-8?q?=0a?=",
        "a\\r\\nb",
        "{}",
    ] {
        let node = ground(|_| ()).start();
        let mut client = Client::connect(node.server());
        client.expect("220 ");
        client.command(&format!("EHLO {name}"), "250-");
        let id = client.deliver(&[ALICE], MESSAGE);
        node.delivered(&id, ALICE);
        let message = only_message(&node);
        let received = message.split("Received: from ").nth(1).unwrap();
        let (shown, rest) = received.split_once(' ').unwrap();
        assert!(!shown.contains(['(', ')', ';', '<', '>', '"', '\\']), "{name}: {message}");
        assert!(rest.starts_with("([127.0.0.1])\r\n\tby mx.test with ESMTP id "), "{name}: {message}");
    }
}

#[test]
fn what_would_end_a_line_cannot_be_said_whatever_it_is_said_in() {
    let mut node = ground(|config| config.smtp.errors = 1_000).start();
    let port = node.listen_as(Protocol::Smtp, Some(FAR.parse().unwrap()), |listener| {
        listener.settings.xclient_from = vec!["192.0.2.7/32".parse().unwrap()];
        listener.settings.xforward_from = vec!["192.0.2.7/32".parse().unwrap()];
    });
    let mut client = Client::greeted(port);
    let mut refused = |line: &str, expected: &str| {
        let reply = client.command(line, expected);
        assert!(reply.is_ascii() && reply.lines().count() == 1, "{line:?}: {reply:?}");
    };
    // Octets that are no text in any command.
    for octet in ["\0", "\r", "\u{1}", "\u{8}", "\u{b}", "\u{c}", "\u{1b}", "\u{7f}", "\u{85}"] {
        for line in [
            format!("EHLO a{octet}b"),
            format!("MAIL FROM:<a{octet}b@far.test>"),
            format!("MAIL FROM:<\"a{octet}b\"@far.test>"),
            format!("MAIL FROM:<a@far.test>{octet}X-Evil: 1"),
            format!("MAIL FROM:<a@far.test> ENVID=a{octet}b"),
            format!("RCPT TO:<alice@home.test>{octet}"),
            format!("VRFY a{octet}b"),
            format!("XCLIENT NAME=a{octet}b"),
        ] {
            refused(&line, "500 5.5.2 ");
        }
    }
    // The same in xtext.
    for octets in ["+0D+0AX-Evil:+201", "+0D", "+0A", "+00", "+0B", "+7F", "+C2+85", "+FF", "+0", "+", "+zz"]
    {
        for line in [
            format!("MAIL FROM:<a@far.test> ENVID=a{octets}"),
            format!("MAIL FROM:<a@far.test> AUTH=a{octets}@far.test"),
            format!("RCPT TO:<alice@home.test> ORCPT=rfc822;a{octets}"),
            format!("XCLIENT NAME=a{octets}"),
            format!("XCLIENT HELO=a{octets}"),
            format!("XCLIENT ADDR=192.0.2.9{octets}"),
            format!("XCLIENT LOGIN=alice@home.test{octets}"),
            format!("XFORWARD NAME=a{octets}"),
            format!("XFORWARD HELO=a{octets}"),
        ] {
            refused(&line, "501 5.5.4 ");
        }
    }
    for (line, expected) in [
        ("EHLO", "501 5.5.4 "),
        ("EHLO a\tb", "501 5.5.4 "),
        ("EHLO a b", "501 5.5.4 "),
        ("EHLO \u{e9}", "500 5.5.2 "),
        ("MAIL FROM:<a\tb@far.test>", "501 5.1.7 "),
        ("MAIL FROM:<\"a\tb\"@far.test>", "501 5.1.7 "),
        ("MAIL FROM:<a@far.test>X-Evil:1", "501 5.5.4 "),
        ("MAIL FROM:<a@far.test> X-Evil:1", "501 5.5.4 "),
        ("MAIL FROM:<a@far.test> X-Evil=1", "555 5.5.4 "),
        ("MAIL FROM:<a@far.test> ENVID=a ENVID=b", "501 5.5.4 "),
        ("MAIL FROM:<a@far.test> ENVID=a=b", "501 5.5.4 "),
        // Ends of lines beyond ASCII, and what turns text round.
        ("MAIL FROM:<a\u{2028}b@far.test> SMTPUTF8", "501 5.1.7 "),
        ("MAIL FROM:<a\u{2029}b@far.test> SMTPUTF8", "501 5.1.7 "),
        ("MAIL FROM:<a\u{202e}b@far.test> SMTPUTF8", "501 5.1.7 "),
        ("MAIL FROM:<a\u{200b}b@far.test> SMTPUTF8", "501 5.1.7 "),
        ("RCPT TO:<alice@home.test> ORCPT=utf-8;a\\x{0A}b", "501 5.5.4 "),
        ("RCPT TO:<alice@home.test> ORCPT=utf-8;a\\x{D800}b", "501 5.5.4 "),
        ("RCPT TO:<alice@home.test> ORCPT=X-Evil:;a", "501 5.5.4 "),
        ("RCPT TO:<alice@home.test> ORCPT=rfc822", "501 5.5.4 "),
        ("XCLIENT ADDR=192.0.2.9%lo", "501 5.5.4 "),
        ("XCLIENT ADDR=192.0.2.9 PORT=65536", "501 5.5.4 "),
        ("XCLIENT NAME=a NAME=b", "501 5.5.4 "),
        ("XCLIENT NAME", "501 5.5.4 "),
        ("XCLIENT X=1", "555 5.5.4 "),
    ] {
        refused(line, expected);
    }
    let long = "a".repeat(256);
    refused(&format!("EHLO {long}"), "501 5.5.4 ");
    refused(&format!("XCLIENT NAME={long}"), "501 5.5.4 ");
    refused(&format!("MAIL FROM:<a@far.test> ENVID={long}"), "501 5.5.4 ");
    refused(&format!("RCPT TO:<alice@home.test> ORCPT=rfc822;{}", "a".repeat(501)), "501 5.5.4 ");
    // None of it has changed who the client is.
    client.command("MAIL FROM:<sender@far.test>", "250 ");
    client.command("RCPT TO:<x@elsewhere.test>", "550 5.7.1 ");
    assert!(!node.events().iter().any(|event| matches!(event, Event::ClientNamed { .. })));
}

#[test]
fn quoted_local_parts_stay_within_their_field() {
    let node = ground(|_| ()).alias("x*@home.test", &[ALICE]).start();
    let mut client = node.client();
    let (sender, recipient) =
        (r#""a>b\"c: d,e;\\ (f"@far.test"#, r#""x); with evil (\" <y>,:;@home.test"@home.test"#);
    client.command(&format!("MAIL FROM:<{sender}>"), "250 ");
    client.command(&format!("RCPT TO:<{recipient}>"), "250 ");
    client.command("DATA", "354 ");
    client.send(format!("{MESSAGE}.\r\n"));
    let id = client.accepted();
    node.delivered(&id, ALICE);
    let message = only_message(&node);
    assert!(message.starts_with(&format!("Return-Path: <{sender}>\r\n")), "{message}");
    assert!(message.contains(&format!("\r\n\tfor <{recipient}>;\r\n\t")), "{message}");
}

#[test]
fn what_a_proxy_says_of_a_client_stays_within_the_trace_field() {
    let mut node = ground(|_| ()).start();
    let port = node.listen_as(Protocol::Smtp, Some(FAR.parse().unwrap()), |listener| {
        listener.settings.xclient_from = vec!["0.0.0.0/0".parse().unwrap()];
        listener.settings.xforward_from = vec!["0.0.0.0/0".parse().unwrap()];
    });
    let mut client = Client::greeted(port);
    client.command("XFORWARD NAME=a)+20X-Evil:+201 HELO=(+3Cb+3E SOURCE=REMOTE IDENT=+22", "250 ");
    client.command("XCLIENT NAME=evil)+3B+20X-Evil:+201 HELO=(x ADDR=198.51.100.9 PROTO=SMTP)", "220 ");
    client.command("EHLO client.test", "250-");
    let id = client.deliver(&[ALICE], MESSAGE);
    node.delivered(&id, ALICE);
    let message = only_message(&node);
    assert!(message.contains("Received: from client.test ([198.51.100.9])\r\n\tby "), "{message}");
    assert!(!message.contains("vil"), "{message}");
}

/// Who asks for a report has its own words in it, and nothing of them is a field.
#[test]
fn what_a_sender_calls_its_message_stays_within_its_field_of_a_report() {
    let node = ground(|config| config.relay.networks = vec!["127.0.0.0/8".parse().unwrap()]).start();
    let mut client = node.client();
    client.command("MAIL FROM:<alice@home.test> ENVID=a+20X-Evil:+201+3B+28+22+5C RET=HDRS", "250 ");
    client.command("RCPT TO:<user@gone.test> ORCPT=rfc822;b+20X-Evil:+202+3B+28+22+3Cc+3E", "250 ");
    client.command("DATA", "354 ");
    client.send(format!("{MESSAGE}.\r\n"));
    let id = client.accepted();
    let bounced = node.wait_for("a report", |event| match event {
        Event::Bounced { queue_id, .. } => queue_id.to_string() == id,
        _ => false,
    });
    let Event::Bounced { report, .. } = bounced else { panic!("{bounced:?}") };
    node.delivered(&report.to_string(), ALICE);
    let report = String::from_utf8(node.inbox(ALICE).remove(0)).unwrap();
    for line in report.lines().filter(|line| line.contains("X-Evil")) {
        let is_told = ["Original-Envelope-Id: a X-Evil: 1;", "Original-Recipient: rfc822; b X-Evil: 2;"];
        assert!(is_told.iter().any(|told| line.starts_with(told)), "{line:?} in {report}");
    }
    assert_eq!(report.matches("X-Evil").count(), 2, "{report}");
}
