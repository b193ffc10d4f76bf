//! What is said in the clear in the hope that it counts within TLS, and passwords where they may not be said (RFC 3207 §6, RFC 4954 §9).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fulmar_core::config::Protocol;
use fulmar_core::model::Event;
use fulmar_tests::client::Client;
use fulmar_tests::node::Node;
use fulmar_tests::scram_client::ScramClient;

use super::patience::keeps_nothing;
use super::{ALICE, BOB, FAR, PATIENCE, certified, far, ground, hello_of_tls};

const MESSAGE: &str = "Subject: hello\r\n\r\nIt works.\r\n";
/// `\0alice@home.test\0password`, as the ground gives it to every account.
const RIGHT: &str = "AGFsaWNlQGhvbWUudGVzdABwYXNzd29yZA==";

fn hello(protocol: Protocol) -> &'static str {
    if protocol == Protocol::Lmtp { "LHLO client.test" } else { "EHLO client.test" }
}

#[test]
fn commands_that_come_with_starttls_are_not_executed_and_end_the_session() {
    let injected = "MAIL FROM:<evil@far.test>\r\nRCPT TO:<alice@home.test>\r\nDATA\r\n";
    for protocol in [Protocol::Smtp, Protocol::Submission, Protocol::Lmtp] {
        for behind in [injected, "\r\n", "NOOP", "\0"] {
            let mut node = ground(|_| ()).start();
            let _certificate = certified(&node);
            let mut client = Client::connect(far(&mut node, protocol));
            client.expect("220 ");
            client.command(hello(protocol), "250-");
            client.send(format!("STARTTLS\r\n{behind}"));
            let rest = client.rest();
            assert!(rest.starts_with("503 5.5.0 ") && rest.lines().count() == 1, "{protocol:?}: {rest}");
            keeps_nothing(node, "input after STARTTLS before its reply");
        }
    }
}

#[test]
fn commands_that_come_before_the_handshake_are_not_executed_within_it() {
    for protocol in [Protocol::Smtp, Protocol::Submission, Protocol::Lmtp] {
        let mut node = ground(|_| ()).start();
        let certificate = certified(&node);
        let mut client = Client::connect(far(&mut node, protocol));
        client.expect("220 ");
        client.command(hello(protocol), "250-");
        client.command("STARTTLS", "220 ");
        // Somebody on the way puts them there; then comes the client's handshake.
        client.send("MAIL FROM:<evil@far.test>\r\nRCPT TO:<alice@home.test>\r\n");
        let _ = client.try_send(hello_of_tls(&certificate));
        let said = client.closed_within(PATIENCE).expect("the server closes it");
        assert!(said.is_empty() || said.starts_with(b"\x15\x03"), "{}", said.escape_ascii());
        node.wait_for("a failed handshake", |event| matches!(event, Event::TlsFailed { .. }));
        keeps_nothing(node, "no TLS");
    }
}

#[test]
fn what_was_said_in_the_clear_is_forgotten_within_tls() {
    let node = ground(|_| ()).start();
    let certificate = certified(&node);
    let mut client = Client::connect(node.server());
    client.expect("220 ");
    client.command("EHLO evil.test", "250-");
    // Not amid a transaction, which would go on within.
    client.command("MAIL FROM:<evil@far.test>", "250 ");
    client.command("STARTTLS", "503 5.5.1 ");
    client.command("RSET", "250 ");
    client.command("STARTTLS", "220 ");
    let mut client = client.encrypt(&certificate);
    for line in ["RCPT TO:<alice@home.test>", "MAIL FROM:<evil@far.test>", "DATA", "STARTTLS"] {
        client.command(line, "503 5.5.1 ");
    }
    let offered = client.command("EHLO client.test", "250-");
    assert!(!offered.contains("STARTTLS"), "{offered}");
    client.command("STARTTLS", "503 5.5.1 ");
    let id = client.deliver(&[ALICE], MESSAGE);
    node.delivered(&id, ALICE);
    let message = String::from_utf8(node.inbox(ALICE).remove(0)).unwrap();
    assert!(
        message.contains("\r\nReceived: from client.test ") && message.contains(" with ESMTPS "),
        "{message}"
    );
    assert!(!message.contains("evil"), "{message}");
}

#[test]
fn passwords_are_neither_offered_nor_taken_nor_looked_at_in_the_clear() {
    for protocol in [Protocol::Submission, Protocol::Smtp, Protocol::Lmtp] {
        let mut node = ground(|_| ()).start();
        let certificate = certified(&node);
        let mut client = Client::connect(far(&mut node, protocol));
        client.expect("220 ");
        let offered = client.command(hello(protocol), "250-");
        assert!(!offered.contains("AUTH"), "{offered}");
        for mechanism in
            ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "XOAUTH2", "EXTERNAL", "NONE"]
        {
            client.command(&format!("AUTH {mechanism}"), "538 5.7.11 ");
        }
        client.command(&format!("AUTH PLAIN {RIGHT}"), "538 5.7.11 ");
        // It is no response to anything.
        client.command(RIGHT, "500 5.5.1 ");
        client.send(format!("AUTH PLAIN {RIGHT}\r\nSTARTTLS\r\n"));
        client.expect("538 5.7.11 ");
        client.expect("220 ");
        let mut client = client.encrypt(&certificate);
        client.command(hello(protocol), "250-");
        if protocol == Protocol::Submission {
            client.command("MAIL FROM:<alice@home.test>", "530 5.7.0 ");
        } else {
            client.command(&format!("AUTH PLAIN {RIGHT}"), "502 5.5.1 ");
        }
        assert_eq!(logins(&node), 0);
    }
}

