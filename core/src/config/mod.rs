//! Settings as types that cannot be wrong (rank 1). Whoever reads a file builds these; nothing here parses text.
//!
//! Every limit has its name, its default, its unit and the reply for when it is hit in one place: here.

mod auth;
mod dmarc_reports;
mod forwarding;
mod listener;
mod policy;
mod relay;
mod signing;
mod tls;
mod tokens;
mod verification;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use auth::AuthSettings;
pub use dmarc_reports::DmarcReportSettings;
pub use forwarding::ForwardingSettings;
use ipnet::IpNet;
pub use listener::{Authentication, ListenerSettings};
pub use policy::{
    AccessAction, AccessRule, AddressPattern, Banner, ClientLimits, DomainPattern, EarlyTalkers, Footer,
    Manners, PolicySettings, REPLY_TEXT_LIMIT, ReplySettings, Stage,
};
pub use relay::{Destination, NextHop, RelaySettings, Route};
pub use signing::SigningSettings;
pub use tls::{
    Authorities, AuthoritiesError, ClientCertificates, ListenerTls, TlsMode, TlsSettings, TlsVersion,
};
pub use tokens::{Introspection, Issuer, KeySource};
pub use verification::{Consequence, Obedience, VerificationSettings};

use crate::model::{Address, Domain};

/// The engine's settings. A reload builds a new value; nothing changes in place.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node's name in greetings and trace fields.
    pub hostname: Domain,
    /// Who gets mail for `<Postmaster>`, and for the postmaster of a local domain that has no such account or alias.
    /// Without it, or where it leads
    /// to nobody, such mail goes to `postmaster@` that domain, which is then made.
    pub postmaster: Option<Address>,
    /// Relaying to other hosts.
    pub relay: RelaySettings,
    /// Mail that our aliases lead to other hosts.
    pub forwarding: ForwardingSettings,
    /// How signatures are made.
    pub signing: SigningSettings,
    /// Limits of SMTP sessions.
    pub smtp: SmtpLimits,
    /// Who may connect, speak and send, and how often.
    pub policy: PolicySettings,
    /// What is verified of mail that strangers bring.
    pub verification: VerificationSettings,
    /// What the owners of domains are told of that.
    pub dmarc_reports: DmarcReportSettings,
    /// POP3.
    pub pop3: Pop3Settings,
    /// TLS on our own listeners.
    pub tls: TlsSettings,
    /// Logins.
    pub auth: AuthSettings,
    /// The queue.
    pub queue: QueueSettings,
    /// How this node asks the store.
    pub store: StoreSettings,
}

impl Config {
    /// Defaults for a host of this name.
    pub fn new(hostname: Domain) -> Self {
        Self {
            hostname,
            postmaster: None,
            relay: RelaySettings::default(),
            forwarding: ForwardingSettings::default(),
            signing: SigningSettings::default(),
            smtp: SmtpLimits::default(),
            policy: PolicySettings::default(),
            verification: VerificationSettings::default(),
            dmarc_reports: DmarcReportSettings::default(),
            pop3: Pop3Settings::default(),
            tls: TlsSettings::default(),
            auth: AuthSettings::default(),
            queue: QueueSettings::default(),
            store: StoreSettings::default(),
        }
    }
}

