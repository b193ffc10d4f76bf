//! Connections to servers in memory, jobs that the test turns, and a clock that only it moves.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, Read};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::FutureExt;
use futures::io::{AsyncRead, AsyncWrite};

use super::{Connection, Connections, IDLE, IDLE_LIMIT, LONGEST_LIFE, LONGEST_REST, REST_LIMIT};
use crate::config::Destination;
use crate::conversation::smtp_client::Client;
use crate::delivery::Host;
use crate::model::{Domain, Reply, UtcTime};
use crate::platform::{Clock, Instant, Job, Spawn, Target};

/// Time that stands still but for the test. Whoever waits is polled by it, so no waker is kept.
#[derive(Default)]
struct HandClock(Mutex<Duration>);

#[async_trait]
impl Clock for HandClock {
    fn utc(&self) -> UtcTime {
        UtcTime(0)
    }
    fn instant(&self) -> Instant {
        Instant::from_origin(*self.0.lock().unwrap())
    }
    async fn sleep_until(&self, instant: Instant) {
        poll_fn(|_| if self.instant() >= instant { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// What a server has said and not been heard, and what it has heard.
#[derive(Default)]
struct Wire {
    to_us: VecDeque<u8>,
    from_us: Vec<u8>,
}

struct OurEnd(Arc<Mutex<Wire>>);

impl AsyncRead for OurEnd {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.0.lock().unwrap().to_us.read(buffer)? {
            0 => Poll::Pending,
            octets => Poll::Ready(Ok(octets)),
        }
    }
}

impl AsyncWrite for OurEnd {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().from_us.extend_from_slice(octets);
        Poll::Ready(Ok(octets.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Default)]
struct Jobs(Mutex<Vec<Job>>);

impl Spawn for Jobs {
    fn spawn(&self, job: Job) {
        self.0.lock().unwrap().push(job);
    }
    fn blocking(&self, _: Box<dyn FnOnce() + Send>) {
        unreachable!("nothing here blocks");
    }
}

struct World {
    clock: Arc<HandClock>,
    jobs: Arc<Jobs>,
    connections: Connections,
    wires: Vec<Arc<Mutex<Wire>>>,
}

impl World {
    fn new() -> Self {
        let (clock, jobs) = (Arc::<HandClock>::default(), Arc::<Jobs>::default());
        let connections = Connections::new(clock.clone(), jobs.clone(), Duration::from_hours(1));
        Self { clock, jobs, connections, wires: Vec::new() }
    }

    /// A session with a server that says nothing to QUIT. Its name is its number.
    fn connect(&mut self) -> Connection {
        let wire = Wire { to_us: (*b"220 x\r\n").into(), ..Wire::default() };
        let wire = Arc::new(Mutex::new(wire));
        let clock: Arc<dyn Clock> = self.clock.clone();
        let deadline = clock.instant() + Duration::from_mins(1);
        let hostname = Domain::parse("us.test").unwrap();
        let stream = Box::new(OurEnd(wire.clone()));
        let mut opening = pin!(Client::open(stream, hostname, None, clock, deadline));
        assert!(opening.as_mut().now_or_never().is_none());
        wire.lock().unwrap().to_us.extend(b"250 x\r\n");
        let client = opening.now_or_never().unwrap().unwrap();
        let name = self.wires.len().to_string();
        self.wires.push(wire);
        Connection {
            client,
            host: Host { name, target: Target::Host("x".to_owned(), 25) },
            is_verified: false,
        }
    }

    /// Takes all idle connections, and names them.
    fn take_all(&self, destination: &Destination) -> Vec<String> {
        std::iter::from_fn(|| self.connections.take(destination, false))
            .map(|taken| taken.host.name)
            .collect()
    }

    fn pass(&self, time: Duration) {
        *self.clock.0.lock().unwrap() += time;
        self.turn();
    }

    /// Lets jobs do what they can do now.
    fn turn(&self) {
        let mut waiting = Vec::new();
        loop {
            let jobs = std::mem::take(&mut *self.jobs.0.lock().unwrap());
            if jobs.is_empty() {
                break;
            }
            for mut job in jobs {
                if job.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                    waiting.push(job);
                }
            }
        }
        *self.jobs.0.lock().unwrap() = waiting;
    }

    /// The numbers of servers that were told QUIT.
    fn told_to_quit(&self) -> Vec<usize> {
        let is_told = |wire: &Mutex<Wire>| wire.lock().unwrap().from_us.ends_with(b"QUIT\r\n");
        (0..self.wires.len()).filter(|at| is_told(&self.wires[*at])).collect()
    }
}

fn destination(name: &str) -> Destination {
    Destination::Domain(Domain::parse(name).unwrap())
}

#[test]
fn the_connection_that_was_used_last_is_taken_first_and_none_twice() {
    let mut world = World::new();
    let (here, there) = (destination("a.test"), destination("b.test"));
    for destination in [&here, &here, &there] {
        let connection = world.connect();
        world.connections.put(destination, connection);
    }
    assert_eq!(world.take_all(&here), ["1", "0"]);
    assert_eq!(world.take_all(&there), ["2"]);
    assert!(world.take_all(&destination("c.test")).is_empty());
}

#[test]
fn idle_connections_are_ended_in_time_and_then_nobody_watches() {
    let mut world = World::new();
    let here = destination("a.test");
    for _ in 0..2 {
        let connection = world.connect();
        world.connections.put(&here, connection);
        world.pass(IDLE / 2);
    }
    assert_eq!(world.told_to_quit(), [0]);
    world.pass(IDLE / 2);
    assert_eq!(world.told_to_quit(), [0, 1]);
    assert!(world.take_all(&here).is_empty());
    // The servers did not answer.
    world.pass(Duration::from_mins(1));
    assert!(world.jobs.0.lock().unwrap().is_empty());

    let connection = world.connect();
    world.connections.put(&here, connection);
    world.pass(IDLE);
    assert_eq!(world.told_to_quit(), [0, 1, 2], "watched anew");
}

#[test]
fn connections_that_are_old_or_too_many_or_late_are_not_kept() {
    let mut world = World::new();
    let here = destination("a.test");
    let connection = world.connect();
    world.pass(LONGEST_LIFE);
    world.connections.put(&here, connection);
    world.turn();
    assert_eq!(world.told_to_quit(), [0]);

    for number in 0..=IDLE_LIMIT {
        let connection = world.connect();
        world.connections.put(&destination(&format!("d{number}.test")), connection);
    }
    world.turn();
    assert_eq!(world.told_to_quit(), [0, IDLE_LIMIT + 1]);

    world.connections.close();
    let connection = world.connect();
    world.connections.put(&here, connection);
    world.turn();
    assert_eq!(world.told_to_quit().len(), IDLE_LIMIT + 3);
}

#[test]
fn destinations_that_cannot_be_reached_rest_for_a_while_and_are_bounded() {
    let world = World::new();
    let name = |number: usize| destination(&format!("d{number}.test"));
    let reply = Reply::new(451, (4, 4, 1), "nobody there");
    for number in 0..=REST_LIMIT {
        world.connections.set_unreachable(&name(number), reply.clone());
        *world.clock.0.lock().unwrap() += Duration::from_micros(1);
    }
    assert_eq!(world.connections.unreachable(&name(0)), None, "the first one has made room");
    assert_eq!(world.connections.unreachable(&name(1)), Some(reply.clone()));
    world.pass(LONGEST_REST - Duration::from_millis(10));
    assert_eq!(world.connections.unreachable(&name(1)), Some(reply));
    world.pass(Duration::from_millis(10));
    assert_eq!(world.connections.unreachable(&name(1)), None);
}
