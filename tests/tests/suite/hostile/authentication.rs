//! Messages and zones that are made to cost verification dearly, or to get past it.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fulmar_core::authn::dkim::{self, BodyHasher, BodyMethod, Signatory, SigningKey};
use fulmar_core::config::{Config, Protocol};
use fulmar_core::model::{Domain, UtcTime};
use fulmar_core::platform::{Clock as _, Record, RecordKind};
use fulmar_runtime_smol::{SmolClock, SmolEntropy};
use fulmar_tests::client::Client;
use fulmar_tests::name_server::NameServer;
use fulmar_tests::node::{Ground, Node};
use fulmar_tests::zone::Zone;

use super::ALICE;
use super::test_node::TestNode;

const AUTHOR: &str = "From: Ann <ann@far.test>\r\n";
const REST: &str = "To: alice@home.test\r\nSubject: hello\r\n\r\nIt works.\r\n";
/// Where the key of `far.test` is.
const KEY: &str = "sel._domainkey.far.test";
/// Octets of a TXT record, about as many as a message of DNS can hold.
const LONGEST_TXT: usize = 65_000;

/// A store, and what its nodes believe about names until a test says otherwise: `far.test` wants mail refused that is not proven to be its own.
fn ground(change: impl FnOnce(&mut Config)) -> Ground {
    let ground = Ground::new(|config| {
        config.verification.is_on = true;
        change(config);
    })
    .account(ALICE);
    text(ground.zone(), "_dmarc.far.test", "v=DMARC1; p=reject");
    ground
}

fn text(zone: &Zone, name: &str, text: &str) {
    zone.set(name, RecordKind::Txt, Ok(vec![Record::Txt(text.as_bytes().to_vec())]));
}

/// A node, and where strangers connect to it.
fn start(ground: Ground) -> (Node, SocketAddr) {
    let mut node = ground.start();
    let server = super::far(&mut node, Protocol::Smtp);
    (node, server)
}

fn key() -> SigningKey {
    SigningKey::from_pkcs8(&dkim::generate_ed25519(&SmolEntropy)).unwrap()
}

/// A message with a signature of `far.test`.
fn signed(message: &str, key: &SigningKey, at: UtcTime) -> String {
    let (header, body) = message.split_at(message.find("\r\n\r\n").unwrap() + 4);
    let mut hasher = BodyHasher::new([BodyMethod::SIGNING]);
    hasher.push(body.as_bytes());
    let hashes = hasher.finish();
    let domain = Domain::parse("far.test").unwrap();
    let signatory = Signatory { domain: &domain, selector: "sel", key };
    let body = hashes.find(BodyMethod::SIGNING).unwrap();
    dkim::sign(header.as_bytes(), body, &[signatory], at, None).unwrap() + message
}

/// What is said to a message.
fn send(server: SocketAddr, message: &str) -> String {
    let mut client = Client::greeted(server);
    client.command("MAIL FROM:<ann@far.test>", "250 ");
    client.command(&format!("RCPT TO:<{ALICE}>"), "250 ");
    client.command("DATA", "354 ");
    client.send(message);
    client.send(".\r\n");
    client.reply()
}

/// Sends a message that must be taken, and gives the Authentication-Results field that it was delivered with, and all of it.
fn deliver(node: &Node, server: SocketAddr, message: &str) -> (String, String) {
    let before = node.inbox(ALICE).len();
    let reply = send(server, message);
    assert!(reply.starts_with("250 "), "{reply}");
    node.delivered_in_all(before as u64 + 1);
    let delivered = String::from_utf8_lossy(node.inbox(ALICE).last().unwrap()).into_owned();
    (results(&delivered), delivered)
}

fn results(delivered: &str) -> String {
    let (_, from) = delivered.split_once("Authentication-Results: mx.test").expect("results");
    let end = from.find("\r\nReceived-SPF: ").expect("the field behind them");
    from[..end].to_owned()
}

