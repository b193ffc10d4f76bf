//! Measures what a Fulmar's accept rate is with strangers verified, and with what users submit signed, against the rate without. Exits 1 where
//! not everything was accepted, where what is stored does not bear its results and signatures, or where they cost more than they may.
//! `--help` says what can be asked for.
//!
//! ```text
//! cargo build --release -p fulmar -p fulmar-benches && target/release/authentication
//! ```

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use clap::Parser;
use fulmar_benches::authentication::{Figures, Options, measure};
use fulmar_benches::conclude;

fn main() -> ExitCode {
    let tell = |line: &str| println!("{line}");
    conclude(measure(&Options::parse(), tell), Figures::faults)
}
