//! Chains: sealed by one forwarder after the other, validated, and broken.

use futures::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::authn::dkim::testing::{NOW, Zone, ed25519_key, hash, rsa_key, split};
use crate::authn::dkim::{BodyMethod, Encodings, Flaw, Signatory, SigningKey};
use crate::model::Domain;
use crate::model::message::fields;
use crate::model::verdict::ArcResult;
use crate::platform::DnsError;

const MESSAGE: &str = "From: a@example.org\r\nTo: list@example.net\r\nSubject: s\r\n\r\nHi  there.\r\n\r\n";
const RESULTS: &str = "mx.example.net;\r\n\tspf=pass smtp.mailfrom=a@example.org;\r\n\tdmarc=pass";

struct Forwarder {
    domain: Domain,
    key: SigningKey,
}

impl Forwarder {
    fn new(domain: &str, key: SigningKey) -> Self {
        Self { domain: Domain::parse(domain).unwrap(), key }
    }

    fn publish(&self, zone: &mut Zone) {
        zone.add(&format!("arc._domainkey.{}", self.domain), &self.key.public_record());
    }

    /// Passes a message on: with a set that says what the chain came to here.
    fn forward(&self, message: &str, zone: &Zone) -> Option<String> {
        let (header, body) = split(message.as_bytes());
        let bodies = hash(body, [BodyMethod::SIGNING]);
        let signatory = Signatory { domain: &self.domain, selector: "arc", key: &self.key };
        let found = verify_here(message, zone);
        let body = bodies.find(BodyMethod::SIGNING).unwrap();
        let set = seal(header, body, &found, RESULTS, &signatory, NOW).unwrap()?;
        Some(format!("{set}{message}"))
    }
}

fn forwarders() -> ([Forwarder; 2], Zone) {
    let both = [Forwarder::new("one.example", rsa_key()), Forwarder::new("two.example", ed25519_key())];
    let mut zone = Zone::default();
    both.iter().for_each(|forwarder| forwarder.publish(&mut zone));
    (both, zone)
}

/// Forwarded so many times, by both in turns.
fn forwarded(times: usize) -> (String, Zone) {
    let (both, zone) = forwarders();
    let forward = |message: String, n: usize| both[n % 2].forward(&message, &zone).unwrap();
    ((0..times).fold(MESSAGE.to_owned(), forward), zone)
}

fn verify_here(message: &str, zone: &Zone) -> ArcReport {
    let (header, body) = split(message.as_bytes());
    let bodies = hash(body, body_method(header));
    verify(header, &bodies, zone, NOW).now_or_never().expect("the zone answers at once")
}

#[test]
fn a_chain_holds_however_often_a_message_is_forwarded() {
    for times in [0, 1, 2, 3, 5] {
        let (message, zone) = forwarded(times);
        let report = verify_here(&message, &zone);
        let expected = if times == 0 { ArcResult::None } else { ArcResult::Pass };
        assert_eq!((report.result, report.flaw), (expected, None), "{message}");
        let domains: Vec<_> = report.sets.iter().map(|set| set.domain.as_str()).collect();
        let turns = ["one.example", "two.example"].into_iter().cycle();
        assert_eq!(domains, turns.take(times).collect::<Vec<_>>());
        assert!(report.sets.iter().all(|set| set.results == RESULTS), "{:?}", report.sets);
    }
}

#[test]
fn sets_are_written_in_short_lines_and_the_newest_stands_on_top() {
    let (message, _) = forwarded(2);
    let (header, _) = split(message.as_bytes());
    let text = std::str::from_utf8(header).unwrap();
    assert!(text.lines().all(|line| line.len() <= 78), "{text}");
    let names: Vec<_> = fields(header).map(|field| String::from_utf8_lossy(field.name)).collect();
    let set = ["ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"];
    assert_eq!(names[..6], [set, set].concat());
    assert!(text.starts_with("ARC-Seal: i=2; a=ed25519-sha256; d=two.example; s=arc;"), "{text}");
}

