//! A server's side of one SMTP session (RFC 5321), or of LMTP (RFC 2033), with the extensions that [`Offers`] names. It decides what is
//! well-formed and in order, and nothing else: whether mail is wanted is asked of whoever drives it.
//!
//! # How it is driven
//!
//! Octets go in with [`Session::advance`], which gives one [`Step`] at a time. Some steps are questions; nothing more is
//! taken until one is answered, with the function that it names. Replies collect in the order of the
//! commands, so that a pipelined group is answered by one write: take them with [`Session::take_output`] at [`Step::Idle`],
//! [`Step::Send`], [`Step::StartTls`] and [`Step::Closed`].
//!
//! ```text
//! Ungreeted --EHLO--> Ready --MAIL--> Transaction --DATA--> Inviting --354--> Receiving --.-----> Ready
//!  ^                    ^  \            |  ^  RCPT \                                     /
//!  +--STARTTLS, XCLIENT-+   AUTH        +--+        BDAT--> Chunk <--BDAT--> BetweenChunks --LAST
//! ```
//!
//! Whoever was asked [`Step::Mail`] and said yes is told the end of that transaction exactly once: by
//! [`Step::EndOfContent`], or by [`Step::Reset`].

mod auth;
mod chunks;
mod commands;
mod offers;
mod replies;
mod state;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem;

pub use self::offers::{Offers, Service};
pub use self::state::Closing;
use self::state::{Asked, Chunk, Receiving, State, Transaction};
pub use self::steps::{Awaited, Query, Step};
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
    service: Service,
    /// What stands behind the host's name in the greeting, in place of ours.
    banner: Option<String>,
    offers: Offers,
    limits: SmtpLimits,
    /// Whether bare line ends in content are mended for this client.
    normalizes: bool,
    state: State,
    /// Whether AUTH has succeeded.
    is_known: bool,
    /// The last line of whatever refuses something.
    footer: Option<String>,
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

impl Session {
    /// A session that has just been opened, its greeting ready to be sent.
    pub fn new(hostname: Domain, limits: SmtpLimits) -> Self {
        Self::serving(Service::Transfer, hostname, None, limits, Offers::default())
    }

    /// The same for another service, with these offers. `banner` stands behind the host's name in place of ours.
    pub fn serving(
        service: Service,
        hostname: Domain,
        banner: Option<String>,
        limits: SmtpLimits,
        offers: Offers,
    ) -> Self {
        let mut session = Self {
            line: LineBuffer::new(limits.command_line),
            hostname,
            service,
            banner,
            offers: Offers::default(),
            limits,
            normalizes: false,
            state: State::Ungreeted,
            is_known: false,
            footer: None,
            steps: VecDeque::new(),
            output: Vec::new(),
            errors: 0,
            fruitless: 0,
            progress: 0,
            messages: 0,
            is_shutting_down: false,
        };
        session.offer(offers);
        session.greet_client();
        session
    }

    /// Takes bare line ends in content for CRLF from now on.
    pub fn normalize(&mut self) {
        self.normalizes = true;
    }

    /// Ends replies of 4yz and 5yz with this line from now on.
    pub fn set_footer(&mut self, footer: Option<String>) {
        self.footer = footer;
    }

