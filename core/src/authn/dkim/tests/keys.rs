//! Keys that cannot be used, or not for this.

use super::*;
use crate::authn::testing::{Liar, run};
use crate::model::DnsName;
use crate::platform::{DnsError, Record};

const MESSAGE: &[u8] = b"From: a@example.org\r\n\r\nHi.\r\n";
const TAGS: &str = "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org; s=ed; h=from; bh={bh}";

/// What a signature by the Ed25519 key comes to when its record is another; `{p}` stands for the key.
fn check(records: &[&str], tags: &str) -> Result<bool, Flaw> {
    let signer = Signer::new();
    let published = signer.ed25519.public_record();
    let (_, key) = published.split_once("p=").unwrap();
    let mut zone = Zone::default();
    records.iter().for_each(|record| zone.add(ED25519_NAME, &record.replace("{p}", key)));
    outcome(&verify_at(&signer.sign_with(tags, MESSAGE), &zone, NOW))
}

fn outcome(report: &DkimReport) -> Result<bool, Flaw> {
    let [signature] = &report.signatures[..] else { panic!("{report:?}") };
    match &signature.flaw {
        None => {
            assert_eq!(signature.result, DkimResult::Pass);
            Ok(signature.is_testing)
        }
        Some(flaw) => {
            assert_eq!(signature.result, flaw.result());
            Err(flaw.clone())
        }
    }
}

fn malformed(flaw: impl Into<Flaw>) -> Flaw {
    Flaw::KeyMalformed(Box::new(flaw.into()))
}

#[test]
fn the_record_says_what_a_key_is_for() {
    for (record, expected) in [
        ("v=DKIM1; k=ed25519; p={p}", Ok(false)),
        ("k=ed25519;p={p};", Ok(false)),
        ("k=ed25519; n=our=20key; g=*; x_y=1; p={p}", Ok(false)),
        (" v = DKIM1 ; k = ed25519 ;; h = sha1 : sha256 ; s = other : email ; t = s ; p = {p} ", Ok(false)),
        ("v=DKIM1; k=ed25519; s=*; t=y; p={p}", Ok(true)),
        ("v=DKIM1; k=ed25519; t=y:s; p={p}", Ok(true)),
        ("v=DKIM2; k=ed25519; p={p}", Err(malformed(Flaw::Unsupported("v")))),
        ("k=ed25519; v=DKIM1; p={p}", Err(malformed(Flaw::Unsupported("v")))),
        ("v=DKIM1; k=ed25519; p=", Err(Flaw::KeyRevoked)),
        ("v=DKIM1; p=", Err(Flaw::KeyRevoked)),
        ("v=DKIM1; k=ed25519", Err(malformed(Flaw::Missing("p")))),
        ("v=DKIM1; k=ed25519; h=sha1; p={p}", Err(Flaw::KeyForOthers("h"))),
        ("v=DKIM1; k=ed25519; s=tlsrpt; p={p}", Err(Flaw::KeyForOthers("s"))),
        ("v=DKIM1; k=ecdsa; p={p}", Err(Flaw::KeyForOthers("k"))),
        ("v=DKIM1; p={p}", Err(malformed(Flaw::Malformed("p")))),
        ("v=DKIM1; k=rsa; p={p}", Err(malformed(Flaw::Malformed("p")))),
        ("v=DKIM1; k=ed25519; p={p}; p={p}", Err(malformed(TagError::Twice("p".to_owned())))),
        ("v=DKIM1; k=ed25519; p=!{p}", Err(malformed(Flaw::Malformed("p")))),
        ("v=DKIM1; k=ed25519; p=AAAA", Err(malformed(Flaw::Malformed("p")))),
        ("v=DKIM1; k=ed25519; p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", Err(Flaw::Signature)),
        ("v=spf1 -all", Err(malformed(Flaw::Unsupported("v")))),
        ("hello", Err(malformed(TagError::NotATag("hello".to_owned())))),
        ("", Err(malformed(Flaw::Missing("p")))),
    ] {
        assert_eq!(check(&[record], TAGS), expected, "{record}");
    }
}

#[test]
fn of_several_records_one_that_verifies_is_enough() {
    let good = "v=DKIM1; k=ed25519; p={p}";
    let other = "v=DKIM1; k=ed25519; p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for (records, expected) in [
        (&["unrelated", good][..], Ok(false)),
        (&[other, good], Ok(false)),
        (&["v=DKIM1; p=", good], Ok(false)),
        (&[other, other], Err(Flaw::Signature)),
        (&[other, other, other, other, good], Err(Flaw::Signature)),
        (&["unrelated", "v=DKIM1; p="], Err(Flaw::KeyRevoked)),
    ] {
        assert_eq!(check(records, TAGS), expected, "{records:?}");
    }
}

#[test]
fn a_key_that_is_not_for_subdomains_verifies_for_none() {
    for (record, identity, expected) in [
        ("k=ed25519; t=s; p={p}", "a@example.org", Ok(false)),
        ("k=ed25519; t=s; p={p}", "a@mail.example.org", Err(Flaw::KeyForOthers("t"))),
        ("k=ed25519; p={p}", "a@mail.example.org", Ok(false)),
        ("k=ed25519; p={p}", "=40b@MAIL.Example.ORG", Ok(false)),
        ("k=ed25519; p={p}", "a@xexample.org", Err(Flaw::ForeignIdentity)),
        ("k=ed25519; p={p}", "a@org", Err(Flaw::ForeignIdentity)),
        ("k=ed25519; p={p}", "example.org", Err(Flaw::Malformed("i"))),
    ] {
        assert_eq!(check(&[record], &format!("{TAGS}; i={identity}")), expected, "{record} {identity}");
    }
}

