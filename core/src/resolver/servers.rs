//! Asks one name server after the other until one knows.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::io::{AsyncReadExt, AsyncWriteExt};
use hickory_proto::rr::Name;

use super::Finding;
use super::message::{DATAGRAM_OCTETS, Query, Reading, name_of};
use crate::platform::{Clock, DnsError, Entropy, Instant, Net, Question, RecordKind, Target};

/// Servers that are used.
const SERVER_LIMIT: usize = 8;
/// How long one exchange may take: each server is asked in the first round, and those that were silent in the next ones.
const ROUNDS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// How long a server that was silent is asked only after all others.
const REST: Duration = Duration::from_secs(30);
/// Datagrams that are no answer to the query while one waits for it. Beyond: somebody is trying to guess the id, and the
/// question is put over a stream, where guessing is hopeless.
const STRAY_LIMIT: usize = 64;

/// The servers, in the operator's order of preference.
pub(super) struct Servers {
    addresses: Vec<SocketAddr>,
    /// When each server was last silent, unless it has spoken since.
    silent_since: Mutex<Vec<Option<Instant>>>,
    net: Arc<dyn Net>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// Why one server gave no answer.
enum Failure {
    /// It was not reached, or broke off. Another try may do better.
    Silent(String),
    /// It has spoken, and would say the same again.
    Useless(String),
}

impl Servers {
    pub(super) fn new(
        mut addresses: Vec<SocketAddr>,
        net: Arc<dyn Net>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        addresses.truncate(SERVER_LIMIT);
        let silent_since = Mutex::new(vec![None; addresses.len()]);
        Self { addresses, silent_since, net, clock, entropy }
    }

    /// What the servers say to a question; a failure that tells what each of them did, where none knows by the deadline.
    pub(super) async fn resolve(&self, question: &Question, deadline: Instant) -> Finding {
        let Some(name) = name_of(&question.name) else {
            return Finding { result: Err(DnsError::NxDomain), keep: Duration::ZERO };
        };
        let mut left = self.by_merit();
        let mut failures = vec![None; self.addresses.len()];
        for patience in ROUNDS {
            let mut silent = Vec::new();
            for server in left {
                if self.clock.instant() >= deadline {
                    break;
                }
                let outcome = self.ask(server, &name, question.kind, patience, deadline).await;
                let is_silent = matches!(outcome, Err(Failure::Silent(_)));
                self.silent_since()[server] = is_silent.then(|| self.clock.instant());
                match outcome {
                    Ok(finding) => return finding,
                    Err(Failure::Silent(why)) => {
                        silent.push(server);
                        failures[server] = Some(why);
                    }
                    Err(Failure::Useless(why)) => failures[server] = Some(why),
                }
            }
            left = silent;
        }
        let told = self.addresses.iter().zip(failures);
        let told: Vec<_> = told.filter_map(|(server, why)| Some(format!("{server}: {}", why?))).collect();
        Finding::failure(if told.is_empty() {
            "no name server was asked".to_owned()
        } else {
            told.join("; ")
        })
    }

    /// The servers' numbers in the order of the operator, those that were silent of late behind the others.
    fn by_merit(&self) -> Vec<usize> {
        let now = self.clock.instant();
        let silent_since = self.silent_since();
        let mut numbers: Vec<_> = (0..self.addresses.len()).collect();
        numbers.sort_by_key(|number| silent_since[*number].filter(|since| now.since(*since) < REST));
        numbers
    }

    /// One try with one server: by datagram, over a stream if need be, and without EDNS if it knows none.
    async fn ask(
        &self,
        server: usize,
        name: &Name,
        kind: RecordKind,
        patience: Duration,
        deadline: Instant,
    ) -> Result<Finding, Failure> {
        let server = self.addresses[server];
        // The bit says that the server has checked DNSSEC. What lies between us and another machine could set it as well
        // (RFC 4035 §4.9.3).
        let is_trusted = server.ip().to_canonical().is_loopback();
        let (mut is_extended, mut over_stream) = (true, false);
        loop {
            let query = Query { id: self.draw_id(), name: name.clone(), kind, is_extended, is_trusted };
            let until = deadline.min(self.clock.instant() + patience);
            let reading = if over_stream {
                self.timed(until, self.over_stream(server, &query, until)).await?
            } else {
                self.timed(until, self.by_datagram(server, &query)).await?
            };
            match reading {
                Reading::Known(finding) => return Ok(finding),
                Reading::Incomplete if !over_stream => over_stream = true,
                // RFC 6891 §7: asked again without EDNS.
                Reading::NoExtensions if is_extended => is_extended = false,
                Reading::Failed(why) => return Err(Failure::Useless(why)),
                Reading::Stray => return Err(Failure::Useless("an answer to something else".to_owned())),
                Reading::Incomplete | Reading::NoExtensions => {
                    return Err(Failure::Useless(
                        "an answer cut off or unreadable, or an error without cause".to_owned(),
                    ));
                }
            }
        }
    }

    /// RFC 5452 §9.2: an id that nobody can foresee, and with it the fresh port that a new socket has.
    fn draw_id(&self) -> u16 {
        let mut id = [0; 2];
        self.entropy.fill(&mut id);
        u16::from_be_bytes(id)
    }

    async fn timed(
        &self,
        until: Instant,
        exchange: impl Future<Output = io::Result<Reading>> + Send,
    ) -> Result<Reading, Failure> {
        match self.clock.before(until, exchange).await {
            Some(Ok(reading)) => Ok(reading),
            Some(Err(error)) => Err(Failure::Silent(error.to_string())),
            None => Err(Failure::Silent("no answer in time".to_owned())),
        }
    }

    /// Sends one datagram and waits for its answer, for as long as the caller does.
    async fn by_datagram(&self, server: SocketAddr, query: &Query) -> io::Result<Reading> {
        let socket = self.net.datagram(server).await?;
        socket.send(&query.encode().map_err(io::Error::other)?).await?;
        let mut buffer = vec![0; DATAGRAM_OCTETS.into()];
        for _ in 0..STRAY_LIMIT {
            let octets = socket.receive(&mut buffer).await?;
            match query.read(&buffer[..octets]) {
                Reading::Stray => {}
                reading => return Ok(reading),
            }
        }
        Ok(Reading::Incomplete)
    }

    /// Puts the question over a stream, where each message follows its length (RFC 1035 §4.2.2).
    async fn over_stream(&self, server: SocketAddr, query: &Query, until: Instant) -> io::Result<Reading> {
        let message = query.encode().map_err(io::Error::other)?;
        let length = u16::try_from(message.len()).map_err(io::Error::other)?;
        let mut stream = self.net.connect(&Target::Address(server), until).await?;
        // In one piece: some servers take what comes in two for broken (RFC 7766 §8).
        stream.write_all(&[&length.to_be_bytes()[..], &message].concat()).await?;
        stream.flush().await?;
        let mut length = [0; 2];
        stream.read_exact(&mut length).await?;
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut answer).await?;
        Ok(query.read(&answer))
    }

    fn silent_since(&self) -> MutexGuard<'_, Vec<Option<Instant>>> {
        self.silent_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.addresses).finish()
    }
}
