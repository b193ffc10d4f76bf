//! Keys: records in the DNS (RFC 6376 §3.6.1, RFC 8463 §4), and what they verify.
//!
//! ring verifies RSA with moduli of 1024 to 8192 bits, which is more than the 4096 that RFC 8301 §3.2 asks for, and public exponents of up to
//! 33 bits, so that no key makes a verification take long.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use ring::digest::{SHA256, digest};
use ring::signature::{
    ED25519, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RsaPublicKeyComponents, UnparsedPublicKey,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::tags::elements;
use super::{Algorithm, Flaw, Proof, Signatory, TagError, TagList};
use crate::model::Domain;
use crate::platform::{Dns, DnsError, Question, Record};

/// Bits of an RSA key, at least (RFC 8301 §3.2).
pub(super) const SHORTEST_RSA: usize = 1024;
/// Bits of an RSA key, at most: what ring verifies.
pub(super) const LONGEST_RSA: usize = 8192;
/// Octets of a key record. A key of 16,384 bits has under 3,000; a longer record is none.
const RECORD_OCTETS: usize = 8 << 10;
/// Records at one name that are looked at; one is all that should be there (RFC 6376 §3.6.2.2).
const RECORD_LIMIT: usize = 4;
/// Octets of an Ed25519 key (RFC 8032 §5.1.5).
const ED25519_OCTETS: usize = 32;

/// A key record that can be used.
#[derive(Clone, Debug)]
pub(super) struct KeyRecord {
    key: PublicKey,
    /// `t=y`
    is_testing: bool,
    /// `t=s`: not for identities in subdomains.
    is_strict: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PublicKey {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Ed25519(Vec<u8>),
}

/// What was found at the names of some keys.
#[derive(Debug)]
pub(in crate::authn) struct Keys(BTreeMap<Question, Result<Vec<KeyRecord>, Flaw>>);

impl Keys {
    /// Looks all of them up, side by side.
    pub(in crate::authn) async fn fetch(dns: &dyn Dns, questions: BTreeSet<Question>) -> Self {
        let find = async |question: Question| {
            let found = find(dns, &question).await;
            (question, found)
        };
        Self(join_all(questions.into_iter().map(find)).await.into_iter().collect())
    }

    /// Those of domains of ours, as their records say: nobody has to be asked for them.
    pub(in crate::authn) fn of(signatories: &[Signatory<'_>]) -> Self {
        let keys = signatories.iter().filter_map(|Signatory { domain, selector, key }| {
            let record = KeyRecord::parse(key.public_record().as_bytes());
            Some((Proof::key_of(selector, domain).ok()?, record.map(|record| vec![record])))
        });
        Self(keys.collect())
    }

    /// Whether the key that a proof names is one of these.
    pub(in crate::authn) fn has(&self, proof: &Proof) -> bool {
        self.0.contains_key(&proof.key)
    }

    /// Whether the key that a proof names has signed these octets. `identity` is whom it was to sign for: the domain of `i=`. Gives whether the
    /// domain says that it is only testing (RFC 6376 §3.6.1, `t=y`).
    pub(in crate::authn) fn verify(
        &self,
        proof: &Proof,
        identity: &Domain,
        octets: &[u8],
    ) -> Result<bool, Flaw> {
        let records = match self.0.get(&proof.key) {
            Some(Ok(records)) => records,
            Some(Err(flaw)) => return Err(flaw.clone()),
            None => return Err(Flaw::NoKey),
        };
        let mut flaw = Flaw::NoKey;
        for record in records {
            match record.verify(proof, identity, octets) {
                Ok(()) => return Ok(record.is_testing),
                Err(other) => flaw = other,
            }
        }
        Err(flaw)
    }
}

/// The records at a name that can be used; why there is none where there is none.
pub(super) async fn find(dns: &dyn Dns, question: &Question) -> Result<Vec<KeyRecord>, Flaw> {
    let answer = dns.lookup(question).await.map_err(|error| match error {
        DnsError::NxDomain | DnsError::NoData => Flaw::NoKey,
        DnsError::ServFail(reason) => Flaw::KeyUnavailable(reason),
    })?;
    let texts = answer.records.iter().filter_map(|record| match record {
        Record::Txt(text) => Some(text),
        _ => None,
    });
    let mut flaw = Flaw::NoKey;
    let mut records = Vec::new();
    for text in texts.take(RECORD_LIMIT) {
        match KeyRecord::parse(text) {
            Ok(record) => records.push(record),
            Err(other) => flaw = other,
        }
    }
    if records.is_empty() { Err(flaw) } else { Ok(records) }
}

impl KeyRecord {
    /// Tags that are not known are passed over, `n=` and the historic `g=` among them.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Flaw> {
        let malformed = |flaw: Flaw| Flaw::KeyMalformed(Box::new(flaw));
        if text.len() > RECORD_OCTETS {
            return Err(malformed(TagError::TooLong(RECORD_OCTETS).into()));
        }
        let tags = TagList::parse(text).map_err(|error| malformed(error.into()))?;
        if tags.value("v").is_some_and(|version| version != "DKIM1" || tags.first() != Some("v")) {
            return Err(malformed(Flaw::Unsupported("v")));
        }
        if tags.value("p") == Some("") {
            return Err(Flaw::KeyRevoked);
        }
        let allows = |name: &str, words: &[&str]| {
            let is_one = |element: &str| words.iter().any(|word| element.eq_ignore_ascii_case(word));
            tags.value(name).is_none_or(|value| elements(value).any(is_one))
        };
        if !allows("h", &["sha256"]) {
            return Err(Flaw::KeyForOthers("h"));
        }
        if !allows("s", &["*", "email"]) {
            return Err(Flaw::KeyForOthers("s"));
        }
        let material = tags.base64("p").map_err(malformed)?;
        let key = match tags.value("k").unwrap_or("rsa") {
            kind if kind.eq_ignore_ascii_case("rsa") => PublicKey::rsa(&material)?,
            kind if kind.eq_ignore_ascii_case("ed25519") => PublicKey::ed25519(material)?,
            _ => return Err(Flaw::KeyForOthers("k")),
        };
        let has_flag = |flag| tags.value("t").is_some_and(|flags| elements(flags).any(|one| one == flag));
        Ok(Self { key, is_testing: has_flag("y"), is_strict: has_flag("s") })
    }

    pub(super) fn has_same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    fn verify(&self, proof: &Proof, identity: &Domain, octets: &[u8]) -> Result<(), Flaw> {
        if self.is_strict && *identity != proof.claim.domain {
            return Err(Flaw::KeyForOthers("t"));
        }
        let signature = &proof.signature;
        let verified = match (&self.key, proof.claim.algorithm) {
            (PublicKey::Rsa { n, e }, Algorithm::RsaSha256) => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
                octets,
                signature,
            ),
            // It signs the hash, not the octets (RFC 8463 §3).
            (PublicKey::Ed25519(key), Algorithm::Ed25519Sha256) => {
                UnparsedPublicKey::new(&ED25519, key).verify(digest(&SHA256, octets).as_ref(), signature)
            }
            (_, Algorithm::RsaSha1) => return Err(Flaw::Historic),
            _ => return Err(Flaw::KeyForOthers("k")),
        };
        verified.map_err(|_| Flaw::Signature)
    }
}

impl PublicKey {
    /// A SubjectPublicKeyInfo, which is what everybody publishes, or the RSAPublicKey that RFC 6376 §3.6.1 speaks of.
    fn rsa(der: &[u8]) -> Result<Self, Flaw> {
        let inner = SubjectPublicKeyInfo::from_der(der).ok().map(|(_, info)| info.subject_public_key.data);
        let (_, key) = RSAPublicKey::from_der(inner.as_deref().unwrap_or(der))
            .map_err(|_| Flaw::KeyMalformed(Box::new(Flaw::Malformed("p"))))?;
        let (n, e) = (without_zeros(key.modulus), without_zeros(key.exponent));
        let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
        match bits {
            ..SHORTEST_RSA => Err(Flaw::KeyShort(bits)),
            SHORTEST_RSA..=LONGEST_RSA => Ok(Self::Rsa { n: n.to_vec(), e: e.to_vec() }),
            _ => Err(Flaw::KeyLong(bits)),
        }
    }

    fn ed25519(key: Vec<u8>) -> Result<Self, Flaw> {
        if key.len() == ED25519_OCTETS {
            Ok(Self::Ed25519(key))
        } else {
            Err(Flaw::KeyMalformed(Box::new(Flaw::Malformed("p"))))
        }
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|octet| **octet == 0).count()..]
}
