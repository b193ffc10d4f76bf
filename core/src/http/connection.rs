//! One connection: hyper's state machine over a stream, driven by whoever waits for its answer.
//!
//! No job runs beside a connection. While a request is under way, the futures of its asker drive it; while it is idle,
//! nobody does, and what its server has sent or closed meanwhile shows when it is polled before its next use. Dropping it
//! closes it, in every state.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use futures::io::{AsyncRead, AsyncWrite};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Response};

use super::request_body::RequestBody;
use crate::platform::Stream;

/// Octets that the head of an answer may have.
pub(super) const HEAD_LIMIT: usize = 32 << 10;
/// Header fields that an answer may have.
const FIELD_LIMIT: usize = 128;
/// Octets that hyper gathers of what it reads or writes.
const BUFFER_LIMIT: usize = 128 << 10;
/// Octets that are read from the stream at a time.
const READ_LIMIT: usize = 32 << 10;

pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    /// Until it has come to its end.
    driver: Option<http1::Connection<Wire, RequestBody>>,
    traffic: Arc<Traffic>,
}

/// How far an exchange came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// No octet of the request was handed to the stream.
    Untouched,
    /// Some of the request was, and nothing came back.
    Asked,
    /// Some of an answer came.
    Answering,
}

impl Connection {
    pub(super) async fn open(stream: Box<dyn Stream>) -> hyper::Result<Self> {
        let traffic = Arc::new(Traffic::default());
        let buffer = vec![0; READ_LIMIT].into_boxed_slice();
        let wire = Wire { stream, buffer, traffic: traffic.clone() };
        let mut builder = http1::Builder::new();
        // Bodies are large: they go out from where they are, without another copy.
        builder.writev(true);
        builder.max_headers(FIELD_LIMIT).max_header_size(HEAD_LIMIT).max_buf_size(BUFFER_LIMIT);
        let (sender, driver) = builder.handshake(wire).await?;
        Ok(Self { sender, driver: Some(driver), traffic })
    }

    /// Reads and writes what there is to read and write.
    pub(super) fn drive(&mut self, context: &mut Context<'_>) {
        // An error also reaches whoever waits for the answer or its body, and concerns nobody else.
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(context).is_ready()
        {
            self.driver = None;
        }
    }

    /// Whether the connection takes another request, as far as it can be known without asking the server.
    pub(super) fn is_usable(&mut self, context: &mut Context<'_>) -> bool {
        self.drive(context);
        self.driver.is_some() && matches!(self.sender.poll_ready(context), Poll::Ready(Ok(())))
    }

    /// Sends a request and waits for the head of its answer. Dropped or failed, the connection can no longer be used.
    pub(super) async fn exchange(
        &mut self,
        request: Request<RequestBody>,
    ) -> hyper::Result<Response<Incoming>> {
        self.traffic.forget();
        let mut answer = pin!(self.sender.try_send_request(request));
        let answer = poll_fn(|context| {
            self.drive(context);
            answer.as_mut().poll(context)
        });
        answer.await.map_err(|error| error.into_error())
    }

    /// How far the last exchange came.
    pub(super) fn progress(&self) -> Progress {
        match (
            self.traffic.has_written.load(Ordering::Relaxed),
            self.traffic.has_read.load(Ordering::Relaxed),
        ) {
            (_, true) => Progress::Answering,
            (true, false) => Progress::Asked,
            (false, false) => Progress::Untouched,
        }
    }
}

/// What crossed the wire in the exchange under way.
#[derive(Debug, Default)]
struct Traffic {
    has_written: AtomicBool,
    has_read: AtomicBool,
}

impl Traffic {
    fn forget(&self) {
        self.has_written.store(false, Ordering::Relaxed);
        self.has_read.store(false, Ordering::Relaxed);
    }

    fn note_written(&self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.has_written.store(true, Ordering::Relaxed);
        }
    }
}

/// A stream as hyper takes it.
struct Wire {
    stream: Box<dyn Stream>,
    /// hyper's own may be uninitialised, and is filled from here.
    buffer: Box<[u8]>,
    traffic: Arc<Traffic>,
}

impl Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let limit = cursor.remaining().min(wire.buffer.len());
        let octets = ready!(Pin::new(&mut wire.stream).poll_read(context, &mut wire.buffer[..limit]))?;
        if octets > 0 {
            wire.traffic.has_read.store(true, Ordering::Relaxed);
        }
        cursor.put_slice(&wire.buffer[..octets]);
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, octets);
        self.traffic.note_written(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.traffic.note_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}
