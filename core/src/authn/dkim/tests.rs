//! Signing and verification from end to end.

mod examples;
mod hostile;
mod keys;
mod signing;
mod tampering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::testing::*;
use super::*;
use crate::model::Domain;
use crate::model::verdict::DkimResult;

const RSA_NAME: &str = "rsa._domainkey.example.org";
const ED25519_NAME: &str = "ed._domainkey.example.org";

/// Both keys of example.org, and the zone that publishes them.
struct Signer {
    domain: Domain,
    rsa: SigningKey,
    ed25519: SigningKey,
}

impl Signer {
    fn new() -> Self {
        Self { domain: Domain::parse("example.org").unwrap(), rsa: rsa_key(), ed25519: ed25519_key() }
    }

    fn zone(&self) -> Zone {
        Zone::new([
            (RSA_NAME, self.rsa.public_record().as_str()),
            (ED25519_NAME, self.ed25519.public_record().as_str()),
        ])
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let (header, body) = split(message);
        let bodies = hash(body, [BodyMethod::SIGNING]);
        let signatories = [("rsa", &self.rsa), ("ed", &self.ed25519)];
        let signatories =
            signatories.map(|(selector, key)| Signatory { domain: &self.domain, selector, key });
        let body = bodies.find(BodyMethod::SIGNING).unwrap();
        let mut signed = sign(header, body, &signatories, NOW, None).unwrap().into_bytes();
        signed.extend_from_slice(message);
        signed
    }

    /// A message with one more signature, relaxed/relaxed by the Ed25519 key, whose tags are these but for `b=`; in them, `{bh}` stands for the
    /// right hash. Tests make by it what `sign` does not.
    fn sign_with(&self, tags: &str, message: &[u8]) -> Vec<u8> {
        let (header, body) = split(message);
        let list = TagList::parse(tags.as_bytes()).ok();
        let length = list.as_ref().and_then(|list| list.number("l").ok()?);
        let method = BodyMethod { length, ..BodyMethod::SIGNING };
        let digest = hash(body, [method]).find(method).unwrap().digest;
        let names = list.and_then(|list| list.value("h")).unwrap_or_default().to_ascii_lowercase();
        let names: Vec<String> = names.split(':').map(|name| name.trim().to_owned()).collect();
        let own = format!("DKIM-Signature: {tags}; b=").replace("{bh}", &STANDARD.encode(digest));
        let mut octets = Vec::new();
        for field in Header::new(header).select(&names, None) {
            Canonicalization::Relaxed.append_field(field.octets, &mut octets);
        }
        Canonicalization::Relaxed.append_own_field(own.as_bytes(), &mut octets);
        let signature = self.ed25519.sign(&octets).unwrap();
        [format!("{own}{signature}\r\n").as_bytes(), message].concat()
    }
}

fn results(report: &DkimReport) -> Vec<DkimResult> {
    report.signatures.iter().map(|signature| signature.result).collect()
}
