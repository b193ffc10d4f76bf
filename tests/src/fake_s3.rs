//! An S3 server in this process, in memory, over real sockets. It looks at no signature, and misbehaves on order.

mod http;
mod operations;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_listener::Event;
use futures::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use smol::future::or;
use smol::net::TcpStream;

use self::http::{Request, Response};
use self::operations::{Call, Stored};
use crate::faults::{Verb, Which};
use crate::loopback::Loopback;

/// The bucket that is there from the start.
pub const BUCKET: &str = "mail";
/// How long something may be waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// What no client can take for HTTP.
const GARBAGE: &[u8] = b"220 mail.test ESMTP\r\n\x00\xff\xfe\r\n\r\n";

/// How it misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Writes whatever `If-None-Match` says.
    IgnoreCondition,
    /// Looks whether an object is there, lets others look too, and writes: of racing creates, several win.
    LookThenWrite,
    /// Answers with this status and code, without effect.
    Error(u16, &'static str),
    /// Does what it should, and then answers so.
    ErrorAfterEffect(u16, &'static str),
    /// Does what it should, and closes amid the head of its answer.
    CutHead,
    /// Does what it should, and closes amid the body of its answer, or before the last octet where there is none.
    CutBody,
    /// Never answers, and does nothing.
    Silence,
    /// Never answers, but does what it should.
    SilenceAfterEffect,
    /// Does and answers as it should, and then closes the connection unannounced.
    Close,
    /// Answers with what is no HTTP, and does nothing.
    Garbage,
}

impl Fault {
    /// Too many requests.
    pub const SLOW_DOWN: Self = Self::Error(503, "SlowDown");
    /// Credentials that were good once.
    pub const EXPIRED_TOKEN: Self = Self::Error(403, "ExpiredToken");
    /// It happened, though the answer says that something is wrong.
    pub const FAILURE_AFTER_EFFECT: Self = Self::ErrorAfterEffect(500, "InternalError");
}

/// How often, counted over the requests that are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Each time.
    Always,
    /// The next so many.
    Next(usize),
    /// Every so manieth, the first one being among them.
    EveryNth(usize),
}

/// The server. It ends when this is dropped.
#[derive(Debug)]
pub struct FakeS3 {
    listener: Loopback,
    shared: Arc<Shared>,
}

impl FakeS3 {
    /// Starts one that behaves, with one empty bucket.
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        shared.state().buckets.insert(BUCKET.to_owned(), BTreeMap::new());
        let of_connections = shared.clone();
        let listener = Loopback::start(move |stream| {
            let shared = of_connections.clone();
            async move { or(shared.until_away(), converse(stream, shared.clone())).await }
        });
        Self { listener, shared }
    }

    /// `http://ADDRESS:PORT`. Buckets are found in the path, or in a `Host` of `BUCKET.localhost`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.listener.address())
    }

    /// Misbehaves so from now on, beside what was ordered before. Of several orders that meet one request the first holds.
    pub fn misbehave(&self, fault: Fault, which: Which, times: Times) {
        self.shared.state().orders.push(Order { fault, which, times, met: 0 });
    }

    /// Forgets all such orders.
    pub fn behave(&self) {
        self.shared.state().orders.clear();
    }

    /// From now on answers 403 `InvalidAccessKeyId` to whoever signs with another access key, or not at all.
    pub fn accept_only(&self, access_key: &str) {
        self.shared.state().access_key = Some(access_key.to_owned());
    }

    /// From now on answers 403 `ExpiredToken` to whoever signs with this access key.
    pub fn expire(&self, access_key: &str) {
        self.shared.state().expired.insert(access_key.to_owned());
    }

    /// Makes a bucket, where there is none of that name.
    pub fn make_bucket(&self, name: &str) {
        self.shared.state().buckets.entry(name.to_owned()).or_default();
    }

    /// Closes every connection at once, and new ones too, until `come_back`. What it has been asked and not answered is
    /// forgotten.
    pub fn go_away(&self) {
        self.shared.state().is_away = true;
        self.shared.went_away.notify(usize::MAX);
    }

    /// Serves again, with what it had stored.
    pub fn come_back(&self) {
        self.shared.state().is_away = false;
    }

    /// Holds every request back, those to come, until `release`.
    pub fn hold(&self) {
        self.shared.state().is_held = true;
    }

    /// Lets go what is held back.
    pub fn release(&self) {
        self.shared.state().is_held = false;
        self.shared.released.notify(usize::MAX);
    }

    /// Every request so far: what it does, and its key. Of a listing, this is the prefix; of the deletion of many objects,
    /// all keys, one a line.
    pub fn requests(&self) -> Vec<(Verb, String)> {
        self.shared.state().requests.clone()
    }

    /// The highest number of requests that were in flight at a time, since this was last asked.
    pub fn take_most_at_once(&self) -> usize {
        let mut state = self.shared.state();
        let in_flight = state.in_flight;
        std::mem::replace(&mut state.most_at_once, in_flight)
    }

    /// Returns once so many requests are in flight.
    pub fn wait_for_in_flight(&self, requests: usize) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        while state.in_flight < requests {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {requests} requests are in flight", state.in_flight);
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    released: Event,
    /// A create has looked.
    looked: Event,
    went_away: Event,
}

