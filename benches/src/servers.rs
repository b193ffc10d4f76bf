//! The two servers as a round sees them: start empty, take the load, tell when the last message has arrived.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use fulmar_tests::Fallible;
use fulmar_tests::case::{RECIPIENT, site};
use fulmar_tests::process::{Server, Site, free_address};

use crate::process_tree::ProcessTree;

/// Where `postfix-up` lets it listen.
const POSTFIX_ADDRESS: &str = "127.0.0.1:21025";
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
    /// Its processes.
    fn processes(&self) -> ProcessTree;
    /// When the last of so many messages has arrived in the mailbox.
    fn wait_for_deliveries(&mut self, messages: usize) -> Fallible<Instant>;
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

/// A Fulmar on an empty directory store.
#[derive(Debug)]
pub(crate) struct Fulmar {
    site: Site,
    pub(crate) server: Server,
}

impl Fulmar {
    pub(crate) fn start(program: &Path) -> Fallible<Self> {
        let site = site(program)?;
        let server = site.serve(free_address()?)?;
        Ok(Self { site, server })
    }
}

impl Contender for Fulmar {
    fn address(&self) -> SocketAddr {
        self.server.address()
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

fn exactly(arrived: usize, messages: usize) -> Fallible<()> {
    let says = || format!("{arrived} messages arrived where {messages} were sent").into();
    if arrived == messages { Ok(()) } else { Err(says()) }
}
