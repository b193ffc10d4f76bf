//! What comes.

use std::fmt;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::{BoxFuture, poll_fn};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::error::HttpError;
use super::pool::Lease;

/// The body of an answer, read from its connection as it is polled: pieces of any size and, rarely, trailers. An answer that
/// is cut in the middle ends with an error, as does one that is not there by the deadline of its request.
///
/// At its end the connection is kept for other requests: at the last octet where the length is known, without a further
/// poll. Dropped before, the connection is closed.
pub struct ResponseBody {
    incoming: Incoming,
    /// Never locked but through `&mut`: it is there for those who want a body to be `Sync`, which a stream is not.
    reading: Mutex<Reading>,
}

/// What reading goes by.
struct Reading {
    /// Until the end.
    lease: Option<Lease>,
    deadline: BoxFuture<'static, ()>,
}

impl ResponseBody {
    pub(super) async fn new(incoming: Incoming, lease: Lease, deadline: BoxFuture<'static, ()>) -> Self {
        let mut reading = Reading { lease: Some(lease), deadline };
        // Whoever knows that there is no body does not ask for it.
        if incoming.is_end_stream() {
            poll_fn(|context| {
                reading.end(context);
                Poll::Ready(())
            })
            .await;
        }
        Self { incoming, reading: Mutex::new(reading) }
    }

    /// The whole body; `Malformed` where it is longer than this many octets.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, HttpError> {
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut self).poll_frame(context)).await {
            let Ok(piece) = frame?.into_data() else { continue };
            if first.len() + rest.len() + piece.len() > limit {
                let reason = format!("there are more than {limit} octets");
                return Err(HttpError::Malformed(io::Error::new(io::ErrorKind::InvalidData, reason)));
            }
            if first.is_empty() {
                first = piece;
            } else {
                rest.extend_from_slice(&piece);
            }
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok([first, rest.freeze()].concat().into())
    }
}

impl Reading {
    /// What comes next, or the failure to read it in time.
    fn poll(
        &mut self,
        incoming: &mut Incoming,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let Some(lease) = &mut self.lease else { return Poll::Ready(None) };
        if self.deadline.poll_unpin(context).is_ready() {
            return Poll::Ready(Some(Err(HttpError::too_late())));
        }
        let mut incoming = Pin::new(incoming);
        let mut frame = incoming.as_mut().poll_frame(context);
        if frame.is_pending() {
            lease.connection.drive(context);
            frame = incoming.poll_frame(context);
        }
        frame.map_err(HttpError::broken)
    }

    /// Nothing more will come.
    fn end(&mut self, context: &mut Context<'_>) {
        if let Some(lease) = mem::take(&mut self.lease) {
            lease.give_back(context);
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let Self { incoming, reading } = self.get_mut();
        let reading = reading.get_mut().unwrap_or_else(PoisonError::into_inner);
        let frame = reading.poll(incoming, context);
        match &frame {
            Poll::Ready(Some(Err(_))) => reading.lease = None,
            Poll::Ready(None) => reading.end(context),
            Poll::Ready(Some(Ok(_))) if incoming.is_end_stream() => reading.end(context),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("incoming", &self.incoming).finish_non_exhaustive()
    }
}
