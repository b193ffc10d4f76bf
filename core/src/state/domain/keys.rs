//! Keys that sign for a domain (RFC 6376 §3.6): which there are, and which of them sign now.
//!
//! | state | its record in the DNS | it signs |
//! |---|---|---|
//! | published | is being put there | no: nobody could verify what it signed |
//! | active | is there | yes, with all others that are |
//! | retiring | is still there, for mail that is on its way | no |
//!
//! A name in the DNS holds one key (RFC 6376 §3.6.2.2), so that a key is known by its selector alone.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::UtcTime;

/// Keys of one domain.
pub const KEYS: usize = 16;
/// Of these, keys that sign: each is one more signature on every message, and verifiers look at few.
pub const ACTIVE_KEYS: usize = 4;
/// Octets of a selector.
pub const SELECTOR: usize = 63;

/// A key of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainKey {
    /// What it signs with.
    pub algorithm: KeyAlgorithm,
    /// Whether it signs.
    pub state: KeyState,
    /// When it was made, or came to us.
    pub created: UtcTime,
    /// Since when it has been in this state.
    pub since: UtcTime,
    /// The key.
    pub private_key: PrivateKey,
}

/// What a key signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeyAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 6376 §3.3.1).
    #[serde(rename = "rsa-sha256")]
    RsaSha256,
    /// Ed25519 over a SHA-256 (RFC 8463 §3).
    #[serde(rename = "ed25519-sha256")]
    Ed25519Sha256,
}

impl KeyAlgorithm {
    /// All.
    pub const ALL: [Self; 2] = [Self::RsaSha256, Self::Ed25519Sha256];

    /// The word for it in `a=` (RFC 6376 §3.5).
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa-sha256",
            Self::Ed25519Sha256 => "ed25519-sha256",
        }
    }

    /// The word for its keys in `k=` of their records (RFC 6376 §3.6.1, RFC 8463 §4).
    pub const fn kind(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa",
            Self::Ed25519Sha256 => "ed25519",
        }
    }
}

/// What is done with a key; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Its record is being put into the DNS.
    Published,
    /// It signs.
    Active,
    /// It has signed.
    Retiring,
}

impl KeyState {
    /// Its name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Active => "active",
            Self::Retiring => "retiring",
        }
    }
}

/// A private key: PKCS#8 (RFC 5958 §2) in base64. It does not show in `Debug`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PrivateKey(String);

impl PrivateKey {
    /// Wraps it.
    pub fn new(base64: String) -> Self {
        Self(base64)
    }

    /// The text itself, for whoever signs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
