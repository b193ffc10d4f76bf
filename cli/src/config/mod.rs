//! Settings from a TOML file and `FULMAR_*` variables, which win over the file.
//!
//! Every setting is one row of [`keys::keys`]: how it is read, from either source, and how it is shown. `serde` would stop at
//! the first mistake and know no variables; here all mistakes are collected, each with its place and what is allowed.

mod auth;
mod dmarc_reports;
mod door;
mod forwarding;
mod hosts;
mod issuers;
mod keys;
mod listener_settings;
mod listeners;
mod load;
mod routes;
mod sections;
mod show;
mod signing;
mod sources;
mod tables;
mod tls;
mod value;
mod verification;
mod written;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use fulmar_core::config::{Config, Listener, Protocol};
use fulmar_core::model::Domain;
use fulmar_core::resolver::NameServers;
use fulmar_storage_s3::{S3Credentials, S3Settings};

use issuers::ListedIssuer;
pub(crate) use issuers::ListedKeys;
pub(crate) use listeners::Listening;
pub(crate) use sources::Sources;
pub(crate) use tls::{CertificatePaths, TlsFiles};
pub(crate) use value::parse_duration;

/// How long finished transactions are collected on a store that is as near as a directory or memory.
const NEAR_STORE_WINDOW: Duration = Duration::from_millis(2);

/// The same on S3, where every request costs money and tens of milliseconds.
const FAR_STORE_WINDOW: Duration = Duration::from_millis(50);

/// How long a node that is told to end lets sessions and deliveries finish.
const GRACE: Duration = Duration::from_secs(10);

/// Where `fulmar serve` listens when it is not told.
const DEFAULT_LISTENERS: [Listening; 2] =
    [on_loopback(Protocol::Smtp, 2525), on_loopback(Protocol::Pop3, 1110)];

const fn on_loopback(protocol: Protocol, port: u16) -> Listening {
    Listening::Mail(Listener::new(protocol, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)))
}

/// The name of a host that has no better one, and the domain of a server to try things on.
#[expect(clippy::expect_used, reason = "the text is a domain")]
pub(crate) fn localhost() -> Domain {
    Domain::parse("localhost").expect("a domain")
}

/// Everything that this process was told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// For the engine.
    pub(crate) engine: Config,
    /// Where to listen; never empty.
    pub(crate) listeners: Vec<Listening>,
    /// Where the state is.
    pub(crate) store: StoreUrl,
    /// How to reach the store, where it is S3.
    pub(crate) s3: S3Options,
    /// Files with certificates of our own.
    pub(crate) tls: TlsFiles,
    /// Whose tokens are taken; their keys are not in `engine` yet.
    pub(crate) issuers: Vec<ListedIssuer>,
    /// How names are looked up.
    pub(crate) dns: DnsSettings,
    /// How long finished transactions are collected; by the store where nobody says.
    window: Option<Duration>,
    /// Whether a process that has run on this machine may be taken for gone because the system says so.
    pub(crate) adopt_local: bool,
    /// How long sessions and deliveries may take to finish once the node is told to end.
    pub(crate) grace: Duration,
    /// What goes to standard error.
    pub(crate) log: LogSettings,
    /// No file and no variable but for logs: `serve` makes a server to try things on.
    pub(crate) nothing_configured: bool,
}

/// How names that come from mail are looked up.
#[derive(Clone, Debug, Default)]
pub(crate) struct DnsSettings {
    /// Whom to ask; the system's servers where there is none.
    pub(crate) servers: NameServers,
    /// How long an answer is given, where no server knows, after it has expired.
    pub(crate) stale: Duration,
}

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreUrl {
    /// `s3://bucket/prefix`; the prefix, which may be empty, has no `/` at its ends.
    S3 { bucket: String, prefix: String },
    /// `file:/path`
    Directory(PathBuf),
    /// `memory:`, gone with the process.
    Memory,
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Directory(path) => write!(f, "file:{}", path.display()),
            Self::Memory => f.write_str("memory:"),
        }
    }
}

impl StoreUrl {
    fn window(&self) -> Duration {
        match self {
            Self::S3 { .. } => FAR_STORE_WINDOW,
            Self::Directory(_) | Self::Memory => NEAR_STORE_WINDOW,
        }
    }
}

/// How to reach S3. What is not said comes from where programs for S3 usually look: the `AWS_*` variables, the profile file,
/// and the metadata services of machines and containers.
#[derive(Clone, Debug, Default)]
pub(crate) struct S3Options {
    /// Scheme, host and port, without a final `/`.
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    /// Whether the bucket's name stands in the host's name, and not in the path.
    pub(crate) virtual_host_style: Option<bool>,
    /// In the profile file.
    pub(crate) profile: Option<String>,
    pub(crate) access_key_id: Option<String>,
    pub(crate) secret_access_key: Option<Secret>,
    pub(crate) session_token: Option<Secret>,
}

impl S3Options {
    /// The settings of a bucket. Loading has made sure that neither half of a pair of credentials stands alone.
    pub(crate) fn of_bucket(&self, bucket: &str, prefix: &str) -> S3Settings {
        let pair = self.access_key_id.clone().zip(self.secret_access_key.clone());
        let credentials = pair.map(|(access_key_id, Secret(secret_access_key))| S3Credentials {
            access_key_id,
            secret_access_key,
            session_token: self.session_token.clone().map(|Secret(token)| token),
        });
        S3Settings {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            virtual_host_style: self.virtual_host_style,
            credentials,
            profile: self.profile.clone(),
        }
    }
}

/// Text that is never shown.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What goes to standard error, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogSettings {
    /// The shape of a line.
    pub(crate) format: LogFormat,
    /// The least important level that is written.
    pub(crate) level: tracing::Level,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// `time LEVEL event key=value ...`
    Text,
    /// One JSON object.
    Json,
}

impl Settings {
    /// What holds for whatever is not said.
    fn defaults(hostname: Domain, store: StoreUrl) -> Self {
        let mut engine = Config::new(hostname);
        engine.tls.from_store = true;
        Self {
            engine,
            listeners: DEFAULT_LISTENERS.to_vec(),
            store,
            s3: S3Options::default(),
            tls: TlsFiles::default(),
            issuers: Vec::new(),
            dns: DnsSettings::default(),
            window: None,
            adopt_local: true,
            grace: GRACE,
            log: LogSettings { format: LogFormat::Text, level: tracing::Level::INFO },
            nothing_configured: false,
        }
    }
}

/// Settings, and where each of them came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The settings in effect.
    pub(crate) settings: Settings,
    /// By section and name; what is not here has its default.
    origins: BTreeMap<(&'static str, &'static str), Origin>,
}

impl Loaded {
    /// The log of a command that runs and ends: only what went wrong, where nobody asks for more.
    pub(crate) fn log_of_a_tool(&self) -> LogSettings {
        let asked = self.origins.contains_key(&("log", "level"));
        let level = if asked { self.settings.log.level } else { tracing::Level::WARN };
        LogSettings { level, ..self.settings.log }
    }
}

/// Who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// The configuration file, at this line.
    File { name: String, line: usize },
    /// This environment variable.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong with the configuration: where, what, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    place: String,
    problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}