#[test]
fn a_key_that_cannot_be_found_is_told_from_one_that_cannot_be_found_now() {
    let signer = Signer::new();
    let message = signer.sign_with(TAGS, MESSAGE);
    for (error, flaw) in [
        (DnsError::NxDomain, Flaw::NoKey),
        (DnsError::NoData, Flaw::NoKey),
        // A loop of aliases, an answer about another name, a time-out: the resolver makes one of them all.
        (DnsError::ServFail("a loop".to_owned()), Flaw::KeyUnavailable("a loop".to_owned())),
    ] {
        let mut zone = Zone::default();
        zone.fail(ED25519_NAME, error);
        assert_eq!(outcome(&verify_at(&message, &zone, NOW)), Err(flaw));
    }
    assert_eq!(Flaw::KeyUnavailable(String::new()).result(), DkimResult::TempError);
    assert_eq!(Flaw::NoKey.result(), DkimResult::PermError);
}

#[test]
fn records_of_another_type_are_no_key() {
    let message = Signer::new().sign_with(TAGS, MESSAGE);
    let (header, body) = split(&message);
    let bodies = hash(body, body_methods(header));
    let records =
        vec![Record::Address([192, 0, 2, 1].into()), Record::Ptr(DnsName::parse("x.test").unwrap())];
    for dns in [Liar(records), Liar(Vec::new())] {
        assert_eq!(outcome(&run(verify(header, &bodies, &dns, NOW))), Err(Flaw::NoKey));
    }
}

#[test]
fn each_key_is_looked_up_once_and_none_for_signatures_that_cannot_pass() {
    let signer = Signer::new();
    let message = signer.sign_with(TAGS, &signer.sign_with(TAGS, &signer.sign(MESSAGE)));
    let zone = signer.zone();
    assert_eq!(results(&verify_at(&message, &zone, NOW)), [DkimResult::Pass; 4]);
    assert_eq!(*zone.asked.lock().unwrap(), [ED25519_NAME, RSA_NAME]);

    let zone = signer.zone();
    let altered = [&message[..], b"more\r\n"].concat();
    assert_eq!(results(&verify_at(&altered, &zone, NOW)), [DkimResult::Fail; 4]);
    assert_eq!(*zone.asked.lock().unwrap(), [""; 0]);
}

/// A record with an RSA key of so many bits, as RSAPublicKey (RFC 8017 §A.1.1). Nobody has a private key for it.
fn rsa_record(bits: usize, exponent: &[u8]) -> String {
    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let len = content.len();
        let head = match len {
            0..128 => vec![tag, len as u8],
            128..256 => vec![tag, 0x81, len as u8],
            _ => vec![tag, 0x82, (len >> 8) as u8, len as u8],
        };
        [&head, content].concat()
    }
    let mut modulus = vec![0xff; bits.div_ceil(8)];
    modulus[0] >>= modulus.len() * 8 - bits;
    if modulus[0] > 0x7f {
        modulus.insert(0, 0);
    }
    let modulus = element(2, &modulus);
    let key = element(0x30, &[modulus, element(2, exponent)].concat());
    format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(key))
}

#[test]
fn rsa_keys_are_neither_too_short_nor_too_long() {
    let signer = Signer::new();
    let tags = TAGS.replace("a=ed25519-sha256", "a=rsa-sha256");
    let message = signer.sign_with(&tags, MESSAGE);
    let f4 = [1, 0, 1];
    for (record, flaw, result) in [
        (rsa_record(512, &f4), Flaw::KeyShort(512), DkimResult::Policy),
        (rsa_record(1023, &f4), Flaw::KeyShort(1023), DkimResult::Policy),
        (rsa_record(1024, &f4), Flaw::Signature, DkimResult::Fail),
        (rsa_record(4096, &[3]), Flaw::Signature, DkimResult::Fail),
        (rsa_record(8192, &f4), Flaw::Signature, DkimResult::Fail),
        (rsa_record(8193, &f4), Flaw::KeyLong(8193), DkimResult::PermError),
        (rsa_record(16_384, &f4), Flaw::KeyLong(16_384), DkimResult::PermError),
        // An exponent that would take for ever.
        (rsa_record(2048, &[0x7f; 255]), Flaw::Signature, DkimResult::Fail),
    ] {
        let zone = Zone::new([(ED25519_NAME, record.as_str())]);
        assert_eq!(outcome(&verify_at(&message, &zone, NOW)), Err(flaw), "{record}");
        assert_eq!(verify_at(&message, &zone, NOW).signatures[0].result, result);
    }
    // The right name, and another kind of key.
    assert_eq!(outcome(&verify_at(&message, &signer.zone(), NOW)), Err(Flaw::KeyForOthers("k")));
}

#[test]
fn a_record_of_64_kib_is_no_key() {
    let long = format!("v=DKIM1; k=ed25519; n={}; p={{p}}", "x".repeat(64 << 10));
    assert_eq!(check(&[&long], TAGS), Err(malformed(TagError::TooLong(8 << 10))));
    let tags: String = (0..1_000).map(|n| format!("a{n}=;")).collect();
    assert_eq!(check(&[&format!("{tags}p={{p}}")], TAGS), Err(malformed(TagError::TooMany)));
}
