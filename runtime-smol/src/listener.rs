//! Connections coming in.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_io::{Async, Timer};
use futures::future::{Either, select};
use futures::pin_mut;
use smol::net::{TcpListener, TcpStream};
use tracing::warn;

/// How long nothing is accepted after a failure that is ours: no descriptors or no memory left. Clients wait in the
/// listener's backlog meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
/// Pause between two tries to open a listener on an address that is in use.
const IN_USE_PAUSE: Duration = Duration::from_millis(20);

/// Connections that may wait until they are accepted; the system may allow fewer (`net.core.somaxconn`). The 128 of std are fewer than
/// arrive at once when a balancer fails over; and a client whose connection found no room hangs, for Linux may have told it by a SYN
/// cookie that it is connected.
const BACKLOG: i32 = 4096;

/// Opens a listener.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = Async::<std::net::TcpListener>::bind(address)?;
    // Said again, it changes the number and nothing else.
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener.into())
}

/// Opens a listener; waits this long for the address where it is in use.
pub async fn listen_when_free(address: SocketAddr, patience: Duration) -> io::Result<TcpListener> {
    let deadline = Instant::now() + patience;
    loop {
        match listen(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                Timer::after(IN_USE_PAUSE).await;
            }
            listener => return listener,
        }
    }
}

/// Hands connections to `serve` until `shutdown` is done, then closes the listener. `serve` must start a job and return:
/// nothing is accepted before it has. A failure to accept never ends the loop.
pub async fn accept(
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
    mut serve: impl FnMut(TcpStream, SocketAddr),
) {
    pin_mut!(shutdown);
    loop {
        let accepted = listener.accept();
        pin_mut!(accepted);
        let pause = match select(&mut shutdown, accepted).await {
            Either::Left(_) => return,
            Either::Right((Ok((stream, peer)), _)) => {
                // Fails only where the client is gone already; reading from it will show that.
                let _ = stream.set_nodelay(true);
                serve(stream, peer);
                continue;
            }
            Either::Right((Err(error), _)) => {
                if is_of_one_client(&error) {
                    continue;
                }
                warn!(%error, pause = ?ACCEPT_PAUSE, "cannot accept connections");
                Timer::after(ACCEPT_PAUSE)
            }
        };
        if let Either::Left(_) = select(&mut shutdown, pause).await {
            return;
        }
    }
}

/// Whether a failure concerns the connection that was to be accepted, and not the next one: `accept` passes on what
/// befell a client that was waiting.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{Ipv4Addr, TcpStream as StdStream};

    use futures::FutureExt;
    use futures::channel::oneshot;

    use super::*;

    #[test]
    fn connections_are_served_until_shutdown_and_then_refused() {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let clients: Vec<_> = (0..3).map(|_| StdStream::connect(address).unwrap()).collect();
        let mut stop = Some(stop);
        let mut peers = Vec::new();
        smol::block_on(accept(listener, async { stopped.await.unwrap() }, |stream, peer| {
            assert!(stream.nodelay().unwrap());
            peers.push(peer);
            if peers.len() == clients.len() {
                stop.take().unwrap().send(()).unwrap();
            }
        }));
        let expected: Vec<_> = clients.iter().map(|client| client.local_addr().unwrap()).collect();
        assert_eq!(peers, expected);
        for mut client in clients {
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
        assert!(StdStream::connect(address).is_err());
    }

    #[test]
    fn some_hundred_clients_may_wait_to_be_accepted() {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let limit = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
        let clients = limit.map_or(128, |limit| limit.trim().parse().unwrap()).min(400);
        // A SYN that was dropped is sent again after a second.
        let patience = Duration::from_millis(900);
        let connect = |_| StdStream::connect_timeout(&address, patience).unwrap();
        let _clients: Vec<_> = (0..clients).map(connect).collect();
    }

    #[test]
    fn an_address_in_use_is_waited_for_but_not_for_ever() {
        let holder = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = holder.local_addr().unwrap();
        let refused = smol::block_on(listen_when_free(address, IN_USE_PAUSE * 2));
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::AddrInUse);

        let listening = listen_when_free(address, Duration::from_secs(30));
        pin_mut!(listening);
        assert!(listening.as_mut().now_or_never().is_none());
        drop(holder);
        smol::block_on(listening).unwrap();
    }

    #[test]
    fn no_other_failure_is_waited_for() {
        // An address of documentation (RFC 5737 §3) is not this machine's.
        let listening = listen_when_free(([192, 0, 2, 1], 0).into(), Duration::from_secs(30));
        let failed = listening.now_or_never().unwrap();
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[test]
    fn a_clients_misfortune_costs_no_pause_and_our_own_does() {
        const EMFILE: i32 = 24;
        const ECONNABORTED: i32 = 103;
        assert!(!is_of_one_client(&io::Error::from_raw_os_error(EMFILE)));
        assert!(is_of_one_client(&io::Error::from_raw_os_error(ECONNABORTED)));
    }
}
