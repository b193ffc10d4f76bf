//! Private keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use futures_rustls::rustls::SignatureScheme;
use futures_rustls::rustls::crypto::ring::sign::any_supported_type;
use futures_rustls::rustls::sign::Signer;
use ring::digest::{SHA256, digest};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::Algorithm;

/// Why there is no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The octets are no key that can be used.
    #[error("not a PKCS#8 private key of RSA (2048 to 4096 bits) or Ed25519")]
    NoKey,
    /// The key does not sign.
    #[error("the key cannot sign")]
    Key,
    /// The random numbers for a key are not good for one.
    #[error("no key can be generated")]
    NotGenerated,
}

/// A private key of a domain: RSA of 2048 to 4096 bits, which is what ring signs with, or Ed25519.
///
/// It signs through the signer of rustls, which is ring as well: ring itself asks for a source of random numbers, which core has none of, and
/// which neither way of signing uses. The same octets always give the same signature.
#[derive(Debug)]
pub struct SigningKey {
    signer: Box<dyn Signer>,
    algorithm: Algorithm,
    /// As it stands in the key's record: a SubjectPublicKeyInfo (RSA), or 32 octets (Ed25519, RFC 8463 §4).
    public: Vec<u8>,
}

impl SigningKey {
    /// Reads a private key: PKCS#8 in DER (RFC 5958 §2).
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, SigningError> {
        let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(der));
        let key = any_supported_type(&der).map_err(|_| SigningError::NoKey)?;
        let usable = [SignatureScheme::RSA_PKCS1_SHA256, SignatureScheme::ED25519];
        let signer = key.choose_scheme(&usable).ok_or(SigningError::NoKey)?;
        let info = key.public_key().ok_or(SigningError::NoKey)?;
        let (algorithm, public) = match signer.scheme() {
            SignatureScheme::ED25519 => {
                let (_, info) = SubjectPublicKeyInfo::from_der(&info).map_err(|_| SigningError::NoKey)?;
                (Algorithm::Ed25519Sha256, info.subject_public_key.data.to_vec())
            }
            _ => (Algorithm::RsaSha256, info.to_vec()),
        };
        Ok(Self { signer, algorithm, public })
    }

    /// The same in base64.
    pub fn from_base64(base64: &str) -> Result<Self, SigningError> {
        Self::from_pkcs8(&STANDARD.decode(base64).map_err(|_| SigningError::NoKey)?)
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The text of the TXT record that publishes it (RFC 6376 §3.6.1). Longer than the 255 octets of one string of such a record where it is
    /// an RSA key.
    pub fn public_record(&self) -> String {
        let kind = match self.algorithm {
            Algorithm::Ed25519Sha256 => "ed25519",
            Algorithm::RsaSha1 | Algorithm::RsaSha256 => "rsa",
        };
        format!("v=DKIM1; k={kind}; p={}", STANDARD.encode(&self.public))
    }

    /// Signs octets; gives `b=` in base64. RSA of 2048 bits takes about a millisecond, Ed25519 a fiftieth of that.
    pub(in crate::authn) fn sign(&self, octets: &[u8]) -> Result<String, SigningError> {
        let signature = match self.algorithm {
            // It signs the hash, not the octets (RFC 8463 §3).
            Algorithm::Ed25519Sha256 => self.signer.sign(digest(&SHA256, octets).as_ref()),
            Algorithm::RsaSha1 | Algorithm::RsaSha256 => self.signer.sign(octets),
        };
        Ok(STANDARD.encode(signature.map_err(|_| SigningError::Key)?))
    }
}
