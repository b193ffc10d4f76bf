//! Everything that needs no network, no other program and no extra package, as one binary.

#![cfg(test)]

mod contract;
mod crash;
mod structure;
mod transcripts;
