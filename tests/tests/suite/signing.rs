//! What leaves for a domain of ours is signed, on whichever node it comes in (RFC 6376 §5).

mod conversion;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use fulmar_core::admin::{DomainKeySummary, KeyAlgorithm, KeyState, NewKeys};
use fulmar_core::authn::dkim::{
    self, BodyHasher, BodyHashes, BodyMethod, DkimReport, Signatory, SigningKey, body_methods,
};
use fulmar_core::config::{Authentication, Config, NextHop, Protocol, Route};
use fulmar_core::directory::FRESH;
use fulmar_core::model::verdict::DkimResult;
use fulmar_core::model::{Domain, Event, MailOptions, Outcome, RecipientOptions};
use fulmar_core::platform::{Record, RecordKind};
use fulmar_runtime_smol::SmolEntropy;
use fulmar_tests::certificate::Certificate;
use fulmar_tests::client::Client;
use fulmar_tests::node::{Ground, Node};
use fulmar_tests::smtp_servers::{Act, Phase, Script, Sink};
use fulmar_tests::zone::Zone;

const ALICE: &str = "alice@home.test";
const FAR: &str = "b@far.test";
const MESSAGE: &str =
    "From: Alice <alice@home.test>\r\nTo: b@far.test\r\nSubject: hello\r\n\r\nIt  works. \r\n\r\n";
const BOB: &str = "bob@home.test";
/// `\0alice@home.test\0password`
const LOGIN: &str = "AUTH PLAIN AGFsaWNlQGhvbWUudGVzdABwYXNzd29yZA==";
/// `\0bob@home.test\0password`
const LOGIN_OF_BOB: &str = "AUTH PLAIN AGJvYkBob21lLnRlc3QAcGFzc3dvcmQ=";
const LARGE: usize = 5 << 20;

/// A store for nodes whose mail for all other domains goes to a server, and whose neighbours may relay.
fn ground(folder: &Path, sink: &Sink) -> Ground {
    ground_with(folder, sink, |_| ())
}

fn ground_with(folder: &Path, sink: &Sink, change: impl FnOnce(&mut Config)) -> Ground {
    Ground::in_directory(folder, |config: &mut Config| {
        change(config);
        let address = sink.address();
        let next_hop = NextHop { host: address.ip().to_string(), port: address.port() };
        config.relay.routes.push(Route { domain: None, next_hop });
        config.relay.networks = vec!["127.0.0.0/8".parse().unwrap()];
        config.relay.private_networks = config.relay.networks.clone();
    })
}

fn home() -> Domain {
    Domain::parse("home.test").unwrap()
}

/// Keys that sign at once, their records in the zone.
fn generate(node: &Node, domain: &str, zone: &Zone, algorithms: &[KeyAlgorithm]) -> Vec<DomainKeySummary> {
    let domain = Domain::parse(domain).unwrap();
    let order = NewKeys { selector: None, algorithms: algorithms.iter().copied().collect(), is_active: true };
    let made = node.administer(async |admin| admin.dkim_generate(&domain, &order).await).unwrap();
    publish(zone, &made);
    made
}

fn publish(zone: &Zone, keys: &[DomainKeySummary]) {
    for key in keys {
        let record = Record::Txt(key.record.clone().unwrap().into_bytes());
        zone.set(&key.name, RecordKind::Txt, Ok(vec![record]));
    }
}

fn split(message: &[u8]) -> (&[u8], &[u8]) {
    message.split_at(message.windows(4).position(|octets| octets == b"\r\n\r\n").unwrap() + 4)
}

fn hashes(body: &[u8], methods: Vec<BodyMethod>) -> BodyHashes {
    let mut hasher = BodyHasher::new(methods);
    hasher.push(body);
    hasher.finish()
}

fn verify(message: &[u8], zone: &Zone, node: &Node) -> DkimReport {
    let (header, body) = split(message);
    let hashes = hashes(body, body_methods(header));
    smol::block_on(dkim::verify(header, &hashes, zone, node.now()))
}

/// Whose signatures a message has, domain and selector, all of which must be good.
fn signers(message: &[u8], zone: &Zone, node: &Node) -> Vec<(String, String)> {
    let report = verify(message, zone, node);
    let signer = |signature: &dkim::Verified| {
        assert_eq!(signature.result, DkimResult::Pass, "{signature:?}");
        let claim = signature.claim.as_ref().unwrap();
        (claim.domain.to_string(), claim.selector.clone())
    };
    report.signatures.iter().map(signer).collect()
}

fn expected(domain: &str, keys: &[DomainKeySummary]) -> Vec<(String, String)> {
    keys.iter().map(|key| (domain.to_owned(), key.selector.clone())).collect()
}

