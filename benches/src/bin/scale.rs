//! How Fulmar grows: clusters of up to a thousand nodes in the simulator, on a store as slow as S3, and what they carry and cost.
//! `--help` says what can be asked for.

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use clap::Parser;
use fulmar_benches::scale::{Cell, Mail, measure_all, picture, table, window};

/// Simulates clusters, and prints what they carry and cost.
#[derive(Debug, Parser)]
struct Options {
    /// How many nodes, for each cluster.
    #[arg(long, value_delimiter = ',', default_value = "1,3,10,30,100,300,1000")]
    nodes: Vec<NonZeroUsize>,
    /// Only where mail goes so; both else.
    #[arg(long, value_enum)]
    mail: Option<Mail>,
    /// Seconds of mail before anything is measured, in virtual time. More for small clusters than for large ones else.
    #[arg(long)]
    warm_up: Option<u64>,
    /// Seconds that are measured, in virtual time. More for small clusters than for large ones else.
    #[arg(long)]
    seconds: Option<u64>,
    /// Clients of each node.
    #[arg(long, default_value_t = 5)]
    sessions: usize,
    /// Octets of a message.
    #[arg(long, default_value_t = 2_048)]
    octets: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clusters that are simulated at a time; one of a thousand nodes takes some 3 GB. As many as there are cores else.
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Where to draw a picture.
    #[arg(long)]
    svg: Option<PathBuf>,
}

fn main() -> ExitCode {
    match measure(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("messages that were answered 250 are in no mailbox");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures, prints, draws; false where something was lost.
fn measure(options: &Options) -> io::Result<bool> {
    let Options { nodes, mail, warm_up, seconds, sessions, octets, seed, jobs, svg } = options;
    let began = Instant::now();
    let cell = |nodes: &NonZeroUsize, mail: Mail| Cell {
        nodes: nodes.get(),
        mail,
        sessions: *sessions,
        octets: *octets,
        warm_up: warm_up.map_or_else(|| mail.warm_up(nodes.get()), Duration::from_secs),
        window: seconds.map_or_else(|| window(nodes.get()), Duration::from_secs),
        seed: *seed,
    };
    let mails = mail.map_or_else(|| vec![Mail::Apart, Mail::Mixed], |mail| vec![mail]);
    let cells: Vec<Cell> =
        mails.into_iter().flat_map(|mail| nodes.iter().map(move |nodes| cell(nodes, mail))).collect();
    let jobs = jobs.map_or_else(thread::available_parallelism, Ok)?;
    let measurements = measure_all(&cells, jobs.get());
    print!("{}", table(&measurements));
    println!("took      {:.0} s, {jobs} clusters at a time", began.elapsed().as_secs_f64());
    if let Some(file) = svg {
        fs::write(file, picture(&measurements))?;
    }
    Ok(measurements.iter().all(|it| it.figures.undelivered == 0))
}
