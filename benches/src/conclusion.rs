//! How a program ends that has measured.

// Printing is what it is for.
#![allow(clippy::print_stdout)]

use std::fmt::Display;
use std::process::ExitCode;

use fulmar_tests::Fallible;

/// Prints what was measured and what is wrong with it, or why nothing was. Fails unless all is well.
pub fn conclude<F: Display>(measured: Fallible<F>, faults: impl FnOnce(&F) -> Vec<String>) -> ExitCode {
    match measured {
        Ok(figures) => {
            println!("{figures}");
            let faults = faults(&figures);
            faults.iter().for_each(|fault| println!("FAULT: {fault}"));
            if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
