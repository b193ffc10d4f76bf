//! One cell, once: a server that begins empty, its load, and whether what it stored bears what it should.

use std::env::temp_dir;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;

use clap::Parser;
use fulmar_core::authn::dkim::{BodyHasher, body_methods, verify};
use fulmar_core::model::message::{HeaderScan, HeaderSplit};
use fulmar_core::model::verdict::DkimResult;
use fulmar_core::platform::{Clock, Record, RecordKind};
use fulmar_runtime_smol::SmolClock;
use fulmar_tests::Fallible;
use fulmar_tests::daemon::lasting_ports;
use fulmar_tests::process::{PASSWORD, Server, Settings, Site};
use fulmar_tests::zone::Zone;

use super::mail::{Mail, USER};
use super::{Ground, Options};
use crate::load;
use crate::load::options::Options as Load;
use crate::process_tree::ProcessTree;

/// Messages that do not count: they fill the server's cache of names.
const WARM_UP: u64 = 300;
/// What the server logs of each message once it is in the mailbox.
const DELIVERED: &str = r#""event":"attempted""#;
/// Signed messages that are verified after a round.
const SAMPLE: usize = 10;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// Strangers, not verified.
    Off,
    /// Strangers, verified.
    Verify,
    /// A user's mail, not signed.
    Unsigned,
    /// A user's mail, signed.
    Sign,
}

/// What came of a cell in one round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// Messages a second, from the start to the last `250`.
    pub accepted: f64,
    /// Seconds of processor time of the server for 1,000 messages, delivery to a mailbox included: as many milliseconds for one.
    pub cpu: f64,
}

impl Cell {
    /// All of them, each behind the one that it is compared with.
    pub const ALL: [Self; 4] = [Self::Off, Self::Verify, Self::Unsigned, Self::Sign];

    /// Whether it is a user's mail.
    fn is_submission(self) -> bool {
        matches!(self, Self::Unsigned | Self::Sign)
    }

    /// Its load in words.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Off => "strangers, mail with two signatures, one message a connection; not verified",
            Self::Verify => "the same; iprev, SPF, both signatures and DMARC verified",
            Self::Unsigned => "a user who has logged in on each session, many messages a connection; no keys",
            Self::Sign => "the same; signed with RSA-2048 and Ed25519",
        }
    }

    /// What stands so often in each message's header block, unfolded.
    fn marks(self) -> &'static [(&'static str, usize)] {
        match self {
            Self::Off => &[("Message-ID:", 1), ("DKIM-Signature:", 2), ("Authentication-Results:", 0)],
            Self::Verify => &[
                ("Message-ID:", 1),
                ("Authentication-Results: mx.test;", 1),
                ("iprev=pass", 1),
                ("spf=pass", 1),
                ("dkim=pass header.d=far.test header.s=rsa", 1),
                ("dkim=pass header.d=far.test header.s=ed", 1),
                ("dmarc=pass", 1),
            ],
            Self::Unsigned => &[("Message-ID:", 1), ("DKIM-Signature:", 0)],
            Self::Sign => {
                &[("Message-ID:", 1), ("DKIM-Signature:", 2), ("a=rsa-sha256;", 1), ("a=ed25519-sha256;", 1)]
            }
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Verify => "verify",
            Self::Unsigned => "unsigned",
            Self::Sign => "sign",
        })
    }
}

impl Ground {
    /// The server's configuration file. To it strangers are all who do not log in, on this machine too.
    pub(super) fn settings(&self, cell: Cell) -> String {
        let (names, enabled) = (self.names.address(), cell != Cell::Off);
        format!("[dns]\nservers = [\"{names}\"]\n\n[verification]\nenabled = {enabled}\nexempt = []\n")
    }

    /// Measures; an error where not every message was accepted and stored as the cell says.
    pub(super) fn run(&self, cell: Cell, options: &Options) -> Fallible<Round> {
        let settings = Settings { file: self.settings(cell), ..Settings::default() };
        let site = Site::with(&temp_dir(), &self.program, &[USER.to_owned()], settings)?;
        let keys = if cell == Cell::Sign { keys(&site)? } else { Zone::default() };
        let [smtp, submission] = lasting_ports()?.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let mut server = site.serve_on(format!("smtp={smtp},submission={submission}"), smtp)?;
        let to = if cell.is_submission() { submission } else { smtp };

        let total = WARM_UP + options.messages;
        send(&mut server, &self.load(cell, to, options.sessions, WARM_UP)?, WARM_UP)?;
        let round = send(&mut server, &self.load(cell, to, options.sessions, options.messages)?, total)?;
        server.stop()?;
        check_headers(&site, cell, total as usize)?;
        if cell == Cell::Sign {
            check_signatures(&site, &keys)?;
        }
        Ok(round)
    }

