//! Authenticated Received Chain: what each forwarder found when a message came to it, sealed so that the next one can tell (RFC 8617).
//!
//! A set is three fields with one number: what was found (ARC-Authentication-Results), a signature of the message as it left
//! (ARC-Message-Signature), and a seal over all sets so far (ARC-Seal). Fields, keys and hashes are those of [`dkim`](super::dkim).
//!
//! A chain says who handled a message, not whether any of them tells the truth: what follows from it is for the configuration to say.

mod chain;
mod flaw;
mod renewal;
mod seal;
mod set;
#[cfg(test)]
mod tests;
mod verify;

pub use flaw::{ArcFlaw, INSTANCE_LIMIT};
pub use renewal::{newest_sealer, renew};
pub use seal::seal;
pub use verify::{ArcReport, Sealed, body_method, verify};
