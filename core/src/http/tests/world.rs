//! Servers that follow a script, a clock that moves only when all wait, and jobs run by hand.

use std::collections::{BTreeSet, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use async_trait::async_trait;
use futures::io::{AsyncRead, AsyncWrite};

use crate::http::{Client, ClientSettings};
use crate::model::UtcTime;
use crate::platform::{Clock, Datagram, Instant, Job, Net, Spawn, Stream, Target};

/// What a server does about the next request on a connection. When it has nothing left to do, it is silent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Does {
    Says(&'static str),
    /// Says it as many times, and then nothing more.
    Repeats(&'static str, usize),
    /// Says it, and closes behind it.
    EndsWith(&'static str),
    /// Reads the request and breaks the connection.
    Resets,
    /// Closes once it is idle, before another request comes.
    ClosesIdle,
    /// Takes not one octet.
    TakesNothing,
}

/// Everything behind the doors.
#[derive(Default)]
pub(super) struct World {
    /// For the connections to come.
    scripts: Mutex<VecDeque<Vec<Does>>>,
    /// Requests as the servers got them, with the connection's number.
    pub(super) requests: Mutex<Vec<(usize, String)>>,
    pub(super) opened: Mutex<Vec<Target>>,
    open: Mutex<usize>,
    now: Mutex<Duration>,
    alarms: Mutex<BTreeSet<Duration>>,
    jobs: Mutex<Vec<Job>>,
}

impl World {
    /// Servers of which each connection follows the next script, and a client.
    pub(super) fn new(scripts: &[&[Does]], settings: ClientSettings) -> (Arc<Self>, Client) {
        let scripts = scripts.iter().map(|script| script.to_vec()).collect();
        let world = Arc::new(Self { scripts: Mutex::new(scripts), ..Self::default() });
        let net = Arc::new(ScriptedNet(world.clone()));
        let client = Client::new(net, world.clone(), world.clone(), None, settings);
        (world, client)
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
        let mut context = Context::from_waker(&waker);
        while woken.0.swap(false, Ordering::Relaxed) {
            let polled = main.as_mut().poll(&mut context);
            let mut jobs = std::mem::take(&mut *self.jobs.lock().unwrap());
            jobs.retain_mut(|job| job.as_mut().poll(&mut context).is_pending());
            self.jobs.lock().unwrap().append(&mut jobs);
            if polled.is_ready() {
                return polled;
            }
        }
        Poll::Pending
    }

    /// Lets jobs run for this long.
    pub(super) fn pass(self: &Arc<Self>, time: Duration) {
        let world = self.clone();
        self.run(async move {
            let clock: &dyn Clock = &*world;
            clock.sleep(time).await;
        });
    }

    pub(super) fn soon(&self) -> Instant {
        self.instant() + Duration::from_secs(30)
    }

    /// Connections that are open now.
    pub(super) fn open(&self) -> usize {
        *self.open.lock().unwrap()
    }

    /// Jobs that have not ended.
    pub(super) fn jobs(&self) -> usize {
        self.jobs.lock().unwrap().len()
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
        Instant::from_origin(*self.now.lock().unwrap())
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

impl Spawn for World {
    fn spawn(&self, job: Job) {
        self.jobs.lock().unwrap().push(job);
    }
    fn blocking(&self, _: Box<dyn FnOnce() + Send>) {
        unreachable!("a client does nothing that blocks");
    }
}

struct ScriptedNet(Arc<World>);

#[async_trait]
impl Net for ScriptedNet {
    async fn connect(&self, target: &Target, _: Instant) -> io::Result<Box<dyn Stream>> {
        let script = self.0.scripts.lock().unwrap().pop_front().ok_or(io::ErrorKind::ConnectionRefused)?;
        let mut opened = self.0.opened.lock().unwrap();
        opened.push(target.clone());
        *self.0.open.lock().unwrap() += 1;
        Ok(Box::new(ScriptedStream {
            world: self.0.clone(),
            number: opened.len() - 1,
            script: script.into(),
            request: Vec::new(),
            answer: VecDeque::new(),
            end: End::Silence,
            reader: None,
        }))
    }
    async fn datagram(&self, _: SocketAddr) -> io::Result<Box<dyn Datagram>> {
        unreachable!("HTTP goes over streams");
    }
}

struct ScriptedStream {
    world: Arc<World>,
    number: usize,
    script: VecDeque<Does>,
    request: Vec<u8>,
    answer: VecDeque<u8>,
    end: End,
    reader: Option<Waker>,
}

/// What follows the answer.
#[derive(Clone, Copy)]
enum End {
    Silence,
    Close,
    Reset,
}

impl ScriptedStream {
    fn act(&mut self) {
        let text = String::from_utf8(std::mem::take(&mut self.request)).unwrap();
        self.world.requests.lock().unwrap().push((self.number, text));
        match self.script.pop_front() {
            Some(Does::Says(text)) => self.answer.extend(text.bytes()),
            Some(Does::Repeats(text, times)) => self.answer.extend(text.repeat(times).bytes()),
            Some(Does::EndsWith(text)) => {
                self.answer.extend(text.bytes());
                self.end = End::Close;
            }
            Some(Does::Resets) => self.end = End::Reset,
            Some(Does::ClosesIdle | Does::TakesNothing) => unreachable!("such a server takes no request"),
            None => {}
        }
        if let Some(Does::ClosesIdle) = self.script.front() {
            self.end = End::Close;
        }
        self.reader.take().into_iter().for_each(Waker::wake);
    }
}

impl Drop for ScriptedStream {
    fn drop(&mut self) {
        *self.world.open.lock().unwrap() -= 1;
    }
}

/// Whether these octets are a request with all of its body.
fn is_whole(request: &[u8]) -> bool {
    let text = std::str::from_utf8(request).unwrap();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.map_or(0, |length| length.parse().unwrap()) <= body.len()
}

impl AsyncWrite for ScriptedStream {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(Does::TakesNothing) = self.script.front() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.request.extend_from_slice(octets);
        if is_whole(&self.request) {
            self.act();
        }
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
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let octets = buffer.len().min(self.answer.len());
        if octets == 0 {
            return match self.end {
                End::Silence => {
                    self.reader = Some(context.waker().clone());
                    Poll::Pending
                }
                End::Close => Poll::Ready(Ok(0)),
                End::Reset => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            };
        }
        buffer.iter_mut().zip(self.answer.drain(..octets)).for_each(|(to, from)| *to = from);
        Poll::Ready(Ok(octets))
    }
}