/// Sends a message by port 25, as a neighbour may.
fn relay(server: SocketAddr, content: impl AsRef<[u8]>) {
    Client::greeted(server).deliver(&[FAR], content);
}

#[test]
fn every_node_signs_with_all_active_keys_and_with_others_seconds_after_they_change() {
    let (folder, sink, zone) =
        (tempfile::tempdir().unwrap(), Sink::start(Script::default()), Zone::default());
    let mut one = ground(folder.path(), &sink).account(ALICE).start();
    let other = ground(folder.path(), &sink).start();
    let first = generate(&one, "home.test", &zone, &[]);
    assert_eq!(first.len(), 2);

    let certificate = Certificate::new("mx.test");
    one.show(&[("mx.pem", certificate.pem())]);
    let submission = one.listen(Protocol::Submission, Some("192.0.2.7:1024".parse().unwrap()));
    let mut user = Client::greeted_by_starttls(submission, &certificate);
    user.command(LOGIN, "235 ");
    user.command(&format!("MAIL FROM:<{ALICE}>"), "250 ");
    user.command(&format!("RCPT TO:<{FAR}>"), "250 ");
    user.command("DATA", "354 ");
    user.send("Authentication-Results: mx.test; dmarc=pass header.from=bank.test\r\n");
    user.send(MESSAGE);
    user.send(".\r\n");
    user.accepted();
    relay(other.server(), MESSAGE);
    let line = "All work and no play makes Jack  a dull boy.\t\r\n";
    relay(other.server(), MESSAGE.to_owned() + &line.repeat(LARGE / line.len()));
    for message in sink.wait_for_accepted(3) {
        assert_eq!(signers(&message.content, &zone, &one), expected("home.test", &first));
        assert!(!String::from_utf8_lossy(&message.content).contains("bank.test"), "said in our name");
        let tampered = String::from_utf8(message.content).unwrap().replace("hello", "help");
        let report = verify(tampered.as_bytes(), &zone, &one);
        assert!(report.signatures.iter().all(|one| one.result == DkimResult::Fail), "{report:?}");
    }

    let rotate = async |admin: &fulmar_core::admin::Admin| admin.dkim_rotate(&home(), false).await.unwrap();
    publish(&zone, &one.administer(rotate));
    let mut second = one.administer(rotate);
    second.retain(|key| key.state == KeyState::Active);
    assert_eq!(second.len(), 2);
    other.advance(FRESH * 2);
    relay(other.server(), MESSAGE);
    let last = sink.wait_for_accepted(4).pop().unwrap();
    assert_eq!(signers(&last.content, &zone, &other), expected("home.test", &second));
    assert!(second.iter().all(|key| !first.contains(key)));
}

#[test]
fn only_authors_of_ours_are_signed_for_and_only_once() {
    let (folder, sink, zone) =
        (tempfile::tempdir().unwrap(), Sink::start(Script::default()), Zone::default());
    let node = ground(folder.path(), &sink).account(ALICE).start();
    let made = generate(&node, "home.test", &zone, &[KeyAlgorithm::Ed25519Sha256]);

    let own = SigningKey::from_pkcs8(&dkim::generate_ed25519(&SmolEntropy)).unwrap();
    zone.set(
        "own._domainkey.home.test",
        RecordKind::Txt,
        Ok(vec![Record::Txt(own.public_record().into_bytes())]),
    );
    let (header, body) = split(MESSAGE.as_bytes());
    let body = hashes(body, vec![BodyMethod::SIGNING]);
    let domain = home();
    let signatory = Signatory { domain: &domain, selector: "own", key: &own };
    let signed = dkim::sign(header, body.find(BodyMethod::SIGNING).unwrap(), &[signatory], node.now(), None);
    let signed = signed.unwrap() + MESSAGE;
    for (content, by) in [
        (signed.clone(), vec![("home.test".to_owned(), "own".to_owned())]),
        (MESSAGE.replace("alice@home.test", "x@far.test"), vec![]),
        (MESSAGE.replace("From:", "X-From:"), vec![]),
        (MESSAGE.to_owned(), expected("home.test", &made)),
    ] {
        let before = sink.accepted().len();
        relay(node.server(), &content);
        let message = sink.wait_for_accepted(before + 1).pop().unwrap();
        assert_eq!(signers(&message.content, &zone, &node), by, "{content}");
    }
    // One whose signature is of another body has none.
    relay(node.server(), signed + "More.\r\n");
    let message = sink.wait_for_accepted(5).pop().unwrap();
    let results: Vec<_> =
        verify(&message.content, &zone, &node).signatures.iter().map(|one| one.result).collect();
    assert_eq!(results, [DkimResult::Pass, DkimResult::Fail]);
}

