//! Nodes behind load balancers: whose connection it is, the PROXY header says, and only where it may.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use fulmar_core::config::Protocol;
use fulmar_core::model::Event;
use fulmar_tests::client::Client;
use fulmar_tests::node::{Ground, Node};

const ALICE: &str = "alice@home.test";
const MESSAGE: &str = "Subject: hello\r\n\r\nIt works.\r\n";
/// Where these tests connect from.
const LOOPBACK: &[&str] = &["127.0.0.0/8"];
/// More than a balancer may take for its header.
const TOO_LONG: Duration = Duration::from_secs(6);
/// Between two jumps of the clock.
const LOOK: Duration = Duration::from_millis(50);

const V1_TCP4: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 25\r\n";
const V1_TCP6: &[u8] = b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 25\r\n";
const V2_TCP4: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04\0\x19";
const V2_TCP6: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x29\
    \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xdc\x04\0\x19\
    \x04\0\x02\0\0";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const V1_UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";

/// A node with a mailbox to which clients at 192.0.2.7 and 2001:db8::7 may relay, and its listener behind a balancer.
fn balanced(protocol: Protocol) -> (Node, SocketAddr) {
    let ground = Ground::new(|config| {
        config.relay.networks = ["192.0.2.7/32", "2001:db8::7/128"].map(|it| it.parse().unwrap()).to_vec();
    });
    let mut node = ground.account(ALICE).start();
    let address = node.listen_behind(protocol, None, LOOPBACK);
    (node, address)
}

