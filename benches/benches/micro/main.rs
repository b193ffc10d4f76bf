//! How fast the parts are that every octet or every account goes through: figures, never tests. Each bench tells how many octets or
//! items it gets through, and what it allocates.
//!
//! ```text
//! cargo bench -p fulmar-benches --bench micro [PART OF A NAME]
//! ```

#![expect(clippy::unwrap_used, reason = "what is measured is made here, and a failure ends the program")]

mod chains;
mod commands;
mod content;
mod segments;
mod signatures;

use divan::AllocProfiler;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}
