//! The figures, to be read.

use std::fmt::{self, Write};
use std::time::Duration;

use fulmar_core::admin::prices::assumptions;

use super::cell::{ACCOUNTS_PER_NODE, MIXED_ACCOUNTS_LIMIT, Mail};
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
         \x20         account; {ACCOUNTS_PER_NODE} accounts per node. apart: a node gets mail for its own accounts; mixed: any node gets mail for\n\
         \x20         any of all accounts, {MIXED_ACCOUNTS_LIMIT} at most, each with 0 to 63 commits beyond its last snapshot when mail begins\n\
         354, 250  from MAIL, RCPT and DATA, sent together, and from the final dot, to the reply, in virtual time\n\
         takeover  from the kill of one node to another's having its queue, of so many entries\n\
         start     GET of heartbeats for each node that started, all within a minute\n\
         CPU       is not modelled: by measurement one core of a node carries {:.0} messages/s ({CPU_SECONDS_PER_THOUSAND} s per 1,000)\n\
         cost      {}\n\
         warm      of the messages measured, those to accounts to which the node had written before. GET and LIST of accounts for\n\
         \x20         each such message and for each other one (cold), and what a million messages would cost if all were such\n\
         seed      {}\n",
        S3.median,
        S3.p99,
        S3.octets_per_second / 1e6,
        S3.writes_per_second,
        S3.reads_per_second,
        S3.partition_folders,
        cell.sessions,
        cell.octets,
        1_000.0 / CPU_SECONDS_PER_THOUSAND,
        assumptions(),
        cell.seed,
    )?;
    for mail in [Mail::Apart, Mail::Mixed] {
        let of_it: Vec<_> = measurements.iter().filter(|it| it.cell.mail == mail).collect();
        if of_it.is_empty() {
            continue;
        }
        write_speed(text, mail, &of_it)?;
        write_cost(text, mail, &of_it)?;
        write_folders(text, mail, &of_it)?;
    }
    Ok(())
}

fn write_speed(text: &mut String, mail: Mail, measurements: &[&Measurement]) -> fmt::Result {
    writeln!(
        text,
        "{:5}  warm-up  window  messages/s  of a core  p50 of 354  p50 of 250  p99 of 250    503  refused  takeover  entries  \
         undelivered  GET/start  real time",
        mail.name()
    )?;
    for Measurement { cell, figures, took } in measurements {
        let load = figures.rate() / cell.nodes as f64 * CPU_SECONDS_PER_THOUSAND / 1_000.0;
        let starting = figures.arrival.below(LIVE, Kind::Get) as f64 / cell.nodes as f64;
        let takeover =
            figures.takeover.map_or("-".to_owned(), |takeover| format!("{:.1} s", takeover.as_secs_f64()));
        writeln!(
            text,
            "{:5}  {:5.0} s  {:4.0} s  {:10.0}  {:8.1}%  {:7.0} ms  {:7.0} ms  {:7.0} ms  {:5}  {:7}  {takeover:>8}  {:7}  {:11}  \
             {starting:9.1}  {:7.1} s",
            cell.nodes,
            cell.warm_up.as_secs_f64(),
            cell.window.as_secs_f64(),
            figures.rate(),
            load * 100.0,
            millis(figures.begun),
            millis(figures.median),
            millis(figures.p99),
            figures.requests.turned_away,
            figures.refused,
            figures.adopted,
            figures.undelivered,
            took.as_secs_f64(),
        )?;
    }
    writeln!(text)
}

fn write_cost(text: &mut String, mail: Mail, measurements: &[&Measurement]) -> fmt::Result {
    writeln!(
        text,
        "{:5}  PUT/msg  GET/msg  LIST/msg  DELETE/msg  requests $/million  storage $/million    warm  GET, LIST and $ if warm  \
         GET, LIST and $ if cold",
        mail.name()
    )?;
    for Measurement { cell, figures, .. } in measurements {
        let [put, get, list, delete] = Kind::ALL.map(|kind| figures.per_message(figures.requests.all(kind)));
        write!(
            text,
            "{:5}  {put:7.3}  {get:7.3}  {list:8.4}  {delete:10.4}  {:18.2}  {:17.3}  {:5.1}%",
            cell.nodes,
            figures.dollars_per_million(),
            figures.storage_dollars_per_million(),
            figures.warm_share() * 100.0,
        )?;
        for visits in [&figures.requests.warm, &figures.requests.cold] {
            if visits.commits == 0 {
                write!(text, "  {:>23}", "-")?;
                continue;
            }
            let (reads, lists) = (visits.each(visits.reads), visits.each(visits.lists));
            write!(text, "  {reads:7.2} {lists:6.2} {:8.2}", figures.dollars_per_million_of(visits))?;
        }
        writeln!(text)?;
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
