//! A client of HTTP/1.1 (rank 5; RFC 9110, RFC 9112), for the services that the operator names.
//!
//! Connections come through `Net`, sessions of TLS are core's own, and one deadline holds for a request and its whole
//! answer. Connections are kept for further requests, a bounded number for a bounded time.
//!
//! What becomes of a request whose connection breaks is told by what crossed it:
//!
//! | | a new connection | a kept one |
//! |---|---|---|
//! | no octet of the request left | `NotSent` | sent again, on a new connection |
//! | some left, none came back | `Unanswered` | sent again if safe (RFC 9110 §9.2.1) or marked [`RepeatWhenStale`], else `Unanswered` |
//! | a part of the answer came | `Unanswered` | `Unanswered` |
//!
//! Deliberately absent: redirects, proxies, compression, cookies, HTTP/2, jobs that run beside a request.

mod connection;
mod error;
mod origin;
mod pool;
mod request_body;
mod response_body;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};

pub use error::HttpError;
pub use request_body::RequestBody;
pub use response_body::ResponseBody;

use crate::platform::{Clock, Instant, Net, Spawn};
use crate::transport::TlsClient;
use connection::{Connection, Progress};
use origin::Origin;
use pool::Pool;

/// Origins whose pools are remembered though nothing is going on there.
const ORIGIN_LIMIT: usize = 64;

/// Bounds of a client, each per origin.
#[derive(Clone, Copy, Debug)]
pub struct ClientSettings {
    /// Connections that are used at once; who wants a further one waits.
    pub connections: usize,
    /// Connections that are kept while nobody uses them.
    pub idle_connections: usize,
    /// How long one is kept. Shorter than servers keep theirs, so that few requests meet a connection that is being closed.
    pub idle_for: Duration,
    /// The longest that opening a connection may take, with lookup and TLS.
    pub connect_within: Duration,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            connections: 128,
            idle_connections: 64,
            idle_for: Duration::from_secs(20),
            connect_within: Duration::from_secs(5),
        }
    }
}

/// Marks a request (as an extension of it) that may be sent twice, whatever its method: it is sent again where a kept
/// connection was closed before any of the answer came.
#[derive(Clone, Copy, Debug)]
pub struct RepeatWhenStale;

/// A client. Clones share their connections.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    net: Arc<dyn Net>,
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
    tls: Option<TlsClient>,
    settings: ClientSettings,
    pools: Mutex<BTreeMap<Origin, Arc<Pool>>>,
}

impl Client {
    /// A client without connections. Without TLS, requests for `https://` are refused.
    pub fn new(
        net: Arc<dyn Net>,
        clock: Arc<dyn Clock>,
        spawn: Arc<dyn Spawn>,
        tls: Option<TlsClient>,
        settings: ClientSettings,
    ) -> Self {
        Self(Arc::new(Shared { net, clock, spawn, tls, settings, pools: Mutex::default() }))
    }

    /// Sends a request, whose URI is absolute, and waits for the head of its answer. The deadline holds for the body as
    /// well. `Host` and `Content-Length` are added. Dropped, it closes the connection, and the request may have happened.
    pub async fn send(
        &self,
        request: Request<RequestBody>,
        deadline: Instant,
    ) -> Result<Response<ResponseBody>, HttpError> {
        let may_repeat =
            request.method().is_safe() || request.extensions().get::<RepeatWhenStale>().is_some();
        let (origin, request) = origin::address(request)?;
        let pool = self.pool(&origin);
        let slot = self.0.clock.before(deadline, pool.slot()).await.ok_or_else(HttpError::never_sent)?;
        let answered = match pool.reuse().await {
            Some(kept) => match self.exchange(kept, request.clone(), deadline).await {
                Err(failure) if failure.is_stale(may_repeat) => None,
                done => Some(done),
            },
            None => None,
        };
        let (connection, response) = match answered {
            Some(answered) => answered?,
            None => {
                let fresh = self.connect(&origin, deadline).await.map_err(HttpError::NotSent)?;
                self.exchange(fresh, request, deadline).await?
            }
        };
        let (head, incoming) = response.into_parts();
        let clock = self.0.clock.clone();
        let late = Box::pin(async move { clock.sleep_until(deadline).await });
        let body = ResponseBody::new(incoming, pool.lease(connection, slot), late).await;
        Ok(Response::from_parts(head, body))
    }

    fn pool(&self, origin: &Origin) -> Arc<Pool> {
        let shared = &self.0;
        let mut pools = shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(origin) {
            return pool.clone();
        }
        if pools.len() >= ORIGIN_LIMIT {
            pools.retain(|_, pool| Arc::strong_count(pool) > 1 || !pool.is_empty());
        }
        let pool = Pool::new(shared.clock.clone(), shared.spawn.clone(), shared.settings);
        pools.insert(origin.clone(), pool.clone());
        pool
    }

    async fn connect(&self, origin: &Origin, deadline: Instant) -> io::Result<Connection> {
        let Shared { net, clock, tls, settings, .. } = &*self.0;
        let deadline = deadline.min(clock.instant() + settings.connect_within);
        let open = async {
            let mut stream = net.connect(&origin.target(), deadline).await?;
            if origin.is_https {
                let tls = tls.as_ref().ok_or(io::ErrorKind::Unsupported)?;
                stream = tls.connect(&origin.host, stream).await?;
            }
            Connection::open(stream).await.map_err(io::Error::other)
        };
        clock.before(deadline, open).await.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    /// One attempt on one connection.
    async fn exchange(
        &self,
        mut connection: Connection,
        request: Request<RequestBody>,
        deadline: Instant,
    ) -> Result<(Connection, Response<Incoming>), Failure> {
        match self.0.clock.before(deadline, connection.exchange(request)).await {
            Some(Ok(response)) => Ok((connection, response)),
            Some(Err(error)) => Err(Failure { progress: connection.progress(), error: Some(error) }),
            None => Err(Failure { progress: connection.progress(), error: None }),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

/// Why an attempt brought no answer.
struct Failure {
    progress: Progress,
    /// Nothing: the deadline passed.
    error: Option<hyper::Error>,
}

impl Failure {
    /// Whether the request of a kept connection goes out again: its server had closed it, as far as anybody can tell.
    fn is_stale(&self, may_repeat: bool) -> bool {
        let is_safe = match self.progress {
            Progress::Untouched => true,
            Progress::Asked => may_repeat,
            Progress::Answering => false,
        };
        is_safe && self.error.is_some()
    }
}

impl From<Failure> for HttpError {
    fn from(failure: Failure) -> Self {
        match (failure.progress, failure.error) {
            (Progress::Untouched, None) => Self::never_sent(),
            (Progress::Untouched, Some(error)) => Self::NotSent(io::Error::other(error)),
            (_, None) => Self::too_late(),
            (_, Some(error)) => Self::broken(error),
        }
    }
}
