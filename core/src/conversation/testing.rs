//! A stream in memory, and a clock that only the test moves.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures::io::{AsyncRead, AsyncWrite};

use crate::model::UtcTime;
use crate::platform::{Clock, Instant};

/// Time that stands still between `advance`s. Whoever waits is polled by the test, so no waker is kept.
#[derive(Default)]
pub(crate) struct HandClock(pub(crate) Mutex<Duration>);

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

/// Both directions of a connection between us, who are tested, and a peer, who is the test.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) to_us: VecDeque<u8>,
    pub(crate) peer_has_closed: bool,
    pub(crate) from_us: Vec<u8>,
    pub(crate) we_have_closed: bool,
    /// Octets that the peer's window still takes.
    pub(crate) window: usize,
    pub(crate) largest_write: usize,
    pub(crate) is_broken: bool,
    /// Whether the peer takes nothing any more, and has said so.
    pub(crate) is_deaf: bool,
    /// Moved on by a second at each read, which there is always something for.
    pub(crate) flood: Option<Arc<HandClock>>,
}

pub(crate) struct OurEnd(pub(crate) Arc<Mutex<Wire>>);

impl AsyncRead for OurEnd {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.0.lock().unwrap();
        if wire.is_broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if let Some(clock) = &wire.flood {
            *clock.0.lock().unwrap() += Duration::from_secs(1);
            buffer.fill(b'x');
            return Poll::Ready(Ok(buffer.len()));
        }
        let octets = buffer.len().min(wire.to_us.len());
        if octets == 0 && !wire.peer_has_closed {
            return Poll::Pending;
        }
        buffer.iter_mut().zip(wire.to_us.drain(..octets)).for_each(|(to, from)| *to = from);
        Poll::Ready(Ok(octets))
    }
}

impl AsyncWrite for OurEnd {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.0.lock().unwrap();
        if wire.is_deaf {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        wire.largest_write = wire.largest_write.max(octets.len());
        let written = octets.len().min(wire.window);
        if written == 0 {
            return Poll::Pending;
        }
        wire.window -= written;
        wire.from_us.extend_from_slice(&octets[..written]);
        Poll::Ready(Ok(written))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().we_have_closed = true;
        Poll::Ready(Ok(()))
    }
}
