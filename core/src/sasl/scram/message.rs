//! SCRAM's messages (RFC 5802 §7).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::KEY_OCTETS;
use crate::sasl::{Failure, bearer, plain};

/// Octets of a client's nonce, at most.
const NONCE_LIMIT: usize = 256;

/// What a client says about channel binding.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Binding<'a> {
    /// `n`: it cannot.
    Unsupported,
    /// `y`: it could, and was not offered it.
    NotOffered,
    /// `p=`: it does, in this way.
    Used(&'a str),
}

/// `client-first-message`, taken apart.
#[derive(Debug)]
pub(super) struct ClientFirst<'a> {
    /// `gs2-header`, with its last comma.
    pub(super) header: &'a str,
    pub(super) binding: Binding<'a>,
    pub(super) authzid: String,
    pub(super) authcid: String,
    pub(super) nonce: &'a str,
    /// `client-first-message-bare`.
    pub(super) bare: &'a str,
}

/// `client-final-message`, taken apart.
#[derive(Debug)]
pub(super) struct ClientFinal<'a> {
    /// The header of the first message and the channel's data, as the client saw them.
    pub(super) binding: Vec<u8>,
    pub(super) nonce: &'a str,
    pub(super) proof: [u8; KEY_OCTETS],
    /// `client-final-message-without-proof`.
    pub(super) without_proof: &'a str,
}

/// ```abnf
/// client-first-message      = gs2-header client-first-message-bare
/// gs2-header                = gs2-cbind-flag "," [ authzid ] ","
/// gs2-cbind-flag            = ("p=" cb-name) / "n" / "y"
/// client-first-message-bare = [reserved-mext ","] username "," nonce ["," extensions]
/// ```
///
/// An extension that must be understood (`m=`) is not.
pub(super) fn client_first(octets: &[u8]) -> Result<ClientFirst<'_>, Failure> {
    let message = text(octets)?;
    let (flag, rest) = message.split_once(',').ok_or(Failure::Malformed)?;
    let (authzid, bare) = rest.split_once(',').ok_or(Failure::Malformed)?;
    let binding = match flag {
        "n" => Binding::Unsupported,
        "y" => Binding::NotOffered,
        flag => Binding::Used(flag.strip_prefix("p=").ok_or(Failure::Malformed)?),
    };
    let authzid = match authzid {
        "" => String::new(),
        authzid => saslname(authzid.strip_prefix("a=").ok_or(Failure::Malformed)?)?,
    };
    let mut attributes = bare.split(',');
    let authcid = saslname(attribute(attributes.next(), "n=")?)?;
    let nonce = attribute(attributes.next(), "r=")?;
    if nonce.is_empty() || nonce.len() > NONCE_LIMIT || !nonce.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err(Failure::Malformed);
    }
    let header = &message[..message.len() - bare.len()];
    Ok(ClientFirst { header, binding, authzid, authcid, nonce, bare })
}

/// ```abnf
/// client-final-message               = client-final-message-without-proof "," proof
/// client-final-message-without-proof = channel-binding "," nonce ["," extensions]
/// ```
pub(super) fn client_final(octets: &[u8]) -> Result<ClientFinal<'_>, Failure> {
    let message = text(octets)?;
    let (without_proof, proof) = message.rsplit_once(",p=").ok_or(Failure::Malformed)?;
    let mut attributes = without_proof.split(',');
    let binding = decode(attribute(attributes.next(), "c=")?)?;
    let nonce = attribute(attributes.next(), "r=")?;
    let proof = decode(proof)?.try_into().map_err(|_| Failure::Malformed)?;
    Ok(ClientFinal { binding, nonce, proof, without_proof })
}

fn text(octets: &[u8]) -> Result<&str, Failure> {
    let text = std::str::from_utf8(octets).map_err(|_| Failure::Malformed)?;
    if text.contains('\0') { Err(Failure::Malformed) } else { Ok(text) }
}

fn attribute<'a>(attribute: Option<&'a str>, name: &str) -> Result<&'a str, Failure> {
    attribute.and_then(|attribute| attribute.strip_prefix(name)).ok_or(Failure::Malformed)
}

fn saslname(escaped: &str) -> Result<String, Failure> {
    plain::name(bearer::unescape(escaped).ok_or(Failure::Malformed)?.as_bytes())
}

fn decode(base64: &str) -> Result<Vec<u8>, Failure> {
    STANDARD.decode(base64).map_err(|_| Failure::Malformed)
}
