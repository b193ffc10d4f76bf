//! More mail than one core can take: what a Fulmar does then, and whether it keeps what it promised meanwhile.
//!
//! The server has one core to itself, the generator another. In closed loop it is first found how many messages a second the server takes
//! and delivers; half as many again are then offered in open loop, where nobody waits for the server before the next message is due. What
//! was answered with `250` must be in a mailbox afterwards, once.

mod books;
mod cores;
mod figures;

use std::env::temp_dir;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use fulmar_tests::Fallible;
use fulmar_tests::process::{Server, Settings, Site, free_address};

use self::books::Books;
pub use self::figures::Figures;
use self::figures::Overloaded;
use crate::load::options::Options as Load;
use crate::load::{self, Report};
use crate::memory;

/// What a delivery is told by in the server's log.
const DELIVERED: &str = r#""outcome":{"delivered""#;
/// From the end of the search for the peak until the overload begins.
const REST: Duration = Duration::from_secs(1);

/// Offers a Fulmar more than it can take, and tells what it does.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// A release build of the server; the one beside this program else.
    #[arg(long)]
    pub fulmar: Option<PathBuf>,
    /// Its configuration file; what it is shipped with else.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// The server's core.
    #[arg(long, default_value_t = 1)]
    pub server_core: usize,
    /// The generator's core.
    #[arg(long, default_value_t = 0)]
    pub load_core: usize,
    /// Seconds of the search for the peak.
    #[arg(long, default_value_t = 6.0)]
    pub peak_seconds: f64,
    /// Sessions at a time in it.
    #[arg(long, default_value_t = 200)]
    pub peak_sessions: u64,
    /// Seconds of overload.
    #[arg(long, default_value_t = 40.0)]
    pub seconds: f64,
    /// What is offered then, in peaks.
    #[arg(long, default_value_t = 1.5)]
    pub times: f64,
    /// Sessions at a time that the generator may have then: more than the server allows, so that what waits, waits at the server.
    #[arg(long, default_value_t = 8_000)]
    pub sessions: u64,
    /// Octets of a message.
    #[arg(long, default_value_t = 10 << 10)]
    pub size: usize,
    /// Messages on a connection, or `all`.
    #[arg(long, default_value = "1")]
    pub per_connection: String,
    /// Accounts that the messages go to, in turns.
    #[arg(long, default_value_t = NonZeroUsize::MIN.saturating_add(99))]
    pub accounts: NonZeroUsize,
}

/// Measures, and gives what came of it.
pub fn measure(options: &Options) -> Fallible<Figures> {
    let beside = || Ok::<_, io::Error>(std::env::current_exe()?.with_file_name("fulmar"));
    let program = options.fulmar.clone().map_or_else(beside, Ok)?;
    // It is started in a folder of its own.
    let program = fs::canonicalize(&program).map_err(|error| format!("{}: {error}", program.display()))?;
    let accounts: Vec<String> = (0..options.accounts.get()).map(|n| format!("u{n}@example.org")).collect();
    load::allow_descriptors()?;
    // Each account's password takes a while to compute, on whatever core is free.
    let file = options.config.as_ref().map(fs::read_to_string).transpose()?.unwrap_or_default();
    let site = Site::with(&temp_dir(), &program, &accounts, Settings { file, ..Settings::default() })?;
    // The server begins where this thread is, and keeps to it.
    cores::pin_this_thread(options.server_core)?;
    let mut server = site.serve(free_address()?)?;
    cores::pin_this_process(options.load_core)?;

    let mut books = Books::default();
    let (peak, began) = (options.peak(server.address(), &accounts)?, Instant::now());
    books.enter(&load::run_and_tell(&peak)?);
    let settled = server.wait_for_log(DELIVERED, books.promised())?;
    let peak = books.promised() as f64 / (settled - began).as_secs_f64();
    thread::sleep(REST);

    let rate = peak * options.times;
    let (report, memory) = overload(&options.overload(server.address(), &accounts, rate)?, &server)?;
    books.enter(&report);
    server.wait_for_log(DELIVERED, books.promised())?;
    server.stop()?;
    for account in &accounts {
        books.find(&site.run(["mailbox", "read", account, "--all", "--headers"], b"")?);
    }
    let overloaded = Overloaded::read(&report.json, options.seconds)?;
    Ok(Figures { peak, rate, overloaded, memory, verdict: books.verdict() })
}

/// Runs the load, and watches the server's memory meanwhile.
fn overload(load: &Load, server: &Server) -> Fallible<(Report, Vec<memory::Sample>)> {
    let sampler = memory::Sampler::start(server.pid());
    let report = load::run_and_tell(load);
    let samples = sampler.stop(Duration::from_secs_f64(load.seconds.unwrap_or_default()))?;
    Ok((report?, samples))
}

impl Options {
    fn peak(&self, to: SocketAddr, accounts: &[String]) -> Fallible<Load> {
        let (sessions, seconds) = (self.peak_sessions.to_string(), self.peak_seconds.to_string());
        self.load(to, accounts, &[("--sessions", &sessions), ("--seconds", &seconds)])
    }

    fn overload(&self, to: SocketAddr, accounts: &[String], rate: f64) -> Fallible<Load> {
        let (sessions, seconds, rate) =
            (self.sessions.to_string(), self.seconds.to_string(), rate.to_string());
        self.load(to, accounts, &[("--sessions", &sessions), ("--seconds", &seconds), ("--rate", &rate)])
    }

    fn load(&self, to: SocketAddr, accounts: &[String], more: &[(&str, &str)]) -> Fallible<Load> {
        let (to, size) = (to.to_string(), self.size.to_string());
        let common =
            [("--to", to.as_str()), ("--size", &size), ("--per-connection", self.per_connection.as_str())];
        let recipients = accounts.iter().map(|account| ("--rcpt", account.as_str()));
        let arguments = common.into_iter().chain(more.iter().copied()).chain(recipients);
        let arguments = arguments.flat_map(|(name, value)| [name, value]);
        Ok(Load::try_parse_from(std::iter::once("load").chain(arguments))?)
    }
}
