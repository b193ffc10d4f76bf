//! New private keys. All chance comes through the door: the same entropy gives the same key.
//!
//! ring makes no RSA keys, so that the crate rsa does this one thing; signing and verifying are ring's.

use rsa::RsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey;
use rsa::rand_core::{CryptoRng, Error, RngCore};

use super::SigningError;
use crate::platform::Entropy;

/// Bits of a new RSA key: what signers should use at least (RFC 8301 §3.2), and what still fits a datagram of DNS.
const RSA_BITS: usize = 2048;
/// Octets of which an Ed25519 key is made (RFC 8032 §5.1.5).
const SEED: usize = 32;
/// What stands before the seed in PKCS#8 (RFC 8410 §7).
const ED25519_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A new Ed25519 key: PKCS#8 in DER.
pub fn generate_ed25519(entropy: &dyn Entropy) -> Vec<u8> {
    let mut seed = [0; SEED];
    entropy.fill(&mut seed);
    [&ED25519_PREFIX[..], &seed].concat()
}

/// A new RSA key of 2048 bits: PKCS#8 in DER. It takes a good part of a second: work for `Spawn::blocking`.
pub fn generate_rsa(entropy: &dyn Entropy) -> Result<Vec<u8>, SigningError> {
    let key = RsaPrivateKey::new(&mut Chance(entropy), RSA_BITS).map_err(|_| SigningError::NotGenerated)?;
    let der = key.to_pkcs8_der().map_err(|_| SigningError::NotGenerated)?;
    Ok(der.as_bytes().to_vec())
}

/// The door, as the crate rsa asks for it.
struct Chance<'a>(&'a dyn Entropy);

impl CryptoRng for Chance<'_> {}

impl RngCore for Chance<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut octets = [0; 4];
        self.fill_bytes(&mut octets);
        u32::from_le_bytes(octets)
    }

    fn next_u64(&mut self) -> u64 {
        let mut octets = [0; 8];
        self.fill_bytes(&mut octets);
        u64::from_le_bytes(octets)
    }

    fn fill_bytes(&mut self, octets: &mut [u8]) {
        self.0.fill(octets);
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(octets);
        Ok(())
    }
}
