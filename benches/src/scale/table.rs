//! The figures, to be read.

use std::fmt::{self, Write};
use std::time::Duration;

use super::cell::{ACCOUNTS_PER_NODE, Mail, WARM_UP};
use super::meter::{FOLDERS, Kind, LIVE};
use super::{Measurement, S3};

/// Processor time of one node for 1,000 messages that it accepts and delivers: measured, with a directory store (`benches/RESULTS.md`).
const CPU_SECONDS_PER_THOUSAND: f64 = 0.21;

impl Mail {
    /// As it is told.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Apart => "apart",
            Self::Mixed => "mixed",
        }
    }
}

/// All that was measured, with what it was measured on.
pub fn table(measurements: &[Measurement]) -> String {
    let mut text = String::new();
    // A string takes everything.
    let _ = write_all(&mut text, measurements);
    text
}

fn write_all(text: &mut String, measurements: &[Measurement]) -> fmt::Result {
    let Some(Measurement { cell, .. }) = measurements.first() else { return Ok(()) };
    writeln!(
        text,
        "store     log-normal, p50 {:?}, p99 {:?}, plus size at {:.0} MB/s; per partition {} writes/s and {} reads/s, 503 beyond.\n\
         \x20         A partition is what the first {} folders of a key name, such as spool/3f: assumed to be split already\n\
         load      closed loop: {} clients per node, one connection each, one message of {} octets after the other to one local\n\
         \x20         account; {} accounts per node. {:?} of it are measured, after {:?}. apart: a node gets mail for its own accounts;\n\
         \x20         mixed: any node gets mail for any account\n\
         354, 250  from MAIL, RCPT and DATA, sent together, and from the final dot, to the reply, in virtual time\n\
         takeover  from the kill of one node to another's having its queue, of so many entries\n\
         start     GET of heartbeats for each node that started, all within a minute\n\
         CPU       is not modelled: by measurement one core of a node carries {:.0} messages/s ({CPU_SECONDS_PER_THOUSAND} s per 1,000)\n\
         cost      requests at the list prices of S3: PUT and LIST $0.005 per 1,000, GET $0.0004 per 1,000\n\
         seed      {}\n",
        S3.median,
        S3.p99,
        S3.octets_per_second / 1e6,
        S3.writes_per_second,
        S3.reads_per_second,
        S3.partition_folders,
        cell.sessions,
        cell.octets,
        ACCOUNTS_PER_NODE,
        cell.window,
        WARM_UP,
        1_000.0 / CPU_SECONDS_PER_THOUSAND,
        cell.seed,
    )?;
    for mail in [Mail::Apart, Mail::Mixed] {
        let of_it: Vec<_> = measurements.iter().filter(|it| it.cell.mail == mail).collect();
        if of_it.is_empty() {
            continue;
        }
        write_figures(text, mail, &of_it)?;
        write_folders(text, mail, &of_it)?;
    }
    Ok(())
}

fn write_figures(text: &mut String, mail: Mail, measurements: &[&Measurement]) -> fmt::Result {
    writeln!(
        text,
        "{:5}  messages/s  of a core  p50 of 354  p50 of 250  p99 of 250  PUT/msg  GET/msg  LIST/msg  DELETE/msg  $/million    503  \
         refused  takeover  entries  undelivered  GET/start  real time",
        mail.name()
    )?;
    for Measurement { cell, figures, took } in measurements {
        let [put, get, list, delete] = Kind::ALL.map(|kind| figures.per_message(figures.requests.all(kind)));
        let load = figures.rate() / cell.nodes as f64 * CPU_SECONDS_PER_THOUSAND / 1_000.0;
        let starting = figures.arrival.below(LIVE, Kind::Get) as f64 / cell.nodes as f64;
        let takeover =
            figures.takeover.map_or("-".to_owned(), |takeover| format!("{:.1} s", takeover.as_secs_f64()));
        writeln!(
            text,
            "{:5}  {:10.0}  {:8.1}%  {:7.0} ms  {:7.0} ms  {:7.0} ms  {put:7.3}  {get:7.3}  {list:8.4}  {delete:10.4}  {:9.2}  {:5}  \
             {:7}  {takeover:>8}  {:7}  {:11}  {starting:9.1}  {:7.1} s",
            cell.nodes,
            figures.rate(),
            load * 100.0,
            millis(figures.begun),
            millis(figures.median),
            millis(figures.p99),
            figures.dollars_per_million(),
            figures.requests.turned_away,
            figures.refused,
            figures.adopted,
            figures.undelivered,
            took.as_secs_f64(),
        )?;
    }
    writeln!(text)
}

/// Where in the bucket the requests go.
fn write_folders(text: &mut String, mail: Mail, measurements: &[&Measurement]) -> fmt::Result {
    let columns: Vec<_> = (0..FOLDERS.len())
        .flat_map(|folder| Kind::ALL.map(|kind| (folder, kind)))
        .filter(|(folder, kind)| measurements.iter().any(|it| it.figures.requests.below(*folder, *kind) > 0))
        .collect();
    let heads: Vec<_> =
        columns.iter().map(|(folder, kind)| format!("{} {}", kind.name(), FOLDERS[*folder])).collect();
    writeln!(text, "{:5}  {}   per message", mail.name(), heads.join("  "))?;
    for Measurement { cell, figures, .. } in measurements {
        write!(text, "{:5}", cell.nodes)?;
        for ((folder, kind), head) in columns.iter().zip(&heads) {
            let each = figures.per_message(figures.requests.below(*folder, *kind));
            write!(text, "  {each:width$.4}", width = head.len())?;
        }
        writeln!(text)?;
    }
    writeln!(text)
}

pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
