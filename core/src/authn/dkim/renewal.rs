//! Signatures of one's own, made anew for a message that has to be encoded otherwise on its way.
//!
//! It says the same as before; whether that is what its domain has signed, the old signature alone tells. So that must hold, and cover all that a
//! new one would: a stranger who writes our name into a field, or adds a field to a message of ours, gets nothing signed by it.

use std::time::Duration;

use super::sign::{sign, signed_names};
use super::verify::{FIELD, SIGNATURE_LIMIT, judge};
use super::{BodyHash, BodyHashes, Claim, Header, Keys, Signatory, Signature, SigningError};
use crate::model::UtcTime;
use crate::model::message::{Field, fields, without_fields};

/// A message in two encodings: its header blocks, and its bodies' hashes by [`BodyMethod::SIGNING`](super::BodyMethod::SIGNING).
#[derive(Clone, Copy, Debug)]
pub struct Encodings<'a> {
    /// As it was signed.
    pub before: (&'a [u8], &'a BodyHashes),
    /// As it leaves, but for the signatures.
    pub after: (&'a [u8], &'a BodyHash),
}

/// Who is said to have signed a message, as far as that is looked at.
pub fn signers(header: &[u8]) -> Vec<Claim> {
    let own = fields(header).filter(|field| field.name.eq_ignore_ascii_case(FIELD.as_bytes()));
    let signatures = own.take(SIGNATURE_LIMIT).filter_map(|field| Signature::parse(field).ok());
    signatures.map(|signature| signature.proof.claim).collect()
}

