//! The doors on tokio, to prove that the engine needs no particular runtime. Nothing but tests uses it.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use async_compat::Compat;
use async_trait::async_trait;
use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Clock, Datagram, Instant, Job, Net, Platform, Spawn, Stream, Target};
use fulmar_runtime_smol::SmolEntropy;
use fulmar_storage_s3::MemoryStore;
use futures::future::{BoxFuture, Either, select};
use futures::pin_mut;
use tokio::net::{TcpListener, TcpStream, UdpSocket, lookup_host};
use tokio::runtime::{Builder, Handle};

use crate::runtime::{Runtime, Serve};
use crate::zone::Zone;

/// Several, so that jobs do run beside one another.
const WORKERS: usize = 2;

/// A multi-threaded tokio runtime. Dropping it drops its jobs where they stand.
#[derive(Debug)]
pub struct TokioRuntime {
    runtime: tokio::runtime::Runtime,
    clock: TokioClock,
}

impl TokioRuntime {
    /// Starts its threads.
    pub fn new() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
        Ok(Self { runtime, clock: TokioClock { origin: tokio::time::Instant::now() } })
    }

    /// Runs a future on this thread until it is done, jobs beside it on the workers.
    pub fn block_on<T>(&self, main: impl Future<Output = T>) -> T {
        self.runtime.block_on(main)
    }

    /// The door through which jobs are started.
    pub fn spawn(&self) -> Arc<dyn Spawn> {
        Arc::new(TokioSpawn(self.runtime.handle().clone()))
    }
}

impl Runtime for TokioRuntime {
    fn platform(&self, zone: &Arc<Zone>) -> Platform {
        Platform {
            store: Arc::new(MemoryStore::new()),
            dns: zone.clone(),
            net: Arc::new(TokioNet { clock: self.clock }),
            clock: Arc::new(self.clock),
            // The operating system's, whatever the runtime.
            entropy: Arc::new(SmolEntropy),
            spawn: self.spawn(),
        }
    }

    fn listen(
        &self,
        address: SocketAddr,
        until: BoxFuture<'static, ()>,
        serve: Serve,
    ) -> io::Result<SocketAddr> {
        let _inside = self.runtime.enter();
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        self.runtime.spawn(accept(listener, until, serve));
        Ok(address)
    }

    fn is_virtual(&self) -> bool {
        false
    }
}

async fn accept(listener: TcpListener, mut until: BoxFuture<'static, ()>, mut serve: Serve) {
    loop {
        let accepted = listener.accept();
        pin_mut!(accepted);
        match select(&mut until, accepted).await {
            Either::Left(_) => return,
            Either::Right((Ok((stream, client)), _)) => serve(Box::new(Compat::new(stream)), client),
            // What befell a client that was waiting is its own affair.
            Either::Right((Err(_), _)) => {}
        }
    }
}

struct TokioSpawn(Handle);

impl Spawn for TokioSpawn {
    fn spawn(&self, job: Job) {
        self.0.spawn(job);
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        self.0.spawn_blocking(work);
    }
}

/// Counts from the runtime's start. It does not count suspension, which no test brings about.
#[derive(Clone, Copy, Debug)]
struct TokioClock {
    origin: tokio::time::Instant,
}

impl TokioClock {
    fn convert(self, instant: Instant) -> tokio::time::Instant {
        self.origin + instant.since_origin()
    }
}

#[async_trait]
impl Clock for TokioClock {
    fn utc(&self) -> UtcTime {
        let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UtcTime::default().after(elapsed)
    }

    fn instant(&self) -> Instant {
        Instant::from_origin(self.origin.elapsed())
    }

    async fn sleep_until(&self, instant: Instant) {
        tokio::time::sleep_until(self.convert(instant)).await;
    }
}

struct TokioNet {
    clock: TokioClock,
}

#[async_trait]
impl Net for TokioNet {
    async fn connect(&self, target: &Target, deadline: Instant) -> io::Result<Box<dyn Stream>> {
        let connecting = async {
            match target {
                Target::Address(address) => TcpStream::connect(address).await,
                Target::Host(host, port) => {
                    let addresses: Vec<_> = lookup_host((host.as_str(), *port)).await?.collect();
                    TcpStream::connect(&addresses[..]).await
                }
            }
        };
        let stream = tokio::time::timeout_at(self.clock.convert(deadline), connecting).await??;
        stream.set_nodelay(true)?;
        Ok(Box::new(Compat::new(stream)))
    }

    async fn datagram(&self, server: SocketAddr) -> io::Result<Box<dyn Datagram>> {
        let any = match server {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(server).await?;
        Ok(Box::new(TokioDatagram(socket)))
    }
}

impl fmt::Debug for TokioNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokioNet")
    }
}

struct TokioDatagram(UdpSocket);

#[async_trait]
impl Datagram for TokioDatagram {
    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.0.send(datagram).await.map(drop)
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer).await
    }
}
