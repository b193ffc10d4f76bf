//! Asks one name server after the other until one knows.
//!
//! **Letters of either case.** Each query has its name's letters in upper or lower case by chance, one more bit each that a forger
//! who cannot see the query has to guess, and servers give the question back as it came (draft-vixie-dnsext-dns0x20; what
//! Unbound and Google's resolvers do too). An answer by datagram that is right but for the case may be forged or come from a server that does
//! not: the question is put over a stream, whose numbers no such forger knows either, and so whoever forges gains nothing. Where the
//! case is wrong over the stream as well, it is the server, and for an hour it is asked over streams alone. It is never asked with
//! less to guess. A server of that kind that has no TCP, which it must have (RFC 7766 §5), is of no use.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::io::{AsyncReadExt, AsyncWriteExt};
use hickory_proto::rr::Name;

use super::Finding;
use super::message::{Case, DATAGRAM_OCTETS, Query, Reading, name_of};
use super::roster::{NameServerSource, Roster, Server};
use crate::platform::{Clock, DnsError, Entropy, Instant, Net, Question, RecordKind, Target};

/// How long one exchange may take: each server is asked in the first round, and those that were silent in the next ones.
const ROUNDS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];
/// Datagrams that are no answer to the query while one waits for it. Beyond: somebody is trying to guess the id, and the
/// question is put over a stream, where guessing is hopeless.
const STRAY_LIMIT: usize = 64;
/// One random bit for each octet of a name.
const CASE_OCTETS: usize = 256 / 8;

/// The servers, and what they are reached by.
pub(super) struct Servers {
    roster: Roster,
    net: Arc<dyn Net>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// Why one server gave no answer.
enum Failure {
    /// It was not reached, or broke off. Another try may do better.
    Silent(String),
    /// It serves nobody, or not us; whatever is asked.
    Unwilling(String),
    /// It has spoken, and would say the same again to this question.
    Useless(String),
}

impl Servers {
    pub(super) fn new(
        source: Arc<dyn NameServerSource>,
        net: Arc<dyn Net>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self { roster: Roster::new(source), net, clock, entropy }
    }

    /// What the servers say to a question; a failure that tells what each of them did, where none knows by the deadline.
    pub(super) async fn resolve(&self, question: &Question, deadline: Instant) -> Finding {
        let Some(name) = name_of(&question.name) else {
            return Finding { result: Err(DnsError::NxDomain), keep: Duration::ZERO };
        };
        let servers = self.roster.by_merit(self.clock.instant());
        let mut left: Vec<_> = (0..servers.len()).collect();
        let mut failures = vec![None; servers.len()];
        for patience in ROUNDS {
            let mut silent = Vec::new();
            for number in left {
                if self.clock.instant() >= deadline {
                    break;
                }
                let server = &servers[number];
                let outcome = self.ask(server, &name, question.kind, patience, deadline).await;
                let now = self.clock.instant();
                failures[number] = Some(match outcome {
                    Ok(finding) => {
                        server.has_served();
                        return finding;
                    }
                    Err(Failure::Silent(why)) => {
                        server.has_failed(now);
                        silent.push(number);
                        why
                    }
                    Err(Failure::Unwilling(why)) => {
                        server.has_failed(now);
                        why
                    }
                    Err(Failure::Useless(why)) => {
                        server.has_served();
                        why
                    }
                });
            }
            left = silent;
        }
        let told = servers.iter().zip(failures);
        let told: Vec<_> =
            told.filter_map(|(server, why)| Some(format!("{}: {}", server.address, why?))).collect();
        Finding::failure(if told.is_empty() {
            "no name server was asked".to_owned()
        } else {
            told.join("; ")
        })
    }

    /// One try with one server: by datagram, over a stream if need be, and without EDNS if it knows none.
    async fn ask(
        &self,
        server: &Server,
        name: &Name,
        kind: RecordKind,
        patience: Duration,
        deadline: Instant,
    ) -> Result<Finding, Failure> {
        let begun = self.clock.instant();
        let (may_be_extended, needs_stream) = (server.may_be_extended(begun), server.needs_stream(begun));
        let (mut is_extended, mut over_stream) = (may_be_extended, needs_stream);
        loop {
            let query = Query {
                id: self.draw_id(),
                name: self.mix_case(name),
                kind,
                is_extended,
                is_trusted: server.is_validating,
            };
            let until = deadline.min(self.clock.instant() + patience);
            let reading = if over_stream {
                self.timed(until, self.over_stream(server, &query, until)).await?
            } else {
                self.timed(until, self.by_datagram(server.address, &query)).await?
            };
            match reading {
                Reading::Known(finding) => {
                    if may_be_extended && !is_extended {
                        server.lacks_extensions(self.clock.instant());
                    }
                    return Ok(finding);
                }
                Reading::Incomplete | Reading::OtherCase if !over_stream => over_stream = true,
                // RFC 6891 §7: asked again without EDNS.
                Reading::NoExtensions if is_extended => is_extended = false,
                Reading::Unwilling(why) => return Err(Failure::Unwilling(why)),
                Reading::Failed(why) => return Err(Failure::Useless(why)),
                Reading::Stray => return Err(Failure::Useless("an answer to something else".to_owned())),
                Reading::Incomplete | Reading::OtherCase | Reading::NoExtensions => {
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

    /// The name with letters in either case by chance, which a server gives back as they were (draft-vixie-dnsext-dns0x20):
    /// a forger has to guess them as well.
    fn mix_case(&self, name: &Name) -> Name {
        let mut bits = [0; CASE_OCTETS];
        self.entropy.fill(&mut bits);
        let mut bits = bits.into_iter().flat_map(|octet| (0..8).map(move |bit| octet >> bit & 1 == 1));
        let mut mix = |octet: &u8| match bits.next() {
            Some(true) => octet.to_ascii_uppercase(),
            _ => octet.to_ascii_lowercase(),
        };
        let labels: Vec<Vec<u8>> = name.iter().map(|label| label.iter().map(&mut mix).collect()).collect();
        // The labels are as long as they were.
        Name::from_labels(labels).unwrap_or_else(|_| name.clone())
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
            match query.read(&buffer[..octets], Case::Kept) {
                Reading::Stray => {}
                reading => return Ok(reading),
            }
        }
        Ok(Reading::Incomplete)
    }

    /// Puts the question over a stream, where each message follows its length (RFC 1035 §4.2.2).
    async fn over_stream(&self, server: &Server, query: &Query, until: Instant) -> io::Result<Reading> {
        let message = query.encode().map_err(io::Error::other)?;
        let length = u16::try_from(message.len()).map_err(io::Error::other)?;
        let mut stream = self.net.connect(&Target::Address(server.address), until).await?;
        // In one piece: some servers take what comes in two for broken (RFC 7766 §8).
        stream.write_all(&[&length.to_be_bytes()[..], &message].concat()).await?;
        stream.flush().await?;
        let mut length = [0; 2];
        stream.read_exact(&mut length).await?;
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut answer).await?;
        Ok(match query.read(&answer, Case::Kept) {
            // Here that tells nothing but what the server is like: it is no forger.
            Reading::OtherCase => {
                server.changes_case(self.clock.instant());
                query.read(&answer, Case::Changed)
            }
            reading => reading,
        })
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.roster.fmt(f)
    }
}
