//! Listeners, who connects to them, and what stands between.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fulmar_core::platform::{Datagram, Instant, Net, Stream, Target};
use futures::future::{BoxFuture, Either, pending, select};
use futures::pin_mut;

use super::executor::{Simulator, lock};
use super::machine::Place;
use super::task::Process;
use super::weather::{Faults, Weather};
use super::wire::{Link, Trouble, TroubleKind, pair};
use crate::runtime::Serve;

/// Ports that are given to whoever asks for none, and to clients.
const FREE_PORTS: std::ops::RangeInclusive<u16> = 20_000..=65_535;
/// How long it takes to connect.
const HANDSHAKE: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(60));
/// A connection that fails does so within this many octets, of both directions together; short and long runs are equally likely.
const TROUBLE_WITHIN_BITS: usize = 16;
/// Connections beyond which those that have ended are looked for.
const LINKS_KEPT: usize = 64;

/// A network on which all machines are, and all addresses.
pub struct SimNet {
    simulator: Simulator,
    table: Mutex<Table>,
}

struct Table {
    listeners: BTreeMap<SocketAddr, Listening>,
    links: Vec<Connection>,
    /// Connections at which those that have ended are looked for.
    links_kept: usize,
    last_port: u16,
    blocks: Vec<Blocked>,
}

struct Listening {
    process: Process,
    serve: Arc<Mutex<Serve>>,
}

struct Connection {
    /// The process of the client and that of the server.
    ends: [Process; 2],
    client: Arc<str>,
    server: SocketAddr,
    link: Link,
}

/// What a blocked way does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// New connections are refused; those that stand go on.
    Refuse,
    /// New connections never come about, and on those that stand nothing arrives any more.
    BlackHole,
}

struct Blocked {
    client: Option<Arc<str>>,
    server: Option<SocketAddr>,
    how: Block,
}

impl Blocked {
    fn matches(&self, client: &str, server: SocketAddr) -> bool {
        self.client.as_deref().is_none_or(|blocked| blocked == client)
            && self.server.is_none_or(|blocked| blocked == server)
    }
}

impl Table {
    fn free_port(&mut self) -> u16 {
        self.last_port = match self.last_port {
            port if FREE_PORTS.contains(&(port.wrapping_add(1))) => port + 1,
            _ => *FREE_PORTS.start(),
        };
        self.last_port
    }

    fn blocked(&self, client: &str, server: SocketAddr) -> Option<Block> {
        self.blocks.iter().find(|blocked| blocked.matches(client, server)).map(|blocked| blocked.how)
    }

    fn add(&mut self, connection: Connection) {
        if self.links.len() > self.links_kept {
            self.links.retain(|connection| connection.link.is_alive());
            self.links_kept = LINKS_KEPT.max(2 * self.links.len());
        }
        self.links.push(connection);
    }
}

impl SimNet {
    /// A network on which nobody listens.
    pub(super) fn new(simulator: Simulator) -> Self {
        let table = Table {
            listeners: BTreeMap::new(),
            links: Vec::new(),
            links_kept: LINKS_KEPT,
            last_port: *FREE_PORTS.start(),
            blocks: Vec::new(),
        };
        Self { simulator, table: Mutex::new(table) }
    }

    /// Opens a listener that belongs to no host, until `until` is done.
    pub(super) fn listen(
        self: &Arc<Self>,
        address: SocketAddr,
        until: BoxFuture<'static, ()>,
        serve: Serve,
    ) -> io::Result<SocketAddr> {
        let address = self.open(Process::WORLD, address, serve)?;
        let net = self.clone();
        self.simulator.spawn(Box::pin(async move {
            until.await;
            net.close(address);
        }));
        Ok(address)
    }

    pub(super) fn open(
        &self,
        process: Process,
        mut address: SocketAddr,
        serve: Serve,
    ) -> io::Result<SocketAddr> {
        if !self.simulator.is_alive(process) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut table = lock(&self.table);
        if address.port() == 0 {
            address.set_port(table.free_port());
            while table.listeners.contains_key(&address) {
                address.set_port(table.free_port());
            }
        }
        let is_open = |listening: &Listening| self.simulator.is_alive(listening.process);
        if table.listeners.get(&address).is_some_and(is_open) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let dead = table.listeners.insert(address, Listening { process, serve: Arc::new(Mutex::new(serve)) });
        drop(table);
        drop(dead);
        Ok(address)
    }

    pub(super) fn close(&self, address: SocketAddr) {
        let closed = lock(&self.table).listeners.remove(&address);
        // Outside the lock: it may hold a whole node.
        drop(closed);
    }

    /// Resets every connection to this listener, whatever is under way on it.
    pub fn reset(&self, server: SocketAddr) {
        self.simulator.note(format_args!("reset all connections to {server}"));
        let table = lock(&self.table);
        let links: Vec<_> =
            table.links.iter().filter(|link| link.server == server).map(|it| it.link.clone()).collect();
        drop(table);
        links.iter().for_each(Link::reset);
    }

