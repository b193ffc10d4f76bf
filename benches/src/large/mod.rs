//! Many large messages at once, each with a signature that is verified: what they take in the server's memory.
//!
//! All sessions go as far as the `354` to DATA; then they send in step, a chunk each and then the next, so that every message is under way from
//! the first chunk until all have sent their last; then all are ended. The content is made as it is sent: this program holds
//! none of it. The store is a directory, which goes away with the run however that ends.

mod figures;
mod sender;
mod watch;

use std::env::temp_dir;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use fulmar_tests::Fallible;
use fulmar_tests::name_server::NameServer;
use fulmar_tests::process::{Server, Settings, Site, free_address};

pub use self::figures::Figures;
use self::sender::{Crowd, Message};
use self::watch::{Limit, check_disk};
use crate::author::{AUTHOR, Author};
use crate::{load, memory};

/// What the server logs of each message once it is in a mailbox.
const DELIVERED: &str = r#""event":"attempted""#;
/// What stands in each message that was verified, once.
const VERIFIED: &str = "dkim=pass header.d=far.test";
/// Mailboxes that the messages go to, in turns.
const MAILBOXES: usize = 10;
/// Looks at the memory while content comes.
const LOOKS: usize = 8;

/// Measures what large messages take in a Fulmar's memory while they are received and verified.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// A release build of the server; the one beside this program else.
    #[arg(long)]
    pub fulmar: Option<PathBuf>,
    /// Sessions that send a message each, all at once.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=5_000))]
    pub sessions: u64,
    /// Octets of each message, about; below the 50 MiB that a server takes as it is shipped.
    #[arg(long, default_value_t = 27_000_000, value_parser = clap::value_parser!(u64).range(1_000_000..=52_000_000))]
    pub size: u64,
    /// Seconds after which the server is killed, and the run has failed. To remove 27 GB from the disk afterwards may take longer than that.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub limit: u64,
}

/// Measures; an error where the messages could not all be under way at once.
pub fn measure(options: &Options) -> Fallible<Figures> {
    let beside = || Ok::<_, io::Error>(std::env::current_exe()?.with_file_name("fulmar"));
    let program = options.fulmar.clone().map_or_else(beside, Ok)?;
    // It is started in a folder of its own.
    let program = fs::canonicalize(&program).map_err(|error| format!("{}: {error}", program.display()))?;
    load::allow_descriptors()?;
    check_disk(options.sessions * options.size)?;
    let author = Author::new()?;
    let message = Message::signed(&author, options.size as usize)?;
    let names = NameServer::start(Arc::new(author.zone()?));
    let accounts: Vec<String> = (0..MAILBOXES).map(|number| format!("u{number}@example.org")).collect();
    let file = format!("[dns]\nservers = [\"{}\"]\n\n[verification]\nexempt = []\n", names.address());
    let site = Site::with(&temp_dir(), &program, &accounts, Settings { file, ..Settings::default() })?;
    let mut server = site.serve(free_address()?)?;
    let limit = Limit::start(server.pid(), Duration::from_secs(options.limit));

    let mut figures = Figures::of(options.sessions, message.octets());
    let outcome = receive(&mut figures, &message, &mut server, &accounts);
    let in_time = limit.stop();
    outcome.map_err(|error| {
        if in_time { error } else { format!("{} s were not enough: {error}", options.limit).into() }
    })?;
    figures.peak = server.peak_memory()?;
    server.stop()?;
    for account in &accounts {
        let headers = site.run(["mailbox", "read", account, "--all", "--headers"], b"")?;
        let headers = String::from_utf8_lossy(&headers).replace("\r\n\t", " ").replace("\r\n ", " ");
        figures.verified += headers.matches(VERIFIED).count() as u64;
    }
    Ok(figures)
}

/// Sends everything, and looks at the server's memory meanwhile.
fn receive(
    figures: &mut Figures,
    message: &Message,
    server: &mut Server,
    accounts: &[String],
) -> Fallible<()> {
    let (address, pid): (SocketAddr, u32) = (server.address(), server.pid());
    let look = || memory::resident(pid).ok_or("the server has ended");
    figures.idle = look()?;
    let began = Instant::now();
    let mut crowd = Crowd::begin(address, AUTHOR, accounts, figures.sessions as usize)?;
    figures.begun = look()?;
    let chunks = message.chunks();
    for number in 0..chunks {
        crowd.send(message.chunk(number))?;
        if (number + 1) * LOOKS / chunks > number * LOOKS / chunks {
            figures.receiving.push((began.elapsed(), look()?));
            check_disk(0)?;
        }
    }
    figures.answers = crowd.end()?;
    figures.seconds = began.elapsed().as_secs_f64();
    server.wait_for_log(DELIVERED, figures.accepted() as usize)?;
    figures.settled = look()?;
    Ok(())
}
