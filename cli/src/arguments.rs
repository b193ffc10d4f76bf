//! What may be typed: commands, options, and the help that teaches them.

mod account;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use fulmar_core::model::{Address, AddressError, QueueId, ReversePath};

pub(crate) use self::account::{AccountCommand, AppPasswordCommand, Credentials};
use crate::config::parse_duration;

mod directory;
mod dkim;
mod report;
mod verify;

pub(crate) use self::dkim::DkimCommand;
pub(crate) use self::report::ReportCommand;
pub(crate) use self::verify::Verify;
pub(crate) use directory::{AliasCommand, DomainCommand};

const EXAMPLES: &str = "\
Examples:
  fulmar serve                              a server to try things on, on 127.0.0.1:2525 and :1110
  fulmar domain add example.org
  fulmar account add alice@example.org
  fulmar send --from bob@example.org --to alice@example.org message.eml
  fulmar mailbox list alice@example.org
  fulmar mailbox read alice@example.org 1
  fulmar queue list --json

Exit codes:
  0   done
  1   failed
  2   wrong usage or configuration
  75  the store cannot be asked now, or something due could not be done: try again later

Every command but serve works on the store that the configuration names, from any machine that
can reach it, whether a server runs or not.

Configuration: --config FILE, else $FULMAR_CONFIG, else ./fulmar.toml, else
/etc/fulmar/fulmar.toml. FULMAR_<SECTION>_<KEY> variables win over the file.
`fulmar config check` shows what is in effect.";

