//! Sealing: one more set (RFC 8617 §5.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::chain::{Chain, MESSAGE_SIGNATURE, RESULTS, SEAL};
use super::flaw::{ArcFlaw, INSTANCE_LIMIT};
use super::set::{ChainValidation, instance_of};
use super::verify::ArcReport;
use crate::authn::dkim::{
    BodyHash, Canonicalization, FieldWriter, Header, Signatory, SigningError, signed_names,
};
use crate::model::UtcTime;
use crate::model::verdict::ArcResult;

pub(super) const FORM: Canonicalization = Canonicalization::Relaxed;

/// Adds a set to the chain of a message that is forwarded: gives the three fields, to be put in front of the header block.
///
/// `header` is the block as it leaves, `body` the hash by [`BodyMethod::SIGNING`](crate::authn::dkim::BodyMethod::SIGNING) of the body as it
/// leaves. `found` is what the chain came to when the message came, and `results` what everything else did, as the body of an
/// Authentication-Results field that begins with our name. Nothing where no set may be added: the chain is as long as it may be, or a seal
/// says already that it is broken (RFC 8617 §5.1).
pub fn seal(
    header: &[u8],
    body: &BodyHash,
    found: &ArcReport,
    results: &str,
    signatory: &Signatory<'_>,
    at: UtcTime,
) -> Result<Option<String>, SigningError> {
    let header = Header::new(header);
    let validation = match found.result {
        ArcResult::None => ChainValidation::None,
        ArcResult::Pass => ChainValidation::Pass,
        ArcResult::Fail => ChainValidation::Fail,
    };
    let Some(instance) = next_instance(&header, found) else { return Ok(None) };
    let instance = instance.to_string();
    let time = (at.0 / 1000).to_string();

    let results = format!("ARC-Authentication-Results: i={instance}; {}\r\n", results.trim());

    let names = names(&header);
    let mut octets = Vec::new();
    for field in header.select(&names, None) {
        FORM.append_field(field.octets, &mut octets);
    }
    let mut field = begin("ARC-Message-Signature", &instance, signatory, &time);
    field.tag("c", "relaxed/relaxed");
    field.list("h", names.iter().map(String::as_str));
    field.tag("bh", &STANDARD.encode(body.digest));
    FORM.append_own_field(field.begin_signature(), &mut octets);
    let message_signature = field.finish(&signatory.key.sign(&octets)?);

    let mut octets = sealed_before(&header, validation);
    FORM.append_field(results.as_bytes(), &mut octets);
    FORM.append_field(message_signature.as_bytes(), &mut octets);
    let mut field = begin("ARC-Seal", &instance, signatory, &time);
    field.tag("cv", validation.as_str());
    FORM.append_own_field(field.begin_signature(), &mut octets);
    let seal = field.finish(&signatory.key.sign(&octets)?);
    Ok(Some([seal, message_signature, results].concat()))
}

/// The fields that a message signature covers.
pub(super) fn names(header: &Header<'_>) -> Vec<String> {
    let mut names = signed_names(header, false);
    // RFC 8617 §4.1.2 wants those that are there signed.
    names.extend(header.named("dkim-signature").map(|_| "dkim-signature".to_owned()));
    names
}

/// The number of a new set: one more than the highest there is, in whatever state.
fn next_instance(header: &Header<'_>, found: &ArcReport) -> Option<u8> {
    if matches!(found.flaw, Some(ArcFlaw::FoundBroken | ArcFlaw::TooLong)) {
        return None;
    }
    let instance = newest(header).unwrap_or(0) + 1;
    (instance <= INSTANCE_LIMIT).then_some(instance)
}

/// The highest number of a set, whole or not.
pub(super) fn newest(header: &Header<'_>) -> Option<u8> {
    let fields = [RESULTS, MESSAGE_SIGNATURE, SEAL].into_iter().flat_map(|name| header.named(name));
    fields.filter_map(|field| instance_of(field).ok()).max()
}

fn begin(name: &str, instance: &str, signatory: &Signatory<'_>, time: &str) -> FieldWriter {
    let mut field = FieldWriter::new(name);
    field.tag("i", instance);
    field.tag("a", signatory.key.algorithm().as_str());
    field.tag("d", signatory.domain.as_str());
    field.tag("s", signatory.selector);
    field.tag("t", time);
    field
}

/// What a new seal signs of the sets before its own. Of a chain that is broken it is nothing: nobody could tell which sets they are
/// (RFC 8617 §5.1.2).
pub(super) fn sealed_before(header: &Header<'_>, validation: ChainValidation) -> Vec<u8> {
    let mut octets = Vec::new();
    if validation == ChainValidation::Pass
        && let Ok(chain) = Chain::parse(header)
    {
        for set in &chain.0 {
            Chain::sealed_octets(set, &mut octets);
        }
    }
    octets
}
