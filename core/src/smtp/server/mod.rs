//! A server's side of one SMTP session (RFC 5321), with PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152) and
//! ENHANCEDSTATUSCODES (RFC 2034). It decides what is well-formed and in order, and nothing else: whether mail is wanted is
//! asked of whoever drives it.
//!
//! # How it is driven
//!
//! Octets go in with [`Session::advance`], which gives one [`Step`] at a time. Some steps are questions; nothing more is
//! taken until one is answered with [`Session::answer`] or [`Session::conclude`]. Replies collect in the order of the
//! commands, so that a pipelined group is answered by one write: take them with [`Session::take_output`] at [`Step::Idle`],
//! [`Step::Send`] and [`Step::Closed`].
//!
//! ```text
//! Ungreeted --EHLO--> Ready --MAIL--> Transaction --DATA--> Inviting --354--> Receiving --.--> Ready
//!                       ^               |  ^  RCPT
//!                       +--RSET, EHLO---+  +---+
//! ```
//!
//! Whoever was asked [`Step::Mail`] and said yes is told the end of that transaction exactly once: by
//! [`Step::EndOfContent`], or by [`Step::Reset`].

mod commands;
mod replies;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem;

pub use self::state::Closing;
use self::state::{Asked, Receiving, State, Transaction};
use super::Mail;
use super::data::{Decoded, Decoder};
use crate::config::SmtpLimits;
use crate::model::line::LineBuffer;
use crate::model::reply::Severity;
use crate::model::{Domain, ForwardPath, Reply};

/// Octets of replies that are held back for the rest of a pipelined group. Beyond: [`Step::Send`].
const REPLIES_HELD: usize = 16 << 10;

/// One session. Holds at most one command line and the replies that were not taken yet; content passes through.
#[derive(Debug)]
pub struct Session {
    hostname: Domain,
    limits: SmtpLimits,
    state: State,
    line: LineBuffer,
    /// To be handed out before any more input is taken.
    steps: VecDeque<Step<'static>>,
    output: Vec<u8>,
    /// Replies of 5yz so far.
    errors: usize,
    /// As [`SmtpLimits::fruitless_commands`] counts them.
    fruitless: usize,
    progress: u64,
    messages: u64,
    is_shutting_down: bool,
}

/// What the driver has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Everything that was handed in has been taken: send the replies, then wait for more.
    Idle,
    /// Replies have grown beyond what is held back for the rest of a pipelined group: send them before going on.
    Send,
    /// Question: may this transaction begin?
    Mail(Mail),
    /// Question: may this recipient be added to it?
    Recipient(ForwardPath),
    /// Question: may its content be sent?
    Data,
    /// The next octets of content, out of their transport form. Needs no answer, but `answer` may refuse the message here.
    Content(&'a [u8]),
    /// Question: the content is whole, will the message be kept? Answered with [`Session::conclude`].
    EndOfContent,
    /// The transaction is over without a message.
    Reset,
    /// The client was told something of 4yz or 5yz, by the driver's answer or by the session itself.
    Refused {
        /// The recipient that the reply is about, where it is about one.
        recipient: Option<ForwardPath>,
        /// What it was told.
        reply: Reply,
    },
    /// The session is over: send the replies, then close the connection. No more input is taken.
    Closed(Closing),
}

/// What a client is expected to send next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A command line, or the rest of one.
    Command,
    /// Content.
    Content,
}

impl Session {
    /// A session that has just been opened, its greeting ready to be sent.
    pub fn new(hostname: Domain, limits: SmtpLimits) -> Self {
        let mut session = Self {
            line: LineBuffer::new(limits.command_line),
            hostname,
            limits,
            state: State::Ungreeted,
            steps: VecDeque::new(),
            output: Vec::new(),
            errors: 0,
            fruitless: 0,
            progress: 0,
            messages: 0,
            is_shutting_down: false,
        };
        session.reply(replies::greeting(&session.hostname));
        session
    }

