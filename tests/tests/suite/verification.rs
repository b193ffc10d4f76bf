//! Mail of strangers is verified as it comes in, and what that came to stands in its header, or in the reply (RFC 8601).

use std::net::SocketAddr;
use std::sync::Arc;

use fulmar_core::admin::DomainChange;
use fulmar_core::authn::arc;
use fulmar_core::authn::dkim::{self, BodyHasher, BodyHashes, BodyMethod, Signatory, SigningKey};
use fulmar_core::config::{Config, Consequence, Obedience, Protocol};
use fulmar_core::directory::FRESH;
use fulmar_core::model::verdict::{ArcResult, DmarcResult, SpfResult};
use fulmar_core::model::{Address, DnsName, Domain, Event, UtcTime};
use fulmar_core::platform::{DnsError, Record, RecordKind};
use fulmar_runtime_smol::SmolEntropy;
use fulmar_storage_s3::MemoryStore;
use fulmar_tests::client::Client;
use fulmar_tests::faults::{Faulty, Verb, Which};
use fulmar_tests::node::{Ground, Node};

const ALICE: &str = "alice@home.test";
/// Where strangers connect from; a name leads to it, and an SPF record allows it.
const FRIEND: &str = "192.0.2.10:4711";
/// An address that nobody vouches for.
const FOE: &str = "198.51.100.66:4711";
const MESSAGE: &str =
    "From: Ann <ann@far.test>\r\nTo: alice@home.test\r\nSubject: hello\r\n\r\nIt works.\r\n";

/// A node that knows `far.test`, which wants mail refused that is not proven to be its own, and the listeners of a friend and a foe.
fn node(change: impl FnOnce(&mut Config)) -> (Node, SocketAddr, SocketAddr) {
    prepared(Ground::new(|config| {
        config.verification.is_on = true;
        change(config);
    }))
}

fn prepared(ground: Ground) -> (Node, SocketAddr, SocketAddr) {
    let ground = ground.account(ALICE);
    let zone = ground.zone();
    zone.host("mail.far.test", &["192.0.2.10".parse().unwrap()]);
    let ptr = Record::Ptr(DnsName::parse("mail.far.test").unwrap());
    zone.set("10.2.0.192.in-addr.arpa", RecordKind::Ptr, Ok(vec![ptr]));
    text(&ground, "far.test", "v=spf1 a:mail.far.test exp=why.far.test -all");
    text(&ground, "why.far.test", "%{i} is not ours");
    text(&ground, "_dmarc.far.test", "v=DMARC1; p=reject");
    let mut node = ground.start();
    let friend = node.listen(Protocol::Smtp, Some(FRIEND.parse().unwrap()));
    let foe = node.listen(Protocol::Smtp, Some(FOE.parse().unwrap()));
    (node, friend, foe)
}

fn text(ground: &Ground, name: &str, text: &str) {
    ground.zone().set(name, RecordKind::Txt, record(text));
}

fn record(text: &str) -> Result<Vec<Record>, DnsError> {
    Ok(vec![Record::Txt(text.as_bytes().to_vec())])
}

fn key() -> SigningKey {
    SigningKey::from_pkcs8(&dkim::generate_ed25519(&SmolEntropy)).unwrap()
}

/// Publishes a key, as `sel` of the domain.
fn publish(node: &Node, domain: &str, key: &SigningKey) {
    let record = Record::Txt(key.public_record().into_bytes());
    node.zone().set(&format!("sel._domainkey.{domain}"), RecordKind::Txt, Ok(vec![record]));
}

fn hashes(body: &str) -> BodyHashes {
    let mut hasher = BodyHasher::new([BodyMethod::SIGNING]);
    hasher.push(body.as_bytes());
    hasher.finish()
}

fn split(message: &str) -> (&str, &str) {
    message.split_at(message.find("\r\n\r\n").unwrap() + 4)
}

fn signed(message: &str, domain: &str, key: &SigningKey, at: UtcTime) -> String {
    let (header, body) = split(message);
    let domain = Domain::parse(domain).unwrap();
    let signatory = Signatory { domain: &domain, selector: "sel", key };
    let made = hashes(body);
    let signature =
        dkim::sign(header.as_bytes(), made.find(BodyMethod::SIGNING).unwrap(), &[signatory], at, None);
    signature.unwrap() + message
}