#[test]
fn what_is_altered_breaks_the_chain() {
    let (message, zone) = forwarded(3);
    let break_of = |from: &str, to: &str| {
        let altered = message.replacen(from, to, 1);
        assert_ne!(altered, message, "{from}");
        let report = verify_here(&altered, &zone);
        assert_eq!((report.result, report.sets.len()), (ArcResult::Fail, 0), "{to}");
        report.flaw.unwrap()
    };
    for (from, to, flaw) in [
        ("there.", "where.", ArcFlaw::MessageSignature(Flaw::BodyAltered)),
        ("Subject: s", "Subject: t", ArcFlaw::MessageSignature(Flaw::Signature)),
        // The oldest set is the last.
        (
            "ARC-Authentication-Results: i=1; mx",
            "ARC-Authentication-Results: i=1; my",
            ArcFlaw::Seal(Flaw::Signature),
        ),
        ("ARC-Seal: i=1;", "ARC-Seal: i=1; x_1=y;", ArcFlaw::Seal(Flaw::Signature)),
        ("ARC-Message-Signature: i=2;", "ARC-Message-Signature: i=2; x_1=y;", ArcFlaw::Seal(Flaw::Signature)),
        ("ARC-Seal: i=2;", "ARC-Seal: i=4;", ArcFlaw::Incomplete(2)),
        ("ARC-Seal: i=2;", "ARC-Seal: i=1;", ArcFlaw::Incomplete(2)),
        ("ARC-Seal: i=3;", "X-Seal: i=3;", ArcFlaw::Incomplete(3)),
        ("ARC-Authentication-Results: i=1;", "X: i=1;", ArcFlaw::Incomplete(1)),
        ("ARC-Seal: i=1;", "ARC-Seal: i=0;", ArcFlaw::Instance),
        ("ARC-Seal: i=1;", "ARC-Seal: j=1;", ArcFlaw::Instance),
        ("ARC-Authentication-Results: i=1; ", "ARC-Authentication-Results: ", ArcFlaw::Instance),
        ("ARC-Seal: i=1;", "ARC-Seal: i=51;", ArcFlaw::TooLong),
        ("ARC-Seal: i=1;", "ARC-Seal: i=1; h=from;", ArcFlaw::Seal(Flaw::Unsupported("h"))),
        ("cv=none", "cv=pass", ArcFlaw::ChainValidation(1)),
        ("cv=none", "cv=good", ArcFlaw::Seal(Flaw::Malformed("cv"))),
        ("cv=pass", "cv=fail", ArcFlaw::FoundBroken),
        ("cv=pass", "cv=none", ArcFlaw::ChainValidation(3)),
        ("h=from:", "h=arc-seal:from:", ArcFlaw::MessageSignature(Flaw::Unsupported("h"))),
        ("a=rsa-sha256", "a=rsa-sha1", ArcFlaw::Seal(Flaw::Historic)),
    ] {
        assert_eq!(break_of(from, to), flaw, "{from} {to}");
    }
}

#[test]
fn a_chain_whose_newest_seal_was_taken_off_is_an_older_chain_over_another_message() {
    let (message, zone) = forwarded(2);
    let (_, older) = message.split_once("ARC-Seal: i=1;").unwrap();
    let older = format!("ARC-Seal: i=1;{older}");
    assert_eq!(verify_here(&older, &zone).result, ArcResult::Pass);
    assert_eq!(verify_here(&older.replace("Hi", "Ho"), &zone).result, ArcResult::Fail);
}

#[test]
fn a_broken_chain_is_sealed_once_and_stays_broken() {
    let (both, zone) = forwarders();
    let message = both[0].forward(MESSAGE, &zone).unwrap().replace("Hi", "Ho");
    let sealed = both[1].forward(&message, &zone).unwrap();
    assert!(sealed.starts_with("ARC-Seal: i=2;") && sealed.contains("cv=fail"), "{sealed}");
    assert_eq!(verify_here(&sealed, &zone).flaw, Some(ArcFlaw::FoundBroken));
    assert_eq!(both[0].forward(&sealed, &zone), None);
}

impl Forwarder {
    /// The message with its body in another encoding, and the newest set made anew if it is this forwarder's.
    fn renew(&self, message: &str, new_key: &SigningKey) -> Option<String> {
        let encoded = message.replace("there.", "dGhlcmUu");
        let ((header, body), (new_header, new_body)) = (split(message.as_bytes()), split(encoded.as_bytes()));
        let [bodies, new_bodies] = [body, new_body].map(|body| hash(body, [BodyMethod::SIGNING]));
        let after = (new_header, new_bodies.find(BodyMethod::SIGNING).unwrap());
        let known = [Signatory { domain: &self.domain, selector: "arc", key: &self.key }];
        let active = Signatory { selector: "new", key: new_key, ..known[0] };
        let message = Encodings { before: (header, &bodies), after };
        let block = renew(&message, &known, &active, NOW).unwrap()?;
        Some(String::from_utf8([&block[..], new_body].concat()).unwrap())
    }
}

#[test]
fn the_newest_set_is_made_anew_and_tells_what_it_told() {
    let (both, mut zone) = forwarders();
    both.iter().for_each(|one| zone.add(&format!("new._domainkey.{}", one.domain), &one.key.public_record()));
    for times in [1, 2, 3] {
        let (message, _) = forwarded(times);
        let newest = &both[(times - 1) % 2];
        assert_eq!(newest_sealer(message.as_bytes()).unwrap().domain, newest.domain);
        let renewed = newest.renew(&message, &newest.key).unwrap();
        let report = verify_here(&renewed, &zone);
        assert_eq!((report.result, report.flaw), (ArcResult::Pass, None), "{renewed}");
        assert_eq!(report.sets, verify_here(&message, &zone).sets);
        assert!(renewed.contains("s=new;") && renewed.matches("ARC-Seal:").count() == times, "{renewed}");
        // Nobody makes anew what another has sealed.
        assert_eq!(both[times % 2].renew(&message, &newest.key), None);
    }
    let message = both[0].forward(MESSAGE, &zone).unwrap().replace("Hi", "Ho");
    let broken = both[1].forward(&message, &zone).unwrap();
    let renewed = both[1].renew(&broken, &both[1].key).unwrap();
    assert!(renewed.starts_with("ARC-Seal: i=2;") && renewed.contains("cv=fail"), "{renewed}");
    assert_eq!(verify_here(&renewed, &zone).flaw, Some(ArcFlaw::FoundBroken));
}

