//! Offers a Fulmar on one core more mail than it can take, from another core, and tells what it does. Exits 1 where its rate falls, its
//! memory grows, a promise is broken, or nobody is refused early. `--help` says what can be asked for.
//!
//! ```text
//! cargo build --release -p fulmar -p fulmar-benches && target/release/overload
//! ```

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use clap::Parser;
use fulmar_benches::overload::{Options, measure};

fn main() -> ExitCode {
    match measure(&Options::parse()) {
        Ok(figures) => {
            println!("{figures}");
            let faults = figures.faults();
            faults.iter().for_each(|fault| println!("FAULT: {fault}"));
            if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
