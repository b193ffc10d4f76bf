//! What authentication costs: the rate at which mail is accepted with verification and with signatures, against the rate without.
//!
//! Four cells take turns, each with a server of its own that begins empty:
//!
//! | cell | who sends what | |
//! |---|---|---|
//! | `off` | strangers, mail that bears two signatures of theirs (RSA-2048 and Ed25519) | verification is off |
//! | `verify` | the same | iprev, SPF, both signatures and DMARC are verified |
//! | `unsigned` | a user who has logged in | the user's domain has no keys |
//! | `sign` | the same | signed with both algorithms |
//!
//! Names are served by a name server in this process; the warm-up brings all answers into the server's cache. Strangers come with one message a
//! connection; a user logs in once for many, since what a login costs is another question.

mod cell;
mod figures;
mod mail;

use std::env::temp_dir;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use fulmar_tests::Fallible;
use fulmar_tests::name_server::NameServer;
use tempfile::TempDir;

pub use self::cell::{Cell, Round};
pub use self::figures::Figures;
use self::mail::{Mail, USER};
use crate::author::{AUTHOR, Author, ED25519, RSA};

/// Measures what authentication costs a Fulmar.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// A release build of the server; the one beside this program else.
    #[arg(long)]
    pub fulmar: Option<PathBuf>,
    /// How often each cell is measured, in turns.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub rounds: u64,
    /// Messages of each cell in a round, beside those of the warm-up.
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(100..=100_000))]
    pub messages: u64,
    /// Sessions at a time.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub sessions: u64,
    /// Octets of a body.
    #[arg(long, default_value_t = 10 << 10, value_parser = clap::value_parser!(u64).range(100..=1 << 20))]
    pub size: u64,
}

/// What all rounds share.
struct Ground {
    program: PathBuf,
    names: NameServer,
    strangers: Mail,
    users: Mail,
}

/// Measures, tells of each round as it ends, and gives what came of all; an error where a round was not what it should have been.
pub fn measure(options: &Options, tell: impl Fn(&str)) -> Fallible<Figures> {
    let beside = || Ok::<_, io::Error>(std::env::current_exe()?.with_file_name("fulmar"));
    let program = options.fulmar.clone().map_or_else(beside, Ok)?;
    // It is started in a folder of its own.
    let program = fs::canonicalize(&program).map_err(|error| format!("{}: {error}", program.display()))?;
    let folder = TempDir::with_prefix_in("fulmar-authentication-", temp_dir())?;
    let author = Author::new()?;
    let size = options.size as usize;
    let ground = Ground {
        program,
        names: NameServer::start(Arc::new(author.zone()?)),
        strangers: Mail::write(folder.path().join("strangers"), AUTHOR, size, |header, body| {
            author.sign(&[RSA, ED25519], header, body)
        })?,
        users: Mail::write(folder.path().join("users"), USER, size, |_, _| Ok(String::new()))?,
    };
    let Options { rounds, messages, sessions, .. } = options;
    tell(&format!("rounds {rounds}, messages {messages} with bodies of {size} octets, sessions {sessions}"));
    for cell in Cell::ALL {
        tell(&format!("\n{cell}: {}\n{}", cell.describe(), ground.settings(cell).trim_end()));
    }
    tell("\ncell      round  accepted/s  CPU s per 1,000");
    let mut figures = Figures::default();
    let mut cells = Cell::ALL;
    for number in 1..=*rounds {
        for cell in cells {
            let round =
                ground.run(cell, options).map_err(|error| format!("{cell}, round {number}: {error}"))?;
            tell(&format!("{:8} {number:6} {:11.0} {:16.3}", cell.to_string(), round.accepted, round.cpu));
            figures.enter(cell, round);
        }
        // Whoever comes first finds the machine as the last one left it: so they take turns in that too.
        cells.rotate_left(1);
    }
    Ok(figures)
}
