//! Measures Fulmar beside Postfix and prints the figures. `benches/run` starts what this needs.

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

mod process_tree;
mod round;
mod servers;
mod sink;
mod solo;
mod spread;

use std::path::PathBuf;
use std::process::ExitCode;

use fulmar_tests::Fallible;

use round::{Load, Round};
use servers::{Contender, Fulmar, Postfix, Relaying, Stoppable};
use spread::Spread;

/// What to measure, and with what.
struct Settings {
    fulmar: PathBuf,
    /// The folder of a running Postfix.
    postfix: PathBuf,
    rounds: usize,
    load: Load,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match parse(&arguments).and_then(|settings| measure(&settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Fallible<Settings> {
    let load = Load { sessions: 20, messages: 4_000, octets: 10_240 };
    let mut settings = Settings { fulmar: PathBuf::new(), postfix: PathBuf::new(), rounds: 5, load };
    for pair in arguments.chunks(2) {
        let [option, value] = pair else { return Err(format!("{} needs a value", pair[0]).into()) };
        match option.as_str() {
            "--fulmar" => settings.fulmar = value.into(),
            "--postfix" => settings.postfix = value.into(),
            "--rounds" => settings.rounds = value.parse()?,
            "--messages" => settings.load.messages = value.parse()?,
            _ => return Err(format!("unknown option {option}").into()),
        }
    }
    Ok(settings)
}

fn measure(settings: &Settings) -> Fallible<()> {
    let Settings { fulmar, postfix, load, .. } = settings;
    let requests = compare(
        settings,
        "to one local mailbox",
        || Ok(Box::new(Postfix::below(postfix)?)),
        || Fulmar::start(fulmar),
    )?;
    println!(
        "\nMemory under the same load, all processes, shared memory in proportion (PSS), sampled in one more round:"
    );
    println!("Postfix  {}", round::peak_memory(&mut Postfix::below(postfix)?, *load)?);
    println!("Fulmar   {}", round::peak_memory(&mut Fulmar::start(fulmar)?, *load)?);
    solo::print_requests(&requests);

    let requests = compare(
        settings,
        "relayed to one smtp-sink",
        || Ok(Box::new(Relaying::to_sink(Postfix::below(postfix)?)?)),
        || Relaying::to_sink(Fulmar::relaying(fulmar)?),
    )?;
    solo::print_requests(&requests);

    let requests = compare(
        settings,
        "to one mailbox, Fulmar's on SeaweedFS (its own time not counted)",
        || Ok(Box::new(Postfix::below(postfix)?)),
        || Fulmar::on_s3(fulmar),
    )?;
    solo::print_requests(&requests);

    solo::print_large_messages(fulmar)?;
    solo::print_cold_start(fulmar)
}

/// Runs both servers in turns, prints every round and the summary, and gives what Fulmar asked of its store.
fn compare<F: Contender + Stoppable>(
    settings: &Settings,
    what: &str,
    postfix: impl Fn() -> Fallible<Box<dyn Contender>>,
    fulmar: impl Fn() -> Fallible<F>,
) -> Fallible<Vec<solo::Requests>> {
    let Settings { rounds, load, .. } = settings;
    println!("\nload      {load}, {what}; {rounds} rounds, in turns\n");
    let (mut by_fulmar, mut by_postfix, mut requests) = (Vec::new(), Vec::new(), Vec::new());
    println!("round  server    accepted/s  delivered/s  CPU s per 1,000");
    for number in 0..*rounds {
        // Whoever comes first finds the machine as the other left it: so they take turns in that too.
        for turn in [number % 2, 1 - number % 2] {
            let (name, round) = if turn == 0 {
                let round = round::run(&mut *postfix()?, *load)?;
                by_postfix.push(round);
                ("Postfix", round)
            } else {
                let mut fulmar = fulmar()?;
                let round = round::run(&mut fulmar, *load)?;
                by_fulmar.push(round);
                requests.push(solo::Requests::from_log(&fulmar.stop()?)?);
                ("Fulmar", round)
            };
            let Round { accepted, delivered, cpu } = round;
            println!("{:5}  {name:8}  {accepted:10.0}  {delivered:11.0}  {cpu:15.2}", number + 1);
        }
    }
    summarise(&by_postfix, &by_fulmar);
    Ok(requests)
}

/// Medians, and the ratios of rounds that ran one after the other: only those mean anything on a noisy machine.
fn summarise(postfix: &[Round], fulmar: &[Round]) {
    println!(
        "\nMedian (range)        Postfix               Fulmar                Fulmar / Postfix, round by round"
    );
    print_row("accepted/s", 0, postfix, fulmar, |round| round.accepted);
    print_row("delivered/s", 0, postfix, fulmar, |round| round.delivered);
    print_row("CPU s per 1,000", 2, postfix, fulmar, |round| round.cpu);
}

fn print_row(name: &str, digits: usize, postfix: &[Round], fulmar: &[Round], figure: impl Fn(&Round) -> f64) {
    let ratios = fulmar.iter().zip(postfix).map(|(ours, theirs)| figure(ours) / figure(theirs));
    let (theirs, ours) = (Spread::of(postfix.iter().map(&figure)), Spread::of(fulmar.iter().map(&figure)));
    if let (Some(theirs), Some(ours), Some(ratio)) = (theirs, ours, Spread::of(ratios)) {
        let cell = |spread: Spread| format!("{spread:.digits$}");
        println!("{name:20}  {:20}  {:20}  {ratio:.2}", cell(theirs), cell(ours));
    }
}
