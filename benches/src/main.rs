//! Measures Fulmar beside Postfix and prints the figures. `benches/run` starts what this needs.

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

mod process_tree;
mod round;
mod servers;
mod solo;
mod spread;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fulmar_tests::Fallible;

use round::{Load, Round};
use servers::{Fulmar, Postfix};
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
    let Settings { fulmar, postfix, rounds, load } = settings;
    println!("load      {load}; {rounds} rounds, in turns\n");
    let (mut by_fulmar, mut by_postfix, mut requests) = (Vec::new(), Vec::new(), Vec::new());
    println!("round  server    accepted/s  delivered/s  CPU s per 1,000");
    for number in 0..*rounds {
        // Whoever comes first finds the machine as the other left it: so they take turns in that too.
        for turn in [number % 2, 1 - number % 2] {
            let (name, round) = if turn == 0 {
                ("Postfix", postfix_round(postfix, *load, &mut by_postfix)?)
            } else {
                ("Fulmar", fulmar_round(fulmar, *load, &mut by_fulmar, &mut requests)?)
            };
            let Round { accepted, delivered, cpu } = round;
            println!("{:5}  {name:8}  {accepted:10.0}  {delivered:11.0}  {cpu:15.2}", number + 1);
        }
    }
    summarise(&by_postfix, &by_fulmar);
    println!(
        "\nMemory under the same load, all processes, shared memory in proportion (PSS), sampled in one more round:"
    );
    println!("Postfix  {}", round::peak_memory(&mut Postfix::below(postfix)?, *load)?);
    println!("Fulmar   {}", round::peak_memory(&mut Fulmar::start(fulmar)?, *load)?);
    solo::print_requests(&requests);
    solo::print_large_messages(fulmar)?;
    solo::print_cold_start(fulmar)
}

fn postfix_round(folder: &Path, load: Load, rounds: &mut Vec<Round>) -> Fallible<Round> {
    let round = round::run(&mut Postfix::below(folder)?, load)?;
    rounds.push(round);
    Ok(round)
}

fn fulmar_round(
    program: &Path,
    load: Load,
    rounds: &mut Vec<Round>,
    requests: &mut Vec<solo::Requests>,
) -> Fallible<Round> {
    let mut fulmar = Fulmar::start(program)?;
    let round = round::run(&mut fulmar, load)?;
    rounds.push(round);
    requests.push(solo::Requests::from_log(&fulmar.server.stop()?)?);
    Ok(round)
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