    /// Blocks the way from a machine, or from all, to an address, or to all.
    pub fn block(&self, client: Option<&str>, server: Option<SocketAddr>, how: Block) {
        self.simulator.note(format_args!("the way from {client:?} to {server:?}: {how:?}"));
        let blocked = Blocked { client: client.map(Arc::from), server, how };
        let mut table = lock(&self.table);
        let is_cut =
            |link: &&Connection| how == Block::BlackHole && blocked.matches(&link.client, link.server);
        table.links.iter().filter(is_cut).for_each(|connection| connection.link.freeze());
        table.blocks.push(blocked);
    }

    /// Opens all ways again; what stood still on them goes on.
    pub fn heal(&self) {
        let mut table = lock(&self.table);
        table.blocks.clear();
        let links: Vec<_> = table.links.iter().map(|connection| connection.link.clone()).collect();
        drop(table);
        links.iter().for_each(Link::heal);
    }

    /// What a host does for a process that is no more.
    pub(super) fn end(&self, process: Process) {
        let mut table = lock(&self.table);
        let closed: Vec<_> =
            table.listeners.extract_if(.., |_, listening| listening.process == process).collect();
        let (ended, kept) = std::mem::take(&mut table.links)
            .into_iter()
            .partition::<Vec<_>, _>(|link| link.ends.contains(&process));
        table.links = kept;
        drop(table);
        drop(closed);
        for Connection { ends, link, .. } in ended {
            // A dead host resets what it hears of later; one whose process ended closes what that had open.
            if self.simulator.chance(|dice| dice.below(2)) == 0 {
                link.reset();
            } else {
                (0..ends.len())
                    .filter(|side| ends[*side] == process)
                    .for_each(|side| link.hang_up(&self.simulator, side));
            }
        }
    }

    async fn connect(
        &self,
        place: &Place,
        faults: &Faults,
        server: SocketAddr,
    ) -> io::Result<Box<dyn Stream>> {
        let simulator = &self.simulator;
        simulator.sleep(simulator.between(HANDSHAKE.0, HANDSHAKE.1)).await;
        let Place { process, host } = place;
        let (client, listening, block) = {
            let mut table = lock(&self.table);
            let client = SocketAddr::from((host.address, table.free_port()));
            let listening = table.listeners.get(&server).map(|it| (it.process, it.serve.clone()));
            (client, listening, table.blocked(&host.name, server))
        };
        if block == Some(Block::BlackHole) || simulator.happens(faults.connect_lost) {
            return pending().await;
        }
        let is_refused = block == Some(Block::Refuse) || simulator.happens(faults.connect_refused);
        simulator.record((client, server, is_refused), || {
            format!("{} connects to {server} from {client}", host.name)
        });
        let Some((server_process, serve)) = listening.filter(|_| !is_refused) else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let (ours, theirs, link) = pair(simulator, trouble(simulator, faults));
        let ends = [*process, server_process];
        lock(&self.table).add(Connection { ends, client: host.name.clone(), server, link });
        lock(&serve)(Box::new(theirs), client);
        Ok(Box::new(ours))
    }
}

/// What is to happen to a new connection.
fn trouble(simulator: &Simulator, faults: &Faults) -> Option<Trouble> {
    let kinds = [
        (faults.cut, TroubleKind::Cut),
        (faults.stalled, TroubleKind::Stalled),
        (faults.half_closed, TroubleKind::HalfClosed),
    ];
    let (_, kind) = kinds.into_iter().find(|(chance, _)| simulator.happens(*chance))?;
    let after = simulator.chance(|dice| {
        let within = 1 << dice.below(TROUBLE_WITHIN_BITS + 1);
        dice.below(within)
    });
    Some(Trouble { after, kind })
}

/// The network as one process reaches it.
pub(super) struct MachineNet {
    pub(super) net: Arc<SimNet>,
    pub(super) weather: Arc<Weather>,
    pub(super) place: Place,
}

#[async_trait]
impl Net for MachineNet {
    async fn connect(&self, target: &Target, deadline: Instant) -> io::Result<Box<dyn Stream>> {
        let server = match target {
            Target::Address(address) => *address,
            Target::Host(host, port) => {
                // There is no system here that would know names.
                let address: IpAddr = host.parse().map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
                SocketAddr::new(address, *port)
            }
        };
        let faults = self.weather.faults_of(&self.place.host.name);
        let late = self.place.host.clock.wait_until(deadline);
        let connecting = self.net.connect(&self.place, &faults, server);
        pin_mut!(connecting, late);
        match select(connecting, late).await {
            Either::Left((connected, _)) => connected,
            Either::Right(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Names are answered by the zone, and nothing else is asked by datagram.
    async fn datagram(&self, _server: SocketAddr) -> io::Result<Box<dyn Datagram>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl fmt::Debug for SimNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimNet")
    }
}
