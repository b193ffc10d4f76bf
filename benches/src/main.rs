//! Measures Fulmar beside other servers, prints the figures, keeps them, and judges them. `benches/run` starts what this needs.

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

mod cells;
mod compare;
mod generator;
mod report;
mod requests;
mod round;
mod servers;
mod solo;
mod stores;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use fulmar_benches::{process_tree, spread};
use fulmar_core::admin::prices::assumptions;
use fulmar_tests::Fallible;

use cells::{Flow, Plan};
use report::{Peer, Run, csv, floors, svg, table};
use servers::{Haraka, Setup, recipients};

/// What `benches/run` passes on, and where it has put what it started.
#[derive(Debug, Parser)]
#[command(name = "benches/run", about = "Measures Fulmar beside Postfix, Haraka and smtp-sink")]
struct Options {
    /// Rounds of each comparison.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// At most so many messages in each round, where that is less than the cells have.
    #[arg(long)]
    messages: Option<usize>,
    /// Also sizes from 2 KiB to 1 MiB and 1 to 1,000 sessions, with one message a connection and with many.
    #[arg(long)]
    full: bool,
    /// Only these cells, by their names; `alone` is what is measured of Fulmar alone.
    #[arg(long, value_delimiter = ',')]
    cells: Vec<String>,
    #[arg(long, hide = true)]
    fulmar: PathBuf,
    /// The folder of a running Postfix.
    #[arg(long, hide = true)]
    postfix: PathBuf,
    /// The program that starts a Haraka.
    #[arg(long, hide = true)]
    haraka: PathBuf,
    /// The folder of Haraka's modules.
    #[arg(long, hide = true)]
    haraka_modules: PathBuf,
    /// Why there are none.
    #[arg(long, hide = true)]
    no_haraka: Option<String>,
    /// What is measured.
    #[arg(long, hide = true)]
    commit: String,
    /// Where the figures, the settings and the picture go.
    #[arg(long, hide = true)]
    output: PathBuf,
}

/// What names the measurements of Fulmar alone.
const ALONE: &str = "alone";

fn main() -> ExitCode {
    let options = Options::parse();
    match measure(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every floor holds.
fn measure(options: Options) -> Fallible<bool> {
    let (plans, with_alone) = chosen(&options)?;
    let haraka = match options.no_haraka {
        Some(why) => Err(why),
        None => Ok(Haraka::new(options.haraka, options.haraka_modules)),
    };
    let setup = Setup { fulmar: options.fulmar, postfix: options.postfix, haraka };
    let mut run = Run::default();
    println!("\ncell                 round  server       accepted/s delivered/s CPU s per 1,000");
    for plan in &plans {
        run.cells.push(compare::compare(&setup, plan, options.rounds as usize));
    }
    let mut remarks = Vec::new();
    if with_alone {
        (run.alone, remarks) = solo::measure(&setup);
    }
    for cell in &run.cells {
        println!("\n{}", table::cell(cell));
    }
    if with_alone {
        println!("\nFulmar alone, median (range):\n{}{}", table::alone(&run), remarks.join("\n"));
    }
    println!("\nCosts: {}\n", assumptions());
    let settings = loads(&plans) + &settings(&setup, &plans);
    println!("{settings}");

    fs::create_dir_all(&options.output)?;
    let keep = |extension: &str, content: String| -> Fallible<()> {
        let file = options.output.join(&options.commit).with_extension(extension);
        fs::write(&file, content)?;
        println!("wrote {}", file.display());
        Ok(())
    };
    keep("txt", settings)?;
    keep("csv", csv::csv(&run))?;
    keep("svg", svg::svg(&run, &format!("Fulmar {} beside other servers", options.commit)))?;

    println!("\nFloors:");
    let verdicts = floors::judge(&run, with_alone);
    verdicts.iter().for_each(|verdict| println!("{verdict}"));
    Ok(verdicts.iter().all(floors::Verdict::holds))
}

/// The cells to be measured, and whether Fulmar is measured alone as well.
fn chosen(options: &Options) -> Fallible<(Vec<Plan>, bool)> {
    let mut plans = cells::telling();
    if options.full || !options.cells.is_empty() {
        plans.extend(cells::further());
    }
    // Postfix keeps processes for a while that it once needed, and they would be counted with the memory of whatever comes next.
    plans.sort_by_key(|plan| plan.load.sessions);
    for plan in &mut plans {
        plan.load.messages = plan.load.messages.min(options.messages.unwrap_or(usize::MAX));
    }
    if options.cells.is_empty() {
        return Ok((plans, true));
    }
    let is_known = |name: &String| name == ALONE || plans.iter().any(|plan| plan.name == *name);
    if let Some(unknown) = options.cells.iter().find(|name| !is_known(name)) {
        let known: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
        return Err(format!("no cell {unknown}; there are {ALONE}, {}", known.join(", ")).into());
    }
    plans.retain(|plan| options.cells.contains(&plan.name));
    Ok((plans, options.cells.iter().any(|name| name == ALONE)))
}

/// What the load generator was told for each cell, by which every peer was measured.
fn loads(plans: &[Plan]) -> String {
    let line = |Plan { name, flow, load, .. }: &Plan| {
        let arguments = generator::arguments(*load, &recipients(*flow)).join(" ");
        format!("  {name}: load {arguments}; warm-up: {} messages\n", load.warm_up().messages)
    };
    format!(
        "Loads, each after a warm-up that does not count:\n{}",
        plans.iter().map(line).collect::<String>()
    )
}

/// All that each peer was told, once for each way in which it was used.
fn settings(setup: &Setup, plans: &[Plan]) -> String {
    let mut used: BTreeMap<(Peer, bool), Flow> = BTreeMap::new();
    for plan in plans {
        for peer in &plan.peers {
            // Only Fulmar is told different things.
            let is_relay = plan.flow == Flow::Relay && matches!(peer, Peer::Fulmar | Peer::FulmarOnS3);
            used.entry((*peer, is_relay)).or_insert(plan.flow);
        }
    }
    let section = |((peer, is_relay), flow): ((Peer, bool), Flow)| {
        let settings = match setup.missing(peer) {
            Some(missing) => missing,
            None => setup
                .start(peer, flow)
                .and_then(|server| server.settings())
                .unwrap_or_else(|error| format!("cannot be told: {error}")),
        };
        let how = if is_relay { ", relaying" } else { "" };
        format!("\nSettings of {}{how}:\n{}\n", <&str>::from(peer), indented(&settings))
    };
    used.into_iter().map(section).collect()
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
