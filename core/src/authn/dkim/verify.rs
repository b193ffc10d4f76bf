//! Verification of the signatures of a message (RFC 6376 §6.1).

use std::collections::BTreeSet;

use super::{Algorithm, BodyHashes, BodyMethod, Claim, Flaw, Header, Keys, Signature};
use crate::model::message::{Field, fields};
use crate::model::verdict::DkimResult;
use crate::model::{Domain, UtcTime};
use crate::platform::{Dns, Question};

/// Signatures of a message that are looked at, from the top; the last hops have put theirs there. Beyond: counted, and nothing else.
pub const SIGNATURE_LIMIT: usize = 10;
/// The name of the field, in lower case.
pub(super) const FIELD: &str = "dkim-signature";

/// What the signatures of a message come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DkimReport {
    /// One for each signature that was looked at, in the order of the header block.
    pub signatures: Vec<Verified>,
    /// Signatures that were not looked at: those beyond [`SIGNATURE_LIMIT`].
    pub unseen: usize,
}

impl DkimReport {
    /// The domains whose signatures pass.
    pub fn domains(&self) -> impl Iterator<Item = &Domain> {
        let passing = self.signatures.iter().filter(|signature| signature.result == DkimResult::Pass);
        passing.filter_map(|signature| signature.claim.as_ref().map(|claim| &claim.domain))
    }
}

/// What one signature comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The word for it.
    pub result: DkimResult,
    /// Why it is not [`DkimResult::Pass`].
    pub flaw: Option<Flaw>,
    /// Who is said to have signed; nothing where the field cannot be read.
    pub claim: Option<Claim>,
    /// Octets at the end of the body that anybody may have added, since `l=` leaves them out. It counts all the same; what is to be made of
    /// such a body is local policy (RFC 6376 §8.2).
    pub unsigned_octets: u64,
    /// The key verifies, and its record says that the domain is only testing (`t=y`, RFC 6376 §3.6.1). The result is told as it is; one that is
    /// not a pass counts as no signature anyway (RFC 6376 §6.3).
    pub is_testing: bool,
}

/// How the body is to be hashed for the signatures of this header block.
pub fn body_methods(header: &[u8]) -> Vec<BodyMethod> {
    let own = fields(header).filter(|field| field.name.eq_ignore_ascii_case(FIELD.as_bytes()));
    own.take(SIGNATURE_LIMIT).filter_map(|field| Some(Signature::parse(field).ok()?.body_method)).collect()
}

/// Verifies the signatures of a message: its header block as it was received, the hashes that a [`BodyHasher`](super::BodyHasher) made by
/// [`body_methods`] of the same block, and the time. Keys are looked up side by side, and none for a signature that cannot pass.
pub async fn verify(header: &[u8], bodies: &BodyHashes, dns: &dyn Dns, now: UtcTime) -> DkimReport {
    let header = Header::new(header);
    let own = header.named(FIELD);
    let unseen = own.len().saturating_sub(SIGNATURE_LIMIT);
    let looked_at: Vec<_> = own.take(SIGNATURE_LIMIT).map(|field| Hopeful::new(field, bodies, now)).collect();
    let questions: BTreeSet<_> = looked_at.iter().flatten().map(|hopeful| hopeful.key().clone()).collect();
    let keys = Keys::fetch(dns, questions).await;
    let conclude = |one: Result<Hopeful<'_>, Verified>| match one {
        Ok(hopeful) => hopeful.verify(&header, &keys),
        Err(failed) => failed,
    };
    DkimReport { signatures: looked_at.into_iter().map(conclude).collect(), unseen }
}

/// A signature that may pass: its key decides.
struct Hopeful<'a> {
    signature: Signature<'a>,
    unsigned_octets: u64,
}

impl<'a> Hopeful<'a> {
    fn new(field: Field<'a>, bodies: &BodyHashes, now: UtcTime) -> Result<Self, Verified> {
        let signature = Signature::parse(field).map_err(|flaw| Verified::failed(None, flaw))?;
        match judge(&signature, bodies, now) {
            Ok(unsigned_octets) => Ok(Self { signature, unsigned_octets }),
            Err(flaw) => Err(Verified::failed(Some(signature.proof.claim), flaw)),
        }
    }

    fn key(&self) -> &Question {
        &self.signature.proof.key
    }

    fn verify(self, header: &Header<'a>, keys: &Keys) -> Verified {
        let Self { signature, unsigned_octets } = self;
        let octets = signature.signed_octets(header);
        let verified = keys.verify(&signature.proof, &signature.identity, &octets);
        let claim = Some(signature.proof.claim);
        match verified {
            Ok(is_testing) => {
                Verified { result: DkimResult::Pass, flaw: None, claim, unsigned_octets, is_testing }
            }
            Err(flaw) => Verified::failed(claim, flaw),
        }
    }
}

impl Verified {
    fn failed(claim: Option<Claim>, flaw: Flaw) -> Self {
        Self { result: flaw.result(), flaw: Some(flaw), claim, unsigned_octets: 0, is_testing: false }
    }
}

/// What can be said without the key. Gives the octets of the body that are not signed.
pub(super) fn judge(signature: &Signature<'_>, bodies: &BodyHashes, now: UtcTime) -> Result<u64, Flaw> {
    if signature.proof.claim.algorithm == Algorithm::RsaSha1 {
        return Err(Flaw::Historic);
    }
    signature.check_time(now)?;
    signature.check_body(bodies)
}
