//! Mailboxes (rank 6): delivery into accounts, and reading from them.

mod content;
mod deliver;
mod read;

pub use deliver::{Letter, Mailboxes};
pub use read::{Listing, MessageReader, ReadError};
