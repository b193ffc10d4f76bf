//! The HTTP listener: `/healthz`, `/readyz` and `/metrics`, for balancers and monitoring.
//!
//! Whoever can connect may ask, so everything about a connection is bounded: how many there are, how long each lives, how
//! much it may send. One connection serves one request; who asks every few seconds needs no more. Nothing here waits
//! for the store.

mod metrics;
mod node;
mod pages;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::time::Duration;

use fulmar_core::platform::{Clock, Platform, Stream};
use fulmar_runtime_smol::{TcpListener, accept};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use smol_hyper::rt::FuturesIo;

pub(crate) use node::Node;

/// Connections at a time. Beyond: closed without an answer.
const CONNECTIONS: usize = 64;
/// How long a connection lives, from its first octet to its last. Beyond: closed.
const LIFE: Duration = Duration::from_secs(10);
/// Octets that the head of a request may have. Beyond: `431`, or `414` for its first line.
const HEAD_OCTETS: usize = 8 << 10;
/// Fields in it. Beyond: `431`.
const FIELDS: usize = 64;
/// Octets that are read and thrown away behind a request, so that the answer is not lost to a reset.
const LINGER_OCTETS: usize = 64 << 10;

/// Answers on a listener for as long as the process lives: a balancer is to see a node that ends, and not only miss it.
pub(crate) async fn serve(listener: TcpListener, node: Arc<Node>, platform: Platform) {
    let Platform { clock, spawn, .. } = platform;
    // Each connection holds one more.
    let places = Arc::new(());
    accept(listener, pending(), move |stream, _| {
        let (node, clock, place) = (node.clone(), clock.clone(), places.clone());
        if Arc::strong_count(&place) > CONNECTIONS + 1 {
            return;
        }
        spawn.spawn(Box::pin(async move {
            let deadline = clock.instant() + LIFE;
            clock.before(deadline, converse(stream, node, &clock)).await;
            drop(place);
        }));
    })
    .await;
}

/// One request, its answer, and the end of the connection.
async fn converse(stream: impl Stream + 'static, node: Arc<Node>, clock: &Arc<dyn Clock>) {
    let service = service_fn(|request| {
        let (node, clock) = (node.clone(), clock.clone());
        Box::pin(async move { Ok::<_, Infallible>(pages::answer(&node, &clock, &request).await) })
    });
    let mut builder = http1::Builder::new();
    // A client that has said all may close its side and still wants its answer.
    builder.keep_alive(false).half_close(true);
    // The connection's own deadline covers this.
    builder.header_read_timeout(None);
    builder.max_headers(FIELDS).max_buf_size(HEAD_OCTETS);
    let mut connection = builder.serve_connection(FuturesIo::new(stream), service);
    // Where the request was none, hyper has answered already. What else went wrong is the client's affair.
    let _ = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let mut stream = connection.into_parts().io.into_inner();
    if stream.close().await.is_err() {
        return;
    }
    let mut scratch = [0; 1 << 10];
    let mut room = LINGER_OCTETS;
    while let Ok(octets @ 1..) = stream.read(&mut scratch).await
        && octets < room
    {
        room -= octets;
    }
}
