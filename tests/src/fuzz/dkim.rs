//! DKIM (RFC 6376): signatures and key records as they come, and signatures of our own that somebody tampers with.

mod naive;

use std::sync::LazyLock;

use fulmar_core::authn::dkim::{
    BodyHasher, BodyHashes, BodyMethod, Canonicalization, DkimReport, SIGNATURE_LIMIT, Signatory, SigningKey,
    body_methods, generate_ed25519, generate_rsa, sign, verify,
};
use fulmar_core::authn::{arc, results};
use fulmar_core::model::message::{HeaderScan, HeaderSplit, field_count, fields};
use fulmar_core::model::verdict::DkimResult;
use fulmar_core::model::{Domain, UtcTime};
use fulmar_core::platform::Entropy;

use super::names::{Names, done};
use super::written::{check_field, check_method};
use super::{Cut, pieces};

/// What parts the key record from the message.
const RECORD_END: u8 = 0xff;
/// Flags: whether an RSA key signs as well.
const WITH_RSA: u8 = 1;
/// Flags: what relays do to the message on its way.
const PADS_LINES: u8 = 2;
const ADDS_LINES: u8 = 4;
const SHOUTS_NAMES: u8 = 8;
/// Keys that one chain of ARC may name.
const CHAIN_KEYS: usize = 51;
const NOW: UtcTime = UtcTime(1_795_306_347_500);

/// A key record, which every name has, and a message. However the body is cut, it is hashed as a naive reader would do it; so many signatures
/// are looked at and so many keys looked up, and no more; what is written of it leaves no place that it has, and our name is nobody else's. And
/// the message signed by us passes, and altered in an octet passes where a naive reader sees no difference, and nowhere else.
pub fn dkim(octets: &[u8]) {
    let Some(input) = Cut::read(octets) else { return };
    let end = input.octets.iter().position(|octet| *octet == RECORD_END).unwrap_or(0);
    let (record, message) = input.octets.split_at(end);
    let message = message.strip_prefix(&[RECORD_END]).unwrap_or(message);
    let (header, body) = split(message);
    check_hashes(body, input);
    check_verification(record, header, body, input);
    check_forged(header);
    // What begins so would go on the field in front of it.
    if !message.starts_with(b" ") && !message.starts_with(b"\t") {
        check_signing(input, message);
    }
}

fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let mut scan = HeaderScan::default();
    let end = match scan.advance(message) {
        HeaderSplit::At(end) => end,
        HeaderSplit::Unfinished => scan.finish(message),
    };
    message.split_at(end)
}

fn hash<'a>(pieces: impl Iterator<Item = &'a [u8]>, methods: &[BodyMethod]) -> BodyHashes {
    let mut hasher = BodyHasher::new(methods.iter().copied());
    pieces.for_each(|piece| hasher.push(piece));
    hasher.finish()
}

fn check_hashes(body: &[u8], input: Cut<'_>) {
    for canonicalization in [Canonicalization::Simple, Canonicalization::Relaxed] {
        let method = BodyMethod { canonicalization, length: None };
        let canonical = naive::body(body, canonicalization);
        let limited = BodyMethod { length: Some(canonical.len() as u64 / 2), ..method };
        let methods = [method, limited];
        let hashes = hash([body].into_iter(), &methods);
        assert_eq!(hash(pieces(body, input.lengths()), &methods), hashes, "cut");
        assert_eq!(naive::body(&canonical, canonicalization), canonical, "the reader itself");
        assert_eq!(hash([&canonical[..]].into_iter(), &methods), hashes, "{canonicalization:?}");
        let found = hashes.find(method).expect("it was asked for");
        assert_eq!((found.octets, found.unsigned), (canonical.len() as u64, 0));
        let found = hashes.find(limited).expect("it was asked for");
        assert_eq!(found.unsigned, (canonical.len() - canonical.len() / 2) as u64);
    }
}

fn check_verification(record: &[u8], header: &[u8], body: &[u8], input: Cut<'_>) {
    let methods = body_methods(header);
    assert!(methods.len() <= SIGNATURE_LIMIT);
    let hashes = hash(pieces(body, input.lengths()), &methods);
    let names = Names::all_with_text(record);
    let report = done(verify(header, &hashes, &names, NOW));
    assert!(names.asked() <= SIGNATURE_LIMIT, "{} keys", names.asked());
    assert!(report.signatures.len() <= SIGNATURE_LIMIT);
    assert_eq!(report.signatures.len() + report.unseen, field_count(header, "DKIM-Signature"));
    for signature in &report.signatures {
        let expected = signature.flaw.as_ref().map_or(DkimResult::Pass, |flaw| flaw.result());
        assert_eq!(signature.result, expected);
        assert!(signature.claim.is_some() || signature.flaw.is_some());
    }
    let mut parts = results::dkim_methods(&report);
    let names = Names::all_with_text(record);
    let hashes = hash(pieces(body, input.lengths()), arc::body_method(header).as_slice());
    parts.push(results::arc_method(&done(arc::verify(header, &hashes, &names, NOW))));
    assert!(names.asked() <= CHAIN_KEYS, "{} keys", names.asked());
    parts.iter().for_each(|part| check_method(part));
    check_field(&results::to_field(&name("mx.test"), &parts));
}