    /// Goes on by one step, taking octets from the front of `input`. An empty input says that nothing more has arrived so
    /// far, and only then is a client invited to send content: see [`Closing::InputAfterData`].
    pub fn advance<'a>(&mut self, input: &mut &'a [u8]) -> Step<'a> {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return step;
            }
            if self.output.len() > REPLIES_HELD {
                return Step::Send;
            }
            match &mut self.state {
                State::Closed(closing) => return Step::Closed(*closing),
                State::Asked(_) => return Step::Idle,
                State::Receiving(receiving) => {
                    let before = input.len();
                    let decoded = receiving.decoder.decode(input);
                    if receiving.refusal.is_some() {
                        receiving.swallowed += (before - input.len()) as u64;
                    }
                    match decoded {
                        Some(Decoded::End) => self.end_content(),
                        Some(Decoded::Cut) => {
                            // A fault was told before, so this sends its reply.
                            self.end_content();
                            self.close(Closing::LooseEnd);
                        }
                        Some(Decoded::Fault(fault)) => self.refuse_content(replies::faulty_content(fault)),
                        _ if receiving.swallowed > self.limits.refused_content => {
                            self.end_content();
                            if !matches!(self.state, State::Closed(_)) {
                                self.reply(replies::endless_content(&self.hostname));
                                self.close(Closing::EndlessContent);
                            }
                        }
                        Some(Decoded::Content(octets)) if receiving.refusal.is_none() => {
                            return Step::Content(octets);
                        }
                        Some(Decoded::Content(_)) => {}
                        None => return Step::Idle,
                    }
                }
                State::Inviting(_) if input.is_empty() => self.invite(),
                State::Inviting(_) => {
                    self.reply(replies::input_after_data());
                    self.close(Closing::InputAfterData);
                }
                State::Ungreeted | State::Ready(_) | State::Transaction(_) => {
                    if self.is_shutting_down {
                        self.reply(replies::shutting_down(&self.hostname));
                        self.close(Closing::ShuttingDown);
                    } else if let Some(line) = self.line.take(input) {
                        self.progress += 1;
                        self.take_line(line);
                    } else {
                        return Step::Idle;
                    }
                }
            }
        }
    }

    /// Answers [`Step::Mail`], [`Step::Recipient`] or [`Step::Data`]; a refusal goes to the client as it is. After
    /// [`Step::Content`] a refusal is kept as the final reply, and the rest of the content is swallowed.
    pub fn answer(&mut self, answer: Result<(), Reply>) {
        match (self.take_state(), answer) {
            (State::Asked(Asked::Mail(client)), Ok(())) => {
                self.state = State::Transaction(Transaction { client, recipients: 0, has_refused: false });
                self.reply(replies::reverse_path_taken());
            }
            (State::Asked(Asked::Mail(client)), Err(reply)) => {
                self.state = State::Ready(client);
                self.reply(reply);
            }
            (State::Asked(Asked::Recipient(mut transaction, _)), Ok(())) => {
                transaction.recipients += 1;
                self.fruitless = self.fruitless.saturating_sub(1);
                self.state = State::Transaction(transaction);
                self.reply(replies::forward_path_taken());
            }
            (State::Asked(Asked::Recipient(transaction, forward_path)), Err(reply)) => {
                self.refuse_recipient(transaction, forward_path, reply);
            }
            (State::Asked(Asked::Data(transaction)), Ok(())) => self.state = State::Inviting(transaction),
            (State::Asked(Asked::Data(transaction)), Err(reply)) => {
                self.state = State::Transaction(transaction);
                self.reply(reply);
            }
            (state, answer) => {
                self.state = state;
                if let Err(reply) = answer {
                    self.refuse_content(reply);
                }
            }
        }
    }

    /// Answers [`Step::EndOfContent`] with the final reply: positive only if the message will survive whatever happens now.
    pub fn conclude(&mut self, reply: Reply) {
        match self.take_state() {
            State::Asked(Asked::EndOfContent(client)) => {
                if reply.severity() == Severity::Positive {
                    self.messages += 1;
                    self.fruitless = 0;
                }
                self.state = State::Ready(client);
                self.reply(reply);
            }
            state => self.state = state,
        }
    }

    /// From now on no command is executed: the next one, or the want of one, is answered with `421 4.3.2`. Content that
    /// is on its way is still received and answered.
    pub fn shut_down(&mut self) {
        self.is_shutting_down = true;
    }

    /// The client was too slow: `421 4.4.2` (RFC 5321 §4.5.3.2).
    pub fn time_out(&mut self) {
        self.reply(replies::too_slow(&self.hostname));
        self.close(Closing::TimedOut);
    }

    /// The connection is of no more use: closes without a reply.
    pub fn abandon(&mut self, closing: Closing) {
        self.close(closing);
    }

    /// Octets to be sent, in order.
    pub fn take_output(&mut self) -> Vec<u8> {
        mem::take(&mut self.output)
    }

    /// What the client is expected to send next.
    pub fn awaits(&self) -> Awaited {
        match self.state {
            State::Receiving(_) => Awaited::Content,
            _ => Awaited::Command,
        }
    }

    /// Grows with each command line taken and each content ended: whoever counts time begins anew then.
    pub fn progress(&self) -> u64 {
        self.progress
    }

    /// Messages that were answered with a positive final reply.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    fn invite(&mut self) {
        self.state = match self.take_state() {
            State::Inviting(Transaction { client, .. }) => {
                self.reply(replies::go_ahead());
                let decoder = Decoder::new(self.limits.content_line, self.limits.message_size);
                State::Receiving(Receiving { client, decoder, refusal: None, swallowed: 0 })
            }
            state => state,
        };
    }

    /// The first refusal is the one that the client will be told.
    fn refuse_content(&mut self, reply: Reply) {
        if let State::Receiving(receiving) = &mut self.state
            && receiving.refusal.is_none()
        {
            receiving.refusal = Some(reply);
            self.steps.push_back(Step::Reset);
        }
    }

    fn end_content(&mut self) {
        self.progress += 1;
        match self.take_state() {
            State::Receiving(Receiving { client, refusal: Some(reply), .. }) => {
                self.state = State::Ready(client);
                self.reply(reply);
            }
            State::Receiving(Receiving { client, refusal: None, .. }) => {
                self.steps.push_back(Step::EndOfContent);
                self.state = State::Asked(Asked::EndOfContent(client));
            }
            state => self.state = state,
        }
    }

    fn reply(&mut self, reply: Reply) {
        self.reply_about(None, reply);
    }

    fn reply_about(&mut self, recipient: Option<ForwardPath>, reply: Reply) {
        reply.write_to(&mut self.output);
        let severity = reply.severity();
        if severity == Severity::Positive {
            return;
        }
        self.steps.push_back(Step::Refused { recipient, reply });
        if severity == Severity::Permanent {
            self.errors += 1;
            if self.errors == self.limits.errors.saturating_add(1) {
                // The client reads this as the reply to its next command, which RFC 5321 §3.8 allows.
                self.reply(replies::too_many_errors(&self.hostname));
                self.close(Closing::TooManyErrors);
            }
        }
    }

    /// Ends the session; the first reason stands.
    fn close(&mut self, closing: Closing) {
        if matches!(self.state, State::Closed(_)) {
            return;
        }
        if self.state.has_open_transaction() {
            self.steps.push_back(Step::Reset);
        }
        self.state = State::Closed(closing);
    }

    /// For a transition: whoever takes the state sets the next one.
    fn take_state(&mut self) -> State {
        mem::replace(&mut self.state, State::Ungreeted)
    }
}
