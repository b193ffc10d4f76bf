//! What a run is told.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Parser};
use serde::{Serialize, Serializer};

/// How many sessions one process may hold, of each kind: below the number of ports that one address has.
const MAX_SESSIONS: u64 = 60_000;
/// RFC 5321 §4.5.3.1.8 lets a server refuse more than 100; with more than these, a group of commands (RFC 2920 §3.1) could fill
/// the socket's buffers both ways before its replies are read.
const MAX_RECIPIENTS: u64 = 1_000;
const MAX_THREADS: u64 = 64;
/// Longest local-part, at sign and domain (RFC 5321 §4.5.3.1.3, without the angle brackets).
const MAX_ADDRESS: usize = 254;
/// A day: longer waits and runs are mistakes.
const MAX_SECONDS: f64 = 86_400.0;
const MAX_RATE: f64 = 1e6;

/// Drives an SMTP server, and says in one JSON object how it answered.
#[derive(Clone, Debug, Parser, Serialize)]
#[command(name = "load", group(ArgGroup::new("end").required(true).multiple(true)))]
pub struct Options {
    /// Address and port of the server.
    #[arg(long)]
    pub to: SocketAddr,
    /// How many sessions send at a time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=MAX_SESSIONS))]
    pub sessions: u64,
    /// How many messages to send in all.
    #[arg(long, group = "end")]
    pub messages: Option<u64>,
    /// How long new messages are begun; those under way then are finished.
    #[arg(long, group = "end", value_parser = seconds)]
    pub seconds: Option<f64>,
    /// Octets of each message's content, or `typical`: a median of 30 KiB and a long tail up to 1 MiB.
    #[arg(long, default_value = "10240")]
    pub size: Size,
    /// What typical sizes are drawn from: the same seed gives the same sizes.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// A folder whose files are sent in turns, in the order of their names, in place of contents that are made up. Their lines end in CRLF, and
    /// none begins with a dot.
    #[arg(long, conflicts_with = "size")]
    pub contents: Option<PathBuf>,
    /// Who logs in (AUTH PLAIN, RFC 4616). Each session does so before the run begins: to a server a login may be more work than many messages.
    #[arg(long, requires = "password")]
    pub user: Option<String>,
    /// The password of that user.
    #[arg(long, requires = "user")]
    #[serde(skip)]
    pub password: Option<String>,
    /// How many messages go through one connection, or `all`.
    #[arg(long, default_value = "1")]
    pub per_connection: PerConnection,
    /// The reverse-path; empty for the null one.
    #[arg(long, default_value = "load@load.invalid", value_parser = reverse_path)]
    pub from: String,
    /// A forward-path. Messages go through all of them in turn.
    #[arg(long, required = true, value_parser = forward_path)]
    pub rcpt: Vec<String>,
    /// How many recipients each message has. Beyond those given, numbers are put in front: `1USER@HOST`, `2USER@HOST`.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MAX_RECIPIENTS))]
    pub recipients: u64,
    /// TLS from the first octet on (RFC 8314 §3.3). Any certificate will do.
    #[arg(long, conflicts_with = "starttls")]
    pub tls: bool,
    /// TLS by STARTTLS (RFC 3207 §4); a server that does not announce it fails.
    #[arg(long)]
    pub starttls: bool,
    /// One command at a time, whatever the server announces.
    #[arg(long = "no-pipelining", action = clap::ArgAction::SetFalse)]
    pub pipelining: bool,
    /// Asks for the default: commands in groups where the server announces PIPELINING (RFC 2920 §3.1).
    #[arg(long = "pipelining", overrides_with = "pipelining")]
    #[serde(skip)]
    pub pipelining_where_announced: bool,
    /// Open loop: so many messages a second become due, whatever the server does, and latency counts from there.
    #[arg(long, value_parser = rate)]
    pub rate: Option<f64>,
    /// How many further sessions say EHLO before the run begins, and then nothing.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=MAX_SESSIONS))]
    pub idle: u64,
    /// How many seconds each step may take: connecting with the greeting, the envelope, the content with its reply. In
    /// open loop also how long a message waits for a free session.
    #[arg(long, default_value_t = 60.0, value_parser = seconds)]
    pub timeout: f64,
    /// Threads among which the sessions are divided.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MAX_THREADS))]
    pub threads: u64,
}