/// Fields in our name go, and nothing else does.
fn check_forged(header: &[u8]) {
    let ours = name("mx.test");
    let kept = results::without_forged(header, &ours);
    assert_eq!(results::without_forged(&kept, &ours), kept);
    let own = results::to_field(&ours, &[]);
    assert_eq!(results::without_forged(&[own.as_bytes(), header].concat(), &ours), kept);
    let all = |header| fields(header).map(|field| field.octets).collect::<Vec<_>>();
    let (before, after) = (all(header), all(&kept));
    let mut left = before.iter();
    assert!(after.iter().all(|field| left.any(|other| other == field)), "a field that was not there");
    let is_result = |field: &&&[u8]| field.to_ascii_lowercase().starts_with(b"authentication-results");
    let gone = before.len() - after.len();
    assert!(gone <= before.iter().filter(is_result).count(), "another field is gone");
}

fn name(text: &str) -> Domain {
    Domain::parse(text).expect("a domain")
}

/// Octets that look random and are always the same.
struct Dice(std::sync::Mutex<u64>);

impl Entropy for Dice {
    fn fill(&self, buffer: &mut [u8]) {
        let mut state = self.0.lock().expect("nobody panics with it");
        for octet in buffer {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *octet = (*state >> 56) as u8;
        }
    }
}

static RSA: LazyLock<SigningKey> = LazyLock::new(|| {
    let der = generate_rsa(&Dice(7.into())).expect("such octets are good for a key");
    SigningKey::from_pkcs8(&der).expect("a key")
});
static ED25519: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_pkcs8(&generate_ed25519(&Dice(7.into()))).expect("a key"));

fn check_signing(input: Cut<'_>, message: &[u8]) {
    let domain = name("x.test");
    let mut keys: Vec<(&str, &SigningKey)> = vec![("ed", &ED25519)];
    if input.flags & WITH_RSA != 0 {
        keys.push(("rsa", &RSA));
    }
    let signatories: Vec<_> =
        keys.iter().map(|(selector, key)| Signatory { domain: &domain, selector, key }).collect();
    let (header, body) = split(message);
    let made = hash([body].into_iter(), &[BodyMethod::SIGNING]);
    let made = made.find(BodyMethod::SIGNING).expect("it was asked for");
    let signatures = sign(header, made, &signatories, NOW, None).expect("the keys can sign");
    for field in fields(signatures.as_bytes()) {
        check_field(str::from_utf8(field.octets).expect("ASCII"));
    }
    let published = keys
        .iter()
        .map(|(selector, key)| format!("{selector}._domainkey.{domain} TXT {}\n", key.public_record()));
    let zone: String = published.collect();
    let original = [signatures.as_bytes(), message].concat();
    let signed = naive::signed(split(&original), keys.len());
    assert_eq!(signed.len(), keys.len(), "the reader finds them");
    for altered in [message.to_vec(), relayed(message, input.flags), flipped(message, input.lengths)] {
        let altered = [signatures.as_bytes(), &altered].concat();
        let (header, body) = split(&altered);
        let hashes = hash(pieces(body, input.lengths()), &body_methods(header));
        let report = done(verify(header, &hashes, &Names::parse(zone.as_bytes()), NOW));
        let now = naive::signed((header, body), keys.len());
        for (at, was) in signed.iter().enumerate() {
            assert_eq!(
                passes(&report, at),
                now.get(at) == Some(was),
                "signature {at}: {}",
                altered.escape_ascii()
            );
        }
    }
}

fn passes(report: &DkimReport, at: usize) -> bool {
    report.signatures.get(at).is_some_and(|signature| signature.result == DkimResult::Pass)
}

/// With another octet in the place that the lengths say.
fn flipped(message: &[u8], lengths: &[u8]) -> Vec<u8> {
    let mut flipped = message.to_vec();
    if let [high, low, octet, ..] = lengths {
        let place = usize::from(u16::from_be_bytes([*high, *low])).checked_rem(message.len());
        if let Some(place) = place {
            flipped[place] = *octet;
        }
    }
    flipped
}

fn relayed(message: &[u8], flags: u8) -> Vec<u8> {
    let mut relayed = Vec::new();
    let mut is_body = false;
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        let colon = line.iter().position(|octet| *octet == b':');
        let (content, end) =
            line.strip_suffix(b"\r\n").map_or((line, &b""[..]), |content| (content, b"\r\n"));
        is_body |= content.is_empty();
        match colon {
            Some(colon) if flags & SHOUTS_NAMES != 0 && !is_body && !line.starts_with(b" ") => {
                relayed.extend(content[..colon].to_ascii_uppercase());
                relayed.extend_from_slice(&content[colon..]);
            }
            _ => relayed.extend_from_slice(content),
        }
        if flags & PADS_LINES != 0 && !content.is_empty() && !end.is_empty() {
            relayed.extend_from_slice(b" \t");
        }
        relayed.extend_from_slice(end);
    }
    if flags & ADDS_LINES != 0 && is_body && relayed.ends_with(b"\r\n") {
        relayed.extend_from_slice(b" \r\n\r\n");
    }
    relayed
}
