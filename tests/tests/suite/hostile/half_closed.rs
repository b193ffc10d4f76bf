//! Connections of which one side is closed: within TLS, beneath it, and amid its handshake. What ends without its own end is no message,
//! whoever closed it (RFC 8446 §6.1).

use fulmar_core::config::Protocol;
use fulmar_core::model::Event;
use fulmar_tests::client::Client;

use super::patience::keeps_nothing;
use super::{ALICE, PATIENCE, Way, below_trace, certified, far, ground, hello_of_tls};

const LOST: &str = "connection closed by the client or lost";

/// How a client, or somebody on the way, ends what is sent.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The client says that nothing more will come, and keeps the connection open.
    Finish,
    /// The sending side of the connection is closed; within TLS, nobody has said that it would be.
    Cut,
    /// The client has finished, and somebody adds the end that is missing.
    FinishAndForge,
    /// Somebody adds the end that is missing while the client waits.
    Forge,
}

#[test]
fn who_has_finished_within_tls_gets_every_reply_and_keeps_no_session_open() {
    let content = "Subject: half-closed\r\n\r\nIt works.\r\n";
    for way in Way::ENCRYPTED {
        let mut node = ground(|_| ()).start();
        let mut client = way.client(&mut node);
        client.begin(&[ALICE]);
        client.send(format!("{content}.\r\nFROBNICATE\r\nNOOP\r\n"));
        client.finish();
        let said = String::from_utf8(client.closed_within(PATIENCE).expect("the server closes it")).unwrap();
        let codes: Vec<&str> = said.lines().map(|line| &line[..3]).collect();
        assert_eq!(codes, ["250", "500", "250"], "{way:?}");
        node.session_closed(LOST);
        node.delivered(said.split(' ').nth(2).unwrap(), ALICE);
        assert_eq!(below_trace(&node.inbox(ALICE)[0]), content.as_bytes());
    }
}

#[test]
fn a_whole_message_counts_though_nothing_was_said_of_closing() {
    for (last, expected) in [("DATA", "354 "), ("BDAT 6\r\nA: b\r\n", "250 ")] {
        for way in Way::ALL {
            let mut node = ground(|_| ()).start();
            let mut client = way.client(&mut node);
            client.command("MAIL FROM:<sender@far.test>", "250 ");
            client.command(&format!("RCPT TO:<{ALICE}>"), "250 ");
            client.send(last);
            client.send(if last == "DATA" { "\r\n" } else { "" });
            client.expect(expected);
            client.send(if last == "DATA" { "A: b\r\n.\r\n" } else { "BDAT 0 LAST\r\n" });
            client.cut();
            let id = client.accepted();
            node.delivered(&id, ALICE);
            assert_eq!(below_trace(&node.inbox(ALICE)[0]), b"A: b\r\n", "{way:?}");
        }
    }
}

#[test]
fn content_without_its_own_end_is_no_message_however_it_ends() {
    for (command, expected, content) in [
        ("DATA", "354 ", "Subject: half\r\n\r\nhalf\r\n"),
        ("DATA", "354 ", "Subject: half\r\n\r\nhalf\r\n."),
        ("DATA", "354 ", "Subject: half\r\n\r\nhalf\r\n.\r"),
        ("BDAT 100 LAST\r\nA: b", "", ""),
        // All that was announced has come, and it was not the last.
        ("BDAT 4\r\nA: b", "", "\r\n.\r\n"),
    ] {
        for end in [End::Finish, End::Cut, End::FinishAndForge, End::Forge] {
            for way in Way::ENCRYPTED {
                let mut node = ground(|_| ()).start();
                let mut client = way.client(&mut node);
                client.command("MAIL FROM:<sender@far.test>", "250 ");
                client.command(&format!("RCPT TO:<{ALICE}>"), "250 ");
                client.send(format!("{command}{}", if expected.is_empty() { "" } else { "\r\n" }));
                if !expected.is_empty() {
                    client.expect(expected);
                }
                client.send(content);
                end.make(&mut client);
                let said = client.closed_within(PATIENCE).expect("the server closes it");
                let said = String::from_utf8_lossy(&said);
                assert!(!said.contains("queued"), "{way:?}, {end:?}, {content:?}: {said}");
                keeps_nothing(node, LOST);
            }
        }
    }
}

impl End {
    fn make(self, client: &mut Client) {
        match self {
            Self::Finish => client.finish(),
            Self::Cut => client.cut(),
            Self::FinishAndForge => {
                client.finish();
                // It may be closed already.
                let _ = client.send_beneath("\r\n.\r\nBDAT 0 LAST\r\n");
            }
            Self::Forge => client.send_beneath("\r\n.\r\nBDAT 0 LAST\r\n").unwrap(),
        }
    }
}

#[test]
fn a_connection_that_ends_amid_its_handshake_is_no_session() {
    for octets in [0, 3, 100, usize::MAX] {
        for (protocol, reason) in
            [(Protocol::Smtp, "no TLS"), (Protocol::Submissions, "closed amid the handshake")]
        {
            let mut node = ground(|_| ()).start();
            let certificate = certified(&node);
            let port = far(&mut node, protocol);
            let mut client = match protocol {
                Protocol::Smtp => Client::greeted(port),
                _ => Client::connect(port),
            };
            if protocol == Protocol::Smtp {
                client.command("STARTTLS", "220 ");
            }
            let hello = hello_of_tls(&certificate);
            client.send(&hello[..octets.min(hello.len())]);
            client.cut();
            let said = client.closed_within(PATIENCE).expect("the server closes it");
            assert!(!said.starts_with(b"2") && !said.starts_with(b"4"), "{}", said.escape_ascii());
            node.wait_for("a failed handshake", |event| match event {
                Event::TlsFailed { reason, .. } => reason == "closed amid the handshake",
                _ => false,
            });
            keeps_nothing(node, reason);
        }
    }
}
