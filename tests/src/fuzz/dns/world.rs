//! Name servers that say what they are told to, and a clock that moves when nothing else can happen.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Clock, Datagram, Entropy, Instant, Job, Net, Spawn, Stream, Target};
use fulmar_core::resolver::{NameServers, Resolver};
use futures::FutureExt;
use futures::io::{AsyncRead, AsyncWrite};

/// What a query came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Datagram,
    Stream,
}

/// A query, and the messages that came in answer, each as long as the asker had room for.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) way: Way,
    pub(super) query: Vec<u8>,
    pub(super) answers: Vec<Vec<u8>>,
}

/// What comes in answer to the query of this number, which came this way: messages, one after the other. Over a stream only the first; none: it is
/// closed.
type Script = Box<dyn Fn(usize, Way, &[u8]) -> Vec<Vec<u8>> + Send + Sync>;

/// The servers, and all that they were asked.
pub(super) struct World {
    script: Script,
    state: Mutex<State>,
    drawn: AtomicU64,
}

#[derive(Default)]
struct State {
    exchanges: Vec<Exchange>,
    is_silent: bool,
    elapsed: Duration,
}

impl World {
    /// A world, and a resolver that asks so many servers in it, which are marked as validating or not.
    pub(super) fn new(
        servers: u8,
        are_validating: bool,
        script: impl Fn(usize, Way, &[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> (Arc<Self>, Resolver) {
        let world =
            Arc::new(Self { script: Box::new(script), state: Mutex::default(), drawn: AtomicU64::new(1) });
        let address = |number| SocketAddr::from((Ipv4Addr::new(192, 0, 2, number), 53));
        let servers = NameServers { addresses: (0..servers).map(address).collect(), are_validating };
        let net = Arc::new(ScriptedNet(world.clone()));
        let resolver = Resolver::new(Arc::new(servers), net, world.clone(), world.clone(), world.clone());
        (world, resolver)
    }

    /// From now on no server says anything.
    pub(super) fn fall_silent(&self) {
        self.state().is_silent = true;
    }

    pub(super) fn exchanges(&self) -> Vec<Exchange> {
        self.state().exchanges.clone()
    }

    /// How much time has passed.
    pub(super) fn elapsed(&self) -> Duration {
        self.state().elapsed
    }

    fn exchange(&self, way: Way, query: &[u8], room: usize) -> Vec<Vec<u8>> {
        let mut state = self.state();
        let mut answers = match state.is_silent {
            true => Vec::new(),
            false => (self.script)(state.exchanges.len(), way, query),
        };
        answers.iter_mut().for_each(|answer| answer.truncate(room));
        state.exchanges.push(Exchange { way, query: query.to_vec(), answers: answers.clone() });
        answers
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for World {
    fn utc(&self) -> UtcTime {
        UtcTime::default()
    }

    fn instant(&self) -> Instant {
        Instant::from_origin(self.elapsed())
    }

    async fn sleep_until(&self, instant: Instant) {
        let now = self.instant();
        if instant > now {
            self.state().elapsed += instant.since(now);
        }
    }
}

impl Entropy for World {
    fn fill(&self, buffer: &mut [u8]) {
        for octet in buffer {
            let seed = self.drawn.fetch_add(1, Ordering::Relaxed);
            *octet = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0];
        }
    }
}

impl Spawn for World {
    fn spawn(&self, job: Job) {
        job.now_or_never().expect("time passes whenever somebody waits");
    }

    fn blocking(&self, _: Box<dyn FnOnce() + Send>) {
        unreachable!("a resolver does nothing that blocks");
    }
}

struct ScriptedNet(Arc<World>);

#[async_trait]
impl Net for ScriptedNet {
    async fn connect(&self, _: &Target, _: Instant) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(Connection { world: self.0.clone(), query: Vec::new(), answer: None }))
    }

    async fn datagram(&self, _: SocketAddr) -> io::Result<Box<dyn Datagram>> {
        Ok(Box::new(Socket { world: self.0.clone(), unread: Mutex::default() }))
    }
}

/// A datagram out, and what comes back.
struct Socket {
    world: Arc<World>,
    /// The answers that were not read yet, the next one last.
    unread: Mutex<Vec<Vec<u8>>>,
}

#[async_trait]
impl Datagram for Socket {
    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let mut answers = self.world.exchange(Way::Datagram, datagram, DATAGRAM);
        answers.reverse();
        *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = answers;
        Ok(())
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        assert_eq!(buffer.len(), DATAGRAM);
        let answer = self.unread.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(answer) = answer else { return pending().await };
        buffer[..answer.len()].copy_from_slice(&answer);
        Ok(answer.len())
    }
}

/// Octets that a resolver takes of a datagram.
const DATAGRAM: usize = 1232;
/// Octets that a message may have over a stream (RFC 1035 §4.2.2).
const MESSAGE: usize = 0xffff;

/// A query, which comes in one piece, and its answer; then the end.
struct Connection {
    world: Arc<World>,
    query: Vec<u8>,
    answer: Option<io::Cursor<Vec<u8>>>,
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.query.extend_from_slice(octets);
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self { world, query, answer } = &mut *self;
        let answer = answer.get_or_insert_with(|| {
            let answers = world.exchange(Way::Stream, &query[2..], MESSAGE);
            io::Cursor::new(answers.first().map_or_else(Vec::new, |message| {
                let length = u16::try_from(message.len()).expect("there is no room for more").to_be_bytes();
                [&length[..], message].concat()
            }))
        });
        Poll::Ready(io::Read::read(answer, to))
    }
}
