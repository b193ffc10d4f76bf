//! A client's side of SMTP over a stream.
//!
//! Every wait for the server has an end: one for each reply and each piece of content ([`Phase::longest_wait`]), and one for
//! everything up to the final dot, which a server that trickles its octets cannot move. After the dot only the wait for
//! its reply counts: to give up earlier would deliver the message twice.
//!
//! Reading and writing go on at the same time, so that a server which answers early is heard, and one that waits for us to
//! read is not waited for. Nothing is sent once a session is closed. A client holds one read buffer, and of the content at most
//! one part and [`WRITE_OCTETS`] in transport form.

mod link;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::io::AsyncWriteExt;

use self::link::{Event, Link, Until};
use crate::model::Domain;
use crate::model::reply::Severity;
use crate::platform::{Clock, Instant, Stream};
use crate::smtp::client::{
    Closing, Envelope, Extensions, Phase, ProtocolError, RecipientOutcome, Session, StartTls, Step,
};
use crate::transport::TlsClient;

/// Octets of content that are gathered for one write.
const WRITE_OCTETS: usize = 16 << 10;
/// How long a transaction may take up to its final dot, however small it is, ...
const LONGEST_TRANSACTION: Duration = Duration::from_mins(30);
/// ... and how many octets of content earn it a second more.
const LEAST_RATE: u64 = 128;
/// How long to wait for the reason why the server takes nothing any more.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long to wait for the connection to close after QUIT.
const FAREWELL: Duration = Duration::from_secs(2);

/// What is sent as a message's content.
#[async_trait]
pub trait Content: Send {
    /// The next octets; nothing at the end, and ever after.
    async fn next(&mut self) -> Result<Option<Bytes>, Withdrawn>;
    /// Whether the final dot may be sent; asked just before it is.
    async fn may_conclude(&mut self) -> Result<(), Withdrawn>;
}

/// The message cannot or must not be sent after all. The connection is closed before the final dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawn;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It ended before it was ready.
    #[error("{}", .0.closing)]
    Ended(End),
    /// The server offered TLS and could not keep up with it. Another connection may do without.
    #[error("TLS handshake failed: {0}")]
    Tls(io::Error),
}

/// What became of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub struct Transaction {
    /// What became of recipients, by their indices; each recipient occurs once.
    pub settled: Vec<(Vec<usize>, RecipientOutcome)>,
    /// How the session ended in it, if it did.
    pub end: Option<End>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub closing: Closing,
    /// What was awaited then.
    pub phase: Phase,
}

/// A session with a server, ready for transactions.
pub struct Client {
    link: Link,
    session: Session,
    clock: Arc<dyn Clock>,
    pace: Pace,
    is_encrypted: bool,
    opened: Instant,
    transactions: u32,
    /// What was awaited last, before the session ended.
    awaited: Phase,
}

/// How long the server has for what is awaited of it now.
struct Pace {
    /// Progress and phase when this began, and when it ends.
    current: Option<(u64, Phase, Instant)>,
    /// When everything up to the final dot has to be over.
    until: Instant,
}

/// Where the session stops for want of a decision.
enum Stop {
    Ready,
    StartTls,
    Ended(End),
}

impl Client {
    /// Opens a session over a connection that has just been made, until it is ready or `deadline` has passed. With `tls` it is
    /// encrypted where the server offers that, under the name given with it.
    pub async fn open(
        stream: Box<dyn Stream>,
        hostname: Domain,
        tls: Option<(&TlsClient, &str)>,
        clock: Arc<dyn Clock>,
        deadline: Instant,
    ) -> Result<Self, OpenError> {
        let start_tls = if tls.is_some() { StartTls::IfOffered } else { StartTls::Never };
        let opened = clock.instant();
        let mut client = Self {
            link: Link::new(stream),
            session: Session::new(hostname, start_tls),
            clock,
            pace: Pace { current: None, until: deadline },
            is_encrypted: false,
            opened,
            transactions: 0,
            awaited: Phase::Greeting,
        };
        loop {
            match (client.run(None, &mut Vec::new()).await, tls) {
                (Stop::Ready, _) => return Ok(client),
                // A server that goes on in the clear fails at the handshake, whether that comes with its reply or later.
                (Stop::Ended(End { closing: Closing::Protocol { error, .. }, .. }), _)
                    if error == ProtocolError::InputBeforeTls =>
                {
                    return Err(OpenError::Tls(io::Error::other(error)));
                }
                (Stop::Ended(end), _) => return Err(OpenError::Ended(end)),
                (Stop::StartTls, Some((tls, server_name))) => {
                    let due = client.pace.due(&client.session, client.clock.instant());
                    let handshake = tls.connect(server_name, client.link.stream);
                    let encrypted = client.clock.before(due, handshake).await;
                    let late = || Err(io::ErrorKind::TimedOut.into());
                    client.link.stream = encrypted.unwrap_or_else(late).map_err(OpenError::Tls)?;
                    client.is_encrypted = true;
                    client.session.tls_started();
                }
                // The session was told never to.
                (Stop::StartTls, None) => client.give_up(Closing::Abandoned),
            }
        }
    }

