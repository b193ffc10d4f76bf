//! Mailboxes (rank 6): delivery into accounts, and reading from them.

mod content;
mod deliver;
mod read;

pub use content::{ContentError, read_part, read_piece};
pub use deliver::{Letter, Mailboxes};
pub use read::{Listing, MessageReader, ReadError};
