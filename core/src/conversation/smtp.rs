//! A server's side of SMTP over a stream.
//!
//! Every wait for the client has an end: one for a whole command, however slowly its octets come; one for a pause amid
//! content, and a least rate over all of it; one for reading our replies. The handler's own time is never counted against
//! the client. A session holds one read buffer, a small one between messages, one command line and the replies to one group of
//! commands, whatever the size of a message.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_channel::Receiver;
use async_trait::async_trait;

use super::connection::{Connection, READ_OCTETS, Received, Trouble};
use crate::config::{EarlyTalkers, Manners, SmtpLimits};
use crate::model::{ForwardPath, RecipientOptions, Reply};
use crate::platform::{Clock, Instant, Stream};
use crate::smtp::Mail;
use crate::smtp::server::{Awaited, Closing, Offers, Query, Session, Step};
use crate::smtp::syntax::Attribute;
use crate::transport::{TlsFacts, Upgrade};

/// Octets read at a time while commands are awaited: most sessions of a crowd are idle, and need no more.
const COMMAND_OCTETS: usize = 1 << 10;

/// Who decides about mail, and keeps it. Calls come in the order of the protocol, one at a time. A transaction that `mail`
/// said yes to ends in exactly one call of `end_of_content` or `reset`, unless the conversation is dropped.
#[async_trait]
pub trait Handler: Send {
    /// Whether a client of this name may go on. Asked again with each greeting.
    async fn hello(&mut self, name: &str) -> Result<(), Reply>;
    /// Whether a transaction may begin.
    async fn mail(&mut self, mail: &Mail) -> Result<(), Reply>;
    /// Whether this recipient is taken.
    async fn recipient(
        &mut self,
        forward_path: &ForwardPath,
        options: &RecipientOptions,
    ) -> Result<(), Reply>;
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
    /// The session is encrypted now, and whatever was known of the client before is worth nothing: what is offered.
    fn encrypted(&mut self, facts: TlsFacts) -> Offers;
    /// The client wants to be known by this mechanism, one of those offered.
    async fn auth(&mut self, mechanism: &str, initial: Option<Vec<u8>>) -> Progress;
    /// What the client says to a challenge.
    async fn auth_response(&mut self, response: Vec<u8>) -> Progress;
    /// The client does not want to be known after all.
    fn auth_cancelled(&mut self);
    /// VRFY, EXPN, ETRN, XFORWARD: what is answered.
    async fn query(&mut self, query: &Query) -> Reply;
    /// A proxy that is believed says who the client is; what was known of it is forgotten.
    async fn xclient(&mut self, attributes: &[Attribute]) -> Result<Offers, Reply>;
}

/// How an exchange of SASL goes on.
#[derive(Debug)]
pub enum Progress {
    /// With this challenge.
    Challenge(Vec<u8>),
    /// It has ended: the client is known, and this is offered now; or it is told this.
    Done(Result<Offers, Reply>),
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// Messages that were answered with a positive final reply.
    pub messages: u64,
    /// Why it ended.
    pub reason: Closing,
}

/// What holds for a session.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Its bounds.
    pub limits: &'a SmtpLimits,
    /// What is done about clients that cannot wait or do not listen.
    pub manners: &'a Manners,
    /// With what STARTTLS is answered; a session that offers it needs this.
    pub upgrade: Option<&'a Upgrade>,
}

/// Serves one client till the session is over, and closes the stream. It shuts down when all senders of `shutdown` are gone
/// or the channel is closed. May be dropped at any await; the handler is then not told.
pub async fn serve(
    stream: Box<dyn Stream>,
    mut session: Session,
    handler: &mut dyn Handler,
    Terms { limits, manners, upgrade }: Terms<'_>,
    clock: &Arc<dyn Clock>,
    shutdown: &Receiver<Infallible>,
) -> SessionEnd {
    let connection = Connection::new(stream, clock, shutdown);
    let mut client = Client { connection, limits, manners, pace: Pace::default(), errors: 0, is_rude: false };
    let mut buffer = vec![0; COMMAND_OCTETS];
    let mut unread = 0..client.hold_greeting(&mut session, &mut buffer).await;
    loop {
        let mut input = &buffer[unread.clone()];
        let step = session.advance(&mut input);
        unread.start = unread.end - input.len();
        match step {
            Step::Idle => {
                client.send(&mut session).await;
                make_room(&mut buffer, session.awaits());
                unread = 0..client.receive(&mut session, &mut buffer).await;
            }
            Step::Send => client.send(&mut session).await,
            Step::Mail(mail) => session.answer(handler.mail(&mail).await),
            Step::Hello(name) => session.answer(handler.hello(&name).await),
            Step::Recipient(forward_path, options) => {
                session.answer(handler.recipient(&forward_path, &options).await);
            }
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
            Step::Tls => session.answer(upgrade.map_or_else(|| Err(no_certificate()), |_| Ok(()))),
            Step::StartTls => {
                client.send(&mut session).await;
                let messages = session.messages();
                match client.encrypt(upgrade).await {
                    Some((encrypted, facts)) => {
                        client = encrypted;
                        session.restart(handler.encrypted(facts));
                    }
                    None => return SessionEnd { messages, reason: Closing::NoTls },
                }
            }
            Step::Auth(mechanism, initial) => progress(&mut session, handler.auth(&mechanism, initial).await),
            Step::AuthResponse(response) => progress(&mut session, handler.auth_response(response).await),
            Step::AuthCancelled => handler.auth_cancelled(),
            Step::Query(query) => session.tell(handler.query(&query).await),
            Step::Xclient(attributes) => match handler.xclient(&attributes).await {
                Ok(offers) => session.restart(offers),
                Err(reply) => session.tell(reply),
            },
            Step::Refused { recipient, reply } => handler.refused(recipient.as_ref(), &reply),
            Step::Closed(reason) => {
                client.send(&mut session).await;
                match reason {
                    Closing::Quit if unread.is_empty() => client.connection.hang_up().await,
                    _ => client.connection.close().await,
                }
                return SessionEnd { messages: session.messages(), reason };
            }
        }
    }
}

