//! The stub resolver behind [`Dns`] (rank 4): questions go to the name servers that the operator or the system named, over
//! [`Net`]'s datagrams and streams. The servers do the recursion; DNSSEC is theirs too.
//!
//! | module | what it does |
//! |---|---|
//! | `message` | writes queries and reads answers; no I/O |
//! | `roster` | who the servers are, and in which order they are asked |
//! | `servers` | asks one server after the other until one knows |
//! | `cache` | keeps what was found |
//! | `recording` | answers written down, and given again |
//!
//! A query goes out as a datagram with EDNS0, from a fresh port, under a random id, its name in letters of either case by chance.
//! What comes back and is no answer to it is dropped, and waiting goes on. An answer that does not fit comes again over a stream. Of an answer
//! only that is believed which it says of the name that was asked for, or of one that this is an alias of. A server that is silent or fails is
//! followed by the next one; when none knows, the result is [`DnsError::ServFail`], which is never cached. No name is ever completed
//! by a search domain: a name that came with mail means what it says, and no host of the operator's.
//!
//! Each question is in flight once: whoever asks meanwhile waits for the same answer. The query runs in a job of its own, so
//! that an asker who is dropped takes nothing away from the others. A name that was asked for several times is looked up anew shortly before
//! its answer expires, while that still serves.
//!
//! **Answers that have expired** are given only where an operator says so ([`Resolver::serving_stale`]; RFC 8767), for as long, and only where no
//! server knows. Mail that waits for a name server loses minutes, and its queue is made for that; but an expired record may be a
//! key that was revoked or a host that was given away, and whoever can silence the servers of a domain would decide how long it is believed. Absences are never
//! given so: they turn mail away for good.

mod cache;
mod message;
mod recording;
mod roster;
mod servers;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_lock::Semaphore;
use async_trait::async_trait;
use futures::channel::oneshot;
use futures::future::{FutureExt, Shared};

use crate::platform::{Answer, Clock, Dns, DnsError, Entropy, Instant, Net, Question, Spawn};
use cache::{Cache, Known};
pub use recording::{NotARecording, Recorder, Recording};
pub use roster::{NameServerSource, NameServers};
use servers::Servers;

/// How long a question is worked on, from when it is asked; then it is a failure.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// Questions that are being asked at a time, each with one socket. Beyond: a question waits its turn, within its deadline.
pub const QUERIES_AT_ONCE: usize = 256;
/// Queries in flight from which on none is begun ahead of need.
const RENEWALS_UP_TO: usize = QUERIES_AT_ONCE / 2;
/// How long fresh answers are waited for where an expired one could be given (RFC 8767 §5).
const STALE_PATIENCE: Duration = Duration::from_millis(1_800);

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    result: Result<Answer, DnsError>,
    /// How long the result may be kept; zero: not at all.
    keep: Duration,
}

impl Finding {
    fn failure(why: String) -> Self {
        Self { result: Err(DnsError::ServFail(why)), keep: Duration::ZERO }
    }
}

/// Resolves names by asking name servers, and remembers the answers.
#[derive(Clone)]
pub struct Resolver {
    desk: Arc<Desk>,
    spawn: Arc<dyn Spawn>,
    stale: Duration,
}

impl Resolver {
    /// A resolver that prefers the earlier ones of the servers that the source names. With none every lookup fails.
    pub fn new(
        source: Arc<dyn NameServerSource>,
        net: Arc<dyn Net>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        spawn: Arc<dyn Spawn>,
    ) -> Self {
        let desk = Desk {
            servers: Servers::new(source, net, clock.clone(), entropy),
            clock,
            turns: Semaphore::new(QUERIES_AT_ONCE),
            state: Mutex::default(),
        };
        Self { desk: Arc::new(desk), spawn, stale: Duration::ZERO }
    }

    /// The same, but where no server knows, what was found earlier is still given for this long after it has expired.
    pub fn serving_stale(self, up_to: Duration) -> Self {
        Self { stale: up_to, ..self }
    }

    /// Starts the job that answers a question.
    fn begin(&self, question: &Question, done: oneshot::Sender<Result<Answer, DnsError>>, deadline: Instant) {
        let lookup = Lookup { desk: self.desk.clone(), question: question.clone(), deadline };
        self.spawn.spawn(Box::pin(async move {
            let result = lookup.run().await;
            drop(lookup);
            // All who asked may be gone.
            let _ = done.send(result);
        }));
    }
}

#[async_trait]
impl Dns for Resolver {
    async fn lookup(&self, question: &Question) -> Result<Answer, DnsError> {
        let now = self.desk.clock.instant();
        let (known, flight, begun) = {
            let mut state = self.desk.state();
            let known = state.cache.get(question, now, self.stale);
            match known {
                Known::Fresh(result) => return result,
                Known::Ageing(result) if state.in_flight.len() >= RENEWALS_UP_TO => return result,
                Known::Ageing(_) | Known::Stale(_) | Known::Nothing => {}
            }
            let (flight, begun) = state.board(question);
            (known, flight, begun)
        };
        // Without holding the state: a runtime that is ending drops the job at once, and the job's end needs the state.
        if let Some(done) = begun {
            self.begin(question, done, now + DEADLINE);
        }
        match known {
            Known::Fresh(result) | Known::Ageing(result) => result,
            Known::Nothing => flight.landed().await,
            Known::Stale(answer) => {
                match self.desk.clock.before(now + STALE_PATIENCE, flight.landed()).await {
                    Some(Err(DnsError::ServFail(_))) | None => Ok(answer),
                    Some(known) => known,
                }
            }
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("servers", &self.desk.servers).finish_non_exhaustive()
    }
}

/// A query that has begun, for everybody who waits for its result.
#[derive(Clone)]
struct Flight(Shared<oneshot::Receiver<Result<Answer, DnsError>>>);

impl Flight {
    async fn landed(self) -> Result<Answer, DnsError> {
        self.0.await.unwrap_or_else(|_| Err(DnsError::ServFail("the query was broken off".to_owned())))
    }
}

/// What all queries share.
struct Desk {
    servers: Servers,
    clock: Arc<dyn Clock>,
    turns: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cache: Cache,
    in_flight: BTreeMap<Question, Flight>,
}

impl State {
    /// The query for this question that is in flight; if there was none, a new one, and where its result has to go.
    fn board(&mut self, question: &Question) -> (Flight, Option<oneshot::Sender<Result<Answer, DnsError>>>) {
        if let Some(flight) = self.in_flight.get(question) {
            return (flight.clone(), None);
        }
        let (done, result) = oneshot::channel();
        let flight = Flight(result.shared());
        self.in_flight.insert(question.clone(), flight.clone());
        (flight, Some(done))
    }
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A query in flight. It leaves the table however it ends: a job that was dropped must not hold up the next asker.
struct Lookup {
    desk: Arc<Desk>,
    question: Question,
    deadline: Instant,
}

impl Lookup {
    async fn run(&self) -> Result<Answer, DnsError> {
        let Some(_turn) = self.desk.clock.before(self.deadline, self.desk.turns.acquire()).await else {
            return Err(DnsError::ServFail("too many queries at once".to_owned()));
        };
        let finding = self.desk.servers.resolve(&self.question, self.deadline).await;
        let now = self.desk.clock.instant();
        self.desk.state().cache.insert(&self.question, &finding, now);
        finding.result
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.desk.state().in_flight.remove(&self.question);
    }
}