/// How large contents are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// So many octets each.
    Fixed(usize),
    /// As mail is: see [`super::sizes`].
    Typical,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "typical" {
            return Ok(Self::Typical);
        }
        text.parse().map(Self::Fixed).map_err(|_| "neither a number of octets nor `typical`".to_owned())
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(octets) => serializer.serialize_u64(*octets as u64),
            Self::Typical => serializer.serialize_str("typical"),
        }
    }
}

/// When a connection is given up for a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PerConnection {
    /// After so many messages.
    Messages(NonZeroU64),
    /// Only when it breaks.
    All,
}

impl PerConnection {
    /// Whether the message after `sent` others is the last one on its connection.
    pub fn ends_after(self, sent: u64) -> bool {
        matches!(self, Self::Messages(limit) if sent + 1 >= limit.get())
    }
}

impl FromStr for PerConnection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" {
            return Ok(Self::All);
        }
        text.parse().map(Self::Messages).map_err(|_| "neither a number above 0 nor `all`".to_owned())
    }
}

impl fmt::Display for PerConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Messages(limit) => write!(f, "{limit}"),
            Self::All => f.write_str("all"),
        }
    }
}

impl Serialize for PerConnection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    positive(text, MAX_SECONDS)
}

fn rate(text: &str) -> Result<f64, String> {
    positive(text, MAX_RATE)
}

fn positive(text: &str, most: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| *number > 0.0 && *number <= most);
    number.ok_or_else(|| format!("not a number above 0 and up to {most}"))
}

fn reverse_path(text: &str) -> Result<String, String> {
    if text.is_empty() { Ok(String::new()) } else { forward_path(text) }
}

/// Takes what can stand between angle brackets without breaking the command: whether it is a mailbox is the server's question.
fn forward_path(text: &str) -> Result<String, String> {
    let fits = text.len() <= MAX_ADDRESS && !text.is_empty();
    if fits && text.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'<' && octet != b'>') {
        Ok(text.to_owned())
    } else {
        Err(format!("not an address of at most {MAX_ADDRESS} printable characters"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, clap::Error> {
        let common = ["load", "--to", "127.0.0.1:25", "--rcpt", "a@b"];
        Options::try_parse_from(common.into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn the_last_word_on_pipelining_counts() {
        for (line, expected) in [
            ("", true),
            ("--pipelining", true),
            ("--no-pipelining", false),
            ("--pipelining --no-pipelining", false),
            ("--no-pipelining --pipelining", true),
        ] {
            let options = parse(&format!("--messages 1 {line}")).unwrap();
            assert_eq!(options.pipelining, expected, "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "",
            "--messages 1 --tls --starttls",
            "--messages 1 --recipients 0",
            "--messages 1 --recipients 1001",
            "--messages 1 --per-connection 0",
            "--messages 1 --rate 0",
            "--messages 1 --rate NaN",
            "--messages 1 --timeout inf",
            "--messages 1 --size large",
            "--messages 1 --size 1000 --contents folder",
            "--messages 1 --user a@b",
            "--messages 1 --password secret",
            "--messages 1 --rcpt a>b",
            "--seconds -1",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_connection_ends_after_the_messages_it_was_given() {
        let three: PerConnection = "3".parse().unwrap();
        assert_eq!([0, 1, 2, 3].map(|sent| three.ends_after(sent)), [false, false, true, true]);
        assert!(!PerConnection::All.ends_after(u64::MAX - 1));
    }
}
