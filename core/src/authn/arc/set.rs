//! The fields of one set (RFC 8617 §4.1).

use super::flaw::{ArcFlaw, INSTANCE_LIMIT};
use crate::authn::dkim::{Flaw, Proof, Signature, TagList};
use crate::model::message::Field;

/// What a seal says of the chain as it found it (RFC 8617 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChainValidation {
    None,
    Pass,
    Fail,
}

impl ChainValidation {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::Pass, Self::Fail].into_iter().find(|one| text.eq_ignore_ascii_case(one.as_str()))
    }
}

/// ARC-Seal.
#[derive(Clone, Debug)]
pub(super) struct Seal {
    pub(super) instance: u8,
    pub(super) chain_validation: ChainValidation,
    pub(super) proof: Proof,
}

/// ARC-Authentication-Results.
#[derive(Clone, Debug)]
pub(super) struct Results<'a> {
    pub(super) instance: u8,
    pub(super) field: Field<'a>,
    /// Behind the instance: who found what.
    pub(super) text: &'a str,
}

impl Seal {
    /// It signs fixed fields, so that it must not name any (RFC 8617 §4.1.3).
    pub(super) fn parse(field: Field<'_>) -> Result<Self, ArcFlaw> {
        let tags = TagList::parse(field.body).map_err(|error| ArcFlaw::Seal(error.into()))?;
        let instance = instance(&tags)?;
        if tags.value("h").is_some() || tags.value("bh").is_some() {
            return Err(ArcFlaw::Seal(Flaw::Unsupported("h")));
        }
        let validation = tags.required("cv").map_err(ArcFlaw::Seal)?;
        let chain_validation =
            ChainValidation::parse(validation).ok_or(ArcFlaw::Seal(Flaw::Malformed("cv")))?;
        let proof = Proof::parse(field, &tags).map_err(ArcFlaw::Seal)?;
        Ok(Self { instance, chain_validation, proof })
    }
}

/// Reads an ARC-Message-Signature. It must not sign seals: they are put on behind it (RFC 8617 §4.1.2).
pub(super) fn message_signature(field: Field<'_>) -> Result<Signature<'_>, ArcFlaw> {
    let tags = TagList::parse(field.body).map_err(|error| ArcFlaw::MessageSignature(error.into()))?;
    let signature = Signature::parse_common(field, &tags).map_err(ArcFlaw::MessageSignature)?;
    if signature.names.iter().any(|name| name == "arc-seal") {
        return Err(ArcFlaw::MessageSignature(Flaw::Unsupported("h")));
    }
    Ok(signature)
}

impl<'a> Results<'a> {
    /// `arc-info = instance [CFWS] ";" authres-payload`
    pub(super) fn parse(field: Field<'a>) -> Result<Self, ArcFlaw> {
        let text = std::str::from_utf8(field.body).map_err(|_| ArcFlaw::Instance)?;
        let (info, text) = text.split_once(';').ok_or(ArcFlaw::Instance)?;
        let tags = TagList::parse(info.as_bytes()).map_err(|_| ArcFlaw::Instance)?;
        Ok(Self { instance: instance(&tags)?, field, text: text.trim() })
    }
}

/// The number of a field of any of the three kinds. It is the first tag of results, which are no list of tags; elsewhere tags have no order.
pub(super) fn instance_of(field: Field<'_>) -> Result<u8, ArcFlaw> {
    let first = field.body.split(|b| *b == b';').next().unwrap_or_default();
    let tags = TagList::parse(field.body).or_else(|_| TagList::parse(first));
    instance(&tags.map_err(|_| ArcFlaw::Instance)?)
}

/// `instance = [CFWS] %s"i" [CFWS] "=" [CFWS] position`, from 1 to 50 (RFC 8617 §4.2.1).
fn instance(tags: &TagList<'_>) -> Result<u8, ArcFlaw> {
    let number = tags.number("i").ok().flatten().ok_or(ArcFlaw::Instance)?;
    let number = u8::try_from(number).map_err(|_| ArcFlaw::TooLong)?;
    match number {
        0 => Err(ArcFlaw::Instance),
        1..=INSTANCE_LIMIT => Ok(number),
        _ => Err(ArcFlaw::TooLong),
    }
}
