//! From MAIL to the reply to DATA: commands go out one by one, or in groups where the server offers PIPELINING (RFC 2920).

use std::collections::VecDeque;
use std::mem;

use super::extensions::Extensions;
use super::outcome::{Phase, RecipientOutcome};
use super::replies::ProtocolError;
use super::{Envelope, Step, answer, parameters};
use crate::model::{BodyType, Reply};

/// Octets of commands that may be on their way without a reply. They fit any receive window, so sending them never waits
/// for a server that in turn waits for us to read its replies (RFC 2920 §3.1). A longer command goes out alone.
pub const OCTETS_IN_FLIGHT: usize = 4096;

/// An envelope being handed over.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) extensions: Extensions,
    envelope: Envelope,
    /// What is to be sent next; nothing once DATA is sent or has become pointless.
    next: Option<Command>,
    /// Commands without a reply so far, each with its octets.
    in_flight: VecDeque<(Command, usize)>,
    octets_in_flight: usize,
    /// Whether the server holds a transaction that RSET would drop.
    pub(super) is_open: bool,
    /// Whether what was asked before RCPT was refused, so that all recipients are settled, whatever their replies.
    is_refused: bool,
    /// Replies to RCPT so far.
    answered: usize,
    /// Recipients taken, and not settled.
    accepted: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Rset,
    Mail,
    Rcpt(usize),
    Data,
}

/// What a reply means for the session.
#[derive(Debug)]
pub(super) enum Heard {
    /// The exchange goes on, or is over where [`Exchange::is_over`]; some recipients may be settled.
    Settled(Option<Step>),
    /// The server will not drop the transaction before this one: the session is of no more use.
    NoReset(Reply),
    /// The server waits for content, for these recipients. Where there are none it is waiting all the same.
    Invited(Vec<usize>),
}

impl Exchange {
    /// The envelope has recipients, and `needs_reset` says that a transaction before it is still open.
    pub(super) fn new(extensions: Extensions, envelope: Envelope, needs_reset: bool) -> Self {
        Self {
            extensions,
            envelope,
            next: Some(if needs_reset { Command::Rset } else { Command::Mail }),
            in_flight: VecDeque::new(),
            octets_in_flight: 0,
            is_open: needs_reset,
            is_refused: false,
            answered: 0,
            accepted: Vec::new(),
        }
    }

    /// Appends the commands that may go out now.
    pub(super) fn write_to(&mut self, out: &mut Vec<u8>) {
        let most = if self.extensions.pipelining { OCTETS_IN_FLIGHT } else { 0 };
        while let Some(command) = self.next {
            if command == Command::Data && self.in_flight.is_empty() && self.accepted.is_empty() {
                self.next = None;
                return;
            }
            let line = self.line(command);
            if !self.in_flight.is_empty() && self.octets_in_flight + line.len() > most {
                return;
            }
            out.extend_from_slice(line.as_bytes());
            self.octets_in_flight += line.len();
            self.in_flight.push_back((command, line.len()));
            self.next = self.after(command);
        }
    }

    /// Takes the reply to the oldest command in flight.
    pub(super) fn take_reply(&mut self, reply: Reply) -> Result<Heard, ProtocolError> {
        let phase = self.phase();
        let Some((command, octets)) = self.in_flight.pop_front() else {
            return Err(ProtocolError::Unasked(reply.code));
        };
        self.octets_in_flight -= octets;
        let wanted = if command == Command::Data { 3 } else { 2 };
        let is_positive = answer(&reply, wanted)?;
        let settled = match (command, is_positive) {
            (Command::Rset, true) => {
                self.is_open = false;
                None
            }
            (Command::Rset, false) => return Ok(Heard::NoReset(reply)),
            (Command::Mail, true) => {
                self.is_open = true;
                None
            }
            (Command::Mail, false) => {
                let recipients = self.unsettled();
                self.is_refused = true;
                self.next = None;
                Some(recipients)
            }
            (Command::Rcpt(recipient), _) => {
                self.answered += 1;
                match is_positive {
                    _ if self.is_refused => None,
                    true => {
                        self.accepted.push(recipient);
                        None
                    }
                    false => Some(vec![recipient]),
                }
            }
            // Those that were refused before make this refusal, and it is no news.
            (Command::Data, false) if self.accepted.is_empty() => None,
            (Command::Data, false) => Some(mem::take(&mut self.accepted)),
            (Command::Data, true) => return Ok(Heard::Invited(mem::take(&mut self.accepted))),
        };
        Ok(Heard::Settled(settled.map(|recipients| Step::Settled {
            recipients,
            outcome: RecipientOutcome::Replied { phase, reply },
        })))
    }

    /// Whether there is nothing to be sent and nothing to be heard.
    pub(super) fn is_over(&self) -> bool {
        self.next.is_none() && self.in_flight.is_empty()
    }

    /// Whether the content goes by BDAT, without DATA: only where it must (RFC 3030 §3).
    fn is_chunked(&self) -> bool {
        self.envelope.options.body == BodyType::BinaryMime
    }

    /// The recipients taken, where the server is not asked for content before it gets it in chunks.
    pub(super) fn take_chunked(&mut self) -> Option<Vec<usize>> {
        let is_next = self.is_chunked() && !self.accepted.is_empty();
        is_next.then(|| mem::take(&mut self.accepted))
    }

    /// What the next reply is about.
    pub(super) fn phase(&self) -> Phase {
        match self.in_flight.front().map(|(command, _)| command) {
            Some(Command::Rset) => Phase::Reset,
            Some(Command::Mail) | None => Phase::Mail,
            Some(Command::Rcpt(_)) => Phase::Recipient,
            Some(Command::Data) => Phase::Data,
        }
    }

    /// Recipients that no outcome was told for.
    pub(super) fn unsettled(&self) -> Vec<usize> {
        if self.is_refused {
            return Vec::new();
        }
        let unanswered = self.answered..self.envelope.recipients.len();
        self.accepted.iter().copied().chain(unanswered).collect()
    }

    fn after(&self, command: Command) -> Option<Command> {
        let recipient = match command {
            Command::Rset => return Some(Command::Mail),
            Command::Mail => 0,
            Command::Rcpt(recipient) => recipient + 1,
            Command::Data => return None,
        };
        let is_recipient = recipient < self.envelope.recipients.len();
        match is_recipient {
            true => Some(Command::Rcpt(recipient)),
            false => (!self.is_chunked()).then_some(Command::Data),
        }
    }

    fn line(&self, command: Command) -> String {
        match command {
            Command::Rset => "RSET\r\n".to_owned(),
            Command::Mail => self.mail(),
            Command::Rcpt(recipient) => {
                let to = &self.envelope.recipients[recipient];
                format!("RCPT TO:<{}>{}\r\n", to.address, parameters::of_recipient(to, &self.extensions))
            }
            Command::Data => "DATA\r\n".to_owned(),
        }
    }

    /// `"MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF` (RFC 5321 §4.1.1.2), with the parameters that were offered.
    fn mail(&self) -> String {
        let parameters = parameters::of_mail(&self.envelope, &self.extensions);
        format!("MAIL FROM:<{}>{parameters}\r\n", self.envelope.reverse_path)
    }
}
