//! TLS on our own listeners, against a whole engine over loopback TCP.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use fulmar_core::admin::AdminError;
use fulmar_core::config::Protocol;
use fulmar_core::model::Event;
use fulmar_tests::certificate::Certificate;
use fulmar_tests::node::{Ground, Node};
use fulmar_tests::pop3_client::Pop3Client;
use fulmar_tests::tls_client::TlsClient;

const ALICE: &str = "alice@home.test";
/// As the ground gives it to every account.
const PASSWORD: &str = "password";
const NAME: &str = "mx.home.test";
const PATIENCE: Duration = Duration::from_secs(30);

/// A node that takes no passwords in the clear, and a certificate for it.
fn node() -> (Node, Certificate) {
    let mut node = Ground::new(|config| config.tls.from_store = true).account(ALICE).start();
    node.deliver(ALICE, "Subject: 1\r\n\r\nhello\r\n");
    // Nobody has said anything of TLS yet.
    let pop3 = listen(&mut node, Protocol::Pop3);
    let mut client = Pop3Client::connect(pop3);
    assert!(!capabilities(&mut client).contains(&"STLS".to_owned()));
    client.command("STLS", "-ERR ");
    (node, Certificate::new(NAME))
}

/// Another listener, whose clients count as far away.
fn listen(node: &mut Node, protocol: Protocol) -> SocketAddr {
    node.listen(protocol, Some("192.0.2.7:1024".parse().unwrap()))
}

fn capabilities(client: &mut Pop3Client) -> Vec<String> {
    let lines = String::from_utf8(client.multi_line("CAPA")).unwrap();
    lines.lines().map(str::to_owned).collect()
}

fn connect(server: SocketAddr, name: &str, trusted: &Certificate) -> std::io::Result<TlsClient> {
    let mut client = TlsClient::begin(TcpStream::connect(server)?, name, trusted)?;
    client.expect("+OK ");
    Ok(client)
}

fn read_mail(mut client: TlsClient) {
    client.command(&format!("USER {ALICE}"), "+OK ");
    client.command(&format!("PASS {PASSWORD}"), "+OK 1 messages");
    client.command("QUIT", "+OK ");
    assert!(client.rest().is_empty());
}

/// Says STLS in the clear; gives the connection once the server is ready for the handshake.
fn stls(pop3: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(pop3).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"STLS\r\n").unwrap();
    let mut said = String::new();
    while said.matches("\r\n").count() < 2 {
        let mut octet = [0];
        stream.read_exact(&mut octet).unwrap();
        said.push(octet[0].into());
    }
    assert!(said.ends_with("+OK begin TLS negotiation\r\n"), "{said}");
    stream
}

#[test]
fn passwords_are_taken_under_encryption_whether_it_begins_at_once_or_on_demand() {
    let (mut node, certificate) = node();
    node.show(&[("mx.pem", certificate.pem())]);
    let (pop3, pop3s) = (listen(&mut node, Protocol::Pop3), listen(&mut node, Protocol::Pop3s));
    let mut client = Pop3Client::connect(pop3);
    let offered = capabilities(&mut client);
    assert!(offered.contains(&"STLS".to_owned()) && !offered.contains(&"USER".to_owned()), "{offered:?}");
    read_mail(TlsClient::begin(stls(pop3), NAME, &certificate).unwrap());
    read_mail(connect(pop3s, NAME, &certificate).unwrap());
    node.wait_for("a session is encrypted", |event| match event {
        Event::TlsAccepted { version, server_name, .. } => {
            *version == "1.3" && server_name.as_deref() == Some(NAME)
        }
        _ => false,
    });
}

#[test]
fn what_is_said_in_the_clear_behind_stls_is_not_executed() {
    let (mut node, certificate) = node();
    node.show(&[("mx.pem", certificate.pem())]);
    let pop3 = listen(&mut node, Protocol::Pop3);
    let mut together = Pop3Client::connect(pop3);
    together.send("STLS\r\nUSER eve@home.test\r\n").unwrap();
    together.expect("-ERR nothing may follow STLS");
    assert_eq!(together.rest(), "");

    let mut apart = stls(pop3);
    apart.write_all(b"USER eve@home.test\r\n").unwrap();
    let mut rest = Vec::new();
    // An alert, or nothing; and then the end, however it comes.
    let _ = apart.read_to_end(&mut rest);
    assert!(!String::from_utf8_lossy(&rest).contains("OK"), "{rest:?}");
    node.wait_for("a failed handshake", |event| matches!(event, Event::TlsFailed { .. }));
    node.session_closed("no TLS session");
}

