//! One signature, as it stands in its field (RFC 6376 §3.5).

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::body::BodyMethod;
use super::tags::{elements, is_white};
use super::{Canonicalization, Flaw, Header, TagList};
use crate::model::message::Field;
use crate::model::{Domain, UtcTime};
use crate::platform::{Question, RecordKind};

/// How much later than ours the signer's clock may be, in seconds.
const CLOCK_DRIFT: u64 = 300;
/// Characters of `b=` that tell signatures of one message apart (RFC 6008 §4).
const B_SHOWN: usize = 8;

/// What a signature is made with (RFC 6376 §3.3, RFC 8463 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Never verified any more (RFC 8301 §3.1).
    RsaSha1,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaSha256,
    /// Ed25519 over a SHA-256.
    Ed25519Sha256,
}

impl Algorithm {
    /// The word for it in `a=`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RsaSha1 => "rsa-sha1",
            Self::RsaSha256 => "rsa-sha256",
            Self::Ed25519Sha256 => "ed25519-sha256",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let known = [Self::RsaSha1, Self::RsaSha256, Self::Ed25519Sha256];
        known.into_iter().find(|algorithm| text.eq_ignore_ascii_case(algorithm.as_str()))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who is said to have signed, as it is written to an Authentication-Results field (RFC 8601 §2.7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// `d=`: the domain that takes responsibility.
    pub domain: Domain,
    /// `s=`: the name of its key.
    pub selector: String,
    /// `i=` as it was written, where it was.
    pub identity: Option<String>,
    /// `a=`
    pub algorithm: Algorithm,
    /// The first characters of `b=` (RFC 6008 §4).
    pub b: String,
}

/// What signatures of DKIM and seals of ARC have in common: somebody's key, and what it made.
#[derive(Clone, Debug)]
pub(in crate::authn) struct Proof {
    pub(in crate::authn) claim: Claim,
    /// Where the key is.
    pub(in crate::authn) key: Question,
    pub(in crate::authn) signature: Vec<u8>,
    /// The field without the value of `b=`.
    pub(in crate::authn) unsigned_field: Vec<u8>,
    /// `t=`, in seconds since 1970.
    pub(in crate::authn) timestamp: Option<u64>,
}

impl Proof {
    /// Reads the tags that are common.
    pub(in crate::authn) fn parse(field: Field<'_>, tags: &TagList<'_>) -> Result<Self, Flaw> {
        let algorithm = Algorithm::parse(tags.required("a")?).ok_or(Flaw::Unsupported("a"))?;
        let domain = Domain::parse_utf8(tags.required("d")?).map_err(|_| Flaw::Malformed("d"))?;
        if domain.is_literal() {
            return Err(Flaw::Malformed("d"));
        }
        let selector = tags.required("s")?.to_owned();
        let key = Self::key_of(&selector, &domain)?;
        let signature = tags.base64("b")?;
        let b = tags.required("b")?.chars().filter(|c| !is_white(*c)).take(B_SHOWN).collect();
        let place = tags.place("b").ok_or(Flaw::Missing("b"))?;
        let body = field.octets.len() - field.body.len();
        let unsigned_field =
            [&field.octets[..body + place.start], &field.octets[body + place.end..]].concat();
        Ok(Self {
            claim: Claim { domain, selector, identity: None, algorithm, b },
            key,
            signature,
            unsigned_field,
            timestamp: tags.number("t")?,
        })
    }

    /// Where a key is (RFC 6376 §3.6.2.1).
    pub(super) fn key_of(selector: &str, domain: &Domain) -> Result<Question, Flaw> {
        let name = Domain::parse_utf8(&format!("{selector}._domainkey.{domain}"))
            .map_err(|_| Flaw::Malformed("s"))?;
        Ok(Question { name: name.into(), kind: RecordKind::Txt })
    }
}

/// A signature of a message: of a DKIM-Signature field, or of an ARC-Message-Signature field, which is nearly the same (RFC 8617 §4.1.2).
#[derive(Clone, Debug)]
pub(in crate::authn) struct Signature<'a> {
    pub(in crate::authn) proof: Proof,
    pub(in crate::authn) names: Vec<String>,
    pub(in crate::authn) body_method: BodyMethod,
    /// The domain of `i=`: `d=` or within it.
    pub(in crate::authn) identity: Domain,
    field: Field<'a>,
    header_form: Canonicalization,
    body_hash: Vec<u8>,
    expiration: Option<u64>,
}

impl<'a> Signature<'a> {
    /// Reads a DKIM-Signature field.
    pub(in crate::authn) fn parse(field: Field<'a>) -> Result<Self, Flaw> {
        let tags = TagList::parse(field.body)?;
        if tags.required("v")? != "1" {
            return Err(Flaw::Unsupported("v"));
        }
        let mut signature = Self::parse_common(field, &tags)?;
        if let Some(identity) = tags.value("i") {
            let (_, domain) = identity.rsplit_once('@').ok_or(Flaw::Malformed("i"))?;
            let domain = Domain::parse_utf8(domain).map_err(|_| Flaw::Malformed("i"))?;
            if !is_within(&domain, &signature.proof.claim.domain) {
                return Err(Flaw::ForeignIdentity);
            }
            signature.identity = domain;
            signature.proof.claim.identity = Some(identity.chars().filter(|c| !is_white(*c)).collect());
        }
        Ok(signature)
    }

