//! `fulmar`: the server and its tools, one binary.
//!
//! | module | what it holds |
//! |---|---|
//! | `arguments` | what may be typed |
//! | `config` | settings from a file and from variables |
//! | `certificates` | certificates in files |
//! | `commands` | what each command does |
//! | `http` | pages about this node |
//! | `output` | tables and JSON lines on standard output |
//! | `logging` | events on standard error |
//! | `failure` | exit codes |

#![forbid(unsafe_code)]

mod arguments;
mod certificates;
mod commands;
mod config;
mod failure;
mod http;
mod logging;
mod output;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;

fn main() -> ExitCode {
    match commands::run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Without standard error there is nowhere left to say it.
            let _ = write!(std::io::stderr(), "{failure}");
            failure.exit_code()
        }
    }
}