/// Bounds of one SMTP session.
#[derive(Clone, Debug)]
pub struct SmtpLimits {
    /// Octets in a command line with its CRLF; floor 512 (RFC 5321 §4.5.3.1.4). Beyond: `500 5.5.2`.
    pub command_line: usize,
    /// Octets in a line of content with its CRLF; floor 1,000 (RFC 5321 §4.5.3.1.6). Beyond: `554 5.6.0` at the end.
    pub content_line: usize,
    /// Octets of content; floor 64 KiB (RFC 5321 §4.5.3.1.7). Beyond: `552 5.3.4`.
    pub message_size: u64,
    /// Octets of header block. Beyond: `552 5.3.4`.
    pub header_block: usize,
    /// Octets, in transport form, that are read on for the end of content that is refused already. Beyond: the refusal at
    /// once, then `421 4.7.0`, and the connection is closed.
    pub refused_content: u64,
    /// Recipients in a transaction, before and after expansion; floor 100 (RFC 5321 §4.5.3.1.8). Beyond: `452 4.5.3`.
    pub recipients: usize,
    /// `Received` fields; floor 100 (RFC 5321 §6.3). Beyond: `554 5.4.6`.
    pub hops: usize,
    /// Commands answered with 5yz in one session. Beyond: `421 4.7.0` and the connection is closed.
    pub errors: usize,
    /// Commands since the session began or its last message was accepted, recipients that were taken not counted. Beyond:
    /// `421 4.7.0` and the connection is closed.
    pub fruitless_commands: usize,
    /// How long a client may take for one whole command (RFC 5321 §4.5.3.2.7). Beyond: `421 4.4.2`.
    pub command_timeout: Duration,
    /// How long content may pause, and how long a client may take to read a reply (RFC 5321 §4.5.3.2.5). Beyond: `421 4.4.2`.
    pub content_timeout: Duration,
    /// Octets a second that content must arrive with, on average, after the first `least_rate_grace`. Beyond: `421 4.4.2`.
    pub least_rate: u64,
    /// See `least_rate`.
    pub least_rate_grace: Duration,
    /// Sessions at a time on one node. Beyond: `421 4.3.2`.
    pub sessions: usize,
    /// Sessions from which on a node asks itself whether it keeps up: how long a job that could go on waits for its turn on the processor.
    pub crowd: usize,
    /// How long that may be in a crowd. Beyond: `421 4.3.2` to a new connection, `452 4.3.1` to MAIL. A transaction takes some eight turns.
    pub turn: Duration,
}

impl Default for SmtpLimits {
    fn default() -> Self {
        Self {
            command_line: 4096,
            content_line: 64 << 10,
            message_size: 50 << 20,
            header_block: 256 << 10,
            refused_content: 1 << 30,
            recipients: 10_000,
            hops: 100,
            errors: 100,
            fruitless_commands: 1_000,
            command_timeout: Duration::from_mins(5),
            content_timeout: Duration::from_mins(3),
            least_rate: 128,
            least_rate_grace: Duration::from_mins(1),
            sessions: 5_000,
            crowd: 200,
            turn: Duration::from_millis(100),
        }
    }
}

/// POP3's settings.
#[derive(Clone, Debug)]
pub struct Pop3Settings {
    /// Whether passwords are taken in clear text from other machines too. Else: `-ERR [AUTH]`, but for clients on loopback.
    pub allow_plaintext: bool,
    /// How long a client may take for one whole command; floor 10 minutes (RFC 1939 §3). Beyond: the connection is closed.
    pub idle_timeout: Duration,
    /// Sessions at a time on one node, each with at most one piece of a large message (2 MiB) in memory. Beyond:
    /// `-ERR [SYS/TEMP]`.
    pub sessions: usize,
}

impl Default for Pop3Settings {
    fn default() -> Self {
        Self { allow_plaintext: false, idle_timeout: Duration::from_mins(10), sessions: 1_000 }
    }
}

/// The queue's settings.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// Pauses before the second attempt, the third, and so on. Never empty; the last one repeats.
    pub retry: Vec<Duration>,
    /// How long an entry is tried; at most 25 days, because mailboxes remember deliveries for 30.
    pub expire: Duration,
    /// After how long a sender who asked for that is told that a message is not delivered yet (RFC 3461 §4.1).
    pub delay_notice: Duration,
    /// How long finished transactions are collected while a segment is being written, and after one for as many as there were then.
    pub window: Duration,
    /// Octets of bodies that are kept in memory for first attempts. What is over is read again from the store.
    pub memory: usize,
    /// Octets of content being received that are held in memory on this node before pieces go out early.
    pub receiving: usize,
    /// Segments after which a checkpoint is written.
    pub checkpoint_segments: u64,
    /// Local deliveries under way at a time.
    pub local_attempts: usize,
    /// How long the first of the messages that wait to become durable may have waited when another transaction begins. Beyond:
    /// `452 4.3.1` to MAIL.
    pub commit_wait: Duration,
    /// Octets in memory of messages that are being received, or wait to become durable, when another transaction begins. Beyond:
    /// `452 4.3.1` to MAIL.
    pub intake: usize,
    /// How long the first of the local recipients that are due may have waited for its delivery to begin when another transaction begins.
    /// Beyond: `452 4.3.1` to MAIL.
    pub delivery_wait: Duration,
    /// Messages in the queue of this node when another transaction begins; each takes some 300 octets of memory. What is adopted is
    /// not refused. Beyond: `452 4.3.1` to MAIL.
    pub entries: usize,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            retry: [1, 5, 15, 60, 240].map(Duration::from_mins).to_vec(),
            expire: Duration::from_hours(5 * 24),
            delay_notice: Duration::from_hours(4),
            window: Duration::from_millis(50),
            memory: 64 << 20,
            receiving: 16 << 20,
            checkpoint_segments: 1_000,
            local_attempts: 2_000,
            commit_wait: Duration::from_secs(5),
            intake: 128 << 20,
            delivery_wait: Duration::from_secs(5),
            entries: 1_000_000,
        }
    }
}

