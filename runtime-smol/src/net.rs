//! Connections and datagrams going out.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;

use async_io::Async;
use async_trait::async_trait;
use fulmar_core::platform::{Clock, Datagram, Instant, Net, Spawn, Stream, Target};
use smol::net::TcpStream;

use crate::SmolClock;

/// The system's network and, for hosts that the operator named, its resolver.
pub struct SmolNet {
    spawn: Arc<dyn Spawn>,
    clock: Arc<dyn Clock>,
}

impl SmolNet {
    /// A network that looks up hosts on `spawn`'s blocking threads.
    pub fn new(spawn: Arc<dyn Spawn>) -> Self {
        Self { spawn, clock: Arc::new(SmolClock) }
    }

    async fn addresses(&self, target: &Target, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
        match target {
            Target::Address(address) => Ok(vec![*address]),
            Target::Host(host, port) => {
                let host = (host.clone(), *port);
                let lookup = self.spawn.unblock(move || host.to_socket_addrs().map(Vec::from_iter));
                let found = self.clock.before(deadline, lookup).await.ok_or(io::ErrorKind::TimedOut)?;
                found.unwrap_or_else(|| Err(io::Error::other("the lookup was broken off")))
            }
        }
    }
}

#[async_trait]
impl Net for SmolNet {
    async fn connect(&self, target: &Target, deadline: Instant) -> io::Result<Box<dyn Stream>> {
        let addresses = self.addresses(target, deadline).await?;
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for (tried, address) in addresses.iter().enumerate() {
            // An address that does not answer must leave time for those after it.
            let now = self.clock.instant();
            let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let share = deadline.since(now) / left;
            if share.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match self.clock.before(now + share, TcpStream::connect(*address)).await {
                Some(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(Box::new(stream));
                }
                Some(Err(error)) => failure = error,
                None => failure = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(failure)
    }

    async fn datagram(&self, server: SocketAddr) -> io::Result<Box<dyn Datagram>> {
        let any = match server {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = Async::<UdpSocket>::bind(any)?;
        // From now on the system drops what others send.
        socket.get_ref().connect(server)?;
        Ok(Box::new(SmolDatagram(socket)))
    }
}

impl fmt::Debug for SmolNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SmolNet")
    }
}

struct SmolDatagram(Async<UdpSocket>);

#[async_trait]
impl Datagram for SmolDatagram {
    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.0.send(datagram).await.map(drop)
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::SmolRuntime;

    fn with_net<T>(work: impl AsyncFnOnce(SmolNet) -> T) -> T {
        let runtime = SmolRuntime::new(1).unwrap();
        runtime.block_on(work(SmolNet::new(runtime.spawn())))
    }

    fn soon() -> Instant {
        SmolClock.instant() + Duration::from_secs(20)
    }

    #[test]
    fn a_named_host_and_an_address_lead_to_the_same_listener() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        with_net(async |net| {
            for target in [Target::Address(address), Target::Host("localhost".into(), address.port())] {
                net.connect(&target, soon()).await.map(drop).unwrap();
                listener.accept().unwrap();
            }
        });
    }

    #[test]
    fn a_passed_deadline_is_a_timeout_and_a_closed_port_is_refused() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::Address(listener.local_addr().unwrap());
        with_net(async |net| {
            let late = net.connect(&target, SmolClock.instant()).await.map(drop);
            assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
            drop(listener);
            let closed = net.connect(&target, soon()).await.map(drop);
            assert_eq!(closed.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        });
    }

    #[test]
    fn a_datagram_socket_hears_its_server_and_nobody_else() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        with_net(async |net| {
            let socket = net.datagram(server.local_addr().unwrap()).await.unwrap();
            socket.send(b"question").await.unwrap();
            let mut buffer = [0; 16];
            let (length, client) = server.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"question");
            stranger.send_to(b"forgery", client).unwrap();
            server.send_to(b"answer", client).unwrap();
            let length = socket.receive(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..length], b"answer");
        });
    }
}
