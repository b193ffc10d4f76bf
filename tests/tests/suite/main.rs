//! Everything that needs no network, no other program and no extra package, as one binary.

#![cfg(test)]

mod authentication;
mod bounces;
mod collection;
mod contract;
mod crash;
mod dns;
mod domain_keys;
mod drain;
mod end_to_end;
mod forwarding;
mod fsck;
mod fuzz;
mod hostile;
mod http;
mod large_queue;
mod model;
mod no_tokio;
mod options;
mod overload;
mod pickup;
mod policy;
mod pop3;
mod proxy;
mod relay;
mod replay;
mod s3;
mod servers;
mod signing;
mod simulation;
mod simulator;
mod structure;
mod submission;
mod tls;
mod transcripts;
mod verification;