#[test]
fn signatures_hold_for_as_long_as_an_operator_wants() {
    for (validity, is_over) in [(None, false), (Some(Duration::from_hours(24)), true)] {
        let (folder, sink, zone) =
            (tempfile::tempdir().unwrap(), Sink::start(Script::default()), Zone::default());
        let ground = ground_with(folder.path(), &sink, |config| config.signing.validity = validity);
        let node = ground.account(ALICE).start();
        let made = generate(&node, "home.test", &zone, &[]);
        relay(node.server(), MESSAGE);
        let message = sink.wait_for_accepted(1).remove(0).content;
        assert_eq!(signers(&message, &zone, &node), expected("home.test", &made));
        node.advance(Duration::from_hours(25));
        let report = verify(&message, &zone, &node);
        assert!(
            report.signatures.iter().all(|one| (one.result != DkimResult::Pass) == is_over),
            "{report:?}"
        );
    }
}

#[test]
fn nobody_has_a_message_signed_as_somebody_else() {
    let (folder, sink, zone) =
        (tempfile::tempdir().unwrap(), Sink::start(Script::default()), Zone::default());
    let mut node = ground(folder.path(), &sink).account(ALICE).account(BOB).start();
    generate(&node, "home.test", &zone, &[KeyAlgorithm::Ed25519Sha256]);
    let far: SocketAddr = "192.0.2.9:1024".parse().unwrap();
    let strangers = node.listen(Protocol::Smtp, Some(far));
    let anonymous = node.listen_as(Protocol::Submission, Some(far), |listener| {
        listener.settings.auth = Some(Authentication::None);
    });
    let lmtp = node.listen(Protocol::Lmtp, None);
    let users = node.listen_as(Protocol::Smtp, Some(far), |listener| {
        listener.settings.auth = Some(Authentication::Optional);
        listener.settings.allow_plaintext_auth = true;
    });
    for (what, server, greeting, commands, is_signed) in [
        ("a stranger", strangers, "EHLO", &[][..], false),
        ("a stranger who need not log in", anonymous, "EHLO", &[], false),
        ("a host that has taken it from others", lmtp, "LHLO", &[], false),
        ("its author", users, "EHLO", &[LOGIN], true),
        ("another user", users, "EHLO", &[LOGIN_OF_BOB], false),
    ] {
        let mut client = Client::connect(server);
        client.expect("220 ");
        client.command(&format!("{greeting} c.test"), "250-");
        commands.iter().for_each(|command| drop(client.command(command, "235 ")));
        client.command("MAIL FROM:<>", "250 ");
        client.command(&format!("RCPT TO:<{ALICE}>"), "250 ");
        client.command("DATA", "354 ");
        client.send(format!("{MESSAGE}.\r\n"));
        let id = client.accepted();
        node.delivered(&id, ALICE);
        let message = String::from_utf8(node.inbox(ALICE).pop().unwrap()).unwrap();
        assert_eq!(message.contains("DKIM-Signature"), is_signed, "{what}: {message}");
    }
}

#[test]
fn what_comes_by_other_ways_is_signed_too() {
    let folder = tempfile::tempdir().unwrap();
    let refusing = Script::default().first(1, Phase::Rcpt(1), Act::Reply("550 5.1.1 nobody"));
    let (sink, zone) = (Sink::start(refusing), Zone::default());
    let node = ground(folder.path(), &sink).account(ALICE).account("postmaster@mx.test").start();
    let ed25519 = [KeyAlgorithm::Ed25519Sha256];
    let made = generate(&node, "home.test", &zone, &ed25519);
    let of_host = generate(&node, "mx.test", &zone, &ed25519);

    let id = node.send_with(ALICE, MailOptions::default(), &[(FAR, RecipientOptions::default())], MESSAGE);
    assert!(matches!(node.attempted(&id, FAR, 1), Outcome::Failed(_)));
    let bounced = node.wait_for("a bounce", |event| matches!(event, Event::Bounced { .. }));
    let Event::Bounced { report, .. } = bounced else { unreachable!("it was looked for") };
    node.delivered(&report.to_string(), ALICE);
    let report = node.inbox(ALICE).remove(0);
    assert_eq!(signers(&report, &zone, &node), expected("mx.test", &of_host));

    node.send_with(ALICE, MailOptions::default(), &[(FAR, RecipientOptions::default())], MESSAGE);
    let sent = sink.wait_for_accepted(1).pop().unwrap();
    assert_eq!(signers(&sent.content, &zone, &node), expected("home.test", &made));

    node.put("pickup/m.eml", MESSAGE.as_bytes());
    node.advance(Duration::from_mins(1));
    let picked_up = sink.wait_for_accepted(2).pop().unwrap();
    assert_eq!(signers(&picked_up.content, &zone, &node), expected("home.test", &made));
}
