//! A connection: octets that take their time, and arrive in other portions than they were sent in.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::io::{AsyncRead, AsyncWrite};

use super::executor::{Simulator, lock};
use super::sleep::Sleep;

/// Octets under way in one direction, at most: drawn between these for each connection.
const WINDOW: (usize, usize) = (512, 128 << 10);
/// How long octets are under way.
const TRIP: (Duration, Duration) = (Duration::from_micros(20), Duration::from_millis(3));

/// What is to happen to a connection.
#[derive(Clone, Copy)]
pub(super) struct Trouble {
    /// After this many octets, of both directions together.
    pub(super) after: usize,
    pub(super) kind: TroubleKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TroubleKind {
    /// It is reset.
    Cut,
    /// Nothing arrives any more.
    Stalled,
    /// The direction of the last octet ends.
    HalfClosed,
}

/// Both ends of a new connection, that of the client first, and a way to break it.
pub(super) fn pair(simulator: &Simulator, trouble: Option<Trouble>) -> (End, End, Link) {
    let (least, most) = WINDOW;
    let window = || least + simulator.chance(|dice| dice.below(most - least));
    let ways = [Way::new(window()), Way::new(window())];
    let wire = Arc::new(Mutex::new(Wire { ways, is_reset: false, is_frozen: false, trouble }));
    let end = |side| End { simulator: simulator.clone(), wire: wire.clone(), side, arrival: None };
    (end(0), end(1), Link(Arc::downgrade(&wire)))
}

/// A connection seen from outside.
#[derive(Clone)]
pub(super) struct Link(Weak<Mutex<Wire>>);

impl Link {
    pub(super) fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Breaks it for both ends.
    pub(super) fn reset(&self) {
        self.with(Wire::reset);
    }

    /// Closes one end, whoever holds it.
    pub(super) fn hang_up(&self, simulator: &Simulator, side: usize) {
        self.with(|wire| wire.hang_up(simulator, side));
    }

    /// Has nothing arrive any more.
    pub(super) fn freeze(&self) {
        self.with(|wire| {
            wire.is_frozen = true;
            Vec::new()
        });
    }

    /// Has everything arrive again, and nothing happen to it any more.
    pub(super) fn heal(&self) {
        self.with(|wire| {
            (wire.is_frozen, wire.trouble) = (false, None);
            wire.waiting()
        });
    }

    fn with(&self, change: impl FnOnce(&mut Wire) -> Vec<Waker>) {
        if let Some(wire) = self.0.upgrade() {
            let woken = change(&mut lock(&wire));
            wake(woken);
        }
    }
}

pub(super) struct Wire {
    /// What each side sends.
    ways: [Way; 2],
    is_reset: bool,
    /// While it is, nothing arrives, and no news of its end either.
    is_frozen: bool,
    trouble: Option<Trouble>,
}

impl Wire {
    /// Gives whom to wake.
    fn reset(&mut self) -> Vec<Waker> {
        self.is_reset = true;
        self.waiting()
    }

    fn hang_up(&mut self, simulator: &Simulator, side: usize) -> Vec<Waker> {
        let is_unread = self.ways[1 - side].under_way > 0;
        self.ways[side].close(simulator);
        self.ways[1 - side].is_unheard = true;
        if is_unread { self.reset() } else { self.waiting() }
    }

    /// Whoever waits for anything.
    fn waiting(&mut self) -> Vec<Waker> {
        self.ways.iter_mut().flat_map(|way| way.reader.take().into_iter().chain(way.writer.take())).collect()
    }

    fn is_seen_reset(&self) -> bool {
        self.is_reset && !self.is_frozen
    }

    /// How many octets may pass before something happens to it.
    fn untroubled(&self) -> usize {
        self.trouble.map_or(usize::MAX, |trouble| trouble.after)
    }

    /// After octets have been sent by this side.
    fn count(&mut self, simulator: &Simulator, side: usize, octets: usize) -> Vec<Waker> {
        let Some(trouble) = &mut self.trouble else { return Vec::new() };
        trouble.after = trouble.after.saturating_sub(octets);
        if trouble.after > 0 {
            return Vec::new();
        }
        let kind = trouble.kind;
        self.trouble = None;
        match kind {
            TroubleKind::Cut => return self.reset(),
            TroubleKind::Stalled => self.is_frozen = true,
            TroubleKind::HalfClosed => {
                self.ways[side].close(simulator);
                self.ways[side].is_swallowed = true;
            }
        }
        Vec::new()
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
    /// Whether what is sent from now on is taken and comes to nobody.
    is_swallowed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Portion {
    arrives: Duration,
    octets: Bytes,
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
            is_swallowed: false,
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
        if wire.is_seen_reset() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let is_frozen = wire.is_frozen;
        let way = &mut wire.ways[1 - self.side];
        let arrives = way.portions.front().map(|portion| portion.arrives).or(way.end).filter(|_| !is_frozen);
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
        portion.octets.copy_to_slice(&mut buffer[..taken]);
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
        let is_unheard = wire.ways[self.side].is_unheard && !wire.is_frozen;
        if wire.is_seen_reset() || is_unheard {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let untroubled = wire.untroubled().max(1);
        let way = &mut wire.ways[self.side];
        if way.is_swallowed {
            return Poll::Ready(Ok(octets.len()));
        }
        if way.end.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if octets.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let most = octets.len().min(way.window - way.under_way).min(untroubled);
        if most == 0 {
            way.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let taken = 1 + self.simulator.chance(|dice| dice.below(most));
        let arrives = way.arrival(&self.simulator);
        way.portions.push_back(Portion { arrives, octets: Bytes::copy_from_slice(&octets[..taken]) });
        way.under_way += taken;
        let reader = way.reader.take();
        let others = wire.count(&self.simulator, self.side, taken);
        drop(wire);
        wake(reader);
        wake(others);
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
        let woken = lock(&self.wire).hang_up(&self.simulator, self.side);
        wake(woken);
    }
}

fn wake(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}
