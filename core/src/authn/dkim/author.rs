//! Whether a message needs a signature of its author's domain, or has one.

use super::verify::{FIELD, SIGNATURE_LIMIT, judge};
use super::{BodyHashes, Header, Signature};
use crate::model::{Domain, UtcTime};

/// Whether the message has a signature of this domain already that looks valid: well-formed, in force, over this body. Its key is not looked
/// up, since the domain is ours: a signature that fails for it is no better for a second one beside it.
pub fn has_signature_of(domain: &Domain, header: &[u8], bodies: &BodyHashes, now: UtcTime) -> bool {
    let header = Header::new(header);
    let signatures =
        header.named(FIELD).take(SIGNATURE_LIMIT).filter_map(|field| Signature::parse(field).ok());
    let mut own = signatures.filter(|signature| signature.proof.claim.domain == *domain);
    own.any(|signature| judge(&signature, bodies, now).is_ok())
}
