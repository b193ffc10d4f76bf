//! What a stranger has sent is sealed (ARC, RFC 8617 §5.1) before it is forwarded.

use std::net::SocketAddr;

use fulmar_core::admin::NewKeys;
use fulmar_core::authn::arc::{self, ArcFlaw, ArcReport};
use fulmar_core::authn::dkim::{self, BodyHasher, BodyHashes, BodyMethod, Signatory, SigningKey};
use fulmar_core::config::Protocol;
use fulmar_core::model::verdict::ArcResult;
use fulmar_core::platform::{DnsError, Record, RecordKind};
use fulmar_runtime_smol::SmolEntropy;

use super::*;

const LARGE: usize = 3 << 20;

/// A node that verifies strangers, with keys of `home.test` where it `has_keys`, and where strangers come in.
fn verifying(sink: &Sink, has_keys: bool) -> (Node, SocketAddr) {
    let mut node = node(sink, |config| config.verification.is_on = true);
    if has_keys {
        let order = NewKeys { is_active: true, ..NewKeys::default() };
        let home = Domain::parse("home.test").unwrap();
        let made = node.administer(async |admin| admin.dkim_generate(&home, &order).await).unwrap();
        for key in made {
            let record = Record::Txt(key.record.unwrap().into_bytes());
            node.zone().set(&key.name, RecordKind::Txt, Ok(vec![record]));
        }
    }
    let strangers = node.listen(Protocol::Smtp, Some("192.0.2.10:4711".parse().unwrap()));
    (node, strangers)
}

fn hashes(body: &str, methods: impl IntoIterator<Item = BodyMethod>) -> BodyHashes {
    let mut hasher = BodyHasher::new(methods);
    hasher.push(body.as_bytes());
    hasher.finish()
}

fn split(message: &str) -> (&str, &str) {
    message.split_at(message.find("\r\n\r\n").unwrap() + 4)
}

fn validate(message: &str, node: &Node) -> ArcReport {
    let (header, body) = split(message);
    let hashes = hashes(body, arc::body_method(header.as_bytes()));
    smol::block_on(arc::verify(header.as_bytes(), &hashes, node.zone(), node.now()))
}

/// A message as a list sends it on that seals, and says this of the chain that it found.
fn sealed_by_list(message: &str, node: &Node, found: ArcResult) -> String {
    let key = SigningKey::from_pkcs8(&dkim::generate_ed25519(&SmolEntropy)).unwrap();
    let record = Record::Txt(key.public_record().into_bytes());
    node.zone().set("sel._domainkey.list.test", RecordKind::Txt, Ok(vec![record]));
    let (header, body) = split(message);
    let domain = Domain::parse("list.test").unwrap();
    let signatory = Signatory { domain: &domain, selector: "sel", key: &key };
    let found = ArcReport { result: found, flaw: None, sets: Vec::new() };
    let body = hashes(body, [BodyMethod::SIGNING]);
    let body = body.find(BodyMethod::SIGNING).unwrap();
    let sealed = arc::seal(header.as_bytes(), body, &found, "list.test; dmarc=pass", &signatory, node.now());
    sealed.unwrap().unwrap() + message
}

#[test]
fn what_was_found_is_told_under_a_seal_that_the_next_host_can_verify() {
    let sink = Sink::start(Script::default());
    let (node, strangers) = verifying(&sink, true);
    let line = "All work and no play makes Jack  a dull boy.\t\r\n";
    let large = CONTENT.to_owned() + &line.repeat(LARGE / line.len());
    for (number, message) in [CONTENT, &large].into_iter().enumerate() {
        stranger(strangers, ANN, &[AWAY, ALICE], message);
        let sent = sink.wait_for_accepted(number + 1).pop().unwrap();
        let sent = String::from_utf8(sent.content).unwrap();
        assert!(sent.starts_with("ARC-Seal: i=1; a=rsa-sha256; d=home.test;"), "{}", split(&sent).0);
        let report = validate(&sent, &node);
        assert_eq!(report.result, ArcResult::Pass, "{report:?}");
        let set = &report.sets[0];
        assert_eq!(set.domain.as_str(), "home.test");
        assert!(set.results.starts_with("mx.test;") && set.results.contains("spf=none"), "{}", set.results);
        assert!(set.results.contains("arc=none") && sent.contains("cv=none"), "{}", set.results);
        assert_eq!(validate(&sent.replacen("Subject: s", "Subject: t", 1), &node).result, ArcResult::Fail);
    }
}

