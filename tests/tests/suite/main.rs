//! Everything that needs no network, no other program and no extra package, as one binary.

#![cfg(test)]

mod bounces;
mod collection;
mod contract;
mod crash;
mod dns;
mod end_to_end;
mod fsck;
mod hostile;
mod http;
mod no_tokio;
mod pop3;
mod relay;
mod s3;
mod servers;
mod simulator;
mod structure;
mod transcripts;
