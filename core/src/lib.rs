//! Fulmar's engine: the mail protocols, the queue, the mailboxes and the policy between them.
//!
//! This crate is deterministic. It picks no executor, opens no listener, reads no clock and draws no random number:
//! whatever it learns of the world comes through the six doors of [`platform`]. A whole engine can therefore run
//! under a simulator, and the same seed gives the same run.
//!
//! Modules have ranks and import only lower ones (the structure test in `tests/` holds them to it):
//!
//! | rank | modules |
//! |---|---|
//! | 0 | [`model`]: plain values |
//! | 1 | [`platform`]: the doors; [`config`]: settings as types that cannot be wrong |
//! | 2 | [`sasl`]: credentials and mechanisms |
//! | 3 | [`smtp`], [`pop3`]: bytes in, bytes and questions out |
//! | 4 | [`transport`]: TLS and the PROXY header; [`resolver`]: names, by asking name servers; [`state`]: frames, logs, chains, and the names of objects in the store |
//! | 5 | [`conversation`]: drives a rank 3 session over a stream, with deadlines; [`http`]: a client of HTTP; [`authn`]: who mail is from |
//! | 6 | [`queue`], [`mailbox`], [`directory`], [`policy`], [`delivery`] |
//! | 7 | [`service`]: reception, access, local delivery, relay, reports, maintenance |
//! | 8 | [`engine`], [`admin`]: wiring, and plain values for the command line |

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod admin;
pub mod authn;
pub mod config;
pub mod conversation;
pub mod delivery;
pub mod directory;
pub mod engine;
pub mod http;
pub mod mailbox;
pub mod model;
pub mod platform;
pub mod policy;
pub mod pop3;
pub mod queue;
pub mod resolver;
pub mod sasl;
pub mod service;
pub mod smtp;
pub mod state;
pub mod transport;