/// A buffer for what is awaited. All that was in it has been taken.
fn make_room(buffer: &mut Vec<u8>, awaited: Awaited) {
    let octets = match awaited {
        Awaited::Command => COMMAND_OCTETS,
        Awaited::Content => READ_OCTETS,
    };
    if buffer.len() != octets {
        *buffer = vec![0; octets];
    }
}

/// RFC 3207 §4.
fn no_certificate() -> Reply {
    Reply::new(454, (4, 7, 0), "TLS is not available at the moment")
}

fn progress(session: &mut Session, progress: Progress) {
    match progress {
        Progress::Challenge(challenge) => session.challenge(&challenge),
        Progress::Done(outcome) => session.authenticate(outcome),
    }
}

/// The connection, and the patience with its client.
struct Client<'a> {
    connection: Connection<'a>,
    limits: &'a SmtpLimits,
    manners: &'a Manners,
    pace: Pace,
    /// Refusals that it has been told.
    errors: usize,
    /// Whether it spoke before the greeting, and is let in all the same.
    is_rude: bool,
}

impl Client<'_> {
    /// Waits whether the client speaks before its greeting, where an operator wants that. Gives how many octets it has sent then, if it may go
    /// on all the same.
    async fn hold_greeting(&mut self, session: &mut Session, buffer: &mut [u8]) -> usize {
        if self.manners.greet_delay.is_zero() {
            return 0;
        }
        let until = self.connection.now() + self.manners.greet_delay;
        match self.connection.receive(buffer, until, true).await {
            Err(Trouble::TimedOut) => {}
            Err(Trouble::Lost) => session.abandon(Closing::Lost),
            Ok(Received::Shutdown) => session.shut_down(),
            Ok(Received::Octets(octets)) if self.manners.early_talkers == EarlyTalkers::Delay => {
                self.is_rude = true;
                return octets;
            }
            Ok(Received::Octets(_)) => session.refuse_early_talker(),
        }
        0
    }

    /// The same client, encrypted; nothing where that fails, and the connection is gone.
    async fn encrypt(self, upgrade: Option<&Upgrade>) -> Option<(Self, TlsFacts)> {
        let (connection, facts) = self.connection.upgrade(upgrade?).await.ok()?;
        Some((Self { connection, ..self }, facts))
    }

    /// Sends what the session has to say; late, where it refuses something to somebody who does not listen. A client that does not read
    /// it is given up.
    async fn send(&mut self, session: &mut Session) {
        let output = session.take_output();
        if session.errors() > self.errors {
            self.errors = session.errors();
            let pause = self.manners.hold_back(self.errors, self.is_rude);
            if !pause.is_zero() {
                self.connection.pause(pause).await;
            }
        }
        match self.connection.send(&output, self.limits.content_timeout).await {
            Ok(()) => {}
            Err(Trouble::Lost) => session.abandon(Closing::Lost),
            Err(Trouble::TimedOut) => session.abandon(Closing::TimedOut),
        }
    }

    /// Waits for octets and gives how many there are now in `buffer`: none where something else happened, which the
    /// session has then been told.
    async fn receive(&mut self, session: &mut Session, buffer: &mut [u8]) -> usize {
        let awaited = session.awaits();
        let began = self.connection.now();
        let deadline = self.pace.deadline(session.progress(), awaited, began, self.limits);
        match self.connection.receive(buffer, deadline, awaited == Awaited::Command).await {
            Ok(Received::Octets(octets)) => {
                self.pace.count(octets, self.connection.now().since(began));
                return octets;
            }
            Ok(Received::Shutdown) => session.shut_down(),
            Err(Trouble::TimedOut) => session.time_out(),
            Err(Trouble::Lost) => session.abandon(Closing::Lost),
        }
        0
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
