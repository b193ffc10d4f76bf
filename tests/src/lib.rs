//! Fulmar's harness for real processes: it starts servers, sends by real clients, and keeps a ledger of what clients
//! were told against what mailboxes hold.

#![forbid(unsafe_code)]

pub mod case;
pub mod clients;
pub mod corpus;
pub mod dice;
pub mod ledger;
pub mod ledger_run;
pub mod process;

/// What a step of the harness gives, or why it could not be done.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
