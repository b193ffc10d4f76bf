//! What is measured of Fulmar alone.

use std::path::Path;
use std::time::{Duration, Instant};

use fulmar_tests::Fallible;
use fulmar_tests::case::{PATIENCE, jobs, read_back, site};
use fulmar_tests::clients::send_by_smtplib;
use fulmar_tests::corpus::with_attachment;
use fulmar_tests::ledger::Ledger;
use fulmar_tests::process::{LogLine, free_address};

use crate::round::mebibytes;
use crate::spread::Spread;

const LARGE_CLIENTS: usize = 20;
const LARGE_SIZE: usize = 25 << 20;
const COLD_STARTS: usize = 20;
const KINDS: [&str; 6] = ["put", "get", "head", "list", "delete", "copy"];

/// What a server asked of its store in its whole life.
#[derive(Debug)]
pub(crate) struct Requests {
    counts: [f64; KINDS.len()],
    accepted: f64,
    delivered: f64,
}

impl Requests {
    /// From the `statistics` that a server logs when it stops.
    pub(crate) fn from_log(log: &[LogLine]) -> Fallible<Self> {
        let statistics = log.iter().rev().find(|line| line.fields["event"] == "statistics");
        let fields = &statistics.ok_or("the server logged no statistics")?.fields;
        let number =
            |value: &serde_json::Value| value.as_f64().ok_or_else(|| format!("incomplete: {fields}"));
        let mut counts = [0.0; KINDS.len()];
        for (count, kind) in counts.iter_mut().zip(KINDS) {
            *count = number(&fields["store"][kind])?;
        }
        Ok(Self { counts, accepted: number(&fields["accepted"])?, delivered: number(&fields["delivered"])? })
    }
}

/// Store requests for each message, over the rounds.
pub(crate) fn print_requests(rounds: &[Requests]) {
    println!("\nStore requests of Fulmar under the same load, median (range) of the rounds:");
    print_row("accepted", rounds, |round| round.accepted);
    print_row("delivered", rounds, |round| round.delivered);
}

fn print_row(name: &str, rounds: &[Requests], messages: impl Fn(&Requests) -> f64) {
    let all = Spread::of(rounds.iter().map(|round| round.counts.iter().sum::<f64>() / messages(round)));
    let each = KINDS.iter().enumerate().filter_map(|(at, kind)| {
        let spread = Spread::of(rounds.iter().map(|round| round.counts[at] / messages(round)))?;
        Some(format!("{kind} {:.4}", spread.median))
    });
    if let Some(all) = all {
        println!("per {name} message  {all:.4}: {}", each.collect::<Vec<_>>().join(", "));
    }
}

/// Memory while many clients send large messages at a time. All of them must be stored as they were sent.
pub(crate) fn print_large_messages(program: &Path) -> Fallible<()> {
    let mut ledger = Ledger::default();
    let site = site(program)?;
    let server = site.serve(free_address()?)?;
    let jobs = jobs(&site, &mut ledger, "large", LARGE_CLIENTS, |dice, _| with_attachment(dice, LARGE_SIZE))?;
    let started = Instant::now();
    send_by_smtplib(&jobs, server.address(), LARGE_CLIENTS, PATIENCE, |answer| ledger.answer(answer))?;
    let sent = started.elapsed();
    read_back(&site, ledger)?;
    let peak = mebibytes(server.peak_memory()?);
    println!(
        "\n{LARGE_CLIENTS} clients that send {} each at a time, in {sent:.1?}:",
        mebibytes(LARGE_SIZE as u64)
    );
    println!("peak resident set  {peak}");
    Ok(())
}

/// From the start of the process, on a store that exists, until a client has read the greeting.
pub(crate) fn print_cold_start(program: &Path) -> Fallible<()> {
    let site = site(program)?;
    let mut starts = Vec::new();
    for _ in 0..COLD_STARTS {
        let server = site.serve(free_address()?)?;
        starts.push(server.first_greeting()?);
        server.stop()?;
    }
    if let Some(spread) =
        Spread::of(starts.iter().map(Duration::as_secs_f64).map(|seconds| seconds * 1_000.0))
    {
        println!("\nCold start to the first 220, {COLD_STARTS} times:\n{spread:.1} ms");
    }
    Ok(())
}