    fn load(&self, cell: Cell, to: SocketAddr, sessions: u64, messages: u64) -> Fallible<Load> {
        let Mail { folder, author } = if cell.is_submission() { &self.users } else { &self.strangers };
        let folder = folder.to_str().ok_or("the folder's name is not UTF-8")?;
        let numbers = [to.to_string(), sessions.to_string(), messages.to_string()];
        let mut arguments =
            vec!["load", "--to", &numbers[0], "--sessions", &numbers[1], "--messages", &numbers[2]];
        arguments.extend(["--contents", folder, "--from", author, "--rcpt", USER]);
        if cell.is_submission() {
            arguments.extend(["--per-connection", "all", "--user", USER, "--password", PASSWORD]);
        }
        Ok(Load::try_parse_from(arguments)?)
    }
}

/// Sends, and waits until so many messages in all are in the mailbox; an error where one was not accepted.
fn send(server: &mut Server, load: &Load, total: u64) -> Fallible<Round> {
    let processes = ProcessTree { root: server.pid() };
    // Logins are over by then.
    let before = OnceLock::new();
    let begins = || drop(before.set(processes.cpu_time()));
    let json = load::run_from(load, &begins)?.json;
    if json["accepted"].as_u64() != load.messages || json["sent"].as_u64() != load.messages {
        return Err(format!("not every message was accepted: {json}").into());
    }
    server.wait_for_log(DELIVERED, total as usize)?;
    let cpu = processes.cpu_time()? - before.into_inner().ok_or("the run did not begin")??;
    let missing = || format!("no rate in {json}");
    Ok(Round {
        accepted: json["accepted_per_second"].as_f64().ok_or_else(missing)?,
        cpu: cpu.as_secs_f64() / json["accepted"].as_f64().ok_or_else(missing)? * 1_000.0,
    })
}

/// Makes keys for the user's domain, which sign from now on, and gives what the DNS would say of them.
fn keys(site: &Site) -> Fallible<Zone> {
    let zone = Zone::default();
    let made = ["domain", "dkim", "generate", "example.org", "--selector", "bench", "--active", "--json"];
    for key in site.list(&made)? {
        let text = |member: &str| key[member].as_str().ok_or_else(|| format!("no {member} in {key}"));
        zone.set(text("name")?, RecordKind::Txt, Ok(vec![Record::Txt(text("record")?.as_bytes().to_vec())]));
    }
    Ok(zone)
}

/// Holds every stored header block against the cell's marks.
fn check_headers(site: &Site, cell: Cell, messages: usize) -> Fallible<()> {
    let headers = site.run(["mailbox", "read", USER, "--all", "--headers"], b"")?;
    let headers = unfolded(&String::from_utf8_lossy(&headers));
    for (mark, each) in cell.marks() {
        let (found, expected) = (headers.matches(mark).count(), each * messages);
        if found != expected {
            let first = headers.get(..2_000).unwrap_or(&headers);
            return Err(
                format!("{mark:?} stands {found} times, not {expected}, in what begins {first}").into()
            );
        }
    }
    Ok(())
}

/// RFC 5322 §2.2.3
fn unfolded(headers: &str) -> String {
    headers.replace("\r\n\t", " ").replace("\r\n ", " ")
}

/// Verifies some of the messages as anybody would who has them.
fn check_signatures(site: &Site, keys: &Zone) -> Fallible<()> {
    for uid in site.uids(USER)?.into_iter().take(SAMPLE) {
        let message = site.read(USER, uid)?;
        let mut scan = HeaderScan::default();
        let end = match scan.advance(&message) {
            HeaderSplit::At(end) => end,
            HeaderSplit::Unfinished => scan.finish(&message),
        };
        let (header, body) = message.split_at(end);
        let mut hasher = BodyHasher::new(body_methods(header));
        hasher.push(body);
        let report = smol::block_on(verify(header, &hasher.finish(), keys, SmolClock.utc()));
        let results: Vec<_> = report.signatures.iter().map(|signature| signature.result).collect();
        if results != [DkimResult::Pass; 2] {
            return Err(format!("the signatures of message {uid} come to {report:?}").into());
        }
    }
    Ok(())
}