/// What is said to a message of this client.
fn send(server: SocketAddr, reverse_path: &str, message: &str) -> String {
    let mut client = Client::greeted(server);
    client.command(&format!("MAIL FROM:<{reverse_path}>"), "250 ");
    client.command(&format!("RCPT TO:<{ALICE}>"), "250 ");
    client.send("DATA\r\n");
    let invited = client.reply();
    if !invited.starts_with("354 ") {
        return invited;
    }
    client.send(message);
    client.send(".\r\n");
    client.reply()
}

fn received(node: &Node) -> String {
    node.delivered_in_all(1);
    String::from_utf8(node.inbox(ALICE).remove(0)).unwrap()
}

fn assert_in_order(message: &str, parts: &[&str]) {
    let mut rest = message;
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("no {part:?} in its place in\n{message}"));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn all_that_vouches_for_a_message_is_told_above_our_trace_field_and_nobody_else_speaks_in_our_name() {
    let (node, friend, _) = node(|_| ());
    let key = key();
    publish(&node, "far.test", &key);
    let forged = "Authentication-Results: mx.test; dmarc=pass header.from=bank.test\r\n";
    let other = "Authentication-Results: elsewhere.test; spf=pass\r\n";
    let message = signed(&format!("{forged}{other}{MESSAGE}"), "far.test", &key, node.now());
    let reply = send(friend, "ann@far.test", &message);
    assert!(reply.starts_with("250 "), "{reply}");
    let message = received(&node);
    assert_in_order(
        &message,
        &[
            "Return-Path: <ann@far.test>\r\n",
            "Authentication-Results: mx.test;\r\n\tiprev=pass (mail.far.test) policy.iprev=192.0.2.10;\r\n",
            "\tspf=none (client.test publishes no policy) smtp.helo=client.test;\r\n\tspf=pass smtp.mailfrom=ann@far.test;\r\n",
            "\tdkim=pass header.d=far.test header.s=sel header.a=ed25519-sha256 header.b=",
            "\tarc=none;\r\n\tdmarc=pass (p=reject of far.test) header.from=far.test\r\n",
            "Received-SPF: pass (",
            "Received: from client.test ",
            "DKIM-Signature: ",
            "elsewhere.test; spf=pass\r\n",
        ],
    );
    assert!(!message.contains("bank.test"), "{message}");
    let event = node.wait_for("the verdict", |event| matches!(event, Event::Verified { .. }));
    let Event::Verified { spf, dmarc, dkim, policy, .. } = event else { unreachable!("it was looked for") };
    assert_eq!((spf, dmarc, policy), (SpfResult::Pass, DmarcResult::Pass, Some("reject")));
    assert_eq!(dkim, ["far.test"]);
}

#[test]
fn what_its_authors_domain_wants_refused_is_refused_with_the_reason_unless_an_operator_only_reports() {
    let (refusing, _, foe) = self::node(|_| ());
    // Its own reverse-path does not help: it is not the author's.
    for reverse_path in ["ann@far.test", "mallory@foe.test", ""] {
        let reply = send(foe, reverse_path, MESSAGE);
        assert!(reply.starts_with("550 5.7.26 DMARC: far.test wants mail refused"), "{reply}");
    }
    let domains = MESSAGE.replace("<ann@far.test>", "<ann@far.test>, bob@other.test");
    for message in [domains, format!("From: bob@other.test\r\n{MESSAGE}")] {
        let reply = send(foe, "ann@far.test", &message);
        assert!(reply.starts_with("550 5.7.26 DMARC: several From fields or authors"), "{reply}");
    }
    assert!(refusing.inbox(ALICE).is_empty() && refusing.accepted() == 0);

    let (node, _, foe) = self::node(|_| ());
    let nobodys = MESSAGE.replace("From: Ann <ann@far.test>\r\n", "");
    assert!(send(foe, "ann@far.test", &nobodys).starts_with("250 "));
    assert_in_order(&received(&node), &["dmarc=permerror (no From field)\r\n"]);

    for (change, obedience) in [("report", Obedience::Report), ("quarantine", Obedience::Quarantine)] {
        let (node, _, foe) = self::node(|config| config.verification.dmarc = obedience);
        let reply = send(foe, "ann@far.test", MESSAGE);
        assert!(reply.starts_with("250 "), "{change}: {reply}");
        let told = "dmarc=fail (p=reject of far.test) header.from=far.test policy.dmarc=reject\r\n";
        node.delivered_in_all(1);
        let mut found = match obedience {
            Obedience::Report => node.inbox(ALICE),
            _ => node.junk(ALICE),
        };
        let message = String::from_utf8(found.remove(0)).unwrap();
        assert_in_order(&message, &["spf=fail smtp.mailfrom=ann@far.test;\r\n", told]);
        assert_eq!(reason(&node), (obedience == Obedience::Quarantine, "local policy"));
    }
}

