//! How Fulmar grows: clusters of up to a thousand nodes in the simulator, on a store as slow as S3, and what they carry and cost.
//!
//! `scale [--nodes 1,3,10] [--mail apart|mixed] [--seconds S] [--sessions K] [--octets O] [--seed N] [--jobs J] [--svg FILE]`

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, thread};

use fulmar_benches::scale::{Cell, Mail, measure_all, picture, table};
use fulmar_tests::Fallible;

const USAGE: &str = "scale [--nodes 1,3,10] [--mail apart|mixed] [--seconds S] [--sessions K] [--octets O] [--seed N] [--jobs J] \
                     [--svg FILE]";

struct Order {
    nodes: Vec<usize>,
    mail: Vec<Mail>,
    /// All but nodes and mail.
    cell: Cell,
    jobs: usize,
    svg: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let order = match parse(&arguments) {
        Ok(order) => order,
        Err(error) => {
            println!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match measure(&order) {
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

fn parse(arguments: &[String]) -> Fallible<Order> {
    let cell = Cell {
        nodes: 1,
        mail: Mail::Apart,
        sessions: 5,
        octets: 2_048,
        window: Duration::from_secs(6),
        seed: 1,
    };
    let mut order = Order {
        nodes: vec![1, 3, 10, 30, 100, 300, 1_000],
        mail: vec![Mail::Apart, Mail::Mixed],
        cell,
        jobs: thread::available_parallelism()?.get(),
        svg: None,
    };
    for pair in arguments.chunks(2) {
        let [option, value] = pair else { return Err(format!("{} wants a value", pair[0]).into()) };
        match option.as_str() {
            "--nodes" => order.nodes = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--mail" => order.mail = vec![mail(value)?],
            "--seconds" => order.cell.window = Duration::from_secs(value.parse()?),
            "--sessions" => order.cell.sessions = value.parse()?,
            "--octets" => order.cell.octets = value.parse()?,
            "--seed" => order.cell.seed = value.parse()?,
            "--jobs" => order.jobs = value.parse()?,
            "--svg" => order.svg = Some(value.into()),
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    if order.nodes.contains(&0) || order.jobs == 0 {
        return Err("there must be a node, and a job".into());
    }
    Ok(order)
}

fn mail(name: &str) -> Fallible<Mail> {
    match name {
        "apart" => Ok(Mail::Apart),
        "mixed" => Ok(Mail::Mixed),
        other => Err(format!("mail is apart or mixed, not {other}").into()),
    }
}

/// Measures, prints, draws; false where something was lost.
fn measure(order: &Order) -> Fallible<bool> {
    let Order { nodes, mail, cell, jobs, svg } = order;
    let cells: Vec<Cell> = mail
        .iter()
        .flat_map(|mail| nodes.iter().map(|nodes| Cell { nodes: *nodes, mail: *mail, ..*cell }))
        .collect();
    let measurements = measure_all(&cells, *jobs);
    print!("{}", table(&measurements));
    if let Some(file) = svg {
        fs::write(file, picture(&measurements))?;
    }
    Ok(measurements.iter().all(|it| it.figures.undelivered == 0))
}
