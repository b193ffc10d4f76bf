//! The sets of a message, and whether they make a chain (RFC 8617 §5.2).

use super::flaw::{ArcFlaw, INSTANCE_LIMIT};
use super::set::{ChainValidation, Results, Seal, instance_of};
use crate::authn::dkim::{Canonicalization, Header};
use crate::model::message::Field;

pub(super) const SEAL: &str = "arc-seal";
pub(super) const MESSAGE_SIGNATURE: &str = "arc-message-signature";
pub(super) const RESULTS: &str = "arc-authentication-results";

/// One set, whole.
#[derive(Debug)]
pub(super) struct Set<'a> {
    pub(super) results: Results<'a>,
    /// Read only where it is the newest; the others are sealed, and nothing else is asked of them.
    pub(super) message_signature: Field<'a>,
    pub(super) seal: Seal,
    seal_field: Field<'a>,
}

/// The sets of a message, oldest first, each whole and in its place.
#[derive(Debug)]
pub(super) struct Chain<'a>(pub(super) Vec<Set<'a>>);

impl<'a> Chain<'a> {
    /// Reads the fields of a header block; no set at all is an empty chain.
    pub(super) fn parse(header: &Header<'a>) -> Result<Self, ArcFlaw> {
        let counts = [RESULTS, MESSAGE_SIGNATURE, SEAL].map(|name| header.named(name).len());
        if counts.into_iter().any(|count| count > usize::from(INSTANCE_LIMIT)) {
            return Err(ArcFlaw::TooLong);
        }
        let mut results = header.named(RESULTS).map(Results::parse).collect::<Result<Vec<_>, _>>()?;
        let number = |field| Ok((instance_of(field)?, field));
        let mut signatures = header.named(MESSAGE_SIGNATURE).map(number).collect::<Result<Vec<_>, _>>()?;
        let parse = |field| Ok((Seal::parse(field)?, field));
        let mut seals = header.named(SEAL).map(parse).collect::<Result<Vec<_>, _>>()?;
        results.sort_by_key(|results| results.instance);
        signatures.sort_by_key(|(instance, _)| *instance);
        seals.sort_by_key(|(seal, _)| seal.instance);
        let mut fields = (results.into_iter(), signatures.into_iter(), seals.into_iter());
        let longest = counts.into_iter().max().unwrap_or_default();
        let mut sets = Vec::new();
        for instance in (1..=INSTANCE_LIMIT).take(longest) {
            let (Some(results), Some((number, message_signature)), Some((seal, seal_field))) =
                (fields.0.next(), fields.1.next(), fields.2.next())
            else {
                return Err(ArcFlaw::Incomplete(instance));
            };
            if [results.instance, number, seal.instance] != [instance; 3] {
                return Err(ArcFlaw::Incomplete(instance));
            }
            sets.push(Set { results, message_signature, seal, seal_field });
        }
        Ok(Self(sets))
    }

    /// Whether each seal says of the chain before it what it must: nothing of none, and nothing but good of the others (RFC 8617 §5.2).
    pub(super) fn check_validations(&self) -> Result<(), ArcFlaw> {
        if self.0.last().is_some_and(|set| set.seal.chain_validation == ChainValidation::Fail) {
            return Err(ArcFlaw::FoundBroken);
        }
        let expected = |instance| if instance == 1 { ChainValidation::None } else { ChainValidation::Pass };
        let wrong = self.0.iter().find(|set| set.seal.chain_validation != expected(set.seal.instance));
        wrong.map_or(Ok(()), |set| Err(ArcFlaw::ChainValidation(set.seal.instance)))
    }

    /// What the seal of the set at this index signs: all sets up to it, in order, and of its own field all but the signature (RFC 8617 §5.1.1).
    /// `octets` holds what the seals before it add up to, and gets this set added.
    pub(super) fn sealed_octets(set: &Set<'_>, before: &mut Vec<u8>) -> Vec<u8> {
        const FORM: Canonicalization = Canonicalization::Relaxed;
        FORM.append_field(set.results.field.octets, before);
        FORM.append_field(set.message_signature.octets, before);
        let mut octets = before.clone();
        FORM.append_own_field(&set.seal.proof.unsigned_field, &mut octets);
        FORM.append_field(set.seal_field.octets, before);
        octets
    }
}
