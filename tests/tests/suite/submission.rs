//! Users who send, and the other doors of SMTP beside port 25, against a whole engine over loopback TCP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use fulmar_core::config::{
    AccessAction, AccessRule, AddressPattern, Config, DomainPattern, Footer, Protocol,
};
use fulmar_core::model::{Domain, Event};
use fulmar_tests::certificate::Certificate;
use fulmar_tests::client::Client;
use fulmar_tests::node::{Ground, Node};
use fulmar_tests::tls_client::TlsClient;

const ALICE: &str = "alice@home.test";
const BOB: &str = "bob@home.test";
const NAME: &str = "mx.home.test";
/// `\0alice@home.test\0password` and `\0alice@home.test\0wrong`.
const RIGHT: &str = "AUTH PLAIN AGFsaWNlQGhvbWUudGVzdABwYXNzd29yZA==";
const WRONG: &str = "AUTH PLAIN AGFsaWNlQGhvbWUudGVzdAB3cm9uZw==";

fn node(change: impl FnOnce(&mut Config)) -> (Node, Certificate) {
    let ground = Ground::new(change).account(ALICE).account(BOB).alias("team@home.test", &[ALICE, BOB]);
    let node = ground.start();
    let certificate = Certificate::new(NAME);
    node.show(&[("mx.pem", certificate.pem())]);
    (node, certificate)
}

/// Clients of a listener that count as far away.
fn listen(node: &mut Node, protocol: Protocol) -> SocketAddr {
    node.listen(protocol, Some("192.0.2.7:1024".parse().unwrap()))
}

/// Through STARTTLS, and EHLO said again.
fn start_tls(server: SocketAddr, certificate: &Certificate) -> TlsClient {
    let mut stream = TcpStream::connect(server).unwrap();
    let mut said = String::new();
    for (line, last) in [("", "220 "), ("EHLO c.test\r\n", "250 HELP"), ("STARTTLS\r\n", "220 2.0.0")] {
        stream.write_all(line.as_bytes()).unwrap();
        said.clear();
        while !(said.ends_with("\r\n") && said.lines().last().is_some_and(|line| line.starts_with(last))) {
            let mut octet = [0];
            stream.read_exact(&mut octet).unwrap();
            said.push(octet[0].into());
        }
        assert!(!said.contains("AUTH"), "no passwords in the clear: {said}");
    }
    let mut client = TlsClient::begin(stream, NAME, certificate).unwrap();
    let offered = client.smtp("EHLO c.test");
    assert!(
        offered.contains("AUTH ") && offered.contains("REQUIRETLS") && !offered.contains("STARTTLS"),
        "{offered}"
    );
    client
}

/// Sends a message and gives the final reply.
fn send(client: &mut TlsClient, from: &str, to: &str, content: &str) -> String {
    client.command(&format!("MAIL FROM:<{from}>"), "250 2.1.0");
    client.command(&format!("RCPT TO:<{to}>"), "250 2.1.5");
    client.command("DATA", "354 ");
    client.smtp(&format!("{content}\r\n."))
}

#[test]
fn a_user_logs_in_under_encryption_and_sends_what_its_program_left_incomplete() {
    let (mut node, certificate) = node(|_| {});
    let submission = listen(&mut node, Protocol::Submission);
    let mut client = start_tls(submission, &certificate);
    client.command("MAIL FROM:<alice@home.test>", "530 5.7.0");
    client.command(WRONG, "535 5.7.8");
    client.command(RIGHT, "235 2.7.0");
    let content = "From: Alice <alice@home.test>\r\nBcc: secret@home.test\r\nSubject: hello\r\n\r\ntext";
    let reply = send(&mut client, ALICE, BOB, content);
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    let id = reply.split(' ').nth(2).unwrap().to_owned();
    node.delivered(&id, BOB);
    let message = String::from_utf8(node.inbox(BOB).remove(0)).unwrap();
    for part in [
        "with ESMTPSA id",
        "\r\n\ttls TLS",
        "\r\nDate: ",
        &format!("\r\nMessage-ID: <{id}@"),
        "\r\n\r\ntext\r\n",
    ] {
        assert!(message.contains(part), "{part:?} in {message}");
    }
    assert!(!message.contains("secret"), "{message}");
}