/// Whether the message is quarantined, and why it is treated so.
fn reason(node: &Node) -> (bool, &'static str) {
    match node.wait_for("the verdict", |event| matches!(event, Event::Verified { .. })) {
        Event::Verified { quarantined, reason, .. } => (quarantined, reason),
        _ => unreachable!("it was looked for"),
    }
}

#[test]
fn what_its_authors_domain_wants_quarantined_goes_into_junk() {
    let (node, friend, foe) = self::node(|_| ());
    node.zone().set("_dmarc.far.test", RecordKind::Txt, record("v=DMARC1; p=quarantine"));
    assert!(send(foe, "ann@far.test", MESSAGE).starts_with("250 "));
    assert_eq!(reason(&node), (true, "policy"));
    assert!(send(friend, "ann@far.test", MESSAGE).starts_with("250 "));
    node.delivered_in_all(2);
    assert_eq!((node.inbox(ALICE).len(), node.junk(ALICE).len()), (1, 1));
}

#[test]
fn a_domain_of_ours_says_for_itself_how_far_policies_are_followed() {
    for (here, there, reply, alice, bob) in [
        // Both would have it refused.
        (None, None, "550 5.7.26 DMARC", NOWHERE, NOWHERE),
        (None, Some(Obedience::Obey), "550 5.7.26 DMARC", NOWHERE, NOWHERE),
        // One would not get it otherwise.
        (None, Some(Obedience::Quarantine), "250 ", JUNK, JUNK),
        (Some(Obedience::Obey), Some(Obedience::Report), "250 ", JUNK, INBOX),
        (Some(Obedience::Report), Some(Obedience::Report), "250 ", INBOX, INBOX),
    ] {
        let (node, _, foe) = self::node(|_| ());
        node.administer(async |admin| {
            let away = Domain::parse("away.test").unwrap();
            admin.domain_add(&away).await.unwrap();
            admin.account_add(&Address::parse(BOB).unwrap(), "password").await.unwrap();
            for (domain, dmarc) in [("home.test", here), ("away.test", there)] {
                let change = DomainChange { dmarc: Some(dmarc), ..DomainChange::default() };
                admin.domain_set(&Domain::parse(domain).unwrap(), &change).await.unwrap();
            }
        });
        let mut client = Client::greeted(foe);
        client.command("MAIL FROM:<ann@far.test>", "250 ");
        client.command(&format!("RCPT TO:<{ALICE}>"), "250 ");
        client.command(&format!("RCPT TO:<{BOB}>"), "250 ");
        client.command("DATA", "354 ");
        client.send(MESSAGE);
        client.command(".", reply);
        let expected = [alice, bob];
        if expected != [NOWHERE; 2] {
            node.delivered_in_all(2);
        }
        let found = [ALICE, BOB].map(|account| [node.inbox(account).len(), node.junk(account).len()]);
        assert_eq!(found, expected, "{here:?} {there:?}");
    }
}

const BOB: &str = "bob@away.test";
/// Messages in INBOX, and in Junk.
const NOWHERE: [usize; 2] = [0, 0];
const INBOX: [usize; 2] = [1, 0];
const JUNK: [usize; 2] = [0, 1];

#[test]
fn a_domain_of_ours_is_asked_how_far_it_follows_only_where_something_is_to_follow() {
    let store = Arc::new(Faulty::new(Arc::new(MemoryStore::new()), Arc::default(), Arc::default()));
    let way = store.clone();
    let ground = Ground::on(|config| config.verification.is_on = true, |_| way);
    let (node, friend, foe) = prepared(ground);
    let reads = Which::new(Verb::Get, "domain/");
    let send = |server: SocketAddr, author: &str, reply: &str| {
        let mut client = Client::greeted(server);
        client.command("MAIL FROM:<ann@far.test>", "250 ");
        client.command(&format!("RCPT TO:<{ALICE}>"), "250 ");
        client.command("DATA", "354 ");
        client.send(MESSAGE.replace("ann@far.test", author));
        // What was found at RCPT is not believed any more.
        node.advance(FRESH * 2);
        let before = store.count(&reads);
        client.command(".", reply);
        store.count(&reads) - before
    };
    assert_eq!(send(friend, "ann@far.test", "250 "), 0, "it passes");
    assert_eq!(send(foe, "bob@nowhere.test", "250 "), 0, "its author has no policy");
    assert_eq!(send(foe, "ann@far.test", "550 5.7.26 "), 1, "it fails");
}

