//! What comes in place of a handshake, and handshakes that are as they need not be.

use std::cell::Cell;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use fulmar_core::config::Protocol;
use fulmar_core::model::Event;
use fulmar_tests::certificate::Certificate;
use fulmar_tests::client::Client;
use fulmar_tests::node::Node;
use fulmar_tests::tls_client;

use super::{ALICE, PATIENCE, certified, far, ground, hello_of_tls};

const MESSAGE: &str = "Subject: afterwards\r\n\r\nIt works.\r\n";
/// Records of a handshake that go on as long as anybody takes them.
const FLOOD: usize = 16 << 20;

/// What is no handshake from its beginning on. Nothing of it is answered in words: within a handshake they would be none.
#[test]
fn what_is_no_handshake_ends_the_connection_and_nothing_in_it_is_a_command() {
    let mut garbage: Vec<Vec<u8>> = vec![
        b"EHLO client.test\r\nMAIL FROM:<a@x.test>\r\nQUIT\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: mx.test\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 25\r\n".to_vec(),
        // A ClientHello of SSL 2.0 that would go on to TLS 1.0 (RFC 5246 Appendix E.2).
        [&b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10\x00\x00\x2f\x00\x00\x35\x00\x00\x0a"[..], &[7; 28]]
            .concat(),
        vec![0; 64],
        vec![0xff; 64],
        (0..=255).collect(),
        // Records of other kinds: data, an alert, a change of ciphers twice, a heartbeat that lies.
        record(0x17, &[0; 32]),
        record(0x15, b"\x02\x28"),
        record(0x14, b"\x01\x01"),
        record(0x18, b"\x01\x40\x00"),
        // Of no length, and of more than there may be.
        record(0x16, b""),
        b"\x16\x03\x01\xff\xff".to_vec(),
        // Messages that clients do not begin with, and one that announces 16 MiB.
        record(0x16, b"\x02\x00\x00\x04\x03\x03\0\0"),
        record(0x16, b"\x14\x00\x00\x0c123456789012"),
        record(0x16, b"\x01\xff\xff\xff"),
        // ClientHellos: of nothing, with lengths that lie, of SSL 3.0 and TLS 1.0, and with ciphers that nobody has.
        record(0x16, b"\x01\x00\x00\x00"),
        record(0x16, &[&b"\x01\x00\x00\x24\x03\x03"[..], &[7; 32], b"\xff\xff"].concat()),
        client_hello(0x0300, 0x002f),
        client_hello(0x0301, 0x002f),
        client_hello(0x0303, 0x0000),
    ];
    // One as large as a message may be, which means nothing.
    let large = [&b"\x01\x00\xff\xf0"[..], &[0x5a; 0xfff0]].concat();
    garbage.push(large.chunks(16_000).flat_map(|piece| record(0x16, piece)).collect());
    for protocol in [Protocol::Submissions, Protocol::Pop3s, Protocol::Submission, Protocol::Lmtp] {
        let mut node = ground(|_| ()).start();
        let certificate = certified(&node);
        let port = far(&mut node, protocol);
        for octets in &garbage {
            let mut client = before_the_handshake(port, protocol);
            // It may be closed before all is sent.
            let _ = client.try_send(octets);
            let said = client.closed_within(PATIENCE).expect("the server closes it");
            assert!(
                said.is_empty() || said.starts_with(b"\x15\x03"),
                "{protocol:?}: {} was answered {}",
                octets[..octets.len().min(64)].escape_ascii(),
                said.escape_ascii()
            );
        }
        is_well(&node, &certificate, garbage.len());
    }
}

#[test]
fn a_handshake_that_goes_on_for_ever_is_cut_off_however_fast_it_comes() {
    // A message that is told in records of one octet, empty records, and alerts that only warn.
    for (begun, again) in [
        (record(0x16, b"\x01\x00\xff\xff\x03\x03"), record(0x16, b"\x07")),
        (Vec::new(), record(0x16, b"")),
        (Vec::new(), record(0x15, b"\x01\x00")),
        (Vec::new(), record(0x15, b"\x01\x5a")),
    ] {
        let mut node = ground(|_| ()).start();
        let certificate = certified(&node);
        let mut client = Client::connect(far(&mut node, Protocol::Submissions));
        let _ = client.try_send(&begun);
        let flood = again.repeat((64 << 10) / again.len());
        let is_cut = (0..FLOOD / flood.len()).any(|_| client.try_send(&flood).is_err());
        assert!(is_cut, "{} goes on and on", again.escape_ascii());
        is_well(&node, &certificate, 1);
    }
}

#[test]
fn a_client_hello_that_comes_in_fragments_is_understood() {
    let mut node = ground(|_| ()).start();
    let certificate = certified(&node);
    let port = far(&mut node, Protocol::Submissions);
    for octets in [1, 5, 100] {
        let mut stream = TcpStream::connect(port).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut session = tls_client::session(certificate.host(), &certificate).unwrap();
        let mut hello = Vec::new();
        session.write_tls(&mut hello).unwrap();
        for piece in hello[5..].chunks(octets) {
            stream.write_all(&record(0x16, piece)).unwrap();
        }
        let stream = tls_client::handshake(session, stream).unwrap();
        let mut greeting = String::new();
        BufReader::new(stream).read_line(&mut greeting).unwrap();
        assert!(greeting.starts_with("220 "), "in pieces of {octets}: {greeting}");
    }
}

/// On a port for clear text, what begins with a handshake is no command.
#[test]
fn a_handshake_where_none_was_asked_for_is_no_command() {
    for protocol in [Protocol::Smtp, Protocol::Submission, Protocol::Lmtp] {
        let mut node = ground(|_| ()).start();
        let certificate = certified(&node);
        let mut client = Client::connect(far(&mut node, protocol));
        client.expect("220 ");
        client.send(hello_of_tls(&certificate));
        client.send("\r\n");
        // The octets of a ClientHello may hold a line end of their own.
        client.expect("500 5.5.2 ");
        drop(client);
        is_well(&node, &certificate, 0);
    }
}

fn before_the_handshake(port: SocketAddr, protocol: Protocol) -> Client {
    let mut client = Client::connect(port);
    match protocol {
        Protocol::Submissions | Protocol::Pop3s | Protocol::Pop3 => {}
        Protocol::Smtp | Protocol::Submission | Protocol::Lmtp => {
            client.expect("220 ");
            let hello = if protocol == Protocol::Lmtp { "LHLO client.test" } else { "EHLO client.test" };
            client.command(hello, "250-");
            client.command("STARTTLS", "220 ");
        }
    }
    client
}

/// So many handshakes have failed, none has come to its end, and the next one does.
fn is_well(node: &Node, certificate: &Certificate, failed: usize) {
    let seen = Cell::new(0);
    if failed > 0 {
        node.wait_for("the last failed handshake", |event| {
            seen.set(seen.get() + usize::from(matches!(event, Event::TlsFailed { .. })));
            seen.get() == failed
        });
    }
    let all = node.events();
    assert_eq!(all.iter().filter(|event| matches!(event, Event::TlsFailed { .. })).count(), failed);
    assert!(!all.iter().any(|event| matches!(event, Event::TlsAccepted { .. })));
    let mut client = Client::greeted_by_starttls(node.server(), certificate);
    let id = client.deliver(&[ALICE], MESSAGE);
    node.delivered(&id, ALICE);
    assert_eq!(node.accepted(), 1);
}

/// RFC 8446 §5.1.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    [&[kind, 3, 1], &length.to_be_bytes()[..], content].concat()
}

/// RFC 5246 §7.4.1.2, with one cipher suite and no extensions.
fn client_hello(version: u16, suite: u16) -> Vec<u8> {
    let body = [&version.to_be_bytes()[..], &[7; 32], b"\0\0\x02", &suite.to_be_bytes(), b"\x01\0"].concat();
    let length = u8::try_from(body.len()).unwrap();
    record(0x16, &[&[1, 0, 0, length], &body[..]].concat())
}
