//! Mailboxes (rank 6): delivery into accounts, reading from them, and deletion.

mod content;
mod deliver;
mod expunge;
mod read;

pub(crate) use content::read_part;
pub use deliver::{Letter, Mailboxes};
pub use read::{Listing, MessageReader, ReadError, Snapshot};
