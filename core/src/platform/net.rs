//! Streams and datagrams going out.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use futures::io::{AsyncRead, AsyncWrite};

use super::Instant;

/// A connection, either way. Closing the write side is `poll_close`.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An address that was found through [`super::Dns`] or stands in the configuration.
    Address(SocketAddr),
    /// A host that the operator named, looked up as the system does it. Never a name that came with mail.
    Host(String, u16),
}

/// Outgoing network.
#[async_trait]
pub trait Net: Send + Sync {
    /// Opens a stream, or fails with `TimedOut` at the deadline.
    async fn connect(&self, target: &Target, deadline: Instant) -> io::Result<Box<dyn Stream>>;
    /// Opens a datagram socket that talks to one server only, from a fresh random port.
    async fn datagram(&self, server: SocketAddr) -> io::Result<Box<dyn Datagram>>;
}

/// A connected datagram socket: it receives nothing from anybody else.
#[async_trait]
pub trait Datagram: Send + Sync {
    /// Sends one datagram.
    async fn send(&self, datagram: &[u8]) -> io::Result<()>;
    /// Receives one; what does not fit is cut off.
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize>;
}
