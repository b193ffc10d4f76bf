//! A connection's octets, in few system calls.

use std::io::{self, IoSlice, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use async_io::Async;
use fulmar_core::platform;
use fulmar_core::transport::TlsClient;
use smol::future::poll_once;
use smol::io::{AsyncReadExt, AsyncWriteExt};

/// A connection.
pub(super) enum Stream {
    Plain {
        socket: Arc<Async<TcpStream>>,
        /// Whether the last read left nothing free, so that there is probably more.
        filled: bool,
    },
    /// TLS, or whatever else lies over a socket.
    Layered(Box<dyn platform::Stream>),
}

impl Stream {
    pub(super) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let socket = Async::<TcpStream>::connect(address).await?;
        // A content that takes more than one write ends in a short segment, which must not wait for an acknowledgement.
        socket.get_ref().set_nodelay(true)?;
        Ok(Self::plain(Arc::new(socket)))
    }

    pub(super) fn plain(socket: Arc<Async<TcpStream>>) -> Self {
        Self::Plain { socket, filled: false }
    }

    /// Opens TLS, as a client that takes any certificate.
    pub(super) async fn secured(self, tls: &TlsClient) -> io::Result<Self> {
        let inner: Box<dyn platform::Stream> = match self {
            Self::Plain { socket, .. } => {
                // Nobody else has it; who did would read what is not theirs.
                let socket = Arc::into_inner(socket).ok_or(io::ErrorKind::ResourceBusy)?;
                Box::new(smol::net::TcpStream::from(socket))
            }
            Self::Layered(inner) => inner,
        };
        Ok(Self::Layered(tls.connect("", inner).await?))
    }

    /// Reads something; 0 octets are the end.
    pub(super) async fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain { socket, filled } => loop {
                // An answer takes its time: waiting for it first spares a read that finds nothing.
                if !*filled {
                    socket.readable().await?;
                }
                *filled = false;
                match socket.get_ref().read(space) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => *filled = true,
                    read => {
                        *filled = read.as_ref().is_ok_and(|octets| *octets == space.len());
                        return read;
                    }
                }
            },
            Self::Layered(inner) => inner.read(space).await,
        }
    }

    /// Writes all of these pieces, in one system call where the kernel takes them.
    pub(super) async fn write(&mut self, mut pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
        // Past the empty ones: a write of nothing would look like one to a closed stream.
        IoSlice::advance_slices(&mut pieces, 0);
        while !pieces.is_empty() {
            let written = match self {
                Self::Plain { socket, .. } => (&**socket).write_vectored(pieces).await?,
                Self::Layered(inner) => inner.write_vectored(pieces).await?,
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut pieces, written);
        }
        match self {
            Self::Plain { .. } => Ok(()),
            Self::Layered(inner) => inner.flush().await,
        }
    }

    /// Whether the other side has neither said anything nor closed, without waiting.
    pub(super) async fn is_silent(&mut self) -> bool {
        let octet = &mut [0];
        match self {
            Self::Plain { socket, .. } => {
                let read = socket.get_ref().read(octet);
                read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            Self::Layered(inner) => poll_once(inner.read(octet)).await.is_none(),
        }
    }
}
