//! A connection with deadlines, whatever is spoken over it.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_channel::Receiver;
use futures::future::{Either, select};
use futures::io::{AsyncReadExt, AsyncWriteExt};

use crate::platform::{Clock, Instant, Stream};
use crate::transport::{TlsAcceptError, TlsFacts, Upgrade};

/// Octets read at a time.
pub(super) const READ_OCTETS: usize = 16 << 10;
/// How long a connection is kept after the last reply, so that the client can read it.
pub(super) const LINGER: Duration = Duration::from_secs(2);
/// Octets that are read and thrown away meanwhile. Beyond: the connection is closed, whatever becomes of the reply.
const LINGER_OCTETS: usize = 256 << 10;

/// A client's connection.
pub(super) struct Connection<'a> {
    stream: Box<dyn Stream>,
    clock: &'a Arc<dyn Clock>,
    shutdown: &'a Receiver<Infallible>,
    /// Whether nothing can be sent any more.
    is_lost: bool,
}

/// Why nothing more is to be expected of a client.
pub(super) enum Trouble {
    /// It has closed the connection, or that has broken.
    Lost,
    /// It was too slow.
    TimedOut,
}

/// What came first.
pub(super) enum Received {
    /// So many octets.
    Octets(usize),
    /// The node is to shut down.
    Shutdown,
}

impl<'a> Connection<'a> {
    /// `shutdown` is closed, or without senders, when the node is to shut down.
    pub(super) fn new(
        stream: Box<dyn Stream>,
        clock: &'a Arc<dyn Clock>,
        shutdown: &'a Receiver<Infallible>,
    ) -> Self {
        Self { stream, clock, shutdown, is_lost: false }
    }

    /// The same connection, encrypted. There must be nothing to be sent any more.
    pub(super) async fn upgrade(self, upgrade: &Upgrade) -> Result<(Self, TlsFacts), TlsAcceptError> {
        let (stream, facts) = upgrade.accept(self.stream, self.shutdown).await?;
        Ok((Self { stream, ..self }, facts))
    }

    /// What the clock says.
    pub(super) fn now(&self) -> Instant {
        self.clock.instant()
    }

    /// Sends octets, if the connection is not known to be lost. A client that does not read them within `patience` is given
    /// up.
    pub(super) async fn send(&mut self, octets: &[u8], patience: Duration) -> Result<(), Trouble> {
        if octets.is_empty() || self.is_lost {
            return Ok(());
        }
        let sending = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        let trouble = match self.clock.before(self.clock.instant() + patience, sending).await {
            Some(Ok(())) => return Ok(()),
            Some(Err(_)) => Trouble::Lost,
            None => Trouble::TimedOut,
        };
        self.is_lost = true;
        Err(trouble)
    }

    /// Waits until octets have come into `buffer`, or for the shutdown where that is heeded.
    pub(super) async fn receive(
        &mut self,
        buffer: &mut [u8],
        deadline: Instant,
        heed_shutdown: bool,
    ) -> Result<Received, Trouble> {
        if self.is_lost {
            return Err(Trouble::Lost);
        }
        // Where octets are always there already, the wait below never gets as far as looking at the time.
        if self.clock.instant() > deadline {
            return Err(Trouble::TimedOut);
        }
        let shutdown = heed_shutdown.then_some(self.shutdown);
        let reading = read_or_shut_down(&mut self.stream, buffer, shutdown);
        match self.clock.before(deadline, reading).await {
            None => Err(Trouble::TimedOut),
            Some(Ok(Received::Octets(0)) | Err(_)) => Err(Trouble::Lost),
            Some(Ok(received)) => Ok(received),
        }
    }

    /// Closes for a client that has said that it sends nothing more, so that nothing can come to be unread.
    pub(super) async fn hang_up(&mut self) {
        if !self.is_lost {
            let deadline = self.clock.instant() + LINGER;
            // A client that has gone, or reads nothing, needs no farewell.
            let _ = self.clock.before(deadline, self.stream.close()).await;
        }
    }

    /// Does nothing for so long, or until the node is to shut down.
    pub(super) async fn pause(&mut self, pause: Duration) {
        select(pin!(self.shutdown.recv()), pin!(self.clock.sleep(pause))).await;
    }

    /// Closes our side, then waits a little for the client to close its own. Closing at once with input unread would reset
    /// the connection, and the reset can overtake the last reply.
    pub(super) async fn close(&mut self) {
        if self.is_lost {
            return;
        }
        let deadline = self.clock.instant() + LINGER;
        let lingering = async {
            let mut scratch = [0; 1 << 10];
            let mut room = LINGER_OCTETS;
            // A client that has gone needs no farewell.
            if self.stream.close().await.is_err() {
                return;
            }
            while let Ok(octets @ 1..) = self.stream.read(&mut scratch).await
                && octets < room
            {
                room -= octets;
            }
        };
        self.clock.before(deadline, lingering).await;
    }
}

/// Shutdown goes first: a client that never stops sending must not keep a node alive.
async fn read_or_shut_down(
    stream: &mut Box<dyn Stream>,
    buffer: &mut [u8],
    shutdown: Option<&Receiver<Infallible>>,
) -> io::Result<Received> {
    let Some(shutdown) = shutdown else { return Ok(Received::Octets(stream.read(buffer).await?)) };
    let reading = stream.read(buffer);
    match select(pin!(shutdown.recv()), reading).await {
        Either::Left(_) => Ok(Received::Shutdown),
        Either::Right((octets, _)) => Ok(Received::Octets(octets?)),
    }
}
