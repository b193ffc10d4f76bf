//! Haraka, as `benches/haraka-up` starts it. It has no mailboxes: it relays.

use std::cell::RefCell;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use fulmar_tests::Fallible;
use fulmar_tests::daemon::{Daemon, lasting_ports};
use tempfile::TempDir;

use super::{Contender, START_LIMIT};
use crate::process_tree::ProcessTree;
use crate::report::Round;

/// One for the whole run, since what its runtime has compiled is lost with the process. It is started anew only after a round that
/// did not end well, which may have left mail in its queue.
#[derive(Debug)]
pub(crate) struct Haraka {
    program: PathBuf,
    modules: PathBuf,
    /// The one that served last.
    idle: Rc<RefCell<Option<Running>>>,
}

/// Ended when it is dropped.
#[derive(Debug)]
struct Running {
    daemon: Daemon,
    address: SocketAddr,
    folder: TempDir,
}

/// A Haraka in its round; its queue is empty.
#[derive(Debug)]
pub(super) struct Serving {
    running: Running,
    idle: Rc<RefCell<Option<Running>>>,
}

impl Haraka {
    /// By the program that starts it and the folder of its modules.
    pub(crate) fn new(program: PathBuf, modules: PathBuf) -> Self {
        Self { program, modules, idle: Rc::default() }
    }

    /// The one that runs, else a new one.
    pub(super) fn serve(&self) -> Fallible<Serving> {
        let idle = self.idle.take();
        let running = idle.map_or_else(|| Running::start(&self.program, &self.modules), Ok)?;
        Ok(Serving { running, idle: self.idle.clone() })
    }
}

impl Running {
    fn start(program: &Path, modules: &Path) -> Fallible<Self> {
        let folder = TempDir::with_prefix("fulmar-bench-haraka-")?;
        let [port] = lasting_ports()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let port = port.to_string();
        let arguments = [folder.path().as_os_str(), port.as_ref(), modules.as_os_str()];
        let mut daemon = Daemon::start("haraka", program, arguments, folder.path())?;
        daemon.wait_until("listened", START_LIMIT, || TcpStream::connect(address).is_ok())?;
        Ok(Self { daemon, address, folder })
    }
}

impl Contender for Serving {
    fn address(&self) -> SocketAddr {
        self.running.address
    }

    fn processes(&self) -> ProcessTree {
        ProcessTree { root: self.running.daemon.pid() }
    }

    fn wait_for_deliveries(&mut self, _messages: usize) -> Fallible<Instant> {
        Err("Haraka has no mailboxes".into())
    }

    /// It runs on.
    fn finish(self: Box<Self>, _messages: usize) -> Fallible<Round> {
        let Self { running, idle } = *self;
        idle.replace(Some(running));
        Ok(Round::new())
    }

    fn settings(&self) -> Fallible<String> {
        let mut settings = String::from("config/connection.ini as shipped");
        for name in [
            "config/smtp.ini",
            "config/outbound.ini",
            "config/log.ini",
            "config/plugins",
            "plugins/to_the_sink.js",
        ] {
            let file = fs::read_to_string(self.running.folder.path().join(name))?;
            settings.push_str(&format!("\n{name}:\n{}", file.trim_end()));
        }
        Ok(settings)
    }
}