/// What store this is, and how its requests are repeated.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// What the store is called where a failure is told, such as `s3://mail/prod at http://127.0.0.1:9140`.
    pub name: Option<String>,
    /// The endpoint of a store that must prove, before a node runs on it, that of racing creates one wins. None where the
    /// store is our own.
    pub endpoint: Option<String>,
    /// That no other node will ever write the store: it need not prove anything.
    pub single_node: bool,
    /// How long one try may take before it counts as unanswered, beside a second for each MiB that it moves.
    pub attempt_timeout: Duration,
    /// How long an operation is repeated before its caller is told.
    pub deadline: Duration,
    /// First pause between tries; it doubles, with full jitter, up to `pause_limit`.
    pub pause: Duration,
    /// See `pause`.
    pub pause_limit: Duration,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            name: None,
            endpoint: None,
            single_node: false,
            attempt_timeout: Duration::from_secs(10),
            deadline: Duration::from_secs(20),
            pause: Duration::from_millis(50),
            pause_limit: Duration::from_secs(3),
        }
    }
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// SMTP on port 25: strangers and relaying clients (RFC 5321 §4.5.4.2).
    Smtp,
    /// Submission by users (RFC 6409 §3).
    Submission,
    /// The same, encrypted from the first octet on (RFC 8314 §3.3).
    Submissions,
    /// Local delivery by a host that keeps the queue (RFC 2033 §4).
    Lmtp,
    /// POP3, for whoever has an account (RFC 1939 §3).
    Pop3,
    /// The same, encrypted from the first octet on (RFC 8314 §3.1).
    Pop3s,
}

impl Protocol {
    /// Its name in settings, output and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Submission => "submission",
            Self::Submissions => "submissions",
            Self::Lmtp => "lmtp",
            Self::Pop3 => "pop3",
            Self::Pop3s => "pop3s",
        }
    }

    /// When sessions are encrypted, where nobody says otherwise.
    pub const fn tls_mode(self) -> TlsMode {
        match self {
            Self::Smtp | Self::Submission | Self::Lmtp | Self::Pop3 => TlsMode::StartTls,
            Self::Submissions | Self::Pop3s => TlsMode::Implicit,
        }
    }
}

/// One address to listen on.
#[derive(Clone, Debug)]
pub struct Listener {
    /// What is spoken there.
    pub protocol: Protocol,
    /// Where.
    pub address: SocketAddr,
    /// Load balancers. Their connections must begin with a PROXY header, and its word on who the client is is taken.
    pub proxy_protocol_from: Vec<IpNet>,
    /// Whether, when and how its sessions are encrypted.
    pub tls: ListenerTls,
    /// What is different there.
    pub settings: ListenerSettings,
}

impl Listener {
    /// A listener to which clients connect themselves.
    pub const fn new(protocol: Protocol, address: SocketAddr) -> Self {
        let tls = ListenerTls::of(protocol);
        Self { protocol, address, proxy_protocol_from: Vec::new(), tls, settings: ListenerSettings::new() }
    }

    /// Whether a connection from there must begin with a PROXY header.
    pub fn expects_proxy_header(&self, peer: IpAddr) -> bool {
        relay::contain(&self.proxy_protocol_from, peer)
    }
}