#[test]
fn a_set_that_does_not_hold_is_not_made_anew() {
    let (both, zone) = forwarders();
    let (message, _) = forwarded(2);
    for (from, to) in [
        ("Hi", "Ho"),
        ("Subject: s", "Subject: t"),
        ("From: a@", "Sender: b@example.org\r\nFrom: a@"),
        ("ARC-Seal: i=2", "Subject: t\r\nARC-Seal: i=2"),
        ("ARC-Authentication-Results: i=2; mx", "ARC-Authentication-Results: i=2; my"),
        ("ARC-Authentication-Results: i=1; mx", "ARC-Authentication-Results: i=1; my"),
        (
            "ARC-Authentication-Results: i=2;",
            "ARC-Authentication-Results: i=2; x\r\nARC-Authentication-Results: i=2;",
        ),
        ("ARC-Seal: i=2;", "ARC-Seal: i=3;"),
        ("cv=pass", "cv=none"),
    ] {
        let altered = message.replacen(from, to, 1);
        assert_ne!(altered, message, "{from}");
        assert_eq!(both[1].renew(&altered, &both[1].key), None, "{to}");
    }
    // Somebody else's key under our name.
    let forger = Forwarder::new("two.example", rsa_key());
    let forged = forger.forward(&both[0].forward(MESSAGE, &zone).unwrap(), &zone).unwrap();
    assert_eq!(both[1].renew(&forged, &both[1].key), None);
}

#[test]
fn fifty_sets_are_a_chain_and_there_is_no_fifty_first() {
    let (both, zone) = forwarders();
    // Ed25519 alone: fifty RSA signatures take a while.
    let forward = |message: String, _| both[1].forward(&message, &zone).unwrap();
    let message = (0..50).fold(MESSAGE.to_owned(), forward);
    zone.asked.lock().unwrap().clear();
    let report = verify_here(&message, &zone);
    assert_eq!((report.result, report.sets.len()), (ArcResult::Pass, 50));
    assert_eq!(zone.asked.lock().unwrap().len(), 1);
    assert_eq!(both[1].forward(&message, &zone), None);

    let more = format!("ARC-Seal: i=1; a=rsa-sha256; cv=none; d=a.example; s=s; b=AA==\r\n{message}");
    assert_eq!(verify_here(&more, &zone).flaw, Some(ArcFlaw::TooLong));
    let many = format!("{}{MESSAGE}", "ARC-Message-Signature: i=1\r\n".repeat(10_000));
    assert_eq!(verify_here(&many, &zone).flaw, Some(ArcFlaw::TooLong));
}

#[test]
fn a_key_that_cannot_be_looked_up_now_breaks_the_chain_for_now() {
    let (message, mut zone) = forwarded(2);
    zone.fail("arc._domainkey.one.example", DnsError::ServFail("no server".to_owned()));
    let flaw = verify_here(&message, &zone).flaw.unwrap();
    assert_eq!(flaw, ArcFlaw::Seal(Flaw::KeyUnavailable("no server".to_owned())));
    assert!(flaw.is_temporary());
    zone.fail("arc._domainkey.one.example", DnsError::NxDomain);
    assert!(!verify_here(&message, &zone).flaw.unwrap().is_temporary());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_sets_make_validation_panic_or_pass(values in prop::collection::vec("[ -~\r\n]{0,60}", 3)) {
        let (_, zone) = forwarders();
        let [seal, signature, results] = &values[..] else { unreachable!() };
        let message = format!(
            "ARC-Seal: i=1;{seal}\r\nARC-Message-Signature: i=1;{signature}\r\n\
             ARC-Authentication-Results: i=1;{results}\r\n{MESSAGE}"
        );
        prop_assert_ne!(verify_here(&message, &zone).result, ArcResult::Pass);
    }

    #[test]
    fn an_octet_altered_in_a_seal_is_caught(place in any::<prop::sample::Index>()) {
        let (message, zone) = forwarded(2);
        let sets = message.len() - MESSAGE.len();
        let visible: Vec<usize> = (0..sets).filter(|at| message.as_bytes()[*at].is_ascii_graphic()).collect();
        let at = visible[place.index(visible.len())];
        let mut altered = message.into_bytes();
        altered[at] = if altered[at] == b'#' { b'%' } else { b'#' };
        let altered = String::from_utf8(altered).unwrap();
        prop_assert_ne!(verify_here(&altered, &zone).result, ArcResult::Pass, "{}", altered);
    }
}
