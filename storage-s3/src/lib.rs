//! Fulmar's [`Store`](fulmar_core::platform::Store) over the object_store crate: a local directory, or memory.
//!
//! | module | what it holds |
//! |---|---|
//! | `adapter` | what both have in common: keys, payloads, results and errors, theirs to ours and back |
//! | `directory` | [`DirectoryStore`]: objects as files, durable, away from the executor's threads |
//! | `memory` | [`MemoryStore`]: for tests and trials |

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod adapter;
mod directory;
mod memory;

pub use directory::{DirectoryStore, OpenError};
pub use memory::MemoryStore;

/// Objects on one page of a listing, as S3 gives them.
const PAGE_OBJECTS: usize = 1_000;