#[test]
fn a_listener_that_is_encrypted_at_once_closes_where_there_is_no_certificate_or_no_handshake() {
    let (mut node, certificate) = node();
    let pop3s = listen(&mut node, Protocol::Pop3s);
    assert!(connect(pop3s, NAME, &certificate).is_err());
    node.session_closed("there is no certificate");
    node.show(&[("mx.pem", certificate.pem())]);
    let mut clear = TcpStream::connect(pop3s).unwrap();
    clear.set_read_timeout(Some(PATIENCE)).unwrap();
    clear.write_all(b"USER alice@home.test\r\n").unwrap();
    let mut said = Vec::new();
    let _ = clear.read_to_end(&mut said);
    assert!(!said.starts_with(b"+OK") && !said.starts_with(b"-ERR"), "{said:?}");
    read_mail(connect(pop3s, NAME, &certificate).unwrap());
}

#[test]
fn a_file_that_is_renewed_or_broken_leaves_open_sessions_alone() {
    let (mut node, old) = node();
    let pop3s = listen(&mut node, Protocol::Pop3s);
    node.show(&[("mx.pem", old.pem())]);
    let open = connect(pop3s, NAME, &old).unwrap();
    let new = Certificate::new(NAME);
    node.show(&[("mx.pem", new.pem())]);
    assert!(connect(pop3s, NAME, &old).is_err());
    node.show(&[("mx.pem", new.pem().replace("PRIVATE", "PUBLIC"))]);
    node.wait_for("a refused certificate", |event| match event {
        Event::CertificateRefused { source, reason } => source == "mx.pem" && reason.contains("private key"),
        _ => false,
    });
    read_mail(connect(pop3s, NAME, &new).unwrap());
    read_mail(open);
}

#[test]
fn certificates_in_the_store_are_taken_up_renewed_and_dropped() {
    let (mut node, first) = node();
    let pop3s = listen(&mut node, Protocol::Pop3s);
    // Longer ago than a session would go on with what is known.
    node.advance(Duration::from_hours(2));
    let added = node.administer(async |admin| admin.certificate_add(None, first.pem().into_bytes()).await);
    assert_eq!(added.unwrap().name, NAME);
    read_mail(connect(pop3s, NAME, &first).unwrap());

    // Within the hour a session makes the node look, and goes on with what it knows.
    let second = Certificate::new(NAME);
    node.put(&format!("tls/{NAME}.pem"), second.pem().into_bytes().leak());
    node.advance(Duration::from_mins(2));
    let _ = connect(pop3s, NAME, &first);
    let loaded = Cell::new(0);
    node.wait_for("the second certificate", |event| {
        loaded.set(loaded.get() + usize::from(matches!(event, Event::CertificateLoaded { .. })));
        loaded.get() == 2
    });
    read_mail(connect(pop3s, NAME, &second).unwrap());

    node.put(&format!("tls/{NAME}.pem"), b"nonsense");
    node.advance(Duration::from_hours(2));
    read_mail(connect(pop3s, NAME, &second).unwrap());
    node.wait_for("a refused certificate", |event| matches!(event, Event::CertificateRefused { .. }));
    let listed = node.administer(async |admin| admin.certificates().await).unwrap();
    assert_eq!(listed[0].fault.as_deref(), Some("no certificate in PEM form"));

    node.administer(async |admin| admin.certificate_remove(NAME).await).unwrap();
    let again = node.administer(async |admin| admin.certificate_remove(NAME).await);
    assert!(matches!(again, Err(AdminError::NotFound(_))), "{again:?}");
    node.advance(Duration::from_hours(2));
    assert!(connect(pop3s, NAME, &second).is_err());
}

#[test]
fn only_a_certificate_that_clients_would_take_is_put_into_the_store() {
    let (node, certificate) = node();
    let other = Certificate::new("other.test");
    let key_of = |pem: &str| pem[pem.find("-----BEGIN PRIVATE").unwrap()..].to_owned();
    let chain = certificate.pem().replace(&key_of(&certificate.pem()), "");
    for (name, pem, expected) in [
        (None, chain.clone(), "no private key in PEM form, or one that needs a password"),
        (None, chain + &key_of(&other.pem()), "the private key is not the first certificate's"),
        (Some("../format"), certificate.pem(), "is no name for a certificate"),
    ] {
        let added = node.administer(async |admin| admin.certificate_add(name, pem.into_bytes()).await);
        assert!(added.unwrap_err().to_string().contains(expected), "{expected}");
    }
    assert!(!node.keys().iter().any(|key| key.starts_with("tls/")));
}
