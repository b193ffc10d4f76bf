//! The load generator: an SMTP client that costs little, and tells exactly what became of each message.
//!
//! In closed loop every session sends its next message when the one before is done with: that measures what a server can
//! take. In open loop (`--rate`) messages are due at fixed instants whatever the server does, and their latency counts
//! from there: a server that stops for a second has then delayed all that were due in that second, and not one for each session.
//!
//! What costs is system calls. So all octets are ready before a transaction begins, each phase is one write, a session waits
//! before it reads instead of reading in vain, and one timer watches over a whole session.
//!
//! [`sink`] is the other end: a server that counts.

mod connection;
mod content;
mod idle;
pub mod options;
mod reply;
mod schedule;
mod session;
pub mod sink;
pub mod sizes;
mod source;
mod start;
mod stream;
mod tally;

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use fulmar_core::model::UtcTime;
use fulmar_core::transport::{TlsClient, TlsError};
use fulmar_runtime_smol::SmolClock;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use smol::LocalExecutor;
use smol::future::or;

use connection::Connection;
pub use content::{TooSmall, message_id};
use idle::Idle;
use options::Options;
use schedule::Schedule;
use session::Run;
pub use source::NotSendable;
use source::Source;
use start::Start;
use tally::Tally;

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The options contradict each other.
    #[error(transparent)]
    Size(#[from] TooSmall),
    /// What is to be sent cannot be.
    #[error(transparent)]
    Contents(#[from] NotSendable),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system's limits stand against it.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// What came of a run, message by message.
#[derive(Debug)]
pub struct Report {
    /// What `load` prints: the options, and what came of them.
    pub json: Value,
    /// Stands in the `Message-ID` of every message that was made up for this run, as [`message_id`] says.
    pub run: u128,
    /// The numbers of the messages that were answered with their own 250.
    pub promised: Vec<u64>,
    /// How many more the server may have taken: they broke off between their first octet of content and its reply.
    pub in_doubt: u64,
}

/// Runs the load, and gives what `load` prints.
pub fn run(options: &Options) -> Result<Value, LoadError> {
    run_and_tell(options).map(|report| report.json)
}

/// Runs the load, and tells which messages were accepted.
pub fn run_and_tell(options: &Options) -> Result<Report, LoadError> {
    run_from(options, &|| ())
}

/// The same; `begins` is called when all sessions that are to log in have done so, and nothing was sent yet.
pub fn run_from(options: &Options, begins: &(dyn Fn() + Sync)) -> Result<Report, LoadError> {
    allow_descriptors()?;
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let run = unix.as_nanos();
    let contents = Source::new(options, UtcTime(unix.as_millis() as u64), run)?;
    let tls = match options.tls || options.starttls {
        true => Some(TlsClient::opportunistic(Arc::new(SmolClock))?),
        false => None,
    };
    let idle = async_io::block_on(Idle::open(options, tls.as_ref()));

    let start = Start::of(options.threads, begins);
    let schedule = Schedule::new(options);
    let mut tally = Tally::new();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads)
            .map(|thread| {
                let sessions = share(options.sessions, options.threads, thread);
                let run = (options, &contents, &schedule, tls.as_ref(), &start);
                scope.spawn(move || {
                    let (options, contents, schedule, tls, start) = run;
                    let logged_in = if options.user.is_some() { sessions } else { 0 };
                    let connections = async_io::block_on(idle::open(logged_in, options, tls));
                    let (started, tally) = (start.together(), RefCell::new(Tally::new()));
                    drive(Run { options, contents, schedule, tls, started, tally }, sessions, connections)
                })
            })
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(part) => tally.add(&part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    if options.sessions == 0 {
        thread::sleep(Duration::from_secs_f64(options.seconds.unwrap_or_default()));
    }

    let mut json = json!({ "options": options });
    if let (Value::Object(all), Value::Object(counts)) = (&mut json, tally.to_json(start.unix_ms())) {
        all.extend(counts);
        all.insert("idle".to_owned(), async_io::block_on(idle.into_json()));
        all.insert("cpu_seconds".to_owned(), cpu_seconds().into());
    }
    Ok(Report { json, run, promised: tally.promised().to_vec(), in_doubt: tally.in_doubt() })
}

/// How many of the sessions fall to one thread.
fn share(sessions: u64, threads: u64, thread: u64) -> u64 {
    sessions / threads + u64::from(thread < sessions % threads)
}

/// Runs so many sessions in this thread, the first of them over these connections.
fn drive(run: Run<'_>, sessions: u64, connections: Vec<Connection>) -> Tally {
    let executor = LocalExecutor::new();
    let mut connections = connections.into_iter();
    let tasks: Vec<_> =
        (0..sessions).map(|_| executor.spawn(session::send_all(&run, connections.next()))).collect();
    async_io::block_on(or(executor.run(std::future::pending()), async {
        for task in tasks {
            task.await;
        }
    }));
    drop(executor);
    run.tally.into_inner()
}

/// A session is a descriptor, and the limit that shells start with is below what servers are asked to hold.
pub(crate) fn allow_descriptors() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// Of this process, user and system, from its start.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests;
