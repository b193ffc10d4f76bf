//! Three nodes and their store, and what is done to them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{CLIENTS, LATER_DOMAIN, REMOTE_DOMAIN, now};
use crate::Fallible;
use crate::daemon::{Daemon, lasting_ports};
use crate::haproxy::Backend;
use crate::s3_server::{Bucket, S3Server, SeaweedFs};

pub(super) const NODES: usize = 3;
/// How long a node may take until it listens for the first time: it makes sure of the store before.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a node may take to end when it is told to.
const END_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at processes.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// What can happen to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `kill -9`, and a new process.
    Kill,
    /// SIGSTOP, and SIGCONT later.
    Stop,
    /// SIGTERM, and a new process once it has ended.
    Term,
    /// The store is killed and started anew.
    StoreKill,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Term => "term",
            Self::StoreKill => "store kill",
        }
    }
}

/// What was done, since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    /// The node's number; none for the store.
    pub(super) node: Option<usize>,
    pub(super) kind: Kind,
    pub(super) at: Duration,
    /// When it ran again.
    pub(super) until: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Up,
    /// By SIGSTOP, until then.
    Stopped(Instant),
    /// By SIGTERM, and given until then.
    Ending(Instant),
    /// Ended, and to be started then.
    Down(Instant),
}

/// One node, through all its processes.
struct Node {
    name: String,
    smtp: SocketAddr,
    http: SocketAddr,
    configuration: PathBuf,
    daemon: Daemon,
    state: State,
    /// Between the end of a process and the start of the next.
    rest: Duration,
}

/// The nodes and their store. All of them end when this is dropped.
pub(super) struct Cluster {
    program: PathBuf,
    folder: PathBuf,
    nodes: Vec<Node>,
    store: SeaweedFs,
    pub(super) faults: Vec<Fault>,
}

/// A node's name in its greetings.
pub(super) fn hostname(node: usize) -> String {
    format!("mx{}.test", node + 1)
}

impl Cluster {
    /// Starts the nodes and returns when all of them listen.
    pub(super) fn start(
        program: &Path,
        folder: &Path,
        store: SeaweedFs,
        next_hop: SocketAddr,
    ) -> Fallible<Self> {
        let mut nodes = Vec::new();
        for number in 0..NODES {
            let [smtp, http] =
                lasting_ports::<2>()?.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            let name = format!("node-{}", number + 1);
            let configuration = folder.join(format!("{name}.toml"));
            fs::write(&configuration, settings(number, smtp, http, store.bucket(), next_hop))?;
            let daemon = serve(&name, program, &configuration, folder)?;
            let (state, rest) = (State::Up, Duration::ZERO);
            nodes.push(Node { name, smtp, http, configuration, daemon, state, rest });
        }
        for node in &mut nodes {
            let said = folder.join(format!("{}.log", node.name));
            node.daemon.wait_until("listened", START_LIMIT, || {
                fs::read_to_string(&said).is_ok_and(|said| said.contains("listening smtp "))
            })?;
        }
        Ok(Self { program: program.to_owned(), folder: folder.to_owned(), nodes, store, faults: Vec::new() })
    }

    /// As the balancer knows them.
    pub(super) fn backends(&self) -> Vec<Backend> {
        self.nodes.iter().map(|node| Backend { smtp: node.smtp, http: node.http }).collect()
    }

    /// What each node has said.
    pub(super) fn logs(&self) -> Vec<PathBuf> {
        self.nodes.iter().map(|node| self.folder.join(format!("{}.log", node.name))).collect()
    }

    /// Nodes that nothing is being done to.
    pub(super) fn undisturbed(&self) -> Vec<usize> {
        (0..NODES).filter(|number| matches!(self.nodes[*number].state, State::Up)).collect()
    }

    /// Does something to a node that runs: a stop lasts for `duration`, a process that ends stays away for so long.
    pub(super) fn disturb(&mut self, number: usize, kind: Kind, duration: Duration) -> Fallible<()> {
        let node = &mut self.nodes[number];
        self.faults.push(Fault { node: Some(number), kind, at: now(), until: None });
        node.rest = duration;
        let soon = Instant::now();
        match kind {
            Kind::Kill => {
                node.daemon.kill()?;
                node.state = State::Down(soon + duration);
            }
            Kind::Stop => {
                node.daemon.signal(Signal::STOP)?;
                node.state = State::Stopped(soon + duration);
            }
            Kind::Term => {
                node.daemon.signal(Signal::TERM)?;
                node.state = State::Ending(soon + END_LIMIT);
            }
            Kind::StoreKill => return Err("that is done to the store alone".into()),
        }
        Ok(())
    }