/// Puts new signatures in the place of those that a domain has made with keys it has or had (`known`): gives the header block as it leaves.
/// They are made with its `active` keys, and hold no longer than the old ones; where there are no such keys the old ones are only taken out.
/// Nothing where no old one holds.
pub fn renew(
    message: &Encodings<'_>,
    known: &[Signatory<'_>],
    active: &[Signatory<'_>],
    at: UtcTime,
) -> Result<Option<Vec<u8>>, SigningError> {
    let keys = Keys::of(known);
    let Some(time_left) = proven(message.before, &keys, at) else { return Ok(None) };
    let (header, body) = message.after;
    let bare = without_fields(header, |field| is_own(field, &keys));
    let signatures = sign(&bare, body, active, at, time_left)?;
    Ok(Some([signatures.as_bytes(), &bare].concat()))
}

/// For how long a signature by one of the keys still holds that covers all that we sign; endlessly where there is nothing inside.
fn proven((header, bodies): (&[u8], &BodyHashes), keys: &Keys, at: UtcTime) -> Option<Option<Duration>> {
    let header = Header::new(header);
    let names = signed_names(&header, false);
    let signatures =
        header.named(FIELD).take(SIGNATURE_LIMIT).filter_map(|field| Signature::parse(field).ok());
    let mut own = signatures.filter(|signature| keys.has(&signature.proof));
    let proof = own.find(|signature| {
        signature.covers(&names)
            && judge(signature, bodies, at) == Ok(0)
            && signature.time_left(at) != Some(Duration::ZERO)
            && keys.verify(&signature.proof, &signature.identity, &signature.signed_octets(&header)).is_ok()
    })?;
    Some(proof.time_left(at))
}

fn is_own(field: &Field<'_>, keys: &Keys) -> bool {
    field.name.eq_ignore_ascii_case(FIELD.as_bytes())
        && Signature::parse(*field).is_ok_and(|signature| keys.has(&signature.proof))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::super::testing::{NOW, Zone, ed25519_key, hash, rsa_key, split, verify_at};
    use super::super::{BodyMethod, SigningKey};
    use super::*;
    use crate::model::Domain;
    use crate::model::verdict::DkimResult;

    const MESSAGE: &str =
        "From: a@x.test\r\nSubject: s\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\u{fc}n\r\n";
    const ENCODED: (&str, &str) =
        ("Transfer-Encoding: 8bit\r\n\r\ngr\u{fc}n", "Transfer-Encoding: base64\r\n\r\nZ3LDvG4=");

    fn signed(message: &str, keys: &[Signatory<'_>], at: UtcTime, validity: Option<Duration>) -> String {
        let (header, body) = split(message.as_bytes());
        let hashes = hash(body, [BodyMethod::SIGNING]);
        let body = hashes.find(BodyMethod::SIGNING).unwrap();
        sign(header, body, keys, at, validity).unwrap() + message
    }

    /// The message as it leaves after `encode`, if it was signed anew.
    fn renewed(
        message: &str,
        encode: (&str, &str),
        known: &[Signatory<'_>],
        active: &[Signatory<'_>],
    ) -> Option<String> {
        let after = message.replace(encode.0, encode.1);
        let ((header, body), (new_header, new_body)) = (split(message.as_bytes()), split(after.as_bytes()));
        let [hashes, new_hashes] = [body, new_body].map(|body| hash(body, [BodyMethod::SIGNING]));
        let new_hash = new_hashes.find(BodyMethod::SIGNING).unwrap();
        let message = Encodings { before: (header, &hashes), after: (new_header, new_hash) };
        let block = renew(&message, known, active, NOW).unwrap()?;
        Some(String::from_utf8([&block[..], new_body].concat()).unwrap())
    }

    fn domain() -> Domain {
        Domain::parse("x.test").unwrap()
    }

    fn zone(keys: &[(&str, &SigningKey)]) -> Zone {
        let mut zone = Zone::default();
        for (selector, key) in keys {
            zone.add(&format!("{selector}._domainkey.x.test"), &key.public_record());
        }
        zone
    }

    #[test]
    fn all_active_keys_sign_anew_and_the_old_signatures_are_gone() {
        let (rsa, ed25519, domain) = (rsa_key(), ed25519_key(), domain());
        let by = |selector, key| Signatory { domain: &domain, selector, key };
        let both = [by("r", &rsa), by("e", &ed25519)];
        let zone = zone(&[("r", &rsa), ("e", &ed25519), ("new", &rsa)]);
        for (old, active, expected) in [
            (&both[..], &both[..], &["r", "e"][..]),
            (&both[..1], &both[..], &["r", "e"]),
            (&both[1..], &[by("new", &rsa)], &["new"]),
            (&both[..], &[], &[]),
        ] {
            let known = [&both[..], active].concat();
            let message = renewed(&signed(MESSAGE, old, NOW, None), ENCODED, &known, active).unwrap();
            let report = verify_at(message.as_bytes(), &zone, NOW);
            let passing = report.signatures.iter().filter(|one| one.result == DkimResult::Pass);
            let selectors: Vec<_> =
                passing.map(|one| one.claim.as_ref().unwrap().selector.as_str()).collect();
            assert_eq!(selectors, expected, "{message}");
            assert_eq!(message.matches("DKIM-Signature").count(), expected.len(), "{message}");
        }
    }

    #[test]
    fn nothing_is_signed_anew_but_what_an_own_key_has_signed_whole() {
        let (rsa, ed25519, domain) = (rsa_key(), ed25519_key(), domain());
        let by = |selector, key| Signatory { domain: &domain, selector, key };
        let own = [by("e", &ed25519)];
        let good = signed(MESSAGE, &own, NOW, None);
        let day = Duration::from_hours(24);
        let earlier = UtcTime(NOW.0 - 86_400_000);
        // Its names are those of a signer who leaves a field out.
        let fewer = {
            let mut field = super::super::FieldWriter::new("DKIM-Signature");
            let (_, body) = split(MESSAGE.as_bytes());
            let hashes = hash(body, [BodyMethod::SIGNING]);
            let tags =
                [("v", "1"), ("a", "ed25519-sha256"), ("c", "relaxed/relaxed"), ("d", "x.test"), ("s", "e")];
            tags.iter().for_each(|(name, value)| field.tag(name, value));
            field.list("h", ["from"]);
            field.tag("bh", &STANDARD.encode(hashes.find(BodyMethod::SIGNING).unwrap().digest));
            let mut octets = b"from:a@x.test\r\n".to_vec();
            super::super::Canonicalization::Relaxed.append_own_field(field.begin_signature(), &mut octets);
            field.finish(&ed25519.sign(&octets).unwrap()) + MESSAGE
        };
        let zone = zone(&[("e", &ed25519)]);
        assert_eq!(verify_at(fewer.as_bytes(), &zone, NOW).signatures[0].result, DkimResult::Pass);
        for (what, message, is_renewed) in [
            ("good", good.clone(), true),
            ("in force", signed(MESSAGE, &own, earlier, Some(day + Duration::from_secs(9))), true),
            ("expired", signed(MESSAGE, &own, earlier, Some(day)), false),
            ("unsigned", MESSAGE.to_owned(), false),
            ("another field", good.replace("Subject: s", "Subject: t"), false),
            ("a field more above", good.replace("DKIM-", "Sender: b@x.test\r\nDKIM-"), false),
            ("another body", good.replace("gr\u{fc}n", "gr\u{fc}n gr\u{fc}n"), false),
            ("another's key under our name", signed(MESSAGE, &[by("e", &rsa)], NOW, None), false),
            ("another selector", signed(MESSAGE, &[by("other", &ed25519)], NOW, None), false),
            ("part of the header", fewer, false),
        ] {
            let renewed = renewed(&message, ENCODED, &own, &own);
            assert_eq!(renewed.is_some(), is_renewed, "{what}: {renewed:?}");
            if let Some(renewed) = renewed {
                let report = verify_at(renewed.as_bytes(), &zone, NOW);
                assert!(
                    report.signatures.iter().all(|one| one.result == DkimResult::Pass),
                    "{what}: {report:?}"
                );
                let later = UtcTime(NOW.0 + 10_000);
                let result = verify_at(renewed.as_bytes(), &zone, later).signatures[0].result;
                assert_eq!(result == DkimResult::Pass, what != "in force", "it holds longer than before");
            }
        }
    }

    #[test]
    fn signatures_of_others_stay_as_they_are() {
        let (rsa, ed25519, domain) = (rsa_key(), ed25519_key(), domain());
        let other = Domain::parse("other.test").unwrap();
        let own = [Signatory { domain: &domain, selector: "e", key: &ed25519 }];
        let theirs = [Signatory { domain: &other, selector: "e", key: &rsa }];
        let message = signed(&signed(MESSAGE, &theirs, NOW, None), &own, NOW, None);
        let renewed = renewed(&message, ENCODED, &own, &own).unwrap();
        let claims: Vec<_> = signers(renewed.as_bytes()).iter().map(|one| one.domain.to_string()).collect();
        assert_eq!(claims, ["x.test", "other.test"]);
        let theirs = |message: &str| {
            message[message.rfind("DKIM-Signature").unwrap()..message.find("From:").unwrap()].to_owned()
        };
        assert_eq!(theirs(&renewed), theirs(&message));
    }
}
