//! A client's side of one SMTP session (RFC 5321), with PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152), STARTTLS
//! (RFC 3207), DSN (RFC 3461), SMTPUTF8 (RFC 6531), REQUIRETLS (RFC 8689), DELIVERBY (RFC 2852), MT-PRIORITY (RFC 6710), and CHUNKING where
//! BINARYMIME needs it (RFC 3030). It speaks, and reports what was answered; what an answer means for a message is decided elsewhere.
//!
//! # How it is driven
//!
//! Octets go in with [`Session::advance`], which gives one [`Step`] at a time; what is to be sent is taken with
//! [`Session::take_output`] whenever a step wants something of the driver or the server. [`Session::phase`] says what is
//! awaited and how long at most.
//!
//! ```text
//! Greeting --220--> Hello --250--> Ready --begin--> Exchange --354--> Content --.--> Concluding --> Ready
//!                   ^   |            |               |  MAIL, RCPT, DATA
//!                   |   STARTTLS     quit            +--nobody taken--> Ready
//!                   +-- Handshake    +--> Quitting --> Closed
//! ```
//!
//! Each recipient of a transaction is named in exactly one [`Step::Settled`], before the next [`Step::Ready`] or
//! [`Step::Closed`]. When a write fails, what the server had sent before may still say why: it should be read and handed
//! in before [`Session::abandon`].

mod encoder;
mod exchange;
mod extensions;
mod outcome;
mod parameters;
mod replies;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem;

use self::encoder::{BareLineEnd, Encoder};
pub use self::exchange::OCTETS_IN_FLIGHT;
use self::exchange::{Exchange, Heard};
pub use self::extensions::{Extensions, Limits};
pub use self::outcome::{Needed, Phase, RecipientOutcome};
use self::replies::ReplyReader;
pub use self::replies::{LONGEST_LINE, LONGEST_TEXT, MOST_LINES, ProtocolError, status_code};
pub use self::state::{Closing, StartTls};
use self::state::{Peer, State, Transfer};
use crate::model::reply::Severity;
use crate::model::{Address, Domain, MailOptions, RecipientOptions, Reply, ReversePath, UtcTime};

/// The code of a server that closes the connection, whatever it was asked (RFC 5321 §3.8).
const CLOSING: u16 = 421;
/// The code of a server that is ready, also for TLS (RFC 5321 §4.2.3, RFC 3207 §4).
const SERVICE_READY: u16 = 220;

/// One session. Holds at most one reply, one envelope, and what was not taken yet of [`OCTETS_IN_FLIGHT`] octets of commands or
/// of one piece of content.
#[derive(Debug)]
pub struct Session {
    hostname: Domain,
    start_tls: StartTls,
    /// Whether TLS protects the session.
    is_encrypted: bool,
    state: State,
    reader: ReplyReader,
    /// To be handed out before any more input is taken.
    steps: VecDeque<Step>,
    output: Vec<u8>,
    progress: u64,
}

/// What the driver has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Everything that was handed in has been taken: send the output, then wait for more.
    Idle,
    /// Make the TLS handshake, then call [`Session::tls_started`]. There is no output, and no input was left in the clear.
    StartTls,
    /// Between transactions: call [`Session::begin`] or [`Session::quit`], or keep the session for later.
    Ready,
    /// Send the output, then call [`Session::content`] with the next octets or [`Session::end_content`].
    NeedContent,
    /// What became of some recipients.
    Settled {
        /// Indices into [`Envelope::recipients`]; never empty.
        recipients: Vec<usize>,
        /// The same for all of them.
        outcome: RecipientOutcome,
    },
    /// The session is over: close the connection. No more input is taken, and what is left of output is of no use.
    Closed(Closing),
}

/// What a transaction is begun with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Where a non-delivery report goes.
    pub reverse_path: ReversePath,
    /// The recipients. A server may take some and refuse the others.
    pub recipients: Vec<Recipient>,
    /// Octets of the content (RFC 1870 §5), without dots put in for transparency.
    pub size: u64,
    /// What is asked of the server, as far as it offers that. Of what kind the content is holds of what is sent.
    pub options: MailOptions,
    /// When this is, for what is left of the time of `BY=`.
    pub now: UtcTime,
}

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The forward-path.
    pub address: Address,
    /// What is asked of the server for it, as far as it offers that.
    pub options: RecipientOptions,
}