    /// Kills the store.
    pub(super) fn kill_store(&mut self) -> Fallible<()> {
        self.faults.push(Fault { node: None, kind: Kind::StoreKill, at: now(), until: None });
        self.store.kill()
    }

    /// Starts the store anew and returns when it works.
    pub(super) fn restart_store(&mut self) -> Fallible<()> {
        self.store.restart()?;
        self.over(None);
        Ok(())
    }

    /// Lets stopped nodes go on and starts those that have ended, where it is time for that.
    pub(super) fn tick(&mut self) -> Fallible<()> {
        for number in 0..self.nodes.len() {
            let node = &mut self.nodes[number];
            let at = Instant::now();
            match node.state {
                State::Stopped(until) if at >= until => {
                    node.daemon.signal(Signal::CONT)?;
                    node.state = State::Up;
                    self.over(Some(number));
                }
                State::Down(until) if at >= until => {
                    node.daemon = serve(&node.name, &self.program, &node.configuration, &self.folder)?;
                    node.state = State::Up;
                    self.over(Some(number));
                }
                State::Ending(_) if node.daemon.has_ended()? => node.state = State::Down(at + node.rest),
                State::Ending(until) if at >= until => {
                    return Err(format!("{} did not end in {END_LIMIT:?}", node.name).into());
                }
                State::Up if node.daemon.has_ended()? => {
                    return Err(format!("{} ended, and nobody told it to", node.name).into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns when all nodes are up and take connections.
    pub(super) fn recover(&mut self, patience: Duration) -> Fallible<()> {
        let deadline = Instant::now() + patience;
        while self.undisturbed().len() < NODES
            || !self.nodes.iter().all(|node| TcpStream::connect(node.http).is_ok())
        {
            if Instant::now() > deadline {
                return Err("not all nodes are back in time".into());
            }
            self.tick()?;
            thread::sleep(TICK);
        }
        Ok(())
    }

    /// Tells all nodes to end, and returns when they have.
    pub(super) fn stop(&mut self) -> Fallible<()> {
        for node in &mut self.nodes {
            node.daemon.signal(Signal::TERM)?;
            let mut ended = Ok(false);
            let deadline = Instant::now() + END_LIMIT;
            while matches!(ended, Ok(false)) {
                if Instant::now() > deadline {
                    return Err(format!("{} did not end in {END_LIMIT:?}", node.name).into());
                }
                thread::sleep(TICK);
                ended = node.daemon.has_ended();
            }
            ended?;
        }
        Ok(())
    }

    /// What was done to a node, or to the store, is over.
    fn over(&mut self, node: Option<usize>) {
        if let Some(fault) = self.faults.iter_mut().rev().find(|fault| fault.node == node) {
            fault.until = Some(now());
        }
    }
}

fn serve(name: &str, program: &Path, configuration: &Path, folder: &Path) -> Fallible<Daemon> {
    let arguments = ["--config".as_ref(), configuration.as_os_str(), "serve".as_ref()];
    Daemon::start(name, program, arguments, folder)
}

/// A node that tries again soon. Only the clients' own addresses may relay: the balancer's would be refused.
fn settings(
    number: usize,
    smtp: SocketAddr,
    http: SocketAddr,
    bucket: &Bucket,
    next_hop: SocketAddr,
) -> String {
    let Bucket { endpoint, name, access_key, secret_key, region, .. } = bucket;
    let hostname = hostname(number);
    let clients = CLIENTS.map(|client| format!("\"{client}/32\"")).join(", ");
    let routes = [REMOTE_DOMAIN, LATER_DOMAIN]
        .map(|domain| format!("[[route]]\ndomain = \"{domain}\"\nnext_hop = \"{next_hop}\"\n"))
        .join("\n");
    format!(
        "hostname = \"{hostname}\"\n\n\
         [store]\nurl = \"s3://{name}/fulmar\"\nendpoint = \"{endpoint}\"\nregion = \"{region}\"\n\
         access_key_id = \"{access_key}\"\nsecret_access_key = \"{secret_key}\"\n\n\
         [[listener]]\nprotocol = \"smtp\"\naddress = \"{smtp}\"\nproxy_protocol_from = [\"127.0.0.1/32\"]\n\n\
         [[listener]]\nprotocol = \"http\"\naddress = \"{http}\"\n\n\
         [relay]\nnetworks = [{clients}]\n\n\
         [queue]\nretry = [\"1s\", \"5s\"]\nadopt_local = false\n\n\
         [log]\nformat = \"json\"\nlevel = \"debug\"\n\n{routes}"
    )
}
