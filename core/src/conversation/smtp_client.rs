//! A client's side of SMTP over a stream.
//!
//! Every wait for the server has an end: one for each reply and each piece of content ([`Phase::longest_wait`]), and one for
//! everything up to the final dot, which a server that trickles its octets cannot move. After the dot only the wait for
//! its reply counts: to give up earlier would deliver the message twice.
//!
//! Reading and writing go on at the same time, so that a server which answers early is heard, and one that waits for us to
//! read is not waited for. Nothing is sent once a session is closed. A client holds one read buffer, and of the content at most
//! one part and [`WRITE_OCTETS`] in transport form.

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::model::Domain;
use crate::model::reply::Severity;
use crate::platform::{Clock, Instant, Stream};
use crate::smtp::client::{
    Closing, Envelope, Phase, ProtocolError, RecipientOutcome, Session, StartTls, Step,
};
use crate::transport::TlsClient;

/// Octets read at a time; replies are short.
const READ_OCTETS: usize = 4 << 10;
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
    stream: Box<dyn Stream>,
    session: Session,
    clock: Arc<dyn Clock>,
    buffer: Box<[u8]>,
    unread: Range<usize>,
    output: Output,
    /// Whether a write has failed: there may be something to be heard still.
    is_deaf: bool,
    pace: Pace,
    is_encrypted: bool,
    opened: Instant,
    transactions: u32,
    /// What was awaited last, before the session ended.
    awaited: Phase,
}

/// Octets on their way out.
#[derive(Default)]
struct Output {
    octets: Vec<u8>,
    sent: usize,
}

/// How long the server has for what is awaited of it now.
struct Pace {
    /// Progress and phase when this began, and when it ends.
    current: Option<(u64, Phase, Instant)>,
    /// When everything up to the final dot has to be over.
    until: Instant,
}

/// What a wait is for. Input ends each of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Until everything is sent.
    Sent,
    /// Until there is input.
    Input,
}

/// How a wait ended.
enum Event {
    /// So many octets were read; none where the server has closed the connection.
    Input(usize),
    /// Everything was sent.
    Sent,
    /// The connection takes nothing any more.
    Deaf,
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
            stream,
            session: Session::new(hostname, start_tls),
            clock,
            buffer: vec![0; READ_OCTETS].into(),
            unread: 0..0,
            output: Output::default(),
            is_deaf: false,
            pace: Pace { current: None, until: deadline },
            is_encrypted: false,
            opened,
            transactions: 0,
            awaited: Phase::Greeting,
        };
        loop {
            match (client.run(None, &mut Vec::new()).await, tls) {
                (Stop::Ready, _) => return Ok(client),
                (Stop::Ended(end), _) => return Err(OpenError::Ended(end)),
                (Stop::StartTls, Some((tls, server_name))) => {
                    let due = client.pace.due(&client.session, client.clock.instant());
                    let handshake = tls.connect(server_name, client.stream);
                    let encrypted = client.clock.before(due, handshake).await;
                    let late = || Err(io::ErrorKind::TimedOut.into());
                    client.stream = encrypted.unwrap_or_else(late).map_err(OpenError::Tls)?;
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
        let everybody = (0..envelope.forward_paths.len()).collect();
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
        self.session.phase() == Phase::Ready && !self.is_deaf && self.output.rest().is_empty()
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
            let _ = self.clock.before(deadline, self.stream.close()).await;
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
        let mut input = &self.buffer[self.unread.clone()];
        let step = self.session.advance(&mut input);
        self.unread.start = self.unread.end - input.len();
        match step {
            Step::Closed(_) => self.output = Output::default(),
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
            RecipientOutcome::CutAfterDot if !self.output.rest().is_empty() => RecipientOutcome::CutBeforeDot,
            RecipientOutcome::Replied { phase, reply }
                if reply.severity() == Severity::Positive && !self.output.rest().is_empty() =>
            {
                self.give_up(Closing::Protocol { phase, error: ProtocolError::Unasked(reply.code) });
                RecipientOutcome::CutBeforeDot
            }
            outcome => outcome,
        }
    }

    /// Takes over what the session wants to be sent.
    fn collect(&mut self) {
        let octets = self.session.take_output();
        if !self.is_deaf {
            self.output.push(octets);
        }
    }

    /// Goes on with the content: sends what was gathered, or gathers more, or concludes.
    async fn feed(&mut self, feed: &mut Feed<'_>) {
        if self.is_deaf {
            return self.wait(Until::Input).await;
        }
        let room = WRITE_OCTETS.saturating_sub(self.output.len());
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
        let (stream, buffer) = (&mut self.stream, &mut self.buffer);
        let read = poll_fn(|context| Poll::Ready(Pin::new(&mut *stream).poll_read(context, buffer))).await;
        match read {
            Poll::Pending => return false,
            Poll::Ready(Ok(octets @ 1..)) => self.unread = 0..octets,
            Poll::Ready(Ok(0) | Err(_)) => self.give_up(Closing::Lost),
        }
        true
    }

    /// Sends what is to be sent, and reads.
    async fn wait(&mut self, until: Until) {
        let now = self.clock.instant();
        let mut due = self.pace.due(&self.session, now);
        if self.is_deaf {
            due = due.min(now + LAST_WORDS);
        }
        // Where octets are always there already, the wait below never gets as far as looking at the time.
        if now > due {
            return self.give_up(Closing::TimedOut);
        }
        let clock = self.clock.clone();
        let event = clock.before(due, poll_fn(|context| self.poll(context, until))).await;
        match event {
            Some(Ok(Event::Input(octets @ 1..))) => self.unread = 0..octets,
            Some(Ok(Event::Sent)) => self.pace.current = None,
            Some(Ok(Event::Deaf)) => self.is_deaf = true,
            Some(Ok(Event::Input(0)) | Err(_)) => self.give_up(Closing::Lost),
            None if self.is_deaf => self.give_up(Closing::Lost),
            None => self.give_up(Closing::TimedOut),
        }
    }

    /// Reading goes first: what the server has to say may make the rest pointless.
    fn poll(&mut self, context: &mut Context<'_>, until: Until) -> Poll<io::Result<Event>> {
        let reading = Pin::new(&mut self.stream).poll_read(context, &mut self.buffer);
        if let Poll::Ready(octets) = reading {
            return Poll::Ready(octets.map(Event::Input));
        }
        if self.is_deaf {
            return Poll::Pending;
        }
        while !self.output.rest().is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, self.output.rest())) {
                Ok(octets @ 1..) => self.output.sent += octets,
                Ok(0) | Err(_) => return Poll::Ready(Ok(Event::Deaf)),
            }
        }
        self.output.octets.clear();
        self.output.sent = 0;
        match (ready!(Pin::new(&mut self.stream).poll_flush(context)), until) {
            (Err(_), _) => Poll::Ready(Ok(Event::Deaf)),
            (Ok(()), Until::Sent) => Poll::Ready(Ok(Event::Sent)),
            (Ok(()), Until::Input) => Poll::Pending,
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

impl Output {
    fn push(&mut self, octets: Vec<u8>) {
        if self.octets.is_empty() {
            self.octets = octets;
        } else {
            self.octets.extend_from_slice(&octets);
        }
    }

    fn rest(&self) -> &[u8] {
        &self.octets[self.sent..]
    }

    fn len(&self) -> usize {
        self.rest().len()
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
