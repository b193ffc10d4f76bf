//! Postfix: one for the whole run, as `benches/postfix-up` starts it.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use fulmar_tests::Fallible;

use super::{Contender, SURPLUS_WAIT, exactly, poll, wait_for_listener};
use crate::process_tree::ProcessTree;
use crate::report::Round;

/// Where `postfix-up` lets it listen.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 21025);

/// A Postfix that runs already, with empty mailboxes.
#[derive(Debug)]
pub(super) struct Postfix {
    folder: PathBuf,
    master: u32,
}

impl Postfix {
    /// The one below this folder; its mailboxes are emptied.
    pub(super) fn below(folder: &Path) -> Fallible<Self> {
        wait_for_listener("Postfix", ADDRESS)?;
        for mailbox in fs::read_dir(folder.join("mail"))? {
            fs::remove_dir_all(mailbox?.path())?;
        }
        let master = fs::read_to_string(folder.join("spool/pid/master.pid"))?.trim().parse()?;
        Ok(Self { folder: folder.to_owned(), master })
    }

    fn arrived(&self) -> Fallible<usize> {
        let mut count = 0;
        for mailbox in fs::read_dir(self.folder.join("mail"))? {
            count += match fs::read_dir(mailbox?.path().join("new")) {
                Ok(entries) => entries.count(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => return Err(error.into()),
            };
        }
        Ok(count)
    }
}

impl Contender for Postfix {
    fn address(&self) -> SocketAddr {
        ADDRESS
    }

    fn processes(&self) -> ProcessTree {
        ProcessTree { root: self.master }
    }

    fn wait_for_deliveries(&mut self, messages: usize) -> Fallible<Instant> {
        poll(messages, || self.arrived())
    }

    /// It runs on.
    fn finish(self: Box<Self>, messages: usize) -> Fallible<Round> {
        thread::sleep(SURPLUS_WAIT);
        // What it relays arrives elsewhere, and is counted there.
        match self.arrived()? {
            0 => Ok(Round::new()),
            arrived => exactly(arrived, messages).map(|()| Round::new()),
        }
    }

    fn settings(&self) -> Fallible<String> {
        let main = fs::read_to_string(self.folder.join("etc/main.cf"))?;
        let lines = main.lines().filter(|line| !line.starts_with('#'));
        Ok(format!(
            "main.cf; master.cf as shipped, without chroot, and with up to 1000 processes of smtpd:\n{}",
            lines.collect::<Vec<_>>().join("\n")
        ))
    }
}
