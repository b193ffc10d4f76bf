//! Scenarios in the simulator: runs many seeds and tells the first that breaks an invariant, or replays one.
//!
//! `sim [--seeds N] [--from S] [--profile P] [--faults a,b,c|none] [--jobs J] [--until-failure]`
//! `sim --mutant NAME [--seeds N]`
//! `sim --seed S [--trace|--steps] [--profile P] [--faults a,b,c|none]`

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::thread;

use fulmar_tests::Fallible;
use fulmar_tests::world::{
    DOOR_MUTANTS, Fault, Profile, Runs, Tally, parse_list, plain_doors, reasons, run, thousand, timeline,
};

const USAGE: &str = "sim [--seeds N] [--from S] [--profile P] [--faults a,b,c|none] [--jobs J] [--until-failure]\n\
                     sim --mutant NAME [--seeds N]\n\
                     sim --seed S [--trace|--steps] [--profile P] [--faults a,b,c|none]";
/// The profile that is none of [`Profile::ALL`].
const THOUSAND: &str = "thousand";
/// Seeds that are run where nobody says how many.
const SEEDS: u64 = 100;
/// Violations of one seed that are told.
const SHOWN: usize = 10;
/// Failed seeds that are named.
const NAMED: usize = 20;

struct Order {
    seed: Option<u64>,
    /// What happened to each message is told.
    is_traced: bool,
    /// What the doors noted is told.
    is_stepwise: bool,
    /// A thousand nodes that come for a moment, instead of a profile.
    is_thousand: bool,
    runs: Runs,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| matches!(argument.as_str(), "-h" | "--help")) {
        println!(
            "{USAGE}\n\nprofiles: {}\nfaults: {}",
            profiles().join(", "),
            names(&Fault::ALL.iter().copied().collect())
        );
        return ExitCode::SUCCESS;
    }
    let order = match parse(&arguments) {
        Ok(order) => order,
        Err(error) => {
            println!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let is_clean = match order.seed {
        _ if order.is_thousand => {
            println!("{}", thousand(order.seed.unwrap_or(order.runs.from)));
            true
        }
        Some(seed) => replay(seed, &order),
        None => many(&order.runs),
    };
    if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(arguments: &[String]) -> Fallible<Order> {
    let mut order = Order {
        seed: None,
        is_traced: false,
        is_stepwise: false,
        is_thousand: false,
        runs: Runs {
            profile: &Profile::SHORT,
            from: 0,
            count: SEEDS,
            faults: None,
            doors: plain_doors,
            jobs: thread::available_parallelism()?.get(),
            stops_at_failure: false,
        },
    };
    let mut arguments = arguments.iter();
    while let Some(option) = arguments.next() {
        let flag = match option.as_str() {
            "--trace" => Some(&mut order.is_traced),
            "--steps" => Some(&mut order.is_stepwise),
            "--until-failure" => Some(&mut order.runs.stops_at_failure),
            _ => None,
        };
        if let Some(flag) = flag {
            *flag = true;
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{option} wants a value"))?;
        match option.as_str() {
            "--seed" => order.seed = Some(value.parse()?),
            "--seeds" => order.runs.count = value.parse()?,
            "--from" => order.runs.from = value.parse()?,
            "--jobs" => order.runs.jobs = value.parse()?,
            "--faults" => order.runs.faults = Some(parse_list(value)?),
            "--mutant" => plant(value, &mut order.runs)?,
            "--profile" if value == THOUSAND => order.is_thousand = true,
            "--profile" => order.runs.profile = profile(value)?,
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    Ok(order)
}

/// Puts a mistake into the nodes' doors, and has it looked for where it shows.
fn plant(name: &str, runs: &mut Runs) -> Fallible<()> {
    let names: Vec<_> = DOOR_MUTANTS.iter().map(|mutant| mutant.name).collect();
    let mutant = DOOR_MUTANTS.iter().find(|mutant| mutant.name == name);
    let mutant = mutant.ok_or_else(|| format!("no mutant {name}; there are: {}", names.join(", ")))?;
    runs.doors = mutant.doors;
    runs.profile = mutant.profile;
    runs.faults = Some(mutant.faults.iter().copied().collect());
    runs.stops_at_failure = true;
    Ok(())
}

fn profile(name: &str) -> Fallible<&'static Profile> {
    let known = || profiles().join(", ");
    Profile::named(name).ok_or_else(|| format!("no profile {name}; there are: {}", known()).into())
}

fn profiles() -> Vec<&'static str> {
    Profile::ALL.iter().map(|profile| profile.name).chain([THOUSAND]).collect()
}

fn replay(seed: u64, order: &Order) -> bool {
    let Runs { profile, faults, doors, .. } = &order.runs;
    let verdict = run(seed, profile, faults.as_ref(), *doors, order.is_stepwise);
    verdict.trace.lines.iter().for_each(|line| println!("{line}"));
    if order.is_traced {
        timeline(&verdict.case).iter().for_each(|line| println!("{line}"));
    }
    let mut tally = Tally::default();
    tally.add(&verdict);
    println!("seed {seed}, faults: {}", names(&verdict.case.plan.faults));
    print!("{tally}");
    println!("trace {:016x}, {} steps", verdict.trace.hash, verdict.trace.steps);
    let reasons = reasons(&verdict);
    reasons.iter().for_each(|reason| println!("VIOLATION: {reason}"));
    reasons.is_empty()
}

fn many(runs: &Runs) -> bool {
    let summary = runs.run();
    let (seconds, count) = (summary.took.as_secs_f64(), summary.tally.sum("runs"));
    println!(
        "{} seeds of {} from {}: {seconds:.1} s, {:.1} seeds/s on {} threads",
        runs.count,
        runs.profile.name,
        runs.from,
        count as f64 / seconds,
        runs.jobs
    );
    print!("{}", summary.tally);
    let Some(first) = summary.failures.first() else {
        println!("no seed breaks an invariant");
        return true;
    };
    let seeds: Vec<_> = summary.failures.iter().take(NAMED).map(|failure| failure.seed.to_string()).collect();
    println!("FAILED: {} seeds: {}", summary.failures.len(), seeds.join(" "));
    println!("seed {}:", first.seed);
    first.reasons.iter().take(SHOWN).for_each(|reason| println!("  {reason}"));
    let faults = runs.faults.as_ref().map_or(String::new(), |faults| format!(" --faults {}", names(faults)));
    println!(
        "replay: cargo run -p fulmar-tests --release --bin sim -- --seed {} --trace --profile {}{faults}",
        first.seed, runs.profile.name
    );
    false
}

fn names(faults: &BTreeSet<Fault>) -> String {
    let names: Vec<_> = faults.iter().map(|fault| fault.name()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(",") }
}
