//! A server's side of POP3 over a stream.
//!
//! Every wait for the client has an end: one for a whole command, however slowly its octets come, and one for reading each
//! portion of our replies. The handler's own time is never counted against the client. A session holds one read buffer,
//! one command line and one piece of a message, whatever the message's size.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_channel::Receiver;
use async_trait::async_trait;
use bytes::Bytes;

use super::connection::{Connection, READ_OCTETS, Received, Trouble};
use crate::platform::{Clock, Instant, Stream};
use crate::pop3::{Closing, Credentials, Denial, Maildrop, Session, Step, Unavailable};
use crate::transport::Upgrade;

/// How long a client may take to read a portion of our replies, some 32 KiB at most. Beyond: the connection is closed.
const WRITE_TIMEOUT: Duration = Duration::from_mins(3);

/// Who knows the accounts and reads their mail. Calls come in the order of the protocol, one at a time.
#[async_trait]
pub trait Handler: Send {
    /// Whose maildrop this is. Takes its time over a refusal.
    async fn log_in(&mut self, credentials: Credentials) -> Result<Maildrop, Denial>;
    /// Begins to read the message with this UID of the maildrop.
    async fn open(&mut self, uid: u32) -> Result<(), Unavailable>;
    /// The next octets of its content; nothing at its end.
    async fn read(&mut self) -> Result<Option<Bytes>, Unavailable>;
    /// No more is wanted of it.
    fn release(&mut self);
    /// Removes the messages with these UIDs for good. `Ok` only once all of them are gone durably.
    async fn expunge(&mut self, uids: Vec<u32>) -> Result<(), Unavailable>;
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// Messages that were sent whole.
    pub messages: u64,
    /// Why it ended.
    pub reason: Closing,
}

/// Serves one client till the session is over, and closes the stream. A command may take `idle_timeout`. It shuts down when all senders
/// of `shutdown` are gone or the channel is closed. A session that offers STLS needs an `upgrade`. May be dropped at any await; the
/// handler is then not told.
pub async fn serve(
    stream: Box<dyn Stream>,
    mut session: Session,
    handler: &mut dyn Handler,
    upgrade: Option<&Upgrade>,
    idle_timeout: Duration,
    clock: &Arc<dyn Clock>,
    shutdown: &Receiver<Infallible>,
) -> SessionEnd {
    let connection = Connection::new(stream, clock, shutdown);
    let mut client = Client { connection, idle_timeout, due: None };
    let mut buffer = vec![0; READ_OCTETS];
    let mut unread = 0..0;
    loop {
        // Commands may have come together, and then no wait for them shows this.
        if shutdown.is_closed() {
            session.shut_down();
        }
        let mut input = &buffer[unread.clone()];
        let step = session.advance(&mut input);
        unread.start = unread.end - input.len();
        match step {
            Step::Idle => {
                client.send(&mut session).await;
                unread = 0..client.receive(&mut session, &mut buffer).await;
            }
            Step::Send => client.send(&mut session).await,
            Step::StartTls => {
                client.send(&mut session).await;
                client = match client.encrypt(upgrade).await {
                    Some(client) => client,
                    None => return SessionEnd { messages: 0, reason: Closing::NoTls },
                };
                session.answer_start_tls();
            }
            Step::LogIn(credentials) => session.answer_log_in(handler.log_in(credentials).await),
            Step::Open(uid) => session.answer_open(handler.open(uid).await),
            Step::Read => session.answer_read(handler.read().await),
            Step::Release => handler.release(),
            Step::Expunge(uids) => session.answer_expunge(handler.expunge(uids).await),
            Step::Closed(reason) => {
                client.send(&mut session).await;
                client.connection.close().await;
                return SessionEnd { messages: session.retrieved(), reason };
            }
        }
    }
}

/// The connection, and the patience with its client.
struct Client<'a> {
    connection: Connection<'a>,
    idle_timeout: Duration,
    /// The session's progress when the wait for the current command began, and when that is due.
    due: Option<(u64, Instant)>,
}

impl Client<'_> {
    /// Sends what the session has to say. A client that does not read it is given up.
    async fn send(&mut self, session: &mut Session) {
        let output = session.take_output();
        if let Err(trouble) = self.connection.send(&output, WRITE_TIMEOUT).await {
            session.abandon(closing(trouble));
        }
    }

    /// The same client, encrypted; nothing where that fails, and the connection is gone.
    async fn encrypt(self, upgrade: Option<&Upgrade>) -> Option<Self> {
        let (connection, _) = self.connection.upgrade(upgrade?).await.ok()?;
        Some(Self { connection, ..self })
    }

    /// Waits for octets and gives how many there are now in `buffer`: none where something else happened, which the
    /// session has then been told.
    async fn receive(&mut self, session: &mut Session, buffer: &mut [u8]) -> usize {
        let progress = session.progress();
        let due = match self.due {
            Some((at, due)) if at == progress => due,
            _ => self.connection.now() + self.idle_timeout,
        };
        self.due = Some((progress, due));
        match self.connection.receive(buffer, due, true).await {
            Ok(Received::Octets(octets)) => return octets,
            Ok(Received::Shutdown) => session.shut_down(),
            Err(trouble) => session.abandon(closing(trouble)),
        }
        0
    }
}

fn closing(trouble: Trouble) -> Closing {
    match trouble {
        Trouble::Lost => Closing::Lost,
        Trouble::TimedOut => Closing::TimedOut,
    }
}
