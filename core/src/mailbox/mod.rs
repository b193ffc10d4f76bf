//! Mailboxes (rank 6): delivery into accounts, reading from them, and deletion.

mod deliver;
mod expunge;
mod read;

pub use deliver::{Letter, Mailboxes};
pub use read::{Listing, MessageReader, ReadError, Snapshot};