#[test]
fn nobody_sends_under_names_that_are_not_theirs() {
    let (mut node, certificate) = node(|_| {});
    let submissions = listen(&mut node, Protocol::Submissions);
    let stream = TcpStream::connect(submissions).unwrap();
    let mut client = TlsClient::begin(stream, NAME, &certificate).unwrap();
    client.expect("220 ");
    client.smtp("EHLO c.test");
    client.command(RIGHT, "235 2.7.0");
    client.command("MAIL FROM:<bob@home.test>", "553 5.7.1");
    client.command("MAIL FROM:<alice@elsewhere.test>", "553 5.7.1");
    let refused = send(&mut client, ALICE, BOB, "From: <bob@home.test>\r\n\r\ntext");
    assert!(refused.starts_with("553 5.7.1"), "{refused}");
    let two = send(&mut client, ALICE, BOB, "From: <alice@home.test>, <boss@home.test>\r\n\r\ntext");
    assert!(two.starts_with("553 5.7.1"), "{two}");
    for address in ["alice+shop@home.test", "team@home.test", "ALICE@home.test"] {
        let sent = send(&mut client, address, BOB, &format!("From: <{address}>\r\n\r\ntext"));
        assert!(sent.starts_with("250 "), "{address}: {sent}");
    }
    let elsewhere = "MAIL FROM:<alice@home.test>";
    client.command(elsewhere, "250 ");
    // Who has logged in may send anywhere.
    client.command("RCPT TO:<x@far.test>", "250 ");
}

#[test]
fn strangers_are_not_asked_who_they_are_and_may_encrypt() {
    let (mut node, certificate) = node(|_| {});
    let smtp = listen(&mut node, Protocol::Smtp);
    let mut client = Client::greeted(smtp);
    let offered = client.command("EHLO c.test", "250");
    assert!(offered.contains("STARTTLS") && !offered.contains("AUTH"), "{offered}");
    client.command("AUTH PLAIN AGEAYg==", "538 5.7.11");
    client.command("EXPN team@home.test", "502 5.5.1");
    client.command("VRFY alice@home.test", "252 2.1.5");
    client.command("ETRN far.test", "502 5.5.1");
    client.command("XCLIENT ADDR=127.0.0.1", "502 5.5.1");
    client.command("MAIL FROM:<a@x.test>", "250 ");
    client.command("RCPT TO:<x@far.test>", "550 5.7.1");
    client.send("RSET\r\nSTARTTLS\r\nMAIL FROM:<evil@x.test>\r\n");
    client.expect("250 ");
    client.expect("503 5.5.0");
    assert_eq!(client.rest(), "");
    drop(certificate);
}

#[test]
fn chunks_are_received_and_what_lies_about_its_size_is_not() {
    let (mut node, _certificate) = node(|_| {});
    let smtp = listen(&mut node, Protocol::Smtp);
    let mut client = Client::greeted(smtp);
    client.command("EHLO c.test", "250");
    client.send("MAIL FROM:<a@x.test> BODY=BINARYMIME\r\nRCPT TO:<bob@home.test> NOTIFY=NEVER\r\nBDAT 13\r\nSubject: x\r\n\r");
    client.send("BDAT 9 LAST\r\n\nbin\n\r\0ry");
    for expected in ["250 2.1.0", "250 2.1.5", "250 2.0.0 13 octets", "250 2.0.0 "] {
        client.expect(expected);
    }
    node.delivered_in_all(1);
    let message = node.inbox(BOB).remove(0);
    assert!(message.ends_with(b"Subject: x\r\n\r\nbin\n\r\0ry"), "{:?}", String::from_utf8_lossy(&message));
    // A chunk cut short is none, and nothing of it is a command.
    client.send("MAIL FROM:<a@x.test>\r\nRCPT TO:<bob@home.test>\r\nBDAT 500 LAST\r\nQUIT\r\n");
    client.expect("250 ");
    client.expect("250 ");
    client.finish();
    assert_eq!(client.rest(), "");
    assert_eq!(node.accepted(), 1);
}

#[test]
fn lmtp_says_of_each_recipient_what_became_of_it() {
    let (mut node, _certificate) =
        node(|config| config.relay.networks = vec!["192.0.2.0/24".parse().unwrap()]);
    let lmtp = listen(&mut node, Protocol::Lmtp);
    let mut client = Client::connect(lmtp);
    client.expect("220 ");
    client.command("EHLO c.test", "500 5.5.1");
    client.command("LHLO c.test", "250");
    client.send("MAIL FROM:<a@x.test>\r\nRCPT TO:<alice@home.test>\r\nRCPT TO:<no@home.test>\r\nRCPT TO:<bob@home.test>\r\nDATA\r\n");
    for expected in ["250 2.1.0", "250 2.1.5", "550 5.1.1", "250 2.1.5", "354 "] {
        client.expect(expected);
    }
    client.send("Subject: x\r\n\r\ntext\r\n.\r\n");
    client.expect("250 2.0.0 ");
    client.expect("250 2.0.0 ");
    node.delivered_in_all(2);
    let message = String::from_utf8(node.inbox(ALICE).remove(0)).unwrap();
    assert!(message.contains("with LMTP id"), "{message}");
}

