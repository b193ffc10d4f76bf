//! Why a signature does not count, and what that is called.

use super::TagError;
use super::key::{LONGEST_RSA, SHORTEST_RSA};
use crate::model::verdict::DkimResult;

/// What is wrong with a signature. Its text tells the sender what to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Its field cannot be read.
    #[error("{0}")]
    Tags(TagError),
    /// A tag that must be there is not, or is empty.
    #[error("no tag {0}=")]
    Missing(&'static str),
    /// A tag's value cannot be read.
    #[error("the value of {0}= is malformed")]
    Malformed(&'static str),
    /// A tag's value asks for something that is not known here: a version, an algorithm.
    #[error("the value of {0}= is not supported")]
    Unsupported(&'static str),
    /// The author's address is not signed (RFC 6376 §5.4).
    #[error("the field From is not signed")]
    FromNotSigned,
    /// `i=` is not within `d=` (RFC 6376 §3.5).
    #[error("the identity in i= is not of the domain in d=")]
    ForeignIdentity,
    /// `x=` has passed.
    #[error("the signature has expired")]
    Expired,
    /// `t=` has not come yet.
    #[error("the signature is from the future")]
    FromTheFuture,
    /// It is made with SHA-1 (RFC 8301 §3.1).
    #[error("the signature is made with rsa-sha1")]
    Historic,
    /// The body is not the one that was signed.
    #[error("the body has been altered")]
    BodyAltered,
    /// The body has fewer octets than `l=` says (RFC 6376 §3.5).
    #[error("the body is shorter than l=")]
    BodyCut,
    /// Header fields are not those that were signed, or another key has signed.
    #[error("the signature does not verify")]
    Signature,
    /// The key could not be looked up this time.
    #[error("the key cannot be looked up: {0}")]
    KeyUnavailable(String),
    /// There is no key where the signature says.
    #[error("there is no key")]
    NoKey,
    /// The key's record cannot be read.
    #[error("the key record is malformed: {0}")]
    KeyMalformed(Box<Flaw>),
    /// The key has been withdrawn (RFC 6376 §3.6.1).
    #[error("the key has been revoked")]
    KeyRevoked,
    /// The key is for other algorithms, other services or not for subdomains (RFC 6376 §3.6.1).
    #[error("the key is not for this: see its tag {0}=")]
    KeyForOthers(&'static str),
    /// The RSA key is too short (RFC 8301 §3.2).
    #[error("the key has {0} bits; at least {SHORTEST_RSA} are needed")]
    KeyShort(usize),
    /// The RSA key is longer than can be verified.
    #[error("the key has {0} bits; at most {LONGEST_RSA} are supported")]
    KeyLong(usize),
}

impl Flaw {
    /// The word for it (RFC 8601 §2.7.1).
    pub fn result(&self) -> DkimResult {
        match self {
            Self::Tags(_)
            | Self::Missing(_)
            | Self::Malformed(_)
            | Self::Unsupported(_)
            | Self::FromNotSigned
            | Self::ForeignIdentity
            | Self::Expired
            | Self::FromTheFuture => DkimResult::Neutral,
            Self::BodyAltered | Self::BodyCut | Self::Signature => DkimResult::Fail,
            Self::Historic | Self::KeyShort(_) => DkimResult::Policy,
            Self::KeyUnavailable(_) => DkimResult::TempError,
            Self::NoKey
            | Self::KeyMalformed(_)
            | Self::KeyRevoked
            | Self::KeyForOthers(_)
            | Self::KeyLong(_) => DkimResult::PermError,
        }
    }
}

impl From<TagError> for Flaw {
    fn from(error: TagError) -> Self {
        Self::Tags(error)
    }
}
