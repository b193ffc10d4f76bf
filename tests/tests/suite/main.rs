//! Everything that needs no network, no other program and no extra package, as one binary.

#![cfg(test)]

mod bounces;
mod contract;
mod crash;
mod dns;
mod hostile;
mod http;
mod pop3;
mod s3;
mod servers;
mod structure;
mod transcripts;
