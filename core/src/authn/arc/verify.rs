//! Validation of a chain (RFC 8617 §5.2).

use std::collections::BTreeSet;

use super::chain::{Chain, MESSAGE_SIGNATURE, Set};
use super::flaw::{ArcFlaw, INSTANCE_LIMIT};
use super::set::{instance_of, message_signature};
use crate::authn::dkim::{Algorithm, BodyHashes, BodyMethod, Flaw, Header, Keys, Proof};
use crate::model::verdict::ArcResult;
use crate::model::{Domain, UtcTime};
use crate::platform::Dns;

/// What the chain of a message comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArcReport {
    /// The word for it.
    pub result: ArcResult,
    /// Why it fails.
    pub flaw: Option<ArcFlaw>,
    /// The sets, oldest first; only those of a chain that passes are told, since anybody may have written the others.
    pub sets: Vec<Sealed>,
}

/// One set of a chain that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The domain that sealed it.
    pub domain: Domain,
    /// What it found, folded as it was: the body of an Authentication-Results field (RFC 8601 §2.2).
    pub results: String,
}

/// How the body is to be hashed for the chain of this header block, where it has one.
pub fn body_method(header: &[u8]) -> Option<BodyMethod> {
    let header = Header::new(header);
    let fields = header.named(MESSAGE_SIGNATURE);
    if fields.len() > usize::from(INSTANCE_LIMIT) {
        return None;
    }
    let newest =
        fields.filter_map(|field| Some((instance_of(field).ok()?, field))).max_by_key(|field| field.0)?;
    message_signature(newest.1).ok().map(|signature| signature.body_method)
}

/// Validates the chain of a message: its header block as it was received, the hashes that were made by [`body_method`] of the same block,
/// and the time. Keys are looked up side by side, and none for a chain that cannot hold.
pub async fn verify(header: &[u8], bodies: &BodyHashes, dns: &dyn Dns, now: UtcTime) -> ArcReport {
    let header = Header::new(header);
    match validate(&header, bodies, dns, now).await {
        Ok(sets) if sets.is_empty() => ArcReport { result: ArcResult::None, flaw: None, sets },
        Ok(sets) => ArcReport { result: ArcResult::Pass, flaw: None, sets },
        Err(flaw) => ArcReport { result: ArcResult::Fail, flaw: Some(flaw), sets: Vec::new() },
    }
}

async fn validate(
    header: &Header<'_>,
    bodies: &BodyHashes,
    dns: &dyn Dns,
    now: UtcTime,
) -> Result<Vec<Sealed>, ArcFlaw> {
    let chain = Chain::parse(header)?;
    chain.check_validations()?;
    let Some(newest) = chain.0.last() else { return Ok(Vec::new()) };
    let signature = message_signature(newest.message_signature)?;
    check_algorithm(&signature.proof).map_err(ArcFlaw::MessageSignature)?;
    signature.check_time(now).map_err(ArcFlaw::MessageSignature)?;
    signature.check_body(bodies).map_err(ArcFlaw::MessageSignature)?;

    let seals = chain.0.iter().map(|set| &set.seal.proof);
    let questions: BTreeSet<_> = seals.chain([&signature.proof]).map(|proof| proof.key.clone()).collect();
    let keys = Keys::fetch(dns, questions).await;
    let signed = signature.signed_octets(header);
    keys.verify(&signature.proof, &signature.identity, &signed).map_err(ArcFlaw::MessageSignature)?;
    let mut octets = Vec::new();
    for set in &chain.0 {
        let proof = &set.seal.proof;
        check_algorithm(proof).map_err(ArcFlaw::Seal)?;
        let sealed = Chain::sealed_octets(set, &mut octets);
        keys.verify(proof, &proof.claim.domain, &sealed).map_err(ArcFlaw::Seal)?;
    }
    let told = |set: &Set<'_>| Sealed {
        domain: set.seal.proof.claim.domain.clone(),
        results: set.results.text.to_owned(),
    };
    Ok(chain.0.iter().map(told).collect())
}

pub(super) fn check_algorithm(proof: &Proof) -> Result<(), Flaw> {
    if proof.claim.algorithm == Algorithm::RsaSha1 { Err(Flaw::Historic) } else { Ok(()) }
}
