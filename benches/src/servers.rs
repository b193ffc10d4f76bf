//! The servers as a round sees them: start empty, take the load, tell when the last message has arrived.

use std::env::temp_dir;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use fulmar_tests::Fallible;
use fulmar_tests::case::RECIPIENT;
use fulmar_tests::process::{LogLine, Server, Settings, Site, free_address};

use fulmar_tests::relay_run::s3_environment;
use fulmar_tests::s3_server::{S3Server, SeaweedFs};
use tempfile::TempDir;

use crate::process_tree::ProcessTree;
use crate::sink::{SINK_ADDRESS, Sink};

/// Where `postfix-up` lets it listen.
const POSTFIX_ADDRESS: &str = "127.0.0.1:21025";
/// Somebody in the domain that both servers have a route for.
const RELAY_RECIPIENT: &str = "u@relay.test";
/// How long the last delivery may take after the last `250`.
const DELIVERY_LIMIT: Duration = Duration::from_secs(300);
/// How long Postfix may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks into the maildir.
const POLL_PAUSE: Duration = Duration::from_millis(10);

/// What is measured.
pub(crate) trait Contender {
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// Whom messages are sent to.
    fn recipient(&self) -> &'static str;
    /// Its processes.
    fn processes(&self) -> ProcessTree;
    /// When the last of so many messages has arrived where they are to go.
    fn wait_for_deliveries(&mut self, messages: usize) -> Fallible<Instant>;
}

/// What ends with a log of what it has done.
pub(crate) trait Stoppable {
    /// Stops it in good order.
    fn stop(self) -> Fallible<Vec<LogLine>>;
}

impl Stoppable for Fulmar {
    fn stop(self) -> Fallible<Vec<LogLine>> {
        self.server.stop()
    }
}

impl Stoppable for Relaying<Fulmar> {
    fn stop(self) -> Fallible<Vec<LogLine>> {
        self.server.stop()
    }
}

/// A Postfix that runs already, with an empty mailbox.
#[derive(Debug)]
pub(crate) struct Postfix {
    maildir: PathBuf,
    address: SocketAddr,
    master: u32,
}

impl Postfix {
    /// The one below this folder; its mailbox is emptied.
    pub(crate) fn below(folder: &Path) -> Fallible<Self> {
        let address: SocketAddr = POSTFIX_ADDRESS.parse()?;
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                return Err("Postfix does not listen".into());
            }
            thread::sleep(POLL_PAUSE);
        }
        let maildir = folder.join("mail/u");
        if maildir.exists() {
            fs::remove_dir_all(&maildir)?;
        }
        let master = fs::read_to_string(folder.join("spool/pid/master.pid"))?.trim().parse()?;
        Ok(Self { maildir: maildir.join("new"), address, master })
    }
}

impl Contender for Postfix {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn recipient(&self) -> &'static str {
        RECIPIENT
    }

    fn processes(&self) -> ProcessTree {
        ProcessTree { root: self.master }
    }

    fn wait_for_deliveries(&mut self, messages: usize) -> Fallible<Instant> {
        let deadline = Instant::now() + DELIVERY_LIMIT;
        loop {
            let now = Instant::now();
            let arrived = match fs::read_dir(&self.maildir) {
                Ok(entries) => entries.count(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => return Err(error.into()),
            };
            if arrived >= messages {
                return exactly(arrived, messages).map(|()| now);
            }
            if now > deadline {
                return Err(format!("{arrived} of {messages} messages arrived").into());
            }
            thread::sleep(POLL_PAUSE);
        }
    }
}

/// A Fulmar on an empty store.
#[derive(Debug)]
pub(crate) struct Fulmar {
    site: Site,
    pub(crate) server: Server,
    /// Its S3 server, where it has one; ended with it.
    _store: Option<(SeaweedFs, TempDir)>,
}

impl Fulmar {
    pub(crate) fn start(program: &Path) -> Fallible<Self> {
        Self::with(program, Settings::default())
    }

    /// One that relays for anybody here, and to the sink.
    pub(crate) fn relaying(program: &Path) -> Fallible<Self> {
        let file = format!(
            "[relay]\nnetworks = [\"127.0.0.0/8\"]\n\n[[route]]\ndomain = \"relay.test\"\nnext_hop = \"{SINK_ADDRESS}\"\n"
        );
        Self::with(program, Settings { file, ..Settings::default() })
    }

    fn with(program: &Path, settings: Settings) -> Fallible<Self> {
        let site = Site::with(&temp_dir(), program, &[RECIPIENT.to_owned()], settings)?;
        let server = site.serve(free_address()?)?;
        Ok(Self { site, server, _store: None })
    }

    /// One on a SeaweedFS of its own, whose processor time and memory are not counted.
    pub(crate) fn on_s3(program: &Path) -> Fallible<Self> {
        let folder = TempDir::with_prefix("fulmar-bench-s3-")?;
        let store = SeaweedFs::start(folder.path())?;
        let settings = Settings { environment: s3_environment(store.bucket()), ..Settings::default() };
        Ok(Self { _store: Some((store, folder)), ..Self::with(program, settings)? })
    }
}

impl Contender for Fulmar {
    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn recipient(&self) -> &'static str {
        RECIPIENT
    }

    fn processes(&self) -> ProcessTree {
        ProcessTree { root: self.server.pid() }
    }

    /// By its log, which costs it a line for each message as Postfix's log does; the mailbox itself is then counted.
    fn wait_for_deliveries(&mut self, messages: usize) -> Fallible<Instant> {
        let last = self.server.wait_for_log(r#""event":"attempted""#, messages)?;
        exactly(self.site.uids(RECIPIENT)?.len(), messages)?;
        Ok(last)
    }
}

/// A server that hands everything on to a sink.
#[derive(Debug)]
pub(crate) struct Relaying<S> {
    pub(crate) server: S,
    sink: Sink,
}

impl<S: Contender> Relaying<S> {
    /// The server, with a sink that is started for it.
    pub(crate) fn to_sink(server: S) -> Fallible<Self> {
        Ok(Self { server, sink: Sink::start()? })
    }
}

impl<S: Contender> Contender for Relaying<S> {
    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn recipient(&self) -> &'static str {
        RELAY_RECIPIENT
    }

    fn processes(&self) -> ProcessTree {
        self.server.processes()
    }

    /// By the sink's own count.
    fn wait_for_deliveries(&mut self, messages: usize) -> Fallible<Instant> {
        self.sink.wait_for(messages, DELIVERY_LIMIT)
    }
}

fn exactly(arrived: usize, messages: usize) -> Fallible<()> {
    let says = || format!("{arrived} messages arrived where {messages} were sent").into();
    if arrived == messages { Ok(()) } else { Err(says()) }
}
