//! Listeners, and who connects to them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fulmar_core::platform::{Datagram, Instant, Net, Stream, Target};
use futures::future::{BoxFuture, Either, select};
use futures::pin_mut;

use super::executor::{Simulator, lock};
use super::wire::{Link, pair};
use crate::runtime::Serve;

/// Where everybody connects from.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The first port that is given to whoever asks for none.
const FREE_PORT: u16 = 20_000;
/// How long it takes to connect.
const HANDSHAKE: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(60));

/// A network without losses, on which a connection can be broken by order.
pub struct SimNet {
    simulator: Simulator,
    table: Arc<Mutex<Table>>,
}

struct Table {
    listeners: BTreeMap<SocketAddr, Arc<Mutex<Serve>>>,
    links: Vec<(SocketAddr, Link)>,
    next_port: u16,
}

impl Table {
    fn free_port(&mut self) -> u16 {
        self.next_port += 1;
        self.next_port
    }
}

impl SimNet {
    /// A network on which nobody listens.
    pub(super) fn new(simulator: Simulator) -> Self {
        let table = Table { listeners: BTreeMap::new(), links: Vec::new(), next_port: FREE_PORT };
        Self { simulator, table: Arc::new(Mutex::new(table)) }
    }

    pub(super) fn listen(
        &self,
        mut address: SocketAddr,
        until: BoxFuture<'static, ()>,
        serve: Serve,
    ) -> io::Result<SocketAddr> {
        let mut table = lock(&self.table);
        if address.port() == 0 {
            address.set_port(table.free_port());
        }
        if table.listeners.contains_key(&address) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        table.listeners.insert(address, Arc::new(Mutex::new(serve)));
        drop(table);
        let table = self.table.clone();
        self.simulator.spawn(Box::pin(async move {
            until.await;
            let closed = lock(&table).listeners.remove(&address);
            // Outside the lock: it may hold a whole node.
            drop(closed);
        }));
        Ok(address)
    }

    /// Resets every connection to this listener, whatever is under way on it.
    pub fn reset(&self, server: SocketAddr) {
        self.simulator.note(format_args!("reset all connections to {server}"));
        let links = std::mem::take(&mut lock(&self.table).links);
        let (reset, kept) = links.into_iter().partition::<Vec<_>, _>(|(to, _)| *to == server);
        lock(&self.table).links.extend(kept);
        reset.iter().for_each(|(_, link)| link.reset());
    }

    async fn connect_to(&self, server: SocketAddr) -> io::Result<Box<dyn Stream>> {
        let delay = self.simulator.between(HANDSHAKE.0, HANDSHAKE.1);
        self.simulator.sleep(delay).await;
        let (client, listener) = {
            let mut table = lock(&self.table);
            let client = SocketAddr::from((CLIENT, table.free_port()));
            (client, table.listeners.get(&server).cloned())
        };
        let Some(listener) = listener else {
            self.simulator.note(format_args!("{client} is refused by {server}"));
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        self.simulator.note(format_args!("{client} connects to {server}"));
        let (ours, theirs, link) = pair(&self.simulator);
        {
            let mut table = lock(&self.table);
            table.links.retain(|(_, link)| link.is_alive());
            table.links.push((server, link));
        }
        lock(&listener)(Box::new(theirs), client);
        Ok(Box::new(ours))
    }
}

#[async_trait]
impl Net for SimNet {
    async fn connect(&self, target: &Target, deadline: Instant) -> io::Result<Box<dyn Stream>> {
        let server = match target {
            Target::Address(address) => *address,
            Target::Host(host, port) => {
                // There is no system here that would know names.
                let address: IpAddr = host.parse().map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
                SocketAddr::new(address, *port)
            }
        };
        let (late, connecting) =
            (self.simulator.sleep_until(deadline.since_origin()), self.connect_to(server));
        pin_mut!(connecting);
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
