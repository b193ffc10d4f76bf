//! Sends a Fulmar a thousand large messages at once, each with a signature that is verified, and tells how its memory grows. Exits 1 where it
//! goes on growing while content comes, or where not every message was accepted and verified. `--help` says what can be asked for.
//!
//! ```text
//! cargo build --release -p fulmar -p fulmar-benches && target/release/large
//! ```

use std::process::ExitCode;

use clap::Parser;
use fulmar_benches::conclude;
use fulmar_benches::large::{Figures, Options, measure};

fn main() -> ExitCode {
    conclude(measure(&Options::parse()), Figures::faults)
}
