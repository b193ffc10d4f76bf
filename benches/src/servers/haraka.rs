//! Haraka, as `benches/haraka-up` starts it. It has no mailboxes: it relays.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use fulmar_tests::Fallible;
use fulmar_tests::daemon::{Daemon, lasting_ports};
use tempfile::TempDir;

use super::{Contender, START_LIMIT};
use crate::process_tree::ProcessTree;
use crate::report::Round;

/// A running Haraka with an empty queue; ended when it is dropped.
#[derive(Debug)]
pub(super) struct Haraka {
    daemon: Daemon,
    address: SocketAddr,
    folder: TempDir,
}

impl Haraka {
    /// By the program that starts it and the folder of its modules.
    pub(super) fn start((program, modules): &(PathBuf, PathBuf)) -> Fallible<Self> {
        let folder = TempDir::with_prefix("fulmar-bench-haraka-")?;
        let [port] = lasting_ports()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let port = port.to_string();
        let arguments = [folder.path().as_os_str(), port.as_ref(), modules.as_os_str()];
        let mut daemon = Daemon::start("haraka", program, arguments, folder.path())?;
        daemon.wait_until("listened", START_LIMIT, || std::net::TcpStream::connect(address).is_ok())?;
        Ok(Self { daemon, address, folder })
    }
}

impl Contender for Haraka {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn processes(&self) -> ProcessTree {
        ProcessTree { root: self.daemon.pid() }
    }

    fn wait_for_deliveries(&mut self, _messages: usize) -> Fallible<Instant> {
        Err("Haraka has no mailboxes".into())
    }

    fn finish(self: Box<Self>, _messages: usize) -> Fallible<Round> {
        Ok(Round::new())
    }

    fn settings(&self) -> Fallible<String> {
        let mut settings = String::from(
            "started anew for each round; connection.ini as shipped; with the plugin of benches/haraka-up",
        );
        for name in ["smtp.ini", "outbound.ini", "log.ini", "plugins"] {
            let file = fs::read_to_string(self.folder.path().join("config").join(name))?;
            settings.push_str(&format!("\n{name}:\n{}", file.trim_end()));
        }
        Ok(settings)
    }
}
