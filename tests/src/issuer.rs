//! Whoever signs tokens that let users in: JSON Web Tokens under Ed25519 (RFC 7519 §3, RFC 8037 §3.1).

#![expect(clippy::expect_used, reason = "what does not go as expected fails the test that asked for it")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

/// A key, and the name by which tokens say that they are signed with it.
#[derive(Debug)]
pub struct Signer {
    key: Ed25519KeyPair,
    kid: &'static str,
}

impl Signer {
    /// The same seed gives the same key.
    pub fn new(seed: u8, kid: &'static str) -> Self {
        Self { key: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a seed of 32 octets"), kid }
    }

    /// The public key, as it stands in a set of keys (RFC 7517 §4).
    pub fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.key.public_key());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": x})
    }

    /// A token that says this.
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "EdDSA", "kid": self.kid});
        let [header, claims] = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signature = self.key.sign(format!("{header}.{claims}").as_bytes());
        format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
