//! A seal of one's own, made anew for a message that has to be encoded otherwise on its way: see [`dkim`](crate::authn::dkim::renew) for why the
//! old one must hold.
//!
//! What its set says was found, of the message and of the chain before it, stays word for word.

use super::chain::{MESSAGE_SIGNATURE, RESULTS, SEAL};
use super::seal::{FORM, names, newest, seal, sealed_before};
use super::set::{ChainValidation, Results, Seal, instance_of, message_signature};
use super::verify::{ArcReport, check_algorithm};
use crate::authn::dkim::{BodyHashes, Claim, Encodings, Header, Keys, Signatory, SigningError};
use crate::model::UtcTime;
use crate::model::message::{Field, without_fields};
use crate::model::verdict::ArcResult;

/// Who is said to have put the newest seal on a message.
pub fn newest_sealer(header: &[u8]) -> Option<Claim> {
    let header = Header::new(header);
    let instance = newest(&header)?;
    Some(Seal::parse(only(&header, SEAL, instance)?).ok()?.proof.claim)
}

/// Puts a new set in the place of the newest, where a domain has made that with keys it has or had (`known`): gives the header block as it
/// leaves. Nothing where it was somebody else, or it does not hold.
pub fn renew(
    message: &Encodings<'_>,
    known: &[Signatory<'_>],
    active: &Signatory<'_>,
    at: UtcTime,
) -> Result<Option<Vec<u8>>, SigningError> {
    let Some(own) = proven(message.before, &Keys::of(known), at) else { return Ok(None) };
    let (header, body) = message.after;
    let bare = without_set(header, own.instance);
    let set = seal(&bare, body, &own.found, &own.results, active, at)?;
    Ok(set.map(|set| [set.as_bytes(), &bare].concat()))
}

/// What a set says that holds.
struct Own {
    instance: u8,
    found: ArcReport,
    results: String,
}

/// The newest set, where it is by these keys and holds.
fn proven((block, bodies): (&[u8], &BodyHashes), keys: &Keys, at: UtcTime) -> Option<Own> {
    let header = Header::new(block);
    let instance = newest(&header)?;
    let [results, signature_field, seal_field] = [
        only(&header, RESULTS, instance)?,
        only(&header, MESSAGE_SIGNATURE, instance)?,
        only(&header, SEAL, instance)?,
    ];
    let (seal, signature) = (Seal::parse(seal_field).ok()?, message_signature(signature_field).ok()?);
    for proof in [&seal.proof, &signature.proof] {
        check_algorithm(proof).ok().filter(|()| keys.has(proof))?;
    }
    signature.check_time(at).ok().filter(|()| signature.covers(&names(&header)))?;
    signature.check_body(bodies).ok().filter(|unsigned| *unsigned == 0)?;
    keys.verify(&signature.proof, &signature.identity, &signature.signed_octets(&header)).ok()?;

    let validation = seal.chain_validation;
    let bare = without_set(block, instance);
    let mut octets = sealed_before(&Header::new(&bare), validation);
    FORM.append_field(results.octets, &mut octets);
    FORM.append_field(signature_field.octets, &mut octets);
    FORM.append_own_field(&seal.proof.unsigned_field, &mut octets);
    keys.verify(&seal.proof, &seal.proof.claim.domain, &octets).ok()?;

    let result = match validation {
        ChainValidation::None => ArcResult::None,
        ChainValidation::Pass => ArcResult::Pass,
        ChainValidation::Fail => ArcResult::Fail,
    };
    let results = Results::parse(results).ok()?.text.to_owned();
    Some(Own { instance, found: ArcReport { result, flaw: None, sets: Vec::new() }, results })
}

/// The field of this name with this number, where there is one and no other.
fn only<'a>(header: &Header<'a>, name: &str, instance: u8) -> Option<Field<'a>> {
    let mut found = header.named(name).filter(|field| instance_of(*field) == Ok(instance));
    found.next().filter(|_| found.next().is_none())
}

fn without_set(block: &[u8], instance: u8) -> Vec<u8> {
    without_fields(block, |field| {
        let is_of_set = [RESULTS, MESSAGE_SIGNATURE, SEAL]
            .iter()
            .any(|name| field.name.eq_ignore_ascii_case(name.as_bytes()));
        is_of_set && instance_of(*field) == Ok(instance)
    })
}
