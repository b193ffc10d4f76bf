//! Signing (RFC 6376 §5).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{BodyHash, Canonicalization, FieldWriter, Header, SigningError, SigningKey};
use crate::model::{Domain, UtcTime};

/// Fields of which a reader sees what stands in them, or that say how the body is read. They are signed once more than they are there
/// (RFC 6376 §8.15): nobody can add one, above or below.
const SEALED: [&str; 10] = [
    "from",
    "reply-to",
    "to",
    "cc",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
];
/// Fields that are signed as often as they are there (RFC 6376 §5.4.1): lists and forwarders add such as these.
const SIGNED: [&str; 20] = [
    "sender",
    "in-reply-to",
    "references",
    "content-disposition",
    "content-id",
    "content-description",
    "content-language",
    "resent-date",
    "resent-from",
    "resent-sender",
    "resent-to",
    "resent-cc",
    "resent-message-id",
    "list-id",
    "list-help",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "list-subscribe",
    "list-post",
    "list-owner",
];

/// With what a message is signed.
#[derive(Clone, Copy, Debug)]
pub struct Signatory<'a> {
    /// The domain that takes responsibility.
    pub domain: &'a Domain,
    /// The name of its key: labels that stand before `._domainkey`.
    pub selector: &'a str,
    /// The key.
    pub key: &'a SigningKey,
}

/// Signs a message relaxed/relaxed, once for each signatory: gives DKIM-Signature fields to be put in front of the header block.
///
/// `header` is the block as it leaves, `body` the hash by [`BodyMethod::SIGNING`](super::BodyMethod::SIGNING) of the body as it leaves. The
/// signatures say when they were made, and hold for `validity` where there is one. The same arguments give the same octets.
pub fn sign(
    header: &[u8],
    body: &BodyHash,
    signatories: &[Signatory<'_>],
    at: UtcTime,
    validity: Option<Duration>,
) -> Result<String, SigningError> {
    let header = Header::new(header);
    let names = signed_names(&header, true);
    let mut octets = Vec::new();
    for field in header.select(&names, None) {
        Canonicalization::Relaxed.append_field(field.octets, &mut octets);
    }
    let signed_header = octets.len();
    let mut signatures = String::new();
    for signatory in signatories {
        let mut field = FieldWriter::new("DKIM-Signature");
        field.tag("v", "1");
        field.tag("a", signatory.key.algorithm().as_str());
        field.tag("c", "relaxed/relaxed");
        field.tag("d", signatory.domain.as_str());
        field.tag("s", signatory.selector);
        field.tag("t", &(at.0 / 1000).to_string());
        if let Some(validity) = validity {
            field.tag("x", &(at.after(validity).0 / 1000).to_string());
        }
        field.list("h", names.iter().map(String::as_str));
        field.tag("bh", &STANDARD.encode(body.digest));
        octets.truncate(signed_header);
        Canonicalization::Relaxed.append_own_field(field.begin_signature(), &mut octets);
        signatures.push_str(&field.finish(&signatory.key.sign(&octets)?));
    }
    Ok(signatures)
}

/// The names for `h=`. Where the message is `sealed`, nobody may add to it; a forwarder who seals with ARC only says how it left.
pub(in crate::authn) fn signed_names(header: &Header<'_>, is_sealed: bool) -> Vec<String> {
    let mut names = Vec::new();
    for (name, is_once_more) in
        SEALED.map(|name| (name, is_sealed)).into_iter().chain(SIGNED.map(|name| (name, false)))
    {
        let count = header.named(name).len() + usize::from(is_once_more);
        names.extend(std::iter::repeat_n(name.to_owned(), count));
    }
    names
}