    /// Hands a message over. The session must be ready.
    pub async fn transact(&mut self, envelope: Envelope, content: &mut dyn Content) -> Transaction {
        let earned = Duration::from_secs(envelope.size / LEAST_RATE);
        self.pace = Pace { current: None, until: self.clock.instant() + LONGEST_TRANSACTION + earned };
        self.transactions += 1;
        let everybody = (0..envelope.recipients.len()).collect();
        let mut settled = Vec::new();
        // What came since the last transaction is no reply to this one.
        self.glance().await;
        if self.advance() != Step::Ready || self.session.begin(envelope).is_err() {
            self.give_up(Closing::Lost);
            settled.push((everybody, RecipientOutcome::CutBeforeDot));
        }
        let feed = Feed { content, part: Bytes::new() };
        let stop = self.run(Some(feed), &mut settled).await;
        Transaction { settled, end: if let Stop::Ended(end) = stop { Some(end) } else { None } }
    }

    /// Whether another transaction may follow.
    pub fn is_ready(&self) -> bool {
        self.session.phase() == Phase::Ready && !self.link.is_deaf() && self.link.unsent() == 0
    }

    /// What the server offers; none where the session is not ready.
    pub fn extensions(&self) -> Option<&Extensions> {
        self.session.extensions()
    }

    /// Whether the session is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// When the session was begun.
    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// How many transactions were begun in it.
    pub fn transactions(&self) -> u32 {
        self.transactions
    }

    /// Ends the session as it should end, and the connection with it.
    pub async fn quit(mut self) {
        self.pace = Pace { current: None, until: self.clock.instant() + Phase::Quit.longest_wait() };
        self.glance().await;
        if self.advance() == Step::Ready {
            self.session.quit();
            self.run(None, &mut Vec::new()).await;
            let deadline = self.clock.instant() + FAREWELL;
            // The server has been told; how it takes the end is its own affair.
            let _ = self.clock.before(deadline, self.link.stream.close()).await;
        }
    }

    /// Goes on until a decision is wanted. Without `feed` no transaction has been begun.
    async fn run(
        &mut self,
        mut feed: Option<Feed<'_>>,
        settled: &mut Vec<(Vec<usize>, RecipientOutcome)>,
    ) -> Stop {
        loop {
            match (self.advance(), &mut feed) {
                (Step::Ready, _) => return Stop::Ready,
                (Step::StartTls, _) => return Stop::StartTls,
                (Step::Closed(closing), _) => {
                    let phase = match &closing {
                        Closing::Refused { phase, .. } | Closing::Protocol { phase, .. } => *phase,
                        _ => self.awaited,
                    };
                    return Stop::Ended(End { closing, phase });
                }
                (Step::Settled { recipients, outcome }, _) => {
                    let outcome = self.believe(outcome);
                    settled.push((recipients, outcome));
                }
                (Step::Idle, _) => self.wait(Until::Input).await,
                (Step::NeedContent, Some(feed)) => self.feed(feed).await,
                (Step::NeedContent, None) => self.give_up(Closing::Abandoned),
            }
        }
    }

    /// Lets the session take what was read.
    fn advance(&mut self) -> Step {
        let mut input = self.link.input();
        let step = self.session.advance(&mut input);
        let left = input.len();
        self.link.leave(left);
        match step {
            Step::Closed(_) => self.link.discard(),
            _ => self.collect(),
        }
        // A session that is over awaits nothing but its end.
        match self.session.phase() {
            Phase::Quit => {}
            phase => self.awaited = phase,
        }
        step
    }