impl Envelope {
    /// Whether only a server with SMTPUTF8 can be told it (RFC 6531 §3.2).
    pub fn is_international(&self) -> bool {
        let is_ascii = match &self.reverse_path {
            ReversePath::Null => true,
            ReversePath::Address(address) => address.is_ascii(),
        };
        self.options.smtputf8 || !is_ascii || self.recipients.iter().any(|to| !to.address.is_ascii())
    }
}

impl Session {
    /// A session over a connection that has just been made, by a client of this name.
    pub fn new(hostname: Domain, start_tls: StartTls) -> Self {
        Self {
            hostname,
            start_tls,
            is_encrypted: false,
            state: State::Greeting,
            reader: ReplyReader::default(),
            steps: VecDeque::new(),
            output: Vec::new(),
            progress: 0,
        }
    }

    /// Goes on by one step, taking octets from the front of `input`. All that was read must be handed in: an empty input
    /// says that nothing more has arrived so far, and only then is TLS begun.
    pub fn advance(&mut self, input: &mut &[u8]) -> Step {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return step;
            }
            match &self.state {
                State::Closed(closing) => return Step::Closed(closing.clone()),
                State::Handshake if input.is_empty() => return Step::StartTls,
                State::Handshake => {
                    self.fail(ProtocolError::InputBeforeTls);
                    continue;
                }
                _ => {}
            }
            match self.reader.take(input) {
                Ok(Some(reply)) => self.take_reply(reply),
                Ok(None) => {
                    return match self.state {
                        State::Ready(_) if !self.reader.is_amid_reply() => Step::Ready,
                        State::Content(ref transfer) if transfer.may_go_on() => Step::NeedContent,
                        _ => Step::Idle,
                    };
                }
                Err(error) => self.fail(error),
            }
        }
    }

    /// After [`Step::StartTls`], once TLS is established: what the server said before is forgotten, for anybody may have
    /// said it (RFC 3207 §4.2).
    pub fn tls_started(&mut self) {
        if matches!(self.state, State::Handshake) {
            self.is_encrypted = true;
            self.hello("EHLO", State::Ehlo);
        }
    }

    /// After [`Step::Ready`], begins a transaction; at any other time gives the envelope back. Without recipients there is
    /// nothing to be done, and the session stays ready.
    pub fn begin(&mut self, envelope: Envelope) -> Result<(), Envelope> {
        let peer = match self.take_state() {
            State::Ready(peer) => peer,
            state => {
                self.state = state;
                return Err(envelope);
            }
        };
        if let Some(needed) = parameters::lacks(&envelope, &peer.extensions, self.is_encrypted) {
            self.settle((0..envelope.recipients.len()).collect(), RecipientOutcome::NotOffered(needed));
            self.state = State::Ready(peer);
        } else if envelope.recipients.is_empty() {
            self.state = State::Ready(peer);
        } else {
            let mut exchange = Exchange::new(peer.extensions, envelope, peer.needs_reset);
            exchange.write_to(&mut self.output);
            self.state = State::Exchange(exchange);
        }
        Ok(())
    }

    /// After [`Step::NeedContent`], the next octets of content. They are put into transport form as output, which grows by
    /// at most twice their number and a little more.
    pub fn content(&mut self, octets: &[u8]) {
        if let State::Content(transfer) = &mut self.state
            && transfer.encoder.encode(octets, &mut self.output).is_err()
        {
            self.end(Closing::BareLineEnd);
        }
    }

    /// After [`Step::NeedContent`], when there is no more: sends the final dot, or the last chunk. From here on the message may be delivered.
    pub fn end_content(&mut self) {
        match self.take_state() {
            State::Content(mut transfer) => match transfer.encoder.finish(&mut self.output) {
                Ok(()) => self.state = State::Concluding(transfer),
                Err(BareLineEnd) => {
                    self.state = State::Content(transfer);
                    self.end(Closing::BareLineEnd);
                }
            },
            state => self.state = state,
        }
    }

    /// After [`Step::Ready`], ends the session as it should end: with QUIT, whose reply is awaited (RFC 5321 §4.1.1.10).
    pub fn quit(&mut self) {
        if matches!(self.state, State::Ready(_)) {
            self.say_quit(Closing::Quit);
        }
    }

    /// The connection is of no more use.
    pub fn abandon(&mut self, closing: Closing) {
        self.end(closing);
    }

    /// Octets to be sent, in order.
    pub fn take_output(&mut self) -> Vec<u8> {
        mem::take(&mut self.output)
    }

    /// What is awaited of the server.
    pub fn phase(&self) -> Phase {
        self.state.phase()
    }

    /// Grows with each reply: whoever counts the time of a [`Phase`] begins anew then.
    pub fn progress(&self) -> u64 {
        self.progress
    }

    /// What the server offers, between transactions.
    pub fn extensions(&self) -> Option<&Extensions> {
        match &self.state {
            State::Ready(peer) => Some(&peer.extensions),
            _ => None,
        }
    }

    fn take_reply(&mut self, reply: Reply) {
        self.progress += 1;
        let phase = self.phase();
        if reply.code == CLOSING {
            return self.end(Closing::Refused { phase, reply });
        }
        let code = reply.code;
        let is_refusal = reply.severity() != Severity::Positive;
        match self.take_state() {
            State::Greeting if code == SERVICE_READY => self.hello("EHLO", State::Ehlo),
            State::Ehlo if is_refusal && reply.severity() == Severity::Permanent => {
                self.hello("HELO", State::Helo)
            }
            State::Greeting | State::Ehlo | State::Helo if is_refusal => {
                self.say_quit(Closing::Refused { phase, reply })
            }
            State::Ehlo if code / 100 == 2 => self.take_extensions(Extensions::parse(&reply.text)),
            State::Helo if code / 100 == 2 => self.take_extensions(Extensions::default()),
            State::StartTls(_) if code == SERVICE_READY => self.state = State::Handshake,
            State::StartTls(extensions) if is_refusal => self.be_ready(extensions, false),
            State::Exchange(exchange) => self.take_exchange_reply(exchange, reply),
            // Before the final dot only a refusal makes sense, and it leaves no way to go on: a dot would end the content.
            State::Content(transfer) if is_refusal => {
                self.state = State::Content(transfer);
                self.end(Closing::Refused { phase, reply });
            }
            State::Content(mut transfer) if code / 100 == 2 && transfer.encoder.awaits_chunks() => {
                transfer.encoder.chunk_answered();
                self.state = State::Content(transfer);
            }
            State::Concluding(mut transfer) if code / 100 == 2 && transfer.encoder.awaits_chunks() => {
                transfer.encoder.chunk_answered();
                self.state = State::Concluding(transfer);
            }
            // A chunk before the last one: what the last one will be answered is no news, and the session is not worth waiting for it.
            State::Concluding(transfer) if is_refusal && transfer.encoder.awaits_chunks() => {
                self.state = State::Concluding(transfer);
                self.end(Closing::Refused { phase, reply });
            }
            State::Concluding(transfer) if is_refusal || code / 100 == 2 => {
                self.settle(transfer.recipients, RecipientOutcome::Replied { phase, reply });
                self.be_ready(transfer.extensions, false);
            }
            State::Quitting(closing) => self.state = State::Closed(closing),
            state => {
                let is_unasked = matches!(state, State::Ready(_));
                self.state = state;
                let error = if is_unasked { ProtocolError::Unasked } else { ProtocolError::Unexpected };
                self.fail(error(code));
            }
        }
    }

    fn take_exchange_reply(&mut self, mut exchange: Exchange, reply: Reply) {
        let phase = exchange.phase();
        match exchange.take_reply(reply) {
            Ok(Heard::Settled(step)) => {
                self.steps.extend(step);
                exchange.write_to(&mut self.output);
                if !exchange.is_over() {
                    self.state = State::Exchange(exchange);
                } else if let Some(recipients) = exchange.take_chunked() {
                    let (extensions, encoder) = (exchange.extensions, Encoder::chunked());
                    self.state = State::Content(Transfer { extensions, recipients, encoder });
                } else {
                    self.be_ready(exchange.extensions, exchange.is_open);
                }
            }
            Ok(Heard::NoReset(reply)) => {
                self.settle(exchange.unsettled(), RecipientOutcome::Replied { phase, reply: reply.clone() });
                self.say_quit(Closing::Refused { phase, reply });
            }
            // All were refused, and the server waits for content all the same (RFC 2920 §3.1).
            Ok(Heard::Invited(recipients)) if recipients.is_empty() => {
                self.output.extend_from_slice(b".\r\n");
                let (extensions, encoder) = (exchange.extensions, Encoder::dotted());
                self.state = State::Concluding(Transfer { extensions, recipients, encoder });
            }
            Ok(Heard::Invited(recipients)) => {
                let (extensions, encoder) = (exchange.extensions, Encoder::dotted());
                self.state = State::Content(Transfer { extensions, recipients, encoder });
            }
            Err(error) => {
                self.settle(exchange.unsettled(), RecipientOutcome::CutBeforeDot);
                self.state = State::Closed(Closing::Protocol { phase, error });
            }
        }
    }

    /// RFC 5321 §4.1.1.1
    fn hello(&mut self, command: &str, state: State) {
        self.output.extend_from_slice(format!("{command} {}\r\n", self.hostname).as_bytes());
        self.state = state;
    }

    fn take_extensions(&mut self, extensions: Extensions) {
        if self.start_tls == StartTls::IfOffered && extensions.starttls && !self.is_encrypted {
            self.output.extend_from_slice(b"STARTTLS\r\n");
            self.state = State::StartTls(extensions);
        } else {
            self.be_ready(extensions, false);
        }
    }

    fn be_ready(&mut self, extensions: Extensions, needs_reset: bool) {
        self.state = State::Ready(Peer { extensions, needs_reset });
    }

    fn say_quit(&mut self, closing: Closing) {
        self.output.extend_from_slice(b"QUIT\r\n");
        self.state = State::Quitting(closing);
    }

    fn fail(&mut self, error: ProtocolError) {
        self.end(Closing::Protocol { phase: self.phase(), error });
    }

    /// Ends the session at once, and settles who is left; the first reason stands.
    fn end(&mut self, closing: Closing) {
        let (recipients, is_dot_sent) = self.state.unsettled();
        let outcome = match &closing {
            Closing::Refused { phase, reply } => {
                RecipientOutcome::Replied { phase: *phase, reply: reply.clone() }
            }
            Closing::BareLineEnd => RecipientOutcome::BareLineEnd,
            _ if is_dot_sent => RecipientOutcome::CutAfterDot,
            _ => RecipientOutcome::CutBeforeDot,
        };
        self.settle(recipients, outcome);
        self.state = match self.take_state() {
            State::Closed(first) | State::Quitting(first) => State::Closed(first),
            _ => State::Closed(closing),
        };
    }

    fn settle(&mut self, recipients: Vec<usize>, outcome: RecipientOutcome) {
        if !recipients.is_empty() {
            self.steps.push_back(Step::Settled { recipients, outcome });
        }
    }

    /// For a transition: whoever takes the state sets the next one.
    fn take_state(&mut self) -> State {
        mem::replace(&mut self.state, State::Greeting)
    }
}

/// Whether a reply grants what was asked with the first digit wanted (RFC 5321 §4.3.2), or refuses it.
fn answer(reply: &Reply, wanted: u16) -> Result<bool, ProtocolError> {
    match reply.severity() {
        Severity::Positive if reply.code / 100 == wanted => Ok(true),
        Severity::Positive => Err(ProtocolError::Unexpected(reply.code)),
        Severity::Transient | Severity::Permanent => Ok(false),
    }
}
