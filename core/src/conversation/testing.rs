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
pub(super) struct HandClock(pub(super) Mutex<Duration>);

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

/// Both directions of a connection, as its client sees them.
#[derive(Default)]
pub(super) struct Wire {
    pub(super) to_server: VecDeque<u8>,
    pub(super) client_has_closed: bool,
    pub(super) from_server: Vec<u8>,
    pub(super) server_has_closed: bool,
    /// Octets that the client's window still takes.
    pub(super) window: usize,
    pub(super) largest_write: usize,
    pub(super) is_broken: bool,
    /// Moved on by a second at each read, which there is always something for.
    pub(super) flood: Option<Arc<HandClock>>,
}

pub(super) struct ServerEnd(pub(super) Arc<Mutex<Wire>>);

impl AsyncRead for ServerEnd {
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
        let octets = buffer.len().min(wire.to_server.len());
        if octets == 0 && !wire.client_has_closed {
            return Poll::Pending;
        }
        buffer.iter_mut().zip(wire.to_server.drain(..octets)).for_each(|(to, from)| *to = from);
        Poll::Ready(Ok(octets))
    }
}

impl AsyncWrite for ServerEnd {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.0.lock().unwrap();
        wire.largest_write = wire.largest_write.max(octets.len());
        let written = octets.len().min(wire.window);
        if written == 0 {
            return Poll::Pending;
        }
        wire.window -= written;
        wire.from_server.extend_from_slice(&octets[..written]);
        Poll::Ready(Ok(written))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().server_has_closed = true;
        Poll::Ready(Ok(()))
    }
}
