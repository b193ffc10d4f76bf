//! A server's side of SMTP over a stream.
//!
//! Every wait for the client has an end: one for a whole command, however slowly its octets come; one for a pause amid
//! content, and a least rate over all of it; one for reading our replies. The handler's own time is never counted against
//! the client. A session holds one read buffer, one command line and the replies to one group of commands, whatever the
//! size of a message.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_channel::Receiver;
use async_trait::async_trait;
use futures::future::{Either, select};
use futures::io::{AsyncReadExt, AsyncWriteExt};

use crate::config::SmtpLimits;
use crate::model::{ForwardPath, Reply};
use crate::platform::{Clock, Instant, Stream};
use crate::smtp::Mail;
use crate::smtp::server::{Awaited, Closing, Session, Step};

/// Octets read at a time.
const READ_OCTETS: usize = 16 << 10;
/// How long a connection is kept after the last reply, so that the client can read it.
const LINGER: Duration = Duration::from_secs(2);
/// Octets that are read and thrown away meanwhile. Beyond: the connection is closed, whatever becomes of the reply.
const LINGER_OCTETS: usize = 256 << 10;

/// Who decides about mail, and keeps it. Calls come in the order of the protocol, one at a time. A transaction that `mail`
/// said yes to ends in exactly one call of `end_of_content` or `reset`, unless the conversation is dropped.
#[async_trait]
pub trait Handler: Send {
    /// Whether a transaction may begin.
    async fn mail(&mut self, mail: &Mail) -> Result<(), Reply>;
    /// Whether this recipient is taken.
    async fn recipient(&mut self, forward_path: &ForwardPath) -> Result<(), Reply>;
    /// Whether content may be sent; asked before the client is invited to.
    async fn data(&mut self) -> Result<(), Reply>;
    /// Takes the next octets of content. A refusal becomes the final reply, after the rest has been swallowed.
    async fn content(&mut self, octets: &[u8]) -> Result<(), Reply>;
    /// The content is whole. `Ok` only once the message is durable; either reply goes to the client.
    async fn end_of_content(&mut self) -> Result<Reply, Reply>;
    /// The transaction is over without a message: RSET, EHLO, content refused, connection lost.
    async fn reset(&mut self);
    /// The client was told this 4yz or 5yz, about a recipient or not.
    fn refused(&mut self, recipient: Option<&ForwardPath>, reply: &Reply);
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// Messages that were answered with a positive final reply.
    pub messages: u64,
    /// Why it ended.
    pub reason: Closing,
}

/// Serves one client till the session is over, and closes the stream. It shuts down when all senders of `shutdown` are gone
/// or the channel is closed. May be dropped at any await; the handler is then not told.
pub async fn serve(
    stream: Box<dyn Stream>,
    mut session: Session,
    handler: &mut dyn Handler,
    limits: &SmtpLimits,
    clock: &Arc<dyn Clock>,
    shutdown: &Receiver<Infallible>,
) -> SessionEnd {
    let mut connection =
        Connection { stream, clock, limits, shutdown, pace: Pace::default(), is_lost: false };
    let mut buffer = vec![0; READ_OCTETS];
    let mut unread = 0..0;
    loop {
        let mut input = &buffer[unread.clone()];
        let step = session.advance(&mut input);
        unread.start = unread.end - input.len();
        match step {
            Step::Idle => {
                connection.send(&mut session).await;
                unread = 0..connection.receive(&mut session, &mut buffer).await;
            }
            Step::Send => connection.send(&mut session).await,
            Step::Mail(mail) => session.answer(handler.mail(&mail).await),
            Step::Recipient(forward_path) => session.answer(handler.recipient(&forward_path).await),
            Step::Data => session.answer(handler.data().await),
            Step::Content(octets) => session.answer(handler.content(octets).await),
            Step::EndOfContent => {
                let (Ok(reply) | Err(reply)) = handler.end_of_content().await;
                session.conclude(reply);
                // The next commands may have come with the content, and then no wait for them shows this.
                if shutdown.is_closed() {
                    session.shut_down();
                }
            }
            Step::Reset => handler.reset().await,
            Step::Refused { recipient, reply } => handler.refused(recipient.as_ref(), &reply),
            Step::Closed(reason) => {
                connection.send(&mut session).await;
                connection.close().await;
                return SessionEnd { messages: session.messages(), reason };
            }
        }
    }
}