#[test]
fn a_chain_is_continued_as_long_as_nobody_has_called_it_broken() {
    let sink = Sink::start(Script::default());
    let (node, strangers) = verifying(&sink, true);
    let good = sealed_by_list(CONTENT, &node, ArcResult::None);
    stranger(strangers, ANN, &[AWAY], &good);
    let sent = String::from_utf8(sink.wait_for_accepted(1).pop().unwrap().content).unwrap();
    let report = validate(&sent, &node);
    assert_eq!(report.result, ArcResult::Pass, "{report:?}\n{sent}");
    let sealers: Vec<&str> = report.sets.iter().map(|set| set.domain.as_str()).collect();
    assert_eq!(sealers, ["list.test", "home.test"]);
    assert!(report.sets[1].results.contains("arc=pass"), "{sent}");

    stranger(strangers, ANN, &[AWAY], &good.replace("Subject: s", "Subject: t"));
    let sent = String::from_utf8(sink.wait_for_accepted(2).pop().unwrap().content).unwrap();
    assert!(sent.starts_with("ARC-Seal: i=2;") && sent.contains("cv=fail"), "{sent}");
    assert_eq!(validate(&sent, &node).flaw, Some(ArcFlaw::FoundBroken));

    stranger(strangers, ANN, &[AWAY], &sealed_by_list(CONTENT, &node, ArcResult::Fail));
    let sent = String::from_utf8(sink.wait_for_accepted(3).pop().unwrap().content).unwrap();
    assert!(sent.contains("ARC-Seal: i=1;") && !sent.contains("ARC-Seal: i=2;"), "{sent}");
    // What cannot be judged now may yet be found good.
    let silence = Err(DnsError::ServFail("no answer".to_owned()));
    node.zone().set("sel._domainkey.list.test", RecordKind::Txt, silence);
    stranger(strangers, ANN, &[AWAY], &good);
    let sent = String::from_utf8(sink.wait_for_accepted(4).pop().unwrap().content).unwrap();
    assert!(!sent.contains("ARC-Seal: i=2;"), "{sent}");
}

#[test]
fn nothing_is_sealed_that_stays_or_was_not_verified_or_has_no_key() {
    let sink = Sink::start(Script::default());
    let (node, strangers) = verifying(&sink, true);
    stranger(strangers, ANN, &[ALICE], CONTENT);
    node.delivered_in_all(1);
    let kept = String::from_utf8(node.inbox(ALICE).remove(0)).unwrap();
    assert!(kept.contains("Authentication-Results: ") && !kept.contains("ARC-"), "{kept}");
    send(&node, ANN, &[AWAY]);
    let unverified = sink.wait_for_accepted(1).pop().unwrap();
    stranger(strangers, ANN, &[OTHER], CONTENT);
    let keyless = sink.wait_for_accepted(2).pop().unwrap();
    for message in [unverified, keyless] {
        let content = String::from_utf8(message.content).unwrap();
        assert!(!content.contains("ARC-"), "{content}");
    }
    let (_node, strangers) = verifying(&sink, false);
    stranger(strangers, ANN, &[AWAY], CONTENT);
    let content = String::from_utf8(sink.wait_for_accepted(3).pop().unwrap().content).unwrap();
    assert!(content.starts_with("Authentication-Results: ") && !content.contains("ARC-"), "{content}");
}

#[test]
fn a_seal_is_made_anew_over_what_a_message_is_converted_to() {
    // It does not offer 8BITMIME.
    let sink = Sink::start(Script::default());
    let (node, strangers) = verifying(&sink, true);
    let content = CONTENT.replace(
        "\r\n\r\nHi",
        "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\nGr\u{fc}\u{df}e",
    );
    let good = sealed_by_list(&content, &node, ArcResult::None);
    let sent = |message: &str| {
        let before = sink.accepted().len();
        let mut client = Client::greeted(strangers);
        client.command(&format!("MAIL FROM:<{ANN}> BODY=8BITMIME"), "250 ");
        client.command(&format!("RCPT TO:<{AWAY}>"), "250 ");
        client.command("DATA", "354 ");
        client.send(format!("{message}.\r\n"));
        client.accepted();
        let sent = String::from_utf8(sink.wait_for_accepted(before + 1).pop().unwrap().content).unwrap();
        assert!(sent.ends_with("quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n"), "{sent}");
        sent
    };
    for (message, sealers) in [(&content, &["home.test"][..]), (&good, &["list.test", "home.test"])] {
        let sent = sent(message);
        let report = validate(&sent, &node);
        assert_eq!(report.result, ArcResult::Pass, "{report:?}\n{sent}");
        assert_eq!(report.sets.iter().map(|set| set.domain.as_str()).collect::<Vec<_>>(), sealers);
        let results = &report.sets.last().unwrap().results;
        assert!(results.starts_with("mx.test;") && results.contains("spf=none"), "{results}");
    }
    // What others have broken stays so.
    let sent = sent(&good.replace("Subject: s", "Subject: t"));
    assert!(sent.starts_with("ARC-Seal: i=2;") && sent.contains("cv=fail"), "{sent}");
    assert_eq!(validate(&sent, &node).flaw, Some(ArcFlaw::FoundBroken));
}
