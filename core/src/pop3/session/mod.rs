//! A server's side of one POP3 session. It decides what is well-formed and in order, and nothing else: who may read what, and
//! what stands in a message, is asked of whoever drives it.
//!
//! # How it is driven
//!
//! Octets go in with [`Session::advance`], which gives one [`Step`] at a time. Some steps are questions; nothing more is
//! taken until one is answered with the method that it names. Replies collect in the order of the commands, so that a
//! pipelined group is answered by one write: take them with [`Session::take_output`] at [`Step::Idle`], [`Step::Send`] and
//! [`Step::Closed`]; at [`Step::StartTls`] they must be sent before the handshake begins.
//!
//! ```text
//! Authorization --PASS--> Transaction --QUIT--> Update --> Closed
//!                          |  ^  RETR, TOP: Open, then Read, Read, ..., Release
//!                          +--+
//! ```
//!
//! Messages and listings go out in portions, whatever their size. Whoever was asked [`Step::Open`] and said yes is told
//! [`Step::Release`] once, unless the session ends before.

mod commands;
mod replies;
mod state;
#[cfg(test)]
mod tests;

use std::mem;

use bytes::Bytes;

pub use self::state::Closing;
use self::state::{Asked, Authorization, Listing, Sending, State, Transaction};
use super::{Credentials, Denial, Maildrop, Unavailable};
use crate::model::Domain;
use crate::model::line::LineBuffer;

/// Octets in a command line with its CRLF (RFC 2449 §4).
pub const COMMAND_LINE: usize = 255;
/// Commands answered with `-ERR` in one session. Beyond: `-ERR` once more, and the connection is closed.
pub const ERRORS: usize = 20;
/// Logins refused for their credentials in one session. With the last of them the connection is closed.
pub const LOGIN_FAILURES: usize = 3;
/// Octets of replies that are held back for the rest of a pipelined group. Beyond: [`Step::Send`].
const REPLIES_HELD: usize = 16 << 10;
/// Octets of content that are put into their transport form at a time.
const PORTION: usize = 16 << 10;

/// One session. Holds one command line, a number of octets of replies that does not depend on what is asked for, one piece of
/// a message, and a few words for each message of the maildrop.
#[derive(Debug)]
pub struct Session {
    hostname: Domain,
    allows_password: bool,
    /// Whether STLS is executed.
    offers_tls: bool,
    state: State,
    line: LineBuffer,
    output: Vec<u8>,
    /// Replies of `-ERR` so far.
    errors: usize,
    progress: u64,
    retrieved: u64,
    is_shutting_down: bool,
}

/// What the driver has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Everything that was handed in has been taken: send the replies, then wait for more.
    Idle,
    /// Replies have grown beyond what is held back: send them before going on.
    Send,
    /// Question: is the connection encrypted now? To be sent before: the replies. Answered with [`Session::answer_start_tls`], or
    /// else the session is abandoned.
    StartTls,
    /// Question: whose maildrop is this? Answered with [`Session::answer_log_in`].
    LogIn(Credentials),
    /// Question: can the message with this UID be read? Answered with [`Session::answer_open`].
    Open(u32),
    /// Question: what comes next in the message that was opened? Answered with [`Session::answer_read`].
    Read,
    /// No more is wanted of the message that was opened. Needs no answer.
    Release,
    /// Question: are the messages with these UIDs gone for good? Answered with [`Session::answer_expunge`].
    Expunge(Vec<u32>),
    /// The session is over: send the replies, then close the connection. No more input is taken.
    Closed(Closing),
}

impl Session {
    /// A session that has just been opened, its greeting ready to be sent. A password is taken only where `allows_password`:
    /// over a connection that nobody else can read, or by the operator's will.
    pub fn new(hostname: Domain, allows_password: bool) -> Self {
        let mut session = Self {
            hostname,
            allows_password,
            offers_tls: false,
            state: State::Authorization(Authorization::default()),
            line: LineBuffer::new(COMMAND_LINE),
            output: Vec::new(),
            errors: 0,
            progress: 0,
            retrieved: 0,
            is_shutting_down: false,
        };
        session.reply(replies::greeting(&session.hostname));
        session
    }

    /// The same session, with STLS (RFC 2595 §4).
    pub fn offering_tls(self) -> Self {
        Self { offers_tls: true, ..self }
    }

    /// Goes on by one step, taking octets from the front of `input`.
    pub fn advance(&mut self, input: &mut &[u8]) -> Step {
        loop {
            if self.output.len() > REPLIES_HELD {
                return Step::Send;
            }
            match self.take_state() {
                State::Listing(transaction, listing) => self.list_on(transaction, listing),
                State::Sending(transaction, sending) => {
                    if let Some(step) = self.send_on(transaction, sending) {
                        return step;
                    }
                }
                state @ (State::Asked(_) | State::Update) => {
                    self.state = state;
                    return Step::Idle;
                }
                State::Closed(closing) => {
                    self.state = State::Closed(closing);
                    return Step::Closed(closing);
                }
                state @ (State::Authorization(_) | State::Transaction(_)) => {
                    self.state = state;
                    if self.is_shutting_down {
                        self.reply(replies::shutting_down());
                        self.close(Closing::ShuttingDown);
                    } else if let Some(line) = self.line.take(input) {
                        self.progress += 1;
                        if let Some(question) = self.take_line(line, input.is_empty()) {
                            return question;
                        }
                    } else {
                        return Step::Idle;
                    }
                }
            }
        }
    }

