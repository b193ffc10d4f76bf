//! A connection: octets that take their time, and arrive in other portions than they were sent in.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::io::{AsyncRead, AsyncWrite};

use super::executor::{Simulator, Sleep, lock};

/// Octets under way in one direction, at most: drawn between these for each connection.
const WINDOW: (usize, usize) = (512, 128 << 10);
/// How long octets are under way.
const TRIP: (Duration, Duration) = (Duration::from_micros(20), Duration::from_millis(3));

/// Both ends of a new connection, and a way to break it.
pub(super) fn pair(simulator: &Simulator) -> (End, End, Link) {
    let (least, most) = WINDOW;
    let window = || least + simulator.chance(|dice| dice.below(most - least));
    let wire = Arc::new(Mutex::new(Wire { ways: [Way::new(window()), Way::new(window())], is_reset: false }));
    let end = |side| End { simulator: simulator.clone(), wire: wire.clone(), side, arrival: None };
    (end(0), end(1), Link(Arc::downgrade(&wire)))
}

/// A connection seen from outside.
pub(super) struct Link(Weak<Mutex<Wire>>);

impl Link {
    pub(super) fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Breaks it for both ends.
    pub(super) fn reset(&self) {
        if let Some(wire) = self.0.upgrade() {
            wake(lock(&wire).reset());
        }
    }
}

pub(super) struct Wire {
    /// What each side sends.
    ways: [Way; 2],
    is_reset: bool,
}

impl Wire {
    /// Gives whom to wake.
    fn reset(&mut self) -> Vec<Waker> {
        self.is_reset = true;
        self.waiting()
    }

    /// Whoever waits for anything.
    fn waiting(&mut self) -> Vec<Waker> {
        self.ways.iter_mut().flat_map(|way| way.reader.take().into_iter().chain(way.writer.take())).collect()
    }
}

/// One direction.
struct Way {
    portions: VecDeque<Portion>,
    /// Octets in them.
    under_way: usize,
    window: usize,
    /// When the end of all octets arrives, once the sender has closed.
    end: Option<Duration>,
    /// When the last of what was sent arrives.
    last_arrival: Duration,
    /// Whether the receiver is gone.
    is_unheard: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Portion {
    arrives: Duration,
    octets: VecDeque<u8>,
}

impl Way {
    fn new(window: usize) -> Self {
        Self {
            portions: VecDeque::new(),
            under_way: 0,
            window,
            end: None,
            last_arrival: Duration::ZERO,
            is_unheard: false,
            reader: None,
            writer: None,
        }
    }

    /// When something sent now arrives: nothing overtakes.
    fn arrival(&mut self, simulator: &Simulator) -> Duration {
        let arrives = simulator.now() + simulator.between(TRIP.0, TRIP.1);
        self.last_arrival = self.last_arrival.max(arrives);
        self.last_arrival
    }

    fn close(&mut self, simulator: &Simulator) {
        if self.end.is_none() {
            self.end = Some(self.arrival(simulator));
        }
    }
}

/// One end of a connection. Dropping it closes the connection, or resets it where octets have come that were not read.
pub(super) struct End {
    simulator: Simulator,
    wire: Arc<Mutex<Wire>>,
    side: usize,
    arrival: Option<Sleep>,
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.arrival = None;
        let (simulator, wire) = (self.simulator.clone(), self.wire.clone());
        let mut wire = lock(&wire);
        if wire.is_reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let way = &mut wire.ways[1 - self.side];
        let arrives = way.portions.front().map(|portion| portion.arrives).or(way.end);
        if arrives.is_none_or(|arrives| arrives > simulator.now()) {
            way.reader = Some(context.waker().clone());
            if let Some(arrives) = arrives {
                let mut arrival = simulator.sleep_until(arrives);
                // Its time is to come: this only has it wake us.
                let _ = Pin::new(&mut arrival).poll(context);
                self.arrival = Some(arrival);
            }
            return Poll::Pending;
        }
        // Nothing but the end has arrived.
        let Some(portion) = way.portions.front_mut() else { return Poll::Ready(Ok(0)) };
        let most = portion.octets.len().min(buffer.len());
        let taken = 1 + simulator.chance(|dice| dice.below(most));
        for (place, octet) in buffer.iter_mut().zip(portion.octets.drain(..taken)) {
            *place = octet;
        }
        if portion.octets.is_empty() {
            way.portions.pop_front();
        }
        way.under_way -= taken;
        let writer = way.writer.take();
        drop(wire);
        wake(writer);
        Poll::Ready(Ok(taken))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = lock(&self.wire);
        if wire.is_reset || wire.ways[self.side].is_unheard {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let way = &mut wire.ways[self.side];
        if way.end.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if octets.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let most = octets.len().min(way.window - way.under_way);
        if most == 0 {
            way.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let taken = 1 + self.simulator.chance(|dice| dice.below(most));
        let arrives = way.arrival(&self.simulator);
        way.portions.push_back(Portion { arrives, octets: octets[..taken].iter().copied().collect() });
        way.under_way += taken;
        let reader = way.reader.take();
        drop(wire);
        wake(reader);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = lock(&self.wire);
        let way = &mut wire.ways[self.side];
        way.close(&self.simulator);
        let reader = way.reader.take();
        drop(wire);
        wake(reader);
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut wire = lock(&self.wire);
        let is_unread = wire.ways[1 - self.side].under_way > 0;
        wire.ways[self.side].close(&self.simulator);
        wire.ways[1 - self.side].is_unheard = true;
        let woken = if is_unread { wire.reset() } else { wire.waiting() };
        drop(wire);
        wake(woken);
    }
}

fn wake(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}