/// Where a listener takes passwords in the clear, TLS is still a new beginning.
#[test]
fn who_has_logged_in_in_the_clear_is_nobody_within_tls() {
    let mut node = ground(|_| ()).start();
    let certificate = certified(&node);
    let submission = node.listen_as(Protocol::Submission, Some(FAR.parse().unwrap()), |listener| {
        listener.settings.allow_plaintext_auth = true;
    });
    let mut client = Client::greeted(submission);
    client.command(&format!("AUTH PLAIN {RIGHT}"), "235 2.7.0 ");
    client.command(&format!("AUTH PLAIN {RIGHT}"), "503 5.5.1 ");
    client.command("STARTTLS", "220 ");
    let mut client = client.encrypt(&certificate);
    client.command("MAIL FROM:<alice@home.test>", "503 5.5.1 ");
    let offered = client.command("EHLO client.test", "250-");
    assert!(offered.contains("AUTH "), "{offered}");
    client.command("MAIL FROM:<alice@home.test>", "530 5.7.0 ");
    client.command(&format!("AUTH PLAIN {RIGHT}"), "235 2.7.0 ");
    client.command("MAIL FROM:<bob@home.test>", "553 5.7.1 ");
    client.command("MAIL FROM:<alice@home.test>", "250 ");
    assert_eq!(logins(&node), 2);
}

/// Half of an exchange does not go on behind something else.
#[test]
fn a_login_that_was_begun_ends_with_whatever_comes_in_its_place() {
    let mut node = ground(|_| ()).start();
    let certificate = certified(&node);
    let mut client = Client::greeted_in_tls(far(&mut node, Protocol::Submissions), &certificate);
    for (line, expected) in [
        ("MAIL FROM:<alice@home.test>", "501 5.5.2 "),
        ("*", "501 5.7.0 "),
        ("AUTH PLAIN", "501 5.5.2 "),
        ("QUIT", "501 5.5.2 "),
        ("\0\0", "501 5.5.2 "),
        ("\u{e9}", "501 5.5.2 "),
    ] {
        client.command("AUTH PLAIN", "334 ");
        client.command(line, expected);
        client.command(RIGHT, "500 5.5.1 ");
        client.command("MAIL FROM:<alice@home.test>", "530 5.7.0 ");
    }
    assert_eq!(logins(&node), 0);
}

#[test]
fn what_was_overheard_of_a_login_lets_nobody_in_again() {
    let mut node = ground(|_| ()).start();
    let certificate = certified(&node);
    let port = far(&mut node, Protocol::Submissions);
    let user = ScramClient::new(ALICE, "password", None);
    let begin = || {
        let mut client = Client::greeted_in_tls(port, &certificate);
        let first = format!("AUTH SCRAM-SHA-256 {}", STANDARD.encode(user.first()));
        let challenge = client.command(&first, "334 ");
        (client, user.last(&STANDARD.decode(challenge[4..].trim_end()).unwrap()).0)
    };
    let (mut client, overheard) = begin();
    client.command(&STANDARD.encode(&overheard), "334 ");
    client.command("", "235 2.7.0 ");
    // As it was, and with the nonce of this time.
    let (mut client, _) = begin();
    client.command(&STANDARD.encode(&overheard), "501 5.5.2 ");
    client.command("MAIL FROM:<alice@home.test>", "530 5.7.0 ");
    let (mut client, own) = begin();
    let end_of_nonce = |message: &[u8]| message.windows(3).position(|part| part == b",p=").unwrap();
    let forged = [&own[..end_of_nonce(&own)], &overheard[end_of_nonce(&overheard)..]].concat();
    client.command(&STANDARD.encode(forged), "535 5.7.8 ");
    client.command("MAIL FROM:<alice@home.test>", "530 5.7.0 ");
    assert_eq!(logins(&node), 1);
}

#[test]
fn a_login_that_is_bound_to_another_session_or_talked_out_of_being_bound_is_refused() {
    let mut node = ground(|_| ()).start();
    let certificate = certified(&node);
    let mut client = Client::greeted_in_tls(far(&mut node, Protocol::Submissions), &certificate);
    let elsewhere = ScramClient::new(ALICE, "password", Some(&[7; 32]));
    let first = format!("AUTH SCRAM-SHA-256-PLUS {}", STANDARD.encode(elsewhere.first()));
    let challenge = client.command(&first, "334 ");
    let (last, _) = elsewhere.last(&STANDARD.decode(challenge[4..].trim_end()).unwrap());
    client.command(&STANDARD.encode(last), "535 5.7.8 ");
    // `y`: the client can bind, and somebody has told it that the server cannot (RFC 5802 §6).
    let misled = STANDARD.encode(format!("y,,n={ALICE},r=fyko+d2lbbFgONRv9qkxdawL"));
    client.command(&format!("AUTH SCRAM-SHA-256 {misled}"), "535 5.7.8 ");
    client.command("MAIL FROM:<alice@home.test>", "530 5.7.0 ");
    assert_eq!(logins(&node), 0);
    assert!(node.inbox(BOB).is_empty());
}

fn logins(node: &Node) -> usize {
    node.events().iter().filter(|event| matches!(event, Event::LoggedIn { .. })).count()
}