/// The connection, and the patience with its client.
struct Connection<'a> {
    stream: Box<dyn Stream>,
    clock: &'a Arc<dyn Clock>,
    limits: &'a SmtpLimits,
    shutdown: &'a Receiver<Infallible>,
    pace: Pace,
    /// Whether nothing can be sent any more.
    is_lost: bool,
}

impl Connection<'_> {
    /// Sends what the session has to say. A client that does not read it is given up.
    async fn send(&mut self, session: &mut Session) {
        let output = session.take_output();
        if output.is_empty() || self.is_lost {
            return;
        }
        let deadline = self.clock.instant() + self.limits.content_timeout;
        let sending = async {
            self.stream.write_all(&output).await?;
            self.stream.flush().await
        };
        let closing = match self.clock.before(deadline, sending).await {
            Some(Ok(())) => return,
            Some(Err(_)) => Closing::Lost,
            None => Closing::TimedOut,
        };
        self.is_lost = true;
        session.abandon(closing);
    }

    /// Waits for octets and gives how many there are now in `buffer`: none where something else happened, which the
    /// session has then been told.
    async fn receive(&mut self, session: &mut Session, buffer: &mut [u8]) -> usize {
        if self.is_lost {
            return 0;
        }
        let awaited = session.awaits();
        let began = self.clock.instant();
        let deadline = self.pace.deadline(session.progress(), awaited, began, self.limits);
        // Where octets are always there already, the wait below never gets as far as looking at the time.
        if awaited == Awaited::Command && began >= deadline {
            session.time_out();
            return 0;
        }
        let reading = read_or_shut_down(
            &mut self.stream,
            buffer,
            (awaited == Awaited::Command).then_some(self.shutdown),
        );
        match self.clock.before(deadline, reading).await {
            None => session.time_out(),
            Some(Received::Shutdown) => session.shut_down(),
            Some(Received::Octets(Ok(0) | Err(_))) => session.abandon(Closing::Lost),
            Some(Received::Octets(Ok(octets))) => {
                self.pace.count(octets, self.clock.instant().since(began));
                return octets;
            }
        }
        0
    }

    /// Closes our side, then waits a little for the client to close its own. Closing at once with input unread would reset
    /// the connection, and the reset can overtake the last reply.
    async fn close(&mut self) {
        if self.is_lost {
            return;
        }
        let deadline = self.clock.instant() + LINGER;
        let lingering = async {
            let mut scratch = [0; 1 << 10];
            let mut room = LINGER_OCTETS;
            // A client that has gone needs no farewell.
            if self.stream.close().await.is_err() {
                return;
            }
            while let Ok(octets @ 1..) = self.stream.read(&mut scratch).await
                && octets < room
            {
                room -= octets;
            }
        };
        self.clock.before(deadline, lingering).await;
    }
}

enum Received {
    Octets(io::Result<usize>),
    Shutdown,
}

/// Shutdown goes first: a client that never stops sending must not keep a node alive.
async fn read_or_shut_down(
    stream: &mut Box<dyn Stream>,
    buffer: &mut [u8],
    shutdown: Option<&Receiver<Infallible>>,
) -> Received {
    let Some(shutdown) = shutdown else { return Received::Octets(stream.read(buffer).await) };
    let reading = stream.read(buffer);
    match select(pin!(shutdown.recv()), reading).await {
        Either::Left(_) => Received::Shutdown,
        Either::Right((octets, _)) => Received::Octets(octets),
    }
}

/// How long a client has taken for what is awaited of it now.
#[derive(Default)]
struct Pace {
    /// The session's progress when this began, and when the command is due.
    current: Option<(u64, Instant)>,
    /// How long we have waited for content.
    waited: Duration,
    /// Octets of content, in transport form.
    octets: u64,
}

impl Pace {
    /// When to give up waiting, now that it is `now`.
    fn deadline(&mut self, progress: u64, awaited: Awaited, now: Instant, limits: &SmtpLimits) -> Instant {
        let due = match self.current {
            Some((at, due)) if at == progress => due,
            _ => {
                let due = now + limits.command_timeout;
                *self = Self { current: Some((progress, due)), ..Self::default() };
                due
            }
        };
        match awaited {
            Awaited::Command => due,
            Awaited::Content => {
                let earned = Duration::from_secs(self.octets / limits.least_rate.max(1));
                let patience = (limits.least_rate_grace + earned).saturating_sub(self.waited);
                now + patience.min(limits.content_timeout)
            }
        }
    }

    fn count(&mut self, octets: usize, waited: Duration) {
        self.octets += octets as u64;
        self.waited += waited;
    }
}
