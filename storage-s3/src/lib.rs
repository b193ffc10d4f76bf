//! Fulmar's [`Store`](fulmar_core::platform::Store) over the object_store crate: a local directory, memory, or S3.
//!
//! | module | what it holds |
//! |---|---|
//! | `adapter` | what both have in common: keys, payloads, results and errors, theirs to ours and back |
//! | `directory` | [`DirectoryStore`]: objects as files, durable, away from the executor's threads |
//! | `memory` | [`MemoryStore`]: for tests and trials |
//! | `s3` | [`S3Store`]: a bucket, over core's HTTP client |

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod adapter;
mod directory;
mod memory;
mod s3;

pub use directory::{DirectoryStore, OpenError};
pub use memory::MemoryStore;
pub use s3::{Environment, S3Credentials, S3OpenError, S3Settings, S3Store};

/// Objects on one page of a listing, as S3 gives them.
const PAGE_OBJECTS: usize = 1_000;