    /// The client has sent something before the greeting, which is taken back: `554 5.5.1` (RFC 5321 §3.1, §4.3.1).
    pub fn refuse_early_talker(&mut self) {
        self.turn_away(replies::spoke_too_early(&self.hostname));
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
                State::Receiving(_) => {
                    if let Some(step) = self.receive(input) {
                        return step;
                    }
                }
                State::Chunk(_) => {
                    if let Some(step) = self.receive_chunk(input) {
                        return step;
                    }
                }
                State::Inviting(_) if input.is_empty() => self.invite(),
                State::Inviting(_) => {
                    self.reply(replies::input_after_data());
                    self.close(Closing::InputAfterData);
                }
                State::StartingTls if input.is_empty() => {
                    self.reply(replies::begin_tls());
                    self.state = State::Asked(Asked::Anew);
                    return Step::StartTls;
                }
                State::StartingTls => {
                    // Whoever is on the way could have put it there (RFC 3207 §6).
                    self.reply(replies::input_before_tls());
                    self.close(Closing::InputBeforeTls);
                }
                State::Ungreeted
                | State::Ready(_)
                | State::Transaction(_)
                | State::BetweenChunks(_)
                | State::Authenticating(_) => {
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

    /// The next of content after DATA; nothing where there is something else to be handed out.
    fn receive<'a>(&mut self, input: &mut &'a [u8]) -> Option<Step<'a>> {
        let State::Receiving(receiving) = &mut self.state else { return None };
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
                self.close_endless();
            }
            Some(Decoded::Content(octets)) if receiving.refusal.is_none() => {
                return Some(Step::Content(octets));
            }
            Some(Decoded::Content(_)) => {}
            None => return Some(Step::Idle),
        }
        None
    }

    /// Answers [`Step::Hello`], [`Step::Mail`], [`Step::Recipient`], [`Step::Data`] or [`Step::Tls`]; a refusal goes to the client as it is. After
    /// [`Step::Content`] a refusal is kept as the final reply, and the rest of the content is swallowed.
    pub fn answer(&mut self, answer: Result<(), Reply>) {
        match (self.take_state(), answer) {
            (State::Asked(Asked::Hello(client)), Ok(())) => self.welcome(client),
            (State::Asked(Asked::Hello(_)), Err(reply)) => {
                self.state = State::Ungreeted;
                self.reply(reply);
            }
            (State::Asked(Asked::Mail(client, body, smtputf8)), Ok(())) => {
                let (recipients, has_refused) = (0, false);
                self.state =
                    State::Transaction(Transaction { client, body, smtputf8, recipients, has_refused });
                self.reply(replies::reverse_path_taken());
            }
            (State::Asked(Asked::Mail(client, ..)), Err(reply)) => {
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
            (State::Asked(Asked::Tls(_)), Ok(())) => self.state = State::StartingTls,
            (State::Asked(Asked::Tls(client)), Err(reply)) => {
                self.state = State::Ready(client);
                self.reply(reply);
            }
            (State::Asked(Asked::Chunk(transaction, size)), answer) => {
                self.begin_chunks(transaction, size, answer.err());
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
            State::Asked(Asked::EndOfContent(client, recipients)) => {
                if reply.severity() == Severity::Positive {
                    self.messages += 1;
                    self.fruitless = 0;
                }
                self.state = State::Ready(client);
                self.final_reply(reply, recipients);
            }
            state => self.state = state,
        }
    }

    /// Answers [`Step::Query`], or refuses [`Step::Xclient`].
    pub fn tell(&mut self, reply: Reply) {
        match self.take_state() {
            State::Asked(Asked::Query(before)) => {
                self.state = *before;
                self.reply(reply);
            }
            state => self.state = state,
        }
    }

    /// After [`Step::StartTls`] or [`Step::Xclient`]: everything that the client said before is forgotten (RFC 3207 §4.2), and this is
    /// offered now. A client that stands for another is greeted anew.
    pub fn restart(&mut self, offers: Offers) {
        let is_greeted = matches!(self.take_state(), State::Asked(Asked::Query(_)));
        self.state = State::Ungreeted;
        self.is_known = false;
        self.offer(offers);
        if is_greeted {
            self.greet_client();
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

    /// The client is not wanted: this, which should be 421 or 554 (RFC 5321 §3.1), takes the place of what has not been sent yet.
    pub fn turn_away(&mut self, reply: Reply) {
        self.output.clear();
        self.reply(reply);
        self.close(Closing::TurnedAway);
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
            State::Receiving(_) | State::Chunk(_) => Awaited::Content,
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

    /// Replies of 5yz so far.
    pub fn errors(&self) -> usize {
        self.errors
    }

    fn greet_client(&mut self) {
        self.reply(replies::greeting(&self.hostname, self.service, self.banner.as_deref()));
    }

    fn invite(&mut self) {
        self.state = match self.take_state() {
            State::Inviting(Transaction { client, recipients, .. }) => {
                self.reply(replies::go_ahead());
                let decoder = Decoder::new(self.limits.content_line, self.limits.message_size);
                let decoder = if self.normalizes { decoder.normalizing() } else { decoder };
                State::Receiving(Receiving { client, recipients, decoder, refusal: None, swallowed: 0 })
            }
            state => state,
        };
    }

    /// The first refusal is the one that the client will be told.
    fn refuse_content(&mut self, reply: Reply) {
        match &mut self.state {
            State::Receiving(Receiving { refusal, .. }) if refusal.is_none() => *refusal = Some(reply),
            State::Chunk(Chunk { content: Ok(chunking), refusal, .. }) if !chunking.has_failed => {
                chunking.has_failed = true;
                *refusal = Some(reply);
            }
            _ => return,
        }
        self.steps.push_back(Step::Reset);
    }

    fn end_content(&mut self) {
        self.progress += 1;
        match self.take_state() {
            State::Receiving(Receiving { client, recipients, refusal: Some(reply), .. }) => {
                self.state = State::Ready(client);
                self.final_reply(reply, recipients);
            }
            State::Receiving(Receiving { client, recipients, refusal: None, .. }) => {
                self.steps.push_back(Step::EndOfContent);
                self.state = State::Asked(Asked::EndOfContent(client, recipients));
            }
            state => self.state = state,
        }
    }

    /// The reply to content: with LMTP one for each recipient that was taken (RFC 2033 §4.2).
    fn final_reply(&mut self, reply: Reply, recipients: usize) {
        let copies = if self.service == Service::Lmtp { recipients } else { 1 };
        for _ in 1..copies {
            reply.write_to(&mut self.output);
        }
        self.reply(reply);
    }

    fn close_endless(&mut self) {
        if !matches!(self.state, State::Closed(_)) {
            self.reply(replies::endless_content(&self.hostname));
            self.close(Closing::EndlessContent);
        }
    }

    fn reply(&mut self, reply: Reply) {
        self.reply_about(None, reply);
    }

    fn reply_about(&mut self, recipient: Option<ForwardPath>, mut reply: Reply) {
        if let (Some(footer), Severity::Transient | Severity::Permanent) = (&self.footer, reply.severity()) {
            reply.text = format!("{}\n{footer}", reply.text).into();
        }
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