    /// A server cannot have taken a message before all of it was sent. If it says so, its replies are not those to our commands.
    fn believe(&mut self, outcome: RecipientOutcome) -> RecipientOutcome {
        match outcome {
            outcome if self.link.unsent() == 0 => outcome,
            RecipientOutcome::CutAfterDot => RecipientOutcome::CutBeforeDot,
            RecipientOutcome::Replied { phase, reply } if reply.severity() == Severity::Positive => {
                self.give_up(Closing::Protocol { phase, error: ProtocolError::Unasked(reply.code) });
                RecipientOutcome::CutBeforeDot
            }
            outcome => outcome,
        }
    }

    /// Takes over what the session wants to be sent.
    fn collect(&mut self) {
        self.link.push(self.session.take_output());
    }

    /// Goes on with the content: sends what was gathered, or gathers more, or concludes.
    async fn feed(&mut self, feed: &mut Feed<'_>) {
        if self.link.is_deaf() {
            return self.wait(Until::Input).await;
        }
        let room = WRITE_OCTETS.saturating_sub(self.link.unsent());
        if room == 0 {
            return self.wait(Until::Sent).await;
        }
        match feed.next(room).await {
            Ok(Some(octets)) => {
                self.session.content(&octets);
                self.collect();
            }
            Ok(None) => self.conclude(feed).await,
            Err(Withdrawn) => self.give_up(Closing::Abandoned),
        }
    }

    async fn conclude(&mut self, feed: &mut Feed<'_>) {
        if feed.content.may_conclude().await.is_err() {
            return self.give_up(Closing::Abandoned);
        }
        // A server that has gone already must not be taken for one that went after the dot.
        if !self.glance().await {
            self.session.end_content();
            self.collect();
        }
    }

    /// Takes in what has come already. False where there is nothing.
    async fn glance(&mut self) -> bool {
        match self.link.glance().await {
            None => return false,
            Some(Event::Lost) => self.give_up(Closing::Lost),
            Some(_) => {}
        }
        true
    }

    /// Sends what is to be sent, and reads.
    async fn wait(&mut self, until: Until) {
        let now = self.clock.instant();
        let mut due = self.pace.due(&self.session, now);
        let was_deaf = self.link.is_deaf();
        if was_deaf {
            due = due.min(now + LAST_WORDS);
        }
        // Where octets are always there already, the wait below never gets as far as looking at the time.
        if now > due {
            return self.give_up(Closing::TimedOut);
        }
        match self.clock.before(due, self.link.wait(until)).await {
            Some(Event::Input | Event::Deaf) => {}
            Some(Event::Sent) => self.pace.current = None,
            Some(Event::Lost) => self.give_up(Closing::Lost),
            None if was_deaf => self.give_up(Closing::Lost),
            None => self.give_up(Closing::TimedOut),
        }
    }

    fn give_up(&mut self, closing: Closing) {
        self.session.abandon(closing);
    }
}

impl Transaction {
    /// Whether the session ended before the server had agreed to MAIL. On a connection that was used before this says that
    /// the server was tired of it, and nothing about the message.
    pub fn is_unheard(&self) -> bool {
        let end = self.end.as_ref();
        end.is_some_and(|end| matches!(end.phase, Phase::Ready | Phase::Reset | Phase::Mail))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Pace {
    /// When to give up waiting, now that it is `now`.
    fn due(&mut self, session: &Session, now: Instant) -> Instant {
        let (progress, phase) = (session.progress(), session.phase());
        let due = match self.current {
            Some((at, of, due)) if (at, of) == (progress, phase) => due,
            _ => now + phase.longest_wait(),
        };
        self.current = Some((progress, phase, due));
        if phase == Phase::FinalDot { due } else { due.min(self.until) }
    }
}

/// Content on its way, of which one part is at hand.
struct Feed<'a> {
    content: &'a mut dyn Content,
    part: Bytes,
}

impl Feed<'_> {
    /// The next octets, at most so many.
    async fn next(&mut self, most: usize) -> Result<Option<Bytes>, Withdrawn> {
        while self.part.is_empty() {
            match self.content.next().await? {
                Some(part) => self.part = part,
                None => return Ok(None),
            }
        }
        Ok(Some(self.part.split_to(self.part.len().min(most))))
    }
}