    /// Answers [`Step::StartTls`]: from here on nobody else can read the connection. What was said before is forgotten
    /// (RFC 2595 §4), but not how many logins failed.
    pub fn answer_start_tls(&mut self) {
        match self.take_state() {
            State::Asked(Asked::StartTls(Authorization { failures, .. })) => {
                self.state = State::Authorization(Authorization { name: None, failures });
                self.allows_password = true;
                self.offers_tls = false;
            }
            state => self.state = state,
        }
    }

    /// Answers [`Step::LogIn`] with the maildrop as it is now.
    pub fn answer_log_in(&mut self, answer: Result<Maildrop, Denial>) {
        match self.take_state() {
            State::Asked(Asked::LogIn(authorization)) => self.end_log_in(authorization, answer),
            state => self.state = state,
        }
    }

    /// Answers [`Step::Open`].
    pub fn answer_open(&mut self, answer: Result<(), Unavailable>) {
        match (self.take_state(), answer) {
            (State::Asked(Asked::Open(transaction, entry, encoder)), Ok(())) => {
                let reply = match encoder.is_of_whole_message() {
                    true => replies::message_follows(entry.octets),
                    false => replies::top_follows(),
                };
                self.state = State::Sending(transaction, Sending { encoder, unsent: Bytes::new() });
                self.reply(reply);
            }
            (State::Asked(Asked::Open(transaction, ..)), Err(Unavailable)) => {
                self.state = State::Transaction(transaction);
                self.reply(replies::not_readable());
            }
            (state, _) => self.state = state,
        }
    }

    /// Answers [`Step::Read`] with the next octets of the content, or with nothing at its end.
    pub fn answer_read(&mut self, answer: Result<Option<Bytes>, Unavailable>) {
        match (self.take_state(), answer) {
            (State::Asked(Asked::Read(transaction, encoder)), Ok(Some(unsent))) => {
                self.state = State::Sending(transaction, Sending { encoder, unsent });
            }
            (State::Asked(Asked::Read(transaction, mut encoder)), Ok(None)) => {
                encoder.complete();
                self.state = State::Sending(transaction, Sending { encoder, unsent: Bytes::new() });
            }
            (State::Asked(Asked::Read(..)), Err(Unavailable)) => {
                self.state = State::Closed(Closing::ContentLost);
            }
            (state, _) => self.state = state,
        }
    }

    /// Answers [`Step::Expunge`]: positively only if every message is gone for good.
    pub fn answer_expunge(&mut self, answer: Result<(), Unavailable>) {
        match self.take_state() {
            State::Update => {
                // Before the reply, so that no count of errors ends the session for another reason.
                self.state = State::Closed(Closing::Quit);
                self.reply(match answer {
                    Ok(()) => replies::bye(&self.hostname),
                    Err(Unavailable) => replies::not_deleted(),
                });
            }
            state => self.state = state,
        }
    }

    /// From now on no command is executed: the next one, or the want of one, is answered with `-ERR`. A message that is on
    /// its way still goes out. Nothing is deleted.
    pub fn shut_down(&mut self) {
        self.is_shutting_down = true;
    }

    /// Ends the session without a reply and without deletions: the connection is of no more use, or the client was too slow
    /// (RFC 1939 §3).
    pub fn abandon(&mut self, closing: Closing) {
        self.close(closing);
    }

    /// Octets to be sent, in order.
    pub fn take_output(&mut self) -> Vec<u8> {
        mem::take(&mut self.output)
    }

    /// Grows with each command line taken: whoever counts time begins anew then.
    pub fn progress(&self) -> u64 {
        self.progress
    }

    /// Messages that were written whole.
    pub fn retrieved(&self) -> u64 {
        self.retrieved
    }

    fn list_on(&mut self, transaction: Transaction, mut listing: Listing) {
        while self.output.len() <= REPLIES_HELD && !transaction.is_past(listing.next) {
            if let Some(line) = transaction.line(listing.kind, listing.next) {
                self.output.extend_from_slice(line.as_bytes());
                self.output.extend_from_slice(b"\r\n");
            }
            listing.next += 1;
        }
        self.state = if transaction.is_past(listing.next) {
            self.output.extend_from_slice(b".\r\n");
            State::Transaction(transaction)
        } else {
            State::Listing(transaction, listing)
        };
    }

    fn send_on(&mut self, transaction: Transaction, sending: Sending) -> Option<Step> {
        let Sending { mut encoder, mut unsent } = sending;
        if encoder.is_complete() {
            encoder.finish(&mut self.output);
            self.retrieved += u64::from(encoder.is_of_whole_message());
            self.state = State::Transaction(transaction);
            return Some(Step::Release);
        }
        if unsent.is_empty() {
            self.state = State::Asked(Asked::Read(transaction, encoder));
            return Some(Step::Read);
        }
        let portion = unsent.split_to(unsent.len().min(PORTION));
        encoder.encode(&portion, &mut self.output);
        self.state = State::Sending(transaction, Sending { encoder, unsent });
        None
    }

    fn reply(&mut self, reply: replies::Reply) {
        reply.write_to(&mut self.output);
        if reply.is_positive || matches!(self.state, State::Closed(_)) {
            return;
        }
        self.errors += 1;
        if self.errors > ERRORS {
            replies::too_many_errors().write_to(&mut self.output);
            self.close(Closing::TooManyErrors);
        }
    }

    /// Ends the session; the first reason stands.
    fn close(&mut self, closing: Closing) {
        if !matches!(self.state, State::Closed(_)) {
            self.state = State::Closed(closing);
        }
    }

    /// For a transition: whoever takes the state sets the next one.
    fn take_state(&mut self) -> State {
        mem::replace(&mut self.state, State::Update)
    }
}
