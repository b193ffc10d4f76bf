//! An SMTP server that counts what it is given; `--help` says how it can answer.
//!
//! The first line that it prints is `listening ADDRESS`; those after it are its counts, each a JSON object.

// Printing is what this program is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::thread;

use async_signal::{Signal, Signals};
use clap::Parser;
use fulmar_benches::load::sink::{Options, Sink};
use futures::StreamExt;
use rustix::fs::{FileType, fstat};
use smol::future::or;

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sink: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> io::Result<()> {
    async_io::block_on(async {
        let mut signals = Signals::new([Signal::Term, Signal::Int])?;
        let sink = Sink::listen(options)?;
        println!("listening {}", sink.address()?);
        let end = or(async move { drop(signals.next().await) }, end_of_input());
        sink.serve(end, |counts| print_line(&counts.to_json().to_string())).await;
        Ok(())
    })
}

/// Each line at once, also into a pipe. Who reads no more is served all the same.
fn print_line(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// Done when whoever holds the other end of a pipe into this process has closed it, as their end does. Input of any other
/// kind never ends: a shell's background job has no input, and is meant to run.
async fn end_of_input() {
    if !fstat(io::stdin()).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_fifo()) {
        return std::future::pending().await;
    }
    let (sender, ended) = async_channel::bounded::<()>(1);
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
        drop(sender);
    });
    let _ = ended.recv().await;
}
