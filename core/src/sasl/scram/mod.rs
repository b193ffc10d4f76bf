//! SCRAM-SHA-256 (RFC 5802 §5, RFC 7677 §3), the server's side.
//!
//! A client that could bind to the channel and was made to believe that we cannot says so (`y`), and is refused where we can
//! (RFC 5802 §6): somebody has taken the PLUS out of our announcement.

mod message;
#[cfg(test)]
mod tests;
mod verifier;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use self::message::{Binding, ClientFinal, ClientFirst};
pub use self::verifier::{ITERATIONS, KEY_OCTETS, SALT_OCTETS, Verifier, VerifierError};
use super::{Failure, NONCE_OCTETS, Proof};

/// The one kind of channel binding that is known (RFC 9266 §4.2).
const CHANNEL_BINDING: &str = "tls-exporter";

/// The first message has been read, and the verifier is asked for.
#[derive(Debug)]
pub(super) struct First {
    pub(super) authcid: String,
    pub(super) authzid: String,
    bare: String,
    /// What the client must say that it sees of the channel: the header of the first message, and the binding.
    expected: Vec<u8>,
    nonce: String,
}

/// The first challenge has been sent.
#[derive(Debug)]
pub(super) struct Challenged {
    first: First,
    challenge: String,
    verifier: Verifier,
}

impl First {
    /// Reads the client's first message. `binding` is what PLUS binds to, where the connection has it; `is_plus`, that the client chose
    /// the mechanism of that name.
    pub(super) fn read(
        octets: &[u8],
        binding: Option<&Bytes>,
        is_plus: bool,
        entropy: [u8; NONCE_OCTETS],
    ) -> Result<Self, Failure> {
        let ClientFirst { header, binding: chosen, authzid, authcid, nonce, bare } =
            message::client_first(octets)?;
        let mut expected = header.as_bytes().to_vec();
        match (chosen, binding, is_plus) {
            (Binding::Used(CHANNEL_BINDING), Some(binding), true) => expected.extend_from_slice(binding),
            (Binding::Unsupported, _, false) | (Binding::NotOffered, None, false) => {}
            (Binding::NotOffered, Some(_), false) => return Err(Failure::Downgraded),
            _ => return Err(Failure::Malformed),
        }
        let nonce = format!("{nonce}{}", STANDARD.encode(entropy));
        Ok(Self { authcid, authzid, bare: bare.to_owned(), expected, nonce })
    }

    /// The first challenge.
    pub(super) fn challenge(self, verifier: Verifier) -> (Challenged, Vec<u8>) {
        let (nonce, salt) = (&self.nonce, STANDARD.encode(verifier.salt()));
        let challenge = format!("r={nonce},s={salt},i={}", verifier.iterations());
        let octets = challenge.clone().into_bytes();
        (Challenged { first: self, challenge, verifier }, octets)
    }
}

impl Challenged {
    /// Reads the client's final message: whom it has proved to be, and our own proof for it.
    pub(super) fn conclude(self, octets: &[u8]) -> Result<(Proof, Vec<u8>), Failure> {
        let Self { first, challenge, verifier } = self;
        let ClientFinal { binding, nonce, proof, without_proof } = message::client_final(octets)?;
        if nonce != first.nonce {
            return Err(Failure::Malformed);
        }
        let message = format!("{},{challenge},{without_proof}", first.bare);
        let is_proved = verifier.is_proved_by(message.as_bytes(), &proof);
        // After the proof, so that a wrong one takes as long.
        if !is_proved || binding != first.expected {
            return Err(Failure::Credentials);
        }
        let signature = format!("v={}", STANDARD.encode(verifier.signature(message.as_bytes())));
        Ok((Proof { authcid: first.authcid, authzid: first.authzid }, signature.into_bytes()))
    }
}
