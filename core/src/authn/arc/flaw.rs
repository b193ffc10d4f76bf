//! Why a chain does not hold.

use crate::authn::dkim::Flaw;

/// Sets that a message may have (RFC 8617 §4.2.1).
pub const INSTANCE_LIMIT: u8 = 50;

/// Why a chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArcFlaw {
    /// A field has no number, or none that can be read.
    #[error("a field without an instance")]
    Instance,
    /// There are more sets than there may be.
    #[error("more than {INSTANCE_LIMIT} sets")]
    TooLong,
    /// Fields are missing, or there twice.
    #[error("set {0} is not one of each of its three fields")]
    Incomplete(u8),
    /// A seal says of the chain before it what cannot be.
    #[error("seal {0} has a wrong cv=")]
    ChainValidation(u8),
    /// Somebody has found it broken already.
    #[error("the last seal says that the chain is broken")]
    FoundBroken,
    /// The newest message signature does not hold.
    #[error("the newest message signature: {0}")]
    MessageSignature(Flaw),
    /// A seal does not hold.
    #[error("a seal: {0}")]
    Seal(Flaw),
}

impl ArcFlaw {
    /// Whether another attempt may find otherwise: a key could not be looked up.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::MessageSignature(Flaw::KeyUnavailable(_)) | Self::Seal(Flaw::KeyUnavailable(_)))
    }
}
