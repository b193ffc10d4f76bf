//! DomainKeys Identified Mail: signatures of domains over header fields and body (RFC 6376, RFC 8301, RFC 8463).
//!
//! A message is never held for its signatures: [`body_methods`] tells from the header block how its body is to be hashed, a [`BodyHasher`]
//! does so while the body streams by, and [`verify`] needs the header block and the [`BodyHashes`] alone. [`sign`] takes the same two, and so
//! do the chains of `arc`, which are made of the same parts: [`TagList`], [`Canonicalization`], [`Keys`].
//!
//! Why the formats are read here, on ring, and not by mail-auth: that crate reads a number it does not understand as one that is absent, so
//! that a signature with a garbled `x=` never expires and `l=0` is no limit at all; of tags that come twice it takes the last; it looks at
//! the system's clock; and it verifies against caches that have to be filled with what it will ask for, which takes a parser of our own anyway.
//! What is left after that is little: two canonicalisations, and two calls of ring.
//!
//! Bounds: [`SIGNATURE_LIMIT`] signatures of a message are looked at, each costing one look-up and one verification; lists of tags and key
//! records have theirs. What a signature names is found through an index of the header block, so that a long `h=` costs no more than its length.

mod author;
mod body;
mod canonical;
mod field_writer;
mod flaw;
mod header;
mod key;
mod key_generation;
mod key_import;
mod publication;
mod renewal;
mod sign;
mod signature;
mod signing_key;
mod tags;
#[cfg(test)]
pub(in crate::authn) mod testing;
#[cfg(test)]
mod tests;
mod verify;

pub use author::has_signature_of;
pub use body::{BodyHash, BodyHasher, BodyHashes, BodyMethod};
pub use canonical::Canonicalization;
pub use flaw::Flaw;
pub use key_generation::{generate_ed25519, generate_rsa};
pub use key_import::private_key_from_pem;
pub use publication::{NotPublished, check_publication};
pub use renewal::{Encodings, renew, signers};
pub use sign::{Signatory, sign};
pub use signature::{Algorithm, Claim};
pub use signing_key::{SigningError, SigningKey};
pub use tags::TagError;
pub use verify::{DkimReport, SIGNATURE_LIMIT, Verified, body_methods, verify};

pub(in crate::authn) use field_writer::FieldWriter;
pub(in crate::authn) use header::Header;
pub(in crate::authn) use key::Keys;
pub(in crate::authn) use sign::signed_names;
pub(in crate::authn) use signature::{Proof, Signature};
pub(in crate::authn) use tags::TagList;