    /// Reads what signatures of DKIM and of ARC have in common.
    pub(in crate::authn) fn parse_common(field: Field<'a>, tags: &TagList<'_>) -> Result<Self, Flaw> {
        let proof = Proof::parse(field, tags)?;
        let (header_form, canonicalization) = forms(tags.value("c"))?;
        let names: Vec<_> = elements(tags.required("h")?).map(str::to_ascii_lowercase).collect();
        let is_name = |name: &String| !name.is_empty() && name.bytes().all(|b| matches!(b, b'!'..=b'~'));
        if !names.iter().all(is_name) {
            return Err(Flaw::Malformed("h"));
        }
        if !names.iter().any(|name| name == "from") {
            return Err(Flaw::FromNotSigned);
        }
        // `q=` tells ways to the key, of which there is one.
        if tags.value("q").is_some_and(|ways| !elements(ways).any(|way| way.eq_ignore_ascii_case("dns/txt")))
        {
            return Err(Flaw::Unsupported("q"));
        }
        let expiration = tags.number("x")?;
        if proof.timestamp.zip(expiration).is_some_and(|(made, ends)| ends <= made) {
            return Err(Flaw::Malformed("x"));
        }
        Ok(Self {
            names,
            body_method: BodyMethod { canonicalization, length: tags.number("l")? },
            identity: proof.claim.domain.clone(),
            proof,
            field,
            header_form,
            body_hash: tags.base64("bh")?,
            expiration,
        })
    }

    /// Whether it holds at this time, whatever it signs.
    pub(in crate::authn) fn check_time(&self, now: UtcTime) -> Result<(), Flaw> {
        let now = now.0 / 1000;
        if self.expiration.is_some_and(|expiration| expiration < now) {
            return Err(Flaw::Expired);
        }
        if self.proof.timestamp.is_some_and(|timestamp| timestamp > now + CLOCK_DRIFT) {
            return Err(Flaw::FromTheFuture);
        }
        Ok(())
    }

    /// For how long it still holds; endlessly where there is nothing.
    pub(super) fn time_left(&self, now: UtcTime) -> Option<Duration> {
        let expiration = self.expiration?;
        Some(Duration::from_secs(expiration.saturating_sub(now.0 / 1000)))
    }

    /// Whether it signs all fields of these names, each as often as it is named.
    pub(in crate::authn) fn covers(&self, names: &[String]) -> bool {
        let covered = counts(&self.names);
        let is_covered =
            |(name, count): (&str, usize)| covered.get(name).is_some_and(|times| *times >= count);
        counts(names).into_iter().all(is_covered)
    }

    /// Whether it is the body that was signed. Gives the octets of the body that are not.
    pub(in crate::authn) fn check_body(&self, bodies: &super::BodyHashes) -> Result<u64, Flaw> {
        // No hash means that nobody hashed the body for this header block: it cannot be said to be the same.
        let hash = bodies.find(self.body_method).ok_or(Flaw::BodyAltered)?;
        if self.body_method.length.is_some_and(|length| length > hash.octets) {
            return Err(Flaw::BodyCut);
        }
        if hash.digest[..] != self.body_hash[..] {
            return Err(Flaw::BodyAltered);
        }
        Ok(hash.unsigned)
    }

    /// What was signed of the header block (RFC 6376 §3.7).
    pub(in crate::authn) fn signed_octets(&self, header: &Header<'a>) -> Vec<u8> {
        let mut octets = Vec::new();
        for field in header.select(&self.names, Some(self.field)) {
            self.header_form.append_field(field.octets, &mut octets);
        }
        self.header_form.append_own_field(&self.proof.unsigned_field, &mut octets);
        octets
    }
}

fn counts(names: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    names.iter().for_each(|name| *counts.entry(name.as_str()).or_default() += 1);
    counts
}

/// `sig-c-tag = "c" [FWS] "=" [FWS] sig-c-tag-alg ["/" sig-c-tag-alg]`: of the header, and of the body.
fn forms(value: Option<&str>) -> Result<(Canonicalization, Canonicalization), Flaw> {
    let value = value.unwrap_or("simple");
    let (header, body) = value.split_once('/').unwrap_or((value, "simple"));
    let forms = Canonicalization::parse(header).zip(Canonicalization::parse(body));
    forms.ok_or(Flaw::Unsupported("c"))
}

/// Whether a domain is another, or below it.
fn is_within(domain: &Domain, above: &Domain) -> bool {
    let rest = domain.as_str().strip_suffix(above.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
