//! Drives an SMTP server and prints one JSON object on how it answered; `--help` says what can be asked for.

// Printing is what this program is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use clap::Parser;
use fulmar_benches::load::{self, options::Options};

/// Of a run that could not begin.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    match load::run(&Options::parse()) {
        Ok(json) => {
            println!("{json}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::from(WRONG_USAGE)
        }
    }
}
