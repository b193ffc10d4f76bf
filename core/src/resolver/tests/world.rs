//! A network of name servers that follow a script, a clock that moves only when nothing else can, and jobs run by hand.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use async_trait::async_trait;
use futures::io::{AsyncRead, AsyncWrite};
use hickory_proto::op::Message;

use crate::model::UtcTime;
use crate::platform::{Clock, Datagram, Entropy, Instant, Job, Net, Spawn, Stream, Target};
use crate::resolver::{NameServers, Resolver};

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Udp,
    Tcp,
}

/// A query as a server got it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The server's number, from 0.
    pub(super) server: usize,
    pub(super) way: Way,
    pub(super) message: Message,
}

/// What a server does about a query. Several: one after the other.
#[derive(Clone, Debug)]
pub(super) enum Does {
    Answers(Box<Message>),
    /// As they are: over TCP, the length is part of them.
    Sends(Vec<u8>),
    /// Answers after this long; over TCP, never.
    Waits(Duration),
    /// Nobody listens there, or the stream breaks.
    Refuses,
}

type Script = Box<dyn Fn(&Asked) -> Vec<Does> + Send + Sync>;

/// Everything behind the doors.
pub(super) struct World {
    script: Script,
    servers: Vec<SocketAddr>,
    asked: Mutex<Vec<Asked>>,
    now: Mutex<Duration>,
    alarms: Mutex<BTreeSet<Duration>>,
    drawn: AtomicU64,
    jobs: Mutex<Vec<Job>>,
}

impl World {
    /// A world and a resolver that knows its servers, of which server 0 alone is on this machine.
    pub(super) fn new(
        servers: usize,
        script: impl Fn(&Asked) -> Vec<Does> + Send + Sync + 'static,
    ) -> (Arc<Self>, Resolver) {
        let address = |number| match number {
            0 => SocketAddr::from(([127, 0, 0, 1], 53)),
            _ => SocketAddr::from(([192, 0, 2, number as u8], 53)),
        };
        Self::of((0..servers).map(address).collect::<Vec<_>>().into(), script)
    }

    /// The same with these servers.
    pub(super) fn of(
        named: NameServers,
        script: impl Fn(&Asked) -> Vec<Does> + Send + Sync + 'static,
    ) -> (Arc<Self>, Resolver) {
        let world = Arc::new(Self {
            script: Box::new(script),
            servers: named.addresses.clone(),
            asked: Mutex::default(),
            now: Mutex::default(),
            alarms: Mutex::default(),
            drawn: AtomicU64::new(1),
            jobs: Mutex::default(),
        });
        let net = Arc::new(ScriptedNet(world.clone()));
        let resolver = Resolver::new(Arc::new(named), net, world.clone(), world.clone(), world.clone());
        (world, resolver)
    }

    /// Runs a future and all jobs until the future is done; the clock moves to the next alarm whenever all wait.
    pub(super) fn run<T>(&self, main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        loop {
            if let Poll::Ready(done) = self.turn(main.as_mut()) {
                return done;
            }
            let next = self.alarms.lock().unwrap().pop_first().expect("all wait, and for nothing");
            let mut now = self.now.lock().unwrap();
            *now = next.max(*now);
        }
    }

    /// Runs a future and all jobs as far as they come without time passing.
    pub(super) fn turn<T>(&self, mut main: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let context = RefCell::new(Context::from_waker(&waker));
        while woken.0.swap(false, Ordering::Relaxed) {
            let waiting = std::mem::take(&mut *self.jobs.lock().unwrap());
            let mut waiting: Vec<_> = waiting
                .into_iter()
                .filter_map(|mut job| {
                    job.as_mut().poll(&mut context.borrow_mut()).is_pending().then_some(job)
                })
                .collect();
            let polled = main.as_mut().poll(&mut context.borrow_mut());
            let mut jobs = self.jobs.lock().unwrap();
            // What was started just now has not been polled yet.
            let started = !jobs.is_empty();
            waiting.append(&mut jobs);
            *jobs = waiting;
            if polled.is_ready() {
                return polled;
            }
            woken.0.fetch_or(started, Ordering::Relaxed);
        }
        Poll::Pending
    }

    /// Lets time pass.
    pub(super) fn pass(&self, time: Duration) {
        *self.now.lock().unwrap() += time;
    }

