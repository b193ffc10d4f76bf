//! A connection to a server that is read while it is written to.

use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::io::{AsyncRead, AsyncWrite};

use crate::platform::Stream;

/// Octets read at a time; replies are short.
const READ_OCTETS: usize = 4 << 10;

/// See the module.
pub(super) struct Link {
    pub(super) stream: Box<dyn Stream>,
    buffer: Box<[u8]>,
    unread: Range<usize>,
    output: Vec<u8>,
    /// How much of the output has been sent.
    sent: usize,
    /// Whether a write has failed: there may be something to be heard still.
    is_deaf: bool,
}

/// What a wait is for. Input ends each of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Until everything is sent.
    Sent,
    /// Until there is input.
    Input,
}

/// How a wait ended.
pub(super) enum Event {
    /// There is something to be read.
    Input,
    /// Everything was sent.
    Sent,
    /// The connection takes nothing any more.
    Deaf,
    /// The server has closed the connection, or it broke.
    Lost,
}

impl Link {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        let buffer = vec![0; READ_OCTETS].into();
        Self { stream, buffer, unread: 0..0, output: Vec::new(), sent: 0, is_deaf: false }
    }

    /// What was read and not taken. Nothing more is read while there is any.
    pub(super) fn input(&self) -> &[u8] {
        &self.buffer[self.unread.clone()]
    }

    /// All but so many octets of the input were taken.
    pub(super) fn leave(&mut self, octets: usize) {
        self.unread.start = self.unread.end - octets;
    }

    /// Has octets sent after those before them, by the next wait; unless the connection is known to take nothing any more.
    pub(super) fn push(&mut self, octets: Vec<u8>) {
        if self.is_deaf {
            return;
        }
        self.output.drain(..self.sent);
        self.sent = 0;
        if self.output.is_empty() {
            self.output = octets;
        } else {
            self.output.extend_from_slice(&octets);
        }
    }

    /// How many octets have not been sent.
    pub(super) fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Forgets what has not been sent.
    pub(super) fn discard(&mut self) {
        self.output.clear();
        self.sent = 0;
    }

    /// Whether the connection takes nothing any more.
    pub(super) fn is_deaf(&self) -> bool {
        self.is_deaf
    }

    /// Reads what has come already. Nothing where it has not.
    pub(super) async fn glance(&mut self) -> Option<Event> {
        poll_fn(|context| Poll::Ready(self.read(context))).await
    }

    /// Sends the output and reads, until what is waited for has come.
    pub(super) async fn wait(&mut self, until: Until) -> Event {
        poll_fn(|context| self.poll(context, until)).await
    }

    /// Reading goes first: what the server has to say may make the rest pointless.
    fn poll(&mut self, context: &mut Context<'_>, until: Until) -> Poll<Event> {
        if let Some(event) = self.read(context) {
            return Poll::Ready(event);
        }
        if self.is_deaf {
            return Poll::Pending;
        }
        match (ready!(self.write(context)), until) {
            (Err(_), _) => {
                self.is_deaf = true;
                Poll::Ready(Event::Deaf)
            }
            (Ok(()), Until::Sent) => Poll::Ready(Event::Sent),
            (Ok(()), Until::Input) => Poll::Pending,
        }
    }

    fn read(&mut self, context: &mut Context<'_>) -> Option<Event> {
        match Pin::new(&mut self.stream).poll_read(context, &mut self.buffer) {
            Poll::Pending => None,
            Poll::Ready(Ok(octets @ 1..)) => {
                self.unread = 0..octets;
                Some(Event::Input)
            }
            Poll::Ready(Ok(0) | Err(_)) => Some(Event::Lost),
        }
    }

    fn write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unsent() > 0 {
            match ready!(Pin::new(&mut self.stream).poll_write(context, &self.output[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                octets => self.sent += octets,
            }
        }
        self.discard();
        Pin::new(&mut self.stream).poll_flush(context)
    }
}
