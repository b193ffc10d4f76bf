//! Offers a Fulmar on one core more mail than it can take, from another core, and tells what it does. Exits 1 where its rate falls, its
//! memory grows, a promise is broken, or nobody is refused early. `--help` says what can be asked for.
//!
//! ```text
//! cargo build --release -p fulmar -p fulmar-benches && target/release/overload
//! ```

use std::process::ExitCode;

use clap::Parser;
use fulmar_benches::conclude;
use fulmar_benches::overload::{Figures, Options, measure};

fn main() -> ExitCode {
    conclude(measure(&Options::parse()), Figures::faults)
}