    /// The time since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        *self.now.lock().unwrap()
    }

    /// Forgets the jobs, as a runtime does that ends.
    pub(super) fn end_jobs(&self) {
        let jobs = std::mem::take(&mut *self.jobs.lock().unwrap());
        drop(jobs);
    }

    /// What the servers were asked so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Which servers were asked so far, and how.
    pub(super) fn path(&self) -> Vec<(usize, Way)> {
        self.asked().iter().map(|asked| (asked.server, asked.way)).collect()
    }

    fn ask(&self, server: SocketAddr, way: Way, query: &[u8]) -> VecDeque<Does> {
        let server = self.servers.iter().position(|known| *known == server).unwrap();
        let asked = Asked { server, way, message: Message::from_vec(query).unwrap() };
        self.asked.lock().unwrap().push(asked.clone());
        (self.script)(&asked).into()
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Clock for World {
    fn utc(&self) -> UtcTime {
        UtcTime(0)
    }
    fn instant(&self) -> Instant {
        Instant::from_origin(self.elapsed())
    }
    async fn sleep_until(&self, instant: Instant) {
        poll_fn(|_| {
            if self.instant() >= instant {
                return Poll::Ready(());
            }
            self.alarms.lock().unwrap().insert(instant.since_origin());
            Poll::Pending
        })
        .await;
    }
}

impl Entropy for World {
    fn fill(&self, buffer: &mut [u8]) {
        for octet in buffer {
            let seed = self.drawn.fetch_add(1, Ordering::Relaxed);
            let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            *octet = (mixed >> 56) as u8;
        }
    }
}

impl Spawn for World {
    fn spawn(&self, job: Job) {
        self.jobs.lock().unwrap().push(job);
    }
    fn blocking(&self, _: Box<dyn FnOnce() + Send>) {
        unreachable!("a resolver does nothing that blocks");
    }
}

struct ScriptedNet(Arc<World>);

#[async_trait]
impl Net for ScriptedNet {
    async fn connect(&self, target: &Target, _: Instant) -> io::Result<Box<dyn Stream>> {
        let Target::Address(server) = target else { panic!("a name server is an address") };
        let stream = ScriptedStream {
            world: self.0.clone(),
            server: *server,
            query: Vec::new(),
            answer: None,
            is_silent: false,
        };
        Ok(Box::new(stream))
    }
    async fn datagram(&self, server: SocketAddr) -> io::Result<Box<dyn Datagram>> {
        Ok(Box::new(ScriptedDatagram { world: self.0.clone(), server, does: Mutex::default() }))
    }
}

struct ScriptedDatagram {
    world: Arc<World>,
    server: SocketAddr,
    does: Mutex<VecDeque<Does>>,
}

#[async_trait]
impl Datagram for ScriptedDatagram {
    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let does = self.world.ask(self.server, Way::Udp, datagram);
        self.does.lock().unwrap().extend(does);
        Ok(())
    }
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let next = self.does.lock().unwrap().pop_front();
            let octets = match next {
                Some(Does::Answers(message)) => message.to_vec().unwrap(),
                Some(Does::Sends(octets)) => octets,
                Some(Does::Waits(time)) => {
                    let clock: &dyn Clock = &*self.world;
                    clock.sleep(time).await;
                    continue;
                }
                Some(Does::Refuses) => return Err(io::ErrorKind::ConnectionRefused.into()),
                None => pending().await,
            };
            let length = octets.len().min(buffer.len());
            buffer[..length].copy_from_slice(&octets[..length]);
            return Ok(length);
        }
    }
}

struct ScriptedStream {
    world: Arc<World>,
    server: SocketAddr,
    query: Vec<u8>,
    /// What is left to read once the query is there; then the server closes, unless it is silent.
    answer: Option<VecDeque<u8>>,
    is_silent: bool,
}

impl ScriptedStream {
    fn answer(&mut self) -> io::Result<VecDeque<u8>> {
        let (length, query) = self.query.split_at(2);
        assert_eq!(usize::from(u16::from_be_bytes([length[0], length[1]])), query.len());
        let mut octets = VecDeque::new();
        for does in self.world.ask(self.server, Way::Tcp, query) {
            match does {
                Does::Answers(message) => {
                    let message = message.to_vec().unwrap();
                    octets.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
                    octets.extend(message);
                }
                Does::Sends(sent) => octets.extend(sent),
                Does::Refuses => return Err(io::ErrorKind::ConnectionReset.into()),
                Does::Waits(_) => self.is_silent = true,
            }
        }
        Ok(octets)
    }
}

impl AsyncWrite for ScriptedStream {
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

impl AsyncRead for ScriptedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.answer.is_none() {
            self.answer = Some(self.answer()?);
        }
        let is_silent = self.is_silent;
        let answer = self.answer.as_mut().unwrap();
        let octets = buffer.len().min(answer.len());
        if octets == 0 && is_silent {
            return Poll::Pending;
        }
        buffer.iter_mut().zip(answer.drain(..octets)).for_each(|(to, from)| *to = from);
        Poll::Ready(Ok(octets))
    }
}