#[test]
fn clients_are_refused_for_their_address_alone_where_an_operator_wants_that() {
    let (strict, friend, foe) = node(|config| config.verification.spf_fail = Consequence::Refuse);
    let reply = send(foe, "ann@far.test", MESSAGE);
    let expected =
        "550 5.7.23 SPF: far.test does not let 198.51.100.66 send for it: 198.51.100.66 is not ours";
    assert!(reply.starts_with(expected), "{reply}");
    assert!(send(friend, "ann@far.test", MESSAGE).starts_with("250 "));
    drop(strict);

    let (named, friend, foe) = node(|config| config.verification.unnamed_client = Consequence::Refuse);
    let reply = send(foe, "bob@foe.test", MESSAGE);
    assert!(reply.starts_with("550 5.7.25 198.51.100.66 needs a name"), "{reply}");
    assert!(send(friend, "ann@far.test", MESSAGE).starts_with("250 "));
    drop(named);
}

#[test]
fn silence_of_name_servers_puts_mail_off_only_where_an_operator_wants_that() {
    for (defers, expected) in [(true, "451 4.7.26 DMARC"), (false, "250 ")] {
        let (node, _, foe) = node(|config| config.verification.defers_temporary = defers);
        let silence = Err(DnsError::ServFail("no answer".to_owned()));
        node.zone().set("_dmarc.far.test", RecordKind::Txt, silence);
        let reply = send(foe, "ann@far.test", MESSAGE);
        assert!(reply.starts_with(expected), "{reply}");
        if !defers {
            assert_in_order(&received(&node), &["dmarc=temperror (", "header.from=far.test"]);
        }
    }
}

#[test]
fn a_seal_that_is_trusted_makes_good_what_a_list_has_changed() {
    for (trusted, results, expected) in [
        ("list.test", "dmarc=pass", "250 "),
        ("list.test", "dmarc=fail", "550 5.7.26 "),
        ("other.test", "dmarc=pass", "550 5.7.26 "),
    ] {
        let trusted = Domain::parse(trusted).unwrap();
        let (node, _, foe) = node(|config| config.verification.trusted_sealers = vec![trusted]);
        let key = key();
        publish(&node, "list.test", &key);
        let (header, body) = split(MESSAGE);
        let made = hashes(body);
        let domain = Domain::parse("list.test").unwrap();
        let signatory = Signatory { domain: &domain, selector: "sel", key: &key };
        let found = arc::ArcReport { result: ArcResult::None, flaw: None, sets: Vec::new() };
        let sealed = arc::seal(
            header.as_bytes(),
            made.find(BodyMethod::SIGNING).unwrap(),
            &found,
            &format!("list.test; spf=pass; {results} header.from=far.test"),
            &signatory,
            node.now(),
        );
        let message = sealed.unwrap().unwrap() + MESSAGE;
        let reply = send(foe, "bounces@list.test", &message);
        assert!(reply.starts_with(expected), "{results}: {reply}");
        if expected.starts_with("250") {
            assert_in_order(&received(&node), &["arc=pass (i=1 sealed by list.test)", "dmarc=fail"]);
        }
    }
}

#[test]
fn a_large_body_is_verified_as_it_comes_and_an_altered_one_does_not_pass() {
    let (node, _, foe) = node(|_| ());
    let key = key();
    publish(&node, "far.test", &key);
    let body = "0123456789abcdef0123456789abcd\r\n".repeat(160_000);
    let message = signed(&format!("{MESSAGE}{body}"), "far.test", &key, node.now());
    let altered = message.replacen("9abcd\r\n", "9abcde\r\n", 1);
    assert!(send(foe, "ann@far.test", &altered).starts_with("550 5.7.26 "));
    assert!(send(foe, "ann@far.test", &message).starts_with("250 "));
    assert_in_order(&received(&node), &["spf=fail", "dkim=pass header.d=far.test", "dmarc=pass"]);
}

#[test]
fn mail_of_this_machine_and_of_those_who_may_relay_is_not_verified() {
    let (node, _, _) = node(|_| ());
    let reply = send(node.server(), "ann@far.test", MESSAGE);
    assert!(reply.starts_with("250 "), "{reply}");
    let (relaying, _, foe) = self::node(|config| {
        config.relay.networks = vec!["198.51.100.0/24".parse().unwrap()];
    });
    assert!(send(foe, "ann@far.test", MESSAGE).starts_with("250 "));
    for node in [node, relaying] {
        let message = received(&node);
        assert!(
            !message.contains("Authentication-Results") && !message.contains("Received-SPF"),
            "{message}"
        );
    }
}
