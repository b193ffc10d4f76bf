//! What the tests have in common: whole engines in this process and clients that misbehave towards them, and a harness
//! for real processes, which starts servers, sends by real clients, and keeps a ledger of what clients were told against
//! what mailboxes hold.

#![forbid(unsafe_code)]

pub mod case;
pub mod client;
pub mod clients;
pub mod clock;
pub mod corpus;
pub mod dice;
pub mod faults;
pub mod ledger;
pub mod ledger_run;
pub mod node;
pub mod pop3_client;
pub mod process;
pub mod runtime;
pub mod sim;
pub mod small_disk;
pub mod tokio_runtime;
pub mod zone;

/// What a step of the harness gives, or why it could not be done.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