#[derive(Debug, Default)]
struct State {
    buckets: BTreeMap<String, BTreeMap<String, Stored>>,
    /// Objects written so far; the ETag of the last.
    writes: u64,
    orders: Vec<Order>,
    access_key: Option<String>,
    expired: BTreeSet<String>,
    is_away: bool,
    is_held: bool,
    requests: Vec<(Verb, String)>,
    in_flight: usize,
    most_at_once: usize,
}

#[derive(Debug)]
struct Order {
    fault: Fault,
    which: Which,
    times: Times,
    /// Requests that were meant so far.
    met: usize,
}

impl Order {
    fn applies(&mut self, verb: Verb, key: &str) -> bool {
        if !self.which.matches(verb, key) {
            return false;
        }
        self.met += 1;
        match self.times {
            Times::Always => true,
            Times::Next(count) => self.met <= count,
            Times::EveryNth(n) => (self.met - 1).is_multiple_of(n.max(1)),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a request, and says how to misbehave.
    fn begin(&self, call: &Call) -> Option<Fault> {
        let mut state = self.state();
        state.requests.push((call.verb, call.key.clone()));
        state.in_flight += 1;
        state.most_at_once = state.most_at_once.max(state.in_flight);
        self.changed.notify_all();
        state.orders.iter_mut().find_map(|order| order.applies(call.verb, &call.key).then_some(order.fault))
    }

    async fn until_away(&self) {
        loop {
            let went_away = self.went_away.listen();
            if self.state().is_away {
                return;
            }
            went_away.await;
        }
    }

    async fn wait_for_release(&self) {
        loop {
            let released = self.released.listen();
            if !self.state().is_held {
                return;
            }
            released.await;
        }
    }
}

/// A request that is in flight until this is dropped.
struct Flight(Arc<Shared>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
    }
}

/// Answers request after request, until the client closes or a fault wants it otherwise.
async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = Request::read(&mut stream).await {
        let is_head = request.method == "HEAD";
        let call = Call::new(request);
        let fault = shared.begin(&call);
        let flight = Flight(shared.clone());
        shared.wait_for_release().await;
        let response = match fault {
            Some(Fault::Silence) => return gone(&mut stream).await,
            Some(Fault::Error(status, code)) => Response::error(status, code),
            Some(Fault::Garbage) => {
                // The client may be gone already.
                let _ = stream.get_mut().write_all(GARBAGE).await;
                return;
            }
            _ => call.perform(&shared, fault).await,
        };
        let response = match fault {
            Some(Fault::SilenceAfterEffect) => return gone(&mut stream).await,
            Some(Fault::ErrorAfterEffect(status, code)) => Response::error(status, code),
            _ => response,
        };
        let (head, body) = response.encode(is_head);
        let (answer, is_last) = match fault {
            Some(Fault::CutHead) => (head[..head.len() / 2].to_vec(), true),
            Some(Fault::CutBody) => {
                let whole = [head.as_slice(), &body].concat();
                let kept = if body.is_empty() { whole.len() - 1 } else { head.len() + body.len() / 2 };
                (whole[..kept].to_vec(), true)
            }
            fault => ([head, body].concat(), fault == Some(Fault::Close)),
        };
        // Before the answer, so that a client that has read it does not find its request here.
        drop(flight);
        if stream.get_mut().write_all(&answer).await.is_err() || is_last {
            return;
        }
    }
}

/// Returns when the client has closed the connection.
async fn gone(stream: &mut BufReader<TcpStream>) {
    let mut ignored = [0; 1 << 10];
    while stream.read(&mut ignored).await.is_ok_and(|octets| octets > 0) {}
}