#[test]
fn of_ten_thousand_signatures_ten_are_looked_at_and_more_than_a_header_block_holds_are_refused() {
    let zone = Arc::new(Zone::default());
    let key = key();
    text(&zone, KEY, &key.public_record());
    text(&zone, "_dmarc.far.test", "v=DMARC1; p=reject");
    let names = NameServer::start(zone);
    let (node, server) = start(ground(|_| ()).resolving_by(names.address()));

    let message = signed(&format!("{AUTHOR}{REST}"), &key, node.now());
    let (own, rest) = message.split_once("From: ").unwrap();
    let empty = "DKIM-Signature: x\r\n".repeat(10_000);
    let (results, _) = deliver(&node, server, &format!("{own}{empty}From: {rest}"));
    assert_eq!(results.matches("dkim=").count(), 10, "{results}");
    assert!(results.contains("dkim=pass header.d=far.test") && results.contains("dmarc=pass"), "{results}");

    // Of the right body, by keys that are all elsewhere; the one that is good is beyond the tenth.
    let (_, hash) = message.split_once("bh=").unwrap();
    let hash = hash.split_once(';').unwrap().0;
    let foreign: String = (0..1_500)
        .map(|n| format!("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=x{n}.test; s=s; h=from; bh={hash}; b=AAAA\r\n"))
        .collect();
    let reply = send(server, &format!("{foreign}{message}"));
    assert!(reply.starts_with("550 5.7.26 DMARC"), "{reply}");
    let asked: BTreeSet<_> = names.asked().into_iter().map(|name| name.to_ascii_lowercase()).collect();
    let keys = asked.iter().filter(|name| name.contains("s._domainkey.x")).count();
    assert_eq!(keys, 10, "{asked:?}");

    let reply = send(server, &format!("{}{message}", foreign.repeat(7)));
    assert!(reply.starts_with("552 5.3.4 "), "{reply}");
}

#[test]
fn a_hundred_kilobytes_of_from_are_read_to_their_end() {
    let (node, server) = start(ground(|_| ()));
    let key = key();
    text(node.zone(), KEY, &key.public_record());
    let many =
        |mailbox: &str| format!("From:{}\r\n a@far.test\r\n", format!("\r\n {mailbox},").repeat(6_000));
    let long = |text: &str| {
        let lines = 100_000 / (text.len() + 3) + 1;
        format!("From: {}\r\n a@far.test\r\n", format!("{text}\r\n ").repeat(lines))
    };
    for (from, expected) in [
        (many("Ann <ann@far.test>"), "250 "),
        (many("<b@other.test>"), "550 5.7.26 DMARC: several From fields or authors"),
        (long(&"(".repeat(60)), "550 5.7.26 DMARC: the From field cannot be read"),
        (long(&"<".repeat(60)), "550 5.7.26 DMARC: the From field cannot be read"),
        (long(&"\"x\" ".repeat(15)), "550 5.7.26 DMARC: the From field cannot be read"),
        (long("x@far.test (a, b);"), "250 "),
    ] {
        assert!(from.len() > 100_000 && from.len() < 150_000, "{}", from.len());
        let message = signed(&format!("{from}{REST}"), &key, node.now());
        let reply = send(server, &message);
        assert!(reply.starts_with(expected), "{from:.80}: {reply}");
    }
}

#[test]
fn txt_records_of_64_kib_are_no_policy_of_spf_and_no_key_and_a_policy_of_dmarc_all_the_same() {
    let (node, server) = start(ground(|_| ()));
    let key = key();
    let padded =
        |start: &str, pad: &str| format!("{start}{}", pad.repeat((LONGEST_TXT - start.len()) / pad.len()));
    text(node.zone(), "far.test", &padded("v=spf1", " ip4:192.0.2.7"));
    text(node.zone(), KEY, &padded(&format!("{}; n=", key.public_record()), "x"));
    text(node.zone(), "_dmarc.far.test", &padded("v=DMARC1; p=none; x=", "y"));
    let message = signed(&format!("{AUTHOR}{REST}"), &key, node.now());
    let (results, _) = deliver(&node, server, &message);
    for part in ["spf=permerror (", "dkim=permerror (", "dmarc=fail (p=none of far.test)"] {
        assert!(results.contains(part), "{part}: {results}");
    }
}

#[test]
fn name_servers_that_never_answer_keep_no_message_beyond_the_time_of_its_stages() {
    const STEP: Duration = Duration::from_secs(5);
    let silent = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    silent.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let (node, server) = start(ground(|_| ()).resolving_by(silent.local_addr().unwrap()));
    let message = signed(&format!("{AUTHOR}{REST}"), &key(), node.now());
    let mut passed = Duration::ZERO;
    let reply = thread::scope(|scope| {
        let sending = scope.spawn(|| send(server, &message));
        // Each question that is asked takes long.
        while !sending.is_finished() {
            if silent.recv(&mut [0; 512]).is_ok() {
                node.advance(STEP);
                passed += STEP;
            }
        }
        sending.join().unwrap()
    });
    assert!(reply.starts_with("250 "), "{reply}");
    // Two stages of 20 s, each of which may end amid questions that are asked side by side.
    assert!(passed >= Duration::from_secs(10) && passed <= Duration::from_secs(120), "{passed:?}");
    node.delivered_in_all(1);
    let results = results(&String::from_utf8_lossy(&node.inbox(ALICE)[0]));
    for part in ["iprev=temperror", "spf=temperror", "dkim=temperror", "dmarc=temperror"] {
        assert!(results.contains(part), "{part}: {results}");
    }
}