/// A mail engine without servers to nurse: stateless nodes over one object store
#[derive(Debug, Parser)]
#[command(name = "fulmar", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// Read this configuration file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write results as JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node until SIGTERM or SIGINT
    ///
    /// Prints `listening PROTOCOL ADDRESS` for each listener as soon as it accepts; logs go to standard error. The first
    /// signal lets sessions finish, for at most 10 seconds; the second ends the process at once, with exit code 1.
    #[command(after_help = "Example:\n  FULMAR_LISTEN=smtp=0.0.0.0:25,pop3=127.0.0.1:110 fulmar serve")]
    Serve,
    /// Put one message into the queue; prints its queue id
    ///
    /// The message is durable when the command ends with 0. Line ends may be LF or CRLF.
    #[command(
        after_help = "Example:\n  fulmar send --from bob@example.org --to alice@example.org message.eml"
    )]
    Send(Send),
    /// Work the queue for a while without serving anybody; prints one JSON object
    ///
    /// Adopts the mail of nodes that are gone, delivers what is due, takes what lies in pickup/, and carries out orders. What is left is
    /// released to whoever comes next. Prints `delivered`, `deferred`, `remaining` and `next_due`, the time at which to come back. Ends
    /// with 75 where something that is due could not be done. Stays for up to a minute where a node may just have died.
    #[command(
        after_help = "Example, for a queue without a server, every minute:\n  fulmar drain --deadline 50s"
    )]
    Drain(Drain),
    /// The domains that mail is taken for
    #[command(subcommand, after_help = directory::DOMAIN_EXAMPLES)]
    Domain(DomainCommand),
    /// Addresses, and patterns of them, that stand for others
    #[command(subcommand, after_help = directory::ALIAS_EXAMPLES)]
    Alias(AliasCommand),
    /// Users with a mailbox
    #[command(
        subcommand,
        after_help = "Example:\n  printf '%s' \"$PASSWORD\" | fulmar account add alice@example.org --password-stdin"
    )]
    Account(AccountCommand),
    /// Certificates of this server in the store, shared by all nodes
    ///
    /// Each is one object, tls/NAME.pem, chain and private key together: whoever can read the store can pose as this server. Nodes show it
    /// to clients that ask for a name which stands in it, within a minute of the next session.
    #[command(subcommand, after_help = "Example:\n  fulmar certificate add fullchain.pem privkey.pem")]
    Certificate(CertificateCommand),
    /// Messages on their way
    #[command(subcommand, after_help = "Example:\n  fulmar queue list --json")]
    Queue(QueueCommand),
    /// Messages that have arrived
    #[command(
        subcommand,
        after_help = "Example:\n  fulmar mailbox read alice@example.org 1:* --mbox > mail.mbox"
    )]
    Mailbox(MailboxCommand),
    /// What others report of mail in the name of our domains
    ///
    /// Aggregate reports of DMARC that came to an `inbox` of `[dmarc_reports]`. They stay for 90 days. Whose they are is only known where their own
    /// mail passes DMARC: anybody can write the others.
    #[command(subcommand, after_help = "Example:\n  fulmar report list example.org")]
    Report(ReportCommand),
    /// Tell what verification makes of a message: its fields, or the reply that refuses it
    ///
    /// As `[verification]` says and on what name servers say now; with --record, what they say is written to a file, and with --replay taken
    /// from one, at the time of that file: so the same comes out again, anywhere, and whatever the DNS has come to say. Ends with 1
    /// where the message would be refused, and with 75 where it would be put off.
    #[command(after_help = verify::EXAMPLES)]
    Verify(Verify),
    /// The object store
    #[command(subcommand, after_help = "Example:\n  fulmar store check")]
    Store(StoreCommand),
    /// Audit everything in the store: what nothing needs, what is missing, what is damaged
    ///
    /// Nodes may run meanwhile. Prints each finding, then counts, octets and what they cost. Reads the header of every object, one
    /// request each. Exit code 1 where something that is needed is missing or damaged.
    #[command(after_help = "Example:\n  fulmar fsck --repair")]
    Fsck {
        /// Delete what is unreachable and has been for a day, and nothing else
        #[arg(long)]
        repair: bool,
    },
    /// The configuration
    #[command(subcommand, after_help = "Example:\n  fulmar --config fulmar.toml config check")]
    Config(ConfigCommand),
}

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// The reverse-path: where a non-delivery report goes; '' for none
    #[arg(long, value_name = "ADDRESS", value_parser = reverse_path)]
    pub(crate) from: ReversePath,
    /// A recipient; may be given several times
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub(crate) to: Vec<Address>,
    /// The message, header and body; - for standard input
    #[arg(value_name = "FILE.eml")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// End after this long at the latest, such as 50s or 10m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) deadline: Option<Duration>,
    /// Go on until nothing is queued anywhere, be it due or not
    #[arg(long)]
    pub(crate) until_empty: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertificateCommand {
    /// Put a certificate into the store, or replace the one of that name
    Add {
        /// What it is called in the store; without this, the first name that stands in it
        #[arg(long)]
        name: Option<String>,
        /// The chain in PEM form, the server's own certificate first
        #[arg(value_name = "CHAIN.pem")]
        chain: PathBuf,
        /// Its private key, where that does not stand in the same file
        #[arg(value_name = "KEY.pem")]
        key: Option<PathBuf>,
    },
    /// List the certificates
    List,
    /// Remove a certificate; nodes show it until they look again, at the next session after a minute
    Remove {
        /// What it is called in the store
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List what is queued, one line for each message and recipient
    List,
    /// Show all that is known of one queued message
    Show {
        /// The queue id, as the reply to DATA gave it
        #[arg(value_parser = queue_id)]
        id: QueueId,
    },
    /// Attempt a message now; the node that holds it does so within 10 seconds
    Retry {
        /// The queue id
        #[arg(value_parser = queue_id)]
        id: QueueId,
    },
    /// Deliver a message to nobody any more, without a report to its sender
    Cancel {
        /// The queue id
        #[arg(value_parser = queue_id)]
        id: QueueId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum MailboxCommand {
    /// List the messages of a mailbox
    List {
        /// The account's address
        account: Address,
        /// Which of its mailboxes
        #[arg(long, default_value = "INBOX")]
        mailbox: String,
    },
    /// Write messages to standard output
    ///
    /// One message is written exactly as it is stored. Several need to be told apart: choose --mbox or --output, or say
    /// --raw or --headers to have them one behind the other.
    Read(Read),
}

#[derive(Debug, Args)]
pub(crate) struct Read {
    /// The account's address
    pub(crate) account: Address,
    /// UID, FIRST:LAST or FIRST:*
    #[arg(required_unless_present = "all", value_name = "MESSAGES")]
    pub(crate) messages: Option<Messages>,
    /// All messages; the same as 1:*
    #[arg(long, conflicts_with = "messages")]
    pub(crate) all: bool,
    /// Which of the account's mailboxes
    #[arg(long, default_value = "INBOX")]
    pub(crate) mailbox: String,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// How messages are written; at most one is set.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Form {
    /// The octets exactly as stored
    #[arg(long)]
    pub(crate) raw: bool,
    /// Only the header block
    #[arg(long)]
    pub(crate) headers: bool,
    /// As a file in mbox format: LF line ends, `From ` lines between messages, those inside quoted with `>`
    #[arg(long)]
    pub(crate) mbox: bool,
    /// The octets exactly as stored, each message in DIR/<uid>.eml
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Try whether the store keeps what it must promise
    Check,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show the settings in effect and where each comes from, or everything that is wrong with them
    Check,
}

/// Which messages of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Messages {
    /// The one with this UID.
    One(u32),
    /// Those with UIDs from the first to the last, both included.
    Range(u32, u32),
}

/// That a text names no messages.
#[derive(Debug)]
pub(crate) struct NotMessages;

impl fmt::Display for NotMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("allowed: a UID such as 7, or a range such as 3:9 or 3:*")
    }
}