/// Who the node took for the client of its only session so far.
fn client_of(node: &Node) -> String {
    match node.wait_for("a session", |event| matches!(event, Event::SessionOpened { .. })) {
        Event::SessionOpened { peer, .. } => peer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_client_that_the_header_names_is_the_client_everywhere() {
    for (header, client, literal) in [
        (V1_TCP4, "192.0.2.7:56324", "[192.0.2.7]"),
        (V1_TCP6, "[2001:db8::7]:56324", "[IPv6:2001:db8::7]"),
        (V2_TCP4, "192.0.2.7:56324", "[192.0.2.7]"),
        (V2_TCP6, "[2001:db8::7]:56324", "[IPv6:2001:db8::7]"),
    ] {
        let (node, balanced) = balanced(Protocol::Smtp);
        let mut connection = Client::connect(balanced);
        for octet in header {
            connection.send([*octet]);
        }
        connection.expect("220 ");
        assert_eq!(client_of(&node), client);
        connection.command("EHLO client.test", "250-");
        connection.command("MAIL FROM:<sender@far.test>", "250 ");
        connection.command("RCPT TO:<somebody@elsewhere.test>", "250 ");
        connection.command("RSET", "250 ");
        let id = connection.deliver(&[ALICE], MESSAGE);
        node.delivered(&id, ALICE);
        let inbox = node.inbox(ALICE);
        let content = String::from_utf8_lossy(&inbox[0]);
        assert!(content.contains(&format!("Received: from client.test ({literal})")), "{content}");
    }
}

#[test]
fn commands_that_come_with_the_header_are_not_lost() {
    for header in [V1_TCP4, V1_UNKNOWN, V2_TCP6, V2_LOCAL] {
        let (_node, balanced) = balanced(Protocol::Smtp);
        let mut connection = Client::connect(balanced);
        // A second header is none: it is the client's.
        connection.send([header, b"NOOP one\r\nPROXY UNKNOWN\r\nQUIT\r\n"].concat());
        let rest = connection.rest();
        let codes: Vec<_> = rest.lines().map(|line| &line[..4]).collect();
        assert_eq!(codes, ["220 ", "250 ", "500 ", "221 "], "{rest}");
    }
}

#[test]
fn a_balancer_that_speaks_for_itself_is_the_client() {
    for header in [V2_LOCAL, V1_UNKNOWN] {
        let (node, balanced) = balanced(Protocol::Smtp);
        let mut connection = Client::connect(balanced);
        connection.send(header);
        connection.expect("220 ");
        assert!(client_of(&node).starts_with("127.0.0.1:"), "{}", client_of(&node));
        connection.command("EHLO client.test", "250-");
        connection.command("MAIL FROM:<sender@far.test>", "250 ");
        connection.command("RCPT TO:<somebody@elsewhere.test>", "550 ");
    }
}

#[test]
fn a_client_of_pop3_behind_a_balancer_is_not_on_this_machine() {
    for (header, answer) in [(V2_TCP4, "-ERR [AUTH]"), (V2_LOCAL, "+OK")] {
        let (_node, balanced) = balanced(Protocol::Pop3);
        let mut connection = Client::connect(balanced);
        connection.send([header, b"USER alice@home.test\r\nQUIT\r\n"].concat());
        let rest = connection.rest();
        assert!(rest.lines().nth(1).unwrap().starts_with(answer), "{rest}");
    }
}

#[test]
fn a_balancer_without_a_proper_header_is_cut_off_without_a_word() {
    let long = [b"PROXY UNKNOWN ", [b'x'; 200].as_slice()].concat();
    for (octets, reason) in [
        (&b"EHLO client.test\r\n"[..], "no PROXY header"),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 65536\r\n", "names no addresses"),
        (&long, "no end of line"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x41\0\0", "a family"),
    ] {
        let (node, balanced) = balanced(Protocol::Smtp);
        let mut connection = Client::connect(balanced);
        connection.send(octets);
        assert_eq!(connection.rest(), "", "{}", octets.escape_ascii());
        is_refused(&node, reason);
    }
}

#[test]
fn a_balancer_that_hangs_up_amid_its_header_is_no_session() {
    let (node, balanced) = balanced(Protocol::Smtp);
    let mut connection = Client::connect(balanced);
    connection.send(&V2_TCP6[..20]);
    connection.finish();
    assert_eq!(connection.rest(), "");
    is_refused(&node, "closed before a whole header");
}

#[test]
fn a_balancer_that_is_too_slow_is_cut_off_without_a_word() {
    for begun in [&b""[..], &V1_TCP4[..20], &V2_TCP4[..20]] {
        let (node, balanced) = balanced(Protocol::Smtp);
        let mut connection = TcpStream::connect(balanced).unwrap();
        connection.write_all(begun).unwrap();
        connection.set_read_timeout(Some(LOOK)).unwrap();
        // The wait may begin only after the first jump.
        let came = loop {
            node.advance(TOO_LONG);
            match connection.read(&mut [0]) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break 0,
                came => break came.unwrap(),
            }
        };
        assert_eq!(came, 0, "{}", begun.escape_ascii());
        is_refused(&node, "no whole header in 5 s");
    }
}

#[test]
fn a_balancer_that_is_silent_holds_up_no_shutdown() {
    let (mut node, balanced) = balanced(Protocol::Smtp);
    let mut connection = Client::connect(balanced);
    connection.send(&V1_TCP4[..20]);
    node.shut_down(Duration::from_secs(3));
    assert_eq!(connection.rest(), "");
}

#[test]
fn a_header_from_elsewhere_is_no_header() {
    let (mut node, _) = balanced(Protocol::Smtp);
    let listener = node.listen_behind(Protocol::Smtp, None, &["10.0.0.0/8", "::1/128"]);
    let mut connection = Client::connect(listener);
    connection.expect("220 ");
    assert!(client_of(&node).starts_with("127.0.0.1:"), "{}", client_of(&node));
    connection.command("PROXY TCP4 192.0.2.7 198.51.100.1 56324 25", "500 ");
    connection.command("EHLO client.test", "250-");
    connection.command("MAIL FROM:<sender@far.test>", "250 ");
    connection.command("RCPT TO:<somebody@elsewhere.test>", "550 ");
}

/// There was no session, and this was reported.
fn is_refused(node: &Node, expected: &str) {
    node.wait_for(expected, |event| match event {
        Event::ProxyHeaderRefused { peer, reason } => {
            assert!(peer.starts_with("127.0.0.1:"), "{peer}");
            reason.contains(expected)
        }
        _ => false,
    });
    assert!(!node.events().iter().any(|event| matches!(event, Event::SessionOpened { .. })));
}
