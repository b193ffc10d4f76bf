//! DomainKeys Identified Mail: signatures of domains over header fields and body (RFC 6376, RFC 8301, RFC 8463).
//!
//! A message is never held for its signatures: a [`BodyHasher`] hashes its body while it streams by.

mod body;
mod canonical;

pub use body::{BodyHash, BodyHashes, BodyHasher, BodyMethod};
pub use canonical::Canonicalization;