impl std::error::Error for NotMessages {}

impl FromStr for Messages {
    type Err = NotMessages;

    fn from_str(text: &str) -> Result<Self, NotMessages> {
        let uid = |text: &str| text.parse().ok().filter(|uid| *uid > 0).ok_or(NotMessages);
        let Some((first, last)) = text.split_once(':') else { return uid(text).map(Self::One) };
        let (first, last) = (uid(first)?, if last == "*" { u32::MAX } else { uid(last)? });
        if first <= last { Ok(Self::Range(first, last)) } else { Err(NotMessages) }
    }
}

fn reverse_path(text: &str) -> Result<ReversePath, AddressError> {
    ReversePath::try_from(text.to_owned())
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    let duration = parse_duration(text).filter(|duration| !duration.is_zero());
    duration.ok_or("not a duration, such as 500ms, 50s, 10m or 1h")
}

fn queue_id(text: &str) -> Result<QueueId, &'static str> {
    text.parse().map_err(|_| "not a queue id, which has 26 letters and digits")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    /// Splits at blanks; `''` is the empty argument.
    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split(' ').map(|word| word.trim_matches('\'')))
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_documented_command_parses() {
        for line in [
            "fulmar serve",
            "fulmar --config a.toml serve",
            "fulmar serve --config a.toml",
            "fulmar send --from a@x.test --to b@x.test --to c@x.test m.eml",
            "fulmar send --from '' --to b@x.test -",
            "fulmar drain",
            "fulmar drain --deadline 50s --until-empty --json",
            "fulmar domain add x.test",
            "fulmar domain add x.test --relay --separator -",
            "fulmar domain add x.test --backup-mx",
            "fulmar domain add x.test --separator none",
            "fulmar domain set x.test --dmarc quarantine",
            "fulmar domain set x.test --dmarc default",
            "fulmar domain set x.test --local",
            "fulmar domain set x.test --add-recipient a@x.test b@x.test --remove-recipient c@x.test",
            "fulmar domain list --json",
            "fulmar domain recipients x.test",
            "fulmar domain dkim list x.test --json",
            "fulmar domain dkim generate x.test",
            "fulmar domain dkim generate x.test --selector one --algorithm rsa --algorithm ed25519 --active",
            "fulmar domain dkim import x.test one key.pem --active",
            "fulmar domain dkim activate x.test one --unchecked",
            "fulmar domain dkim rotate x.test --unchecked",
            "fulmar domain dkim retire x.test one",
            "fulmar domain dkim remove x.test one",
            "fulmar alias add s@x.test a@x.test b@y.test",
            "fulmar alias add s-*@x.test a-$1@x.test",
            "fulmar alias add /(a|b)c/@x.test $1@y.test",
            "fulmar alias add *@x.test $0@y.test",
            "fulmar alias list",
            "fulmar alias list x.test",
            "fulmar alias remove s@x.test",
            "fulmar account add a@x.test",
            "fulmar account add a@x.test --password-stdin",
            "fulmar account list",
            "fulmar account passwd a@x.test --password-stdin",
            "fulmar account passwd a@x.test --none",
            "fulmar account remove a@x.test",
            "fulmar certificate add cert.pem",
            "fulmar certificate add --name mx cert.pem key.pem",
            "fulmar certificate list --json",
            "fulmar certificate remove mx",
            "fulmar account disable a@x.test",
            "fulmar account enable a@x.test",
            "fulmar account app-password add a@x.test phone",
            "fulmar account app-password add a@x.test phone --scope imap --scope smtp",
            "fulmar account app-password list a@x.test --json",
            "fulmar account app-password remove a@x.test 3",
            "fulmar queue list --json",
            "fulmar queue show 01JDS9YZQW000000000000000A",
            "fulmar mailbox list a@x.test --mailbox Sent",
            "fulmar mailbox read a@x.test 7",
            "fulmar mailbox read a@x.test 7:9 --raw",
            "fulmar mailbox read a@x.test 7:* --mbox",
            "fulmar mailbox read a@x.test --all --output out",
            "fulmar mailbox read a@x.test --all --headers",
            "fulmar verify --client 192.0.2.1 --helo mx.x.test --from a@x.test m.eml",
            "fulmar verify --client 2001:db8::1 --helo [192.0.2.1] --from '' --record r.jsonl -",
            "fulmar verify --client 192.0.2.1 --helo mx.x.test --from a@x.test --replay r.jsonl m.eml --json",
            "fulmar report list",
            "fulmar report list x.test --json",
            "fulmar report show 0123456789abcdef01234567",
            "fulmar store check",
            "fulmar fsck",
            "fulmar fsck --repair --json",
            "fulmar config check",
        ] {
            if let Err(error) = parse(line) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn wrong_usage_is_refused_with_exit_code_2() {
        for line in [
            "fulmar",
            "fulmar fly",
            "fulmar send --from a@x.test m.eml",
            "fulmar send --to a@x.test m.eml",
            "fulmar send --from a --to b@x.test m.eml",
            "fulmar drain --deadline 50",
            "fulmar drain --deadline 0s",
            "fulmar drain now",
            "fulmar domain add -x.test",
            "fulmar domain add x.test --relay --local",
            "fulmar domain add x.test --separator ab",
            "fulmar domain set x.test --dmarc reject",
            "fulmar domain set x.test",
            "fulmar domain dkim generate",
            "fulmar domain dkim generate x.test --algorithm dsa",
            "fulmar domain dkim activate x.test",
            "fulmar alias add s@x.test",
            "fulmar alias add /a(/@x.test a@x.test",
            "fulmar account add a",
            "fulmar account add a@x.test --none",
            "fulmar account passwd a@x.test --none --password-stdin",
            "fulmar account app-password add a@x.test",
            "fulmar account app-password add a@x.test phone --scope sieve",
            "fulmar account app-password remove a@x.test phone",
            "fulmar queue show 12",
            "fulmar verify --client mx.x.test --helo mx.x.test --from a@x.test m.eml",
            "fulmar verify --client 192.0.2.1 --from a@x.test m.eml",
            "fulmar verify --client 192.0.2.1 --helo h --from a@x.test --record a --replay b m.eml",
            "fulmar mailbox read a@x.test",
            "fulmar mailbox read a@x.test 0",
            "fulmar mailbox read a@x.test 9:7",
            "fulmar mailbox read a@x.test 7 --all",
            "fulmar mailbox read a@x.test 7 --raw --mbox",
        ] {
            assert_eq!(parse(line).map_err(|error| error.exit_code()).err(), Some(2), "{line}");
        }
    }

    #[test]
    fn help_and_version_are_answers_and_every_command_is_in_the_help() {
        assert_eq!(parse("fulmar --version").unwrap_err().kind(), ErrorKind::DisplayVersion);
        assert_eq!(parse("fulmar --help").unwrap_err().exit_code(), 0);
        for command in Arguments::command().get_subcommands() {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Example"), "{}", command.get_name());
        }
    }
}