#[test]
fn fifty_megabytes_with_a_signature_are_verified_in_little_memory() {
    /// Octets by which the node may grow: content on its way in and out, and what the allocator keeps.
    const GROWTH: u64 = 24 << 20;
    const LINES: usize = 50_000_000 / 64;
    let directory = tempfile::tempdir().unwrap();
    let ground = Ground::in_directory(directory.path(), |_| ()).account(ALICE);
    let key = key();
    let mut node = TestNode::verifying(directory.path(), 1, &key.public_record());
    let line = format!("{}\r\n", "twelve words  ".repeat(5).get(..62).unwrap());
    let message = signed(&format!("{AUTHOR}{REST}{}", line.repeat(LINES)), &key, SmolClock.utc());
    let before = node.peak();
    let reply = send(node.server(), &message);
    assert!(reply.starts_with("250 "), "{reply}");
    assert_eq!(node.line(), "delivered");
    let growth = node.peak() - before;
    node.end();
    assert!(growth < GROWTH, "grew by {} KiB", growth >> 10);
    ground.each_message(ALICE, |delivered| {
        let delivered = String::from_utf8(delivered).unwrap();
        assert!(results(&delivered).contains("dkim=pass header.d=far.test"), "{delivered:.1000}");
        assert!(delivered.ends_with(&message));
    });
}

#[test]
fn nobody_writes_results_in_our_name_however_it_is_spelt() {
    let (node, server) = start(ground(|_| ()));
    let key = key();
    text(node.zone(), KEY, &key.public_record());
    let spellings = [
        "Authentication-Results: mx.test;",
        "authentication-RESULTS : MX.Test;",
        "Authentication-Results:\r\n\tmx.test\r\n\t;",
        "Authentication-Results: (a (nested \\) one)\r\n ) mx.test (b) 1 (c);",
        "Authentication-Results: mx.test(b)1;",
        "Authentication-Results: mx(b).test;",
        "Authentication-Results: \"mx.test\" 1;",
        "Authentication-Results: \"\\m\\x.test\";",
        "Authentication-Results: mx.test.;",
        "Authentication-Results: mx.test 1\r\n ;",
        "Authentication-Results: \"mx.test;",
        "Authentication-Results: (mx.test;",
        "Authentication-Results: mx.test/1;",
        "Authentication-Results: mx.test\t1;",
    ];
    let forged: String =
        spellings.iter().map(|start| format!("{start} dmarc=pass header.from=bank.test\r\n")).collect();
    let others = "Authentication-Results: mx.test.other.test; spf=pass\r\nX-Results: mx.test; dkim=pass\r\n";
    let message = signed(&format!("{forged}{others}{AUTHOR}{REST}"), &key, node.now());
    let (results, delivered) = deliver(&node, server, &message);
    assert!(results.contains("dmarc=pass (p=reject of far.test)"), "{results}");
    assert!(!delivered.contains("bank.test"), "{delivered}");
    assert!(delivered.contains(others), "{delivered}");
}

#[test]
fn no_author_hides_behind_a_line_that_is_no_field() {
    let (node, server) = start(ground(|_| ()));
    let forged = "Authentication-Results: mx.test; dmarc=pass header.from=far.test\r\n";
    // What we put in front would be continued by the first of these, and fields follow.
    for start in [
        " x\r\n",
        "\t\r\n",
        "x\r\n",
        ": x\r\n",
        "From ann@far.test Sun Nov 22 00:12:27 2026\r\n",
        "\0: x\r\n",
    ] {
        for before in ["", "Subject: x\r\n", "From: eve@foe.test\r\n"] {
            // Behind a field, what begins with a blank is no line of its own.
            if !before.is_empty() && start.starts_with([' ', '\t']) {
                continue;
            }
            let reply = send(server, &format!("{before}{start}{forged}{AUTHOR}{REST}"));
            assert!(reply.starts_with("550 5.6.0 a line that is no field"), "{before}{start}: {reply}");
        }
    }
    for unreadable in
        ["Ann <ann@far.test", "\"Ann <ann@far.test>", "ann@far.test (", "<ann@far.test\0>", "ann@far.test@"]
    {
        let reply = send(server, &format!("From: {unreadable}\r\n{REST}"));
        assert!(
            reply.starts_with("550 5.7.26 DMARC: the From field cannot be read"),
            "{unreadable}: {reply}"
        );
    }
    assert!(node.inbox(ALICE).is_empty() && node.accepted() == 0);
    // Nobody is shown where there is no author, nor anything where there is no header.
    for message in [REST, "\r\nIt works.\r\n", "Subject: x\r\n"] {
        let reply = send(server, message);
        assert!(reply.starts_with("250 "), "{message}: {reply}");
    }
}
