//! What the tests of whole engines have in common.

#![forbid(unsafe_code)]

pub mod client;
pub mod node;
