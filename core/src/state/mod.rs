//! What stands in the store (rank 4): the names of objects, their frame, the spool's logs, the chains of accounts and
//! domains. One file per persisted kind.

pub mod account;
pub mod beat;
pub mod chain;
pub mod chains;
pub mod collect;
pub mod content;
pub mod contract;
pub mod domain;
mod error;
pub mod format;
pub mod frame;
pub mod health;
pub mod layout;
pub mod lock;
pub mod log;
mod meter;
mod metered;
pub mod now;
pub mod order;
pub mod owner;
pub mod pickup;
pub mod probe;
pub mod reports;
pub mod requests;
pub mod sweep_mark;
pub mod turns;

pub use error::StateError;

/// How long what nobody needs any more stays, by the store's clock: whoever has it in hand still is done with it by then.
pub const GRACE: std::time::Duration = std::time::Duration::from_hours(24);