#[test]
fn those_who_may_relay_are_told_who_is_who() {
    let (mut node, _certificate) =
        node(|config| config.relay.networks = vec!["192.0.2.0/24".parse().unwrap()]);
    let smtp = listen(&mut node, Protocol::Smtp);
    let mut client = Client::greeted(smtp);
    client.command("EHLO c.test", "250");
    client.command("VRFY <alice@home.test>", "250 2.1.5 <alice@home.test>");
    client.command("VRFY nobody@home.test", "550 5.1.1");
    client.command("VRFY x@far.test", "252 2.1.5");
    let members = client.command("EXPN team@home.test", "250-2.1.5 <alice@home.test>");
    assert!(
        members.ends_with("250 2.1.5 <bob@home.test>\r\n") || members.contains("<bob@home.test>"),
        "{members}"
    );
    client.command("EXPN alice@home.test", "550 5.1.1");
    client.command("ETRN far.test", "250 2.0.0");
    client.command("ETRN -", "501 5.5.4");
}

#[test]
fn a_proxy_that_is_listed_says_who_the_client_is() {
    let (mut node, _certificate) =
        node(|config| config.relay.networks = vec!["192.0.2.0/24".parse().unwrap()]);
    let peer = Some("192.0.2.7:1024".parse().unwrap());
    let smtp = node.listen_as(Protocol::Smtp, peer, |listener| {
        listener.settings.xclient_from = vec!["192.0.2.7/32".parse().unwrap()];
        listener.settings.xforward_from = vec!["192.0.2.7/32".parse().unwrap()];
    });
    let mut client = Client::greeted(smtp);
    client.command("EHLO c.test", "250");
    client.command("XFORWARD NAME=a.test ADDR=198.51.100.1", "250 2.0.0");
    client.command("XCLIENT ADDR=198.51.100.9 PORT=many", "501 5.5.4");
    client.command("XCLIENT ADDR=198.51.100.9", "220 ");
    client.command("EHLO c.test", "250");
    client.command("MAIL FROM:<a@x.test>", "250 ");
    // It is not our network's any more.
    client.command("RCPT TO:<x@far.test>", "550 5.7.1");
    client.command("RCPT TO:<bob@home.test>", "250 ");
    client.command("DATA", "354 ");
    client.command("text\r\n.", "250 ");
    node.delivered_in_all(1);
    let message = String::from_utf8(node.inbox(BOB).remove(0)).unwrap();
    assert!(message.contains("([198.51.100.9])"), "{message}");
    node.wait_for("what the proxy said", |event| {
        matches!(event, Event::ClientNamed { command: "XCLIENT", .. })
    });
}

#[test]
fn a_proxy_that_lets_a_user_in_says_who_that_is_and_the_user_is_held_to_it() {
    let (mut node, _certificate) = node(|_| {});
    let peer = Some("192.0.2.7:1024".parse().unwrap());
    let submission = node.listen_as(Protocol::Submission, peer, |listener| {
        listener.settings.xclient_from = vec!["192.0.2.7/32".parse().unwrap()];
    });
    let mut client = Client::greeted(submission);
    client.command("XCLIENT LOGIN=alice", "501 5.5.4");
    client.command("XCLIENT LOGIN=Alice@home.test ADDR=198.51.100.9", "220 ");
    client.command("EHLO c.test", "250");
    client.command("MAIL FROM:<bob@home.test>", "553 5.7.1");
    client.command("MAIL FROM:<alice@home.test>", "250 ");
    client.command("RCPT TO:<x@far.test>", "250 ");
}

#[test]
fn what_access_lists_and_rates_refuse_is_refused_where_it_is_said() {
    let (mut node, _certificate) = node(|config| {
        let spam = DomainPattern::Only(Domain::parse("spam.test").unwrap());
        config.policy.access = vec![AccessRule {
            list: None,
            clients: Vec::new(),
            hellos: Vec::new(),
            senders: vec![AddressPattern::Domain(spam)],
            recipients: Vec::new(),
            action: AccessAction::Deny,
            reply: None,
        }];
        config.policy.limits.messages_per_minute = Some(2);
        config.policy.replies.footer = Footer::parse("help.test/{session}");
    });
    let smtp = listen(&mut node, Protocol::Smtp);
    let mut client = Client::greeted(smtp);
    client.command("EHLO c.test", "250");
    let refused = client.command("MAIL FROM:<a@spam.test>", "550-5.7.1");
    assert!(refused.contains("550 5.7.1 help.test/1"), "{refused}");
    for expected in ["250 ", "250 ", "450-4.7.1 "] {
        client.command("MAIL FROM:<a@x.test>", expected);
        if expected == "250 " {
            client.command("RSET", "250 ");
        }
    }
}
