//! What a reply, or its absence, means: for a recipient, and for the rest of the attempt. No other module decides that.
//!
//! | what happened | the recipient is | and then |
//! |---|---|---|
//! | no connection, or a session that is refused, fails or breaks before the final dot | deferred | the next host |
//! | 421 before content ends | deferred | the next host |
//! | 4yz to MAIL, RCPT, DATA, content or the final dot | deferred | |
//! | too many recipients | deferred | again at once |
//! | an extension that the message needs is not offered | failed | the next host |
//! | 5yz to the same | failed | |
//! | the connection is lost after the final dot | deferred: it may have been delivered | |
//! | 2yz to the final dot | delivered | |
//!
//! The reply that is kept has the code and status that the outcome calls for, and a text that begins with the host.

#[cfg(test)]
mod tests;

use std::io;

use super::Host;
use crate::model::message::Unconvertible;
use crate::model::reply::Severity;
use crate::model::{EnhancedStatus, Outcome, Reply};
use crate::smtp::client::{Closing, Needed, Phase, RecipientOutcome, status_code};
use crate::state::StateError;

/// Characters of a server's text that are kept.
pub const TEXT_LIMIT: usize = 512;
/// Lines of a server's text that are kept.
pub const TEXT_LINES: usize = 8;
/// A server closes the connection (RFC 5321 §3.8).
const CLOSING: u16 = 421;
/// Insufficient storage, of which too many recipients are a case (RFC 5321 §4.5.3.1.10).
const INSUFFICIENT_STORAGE: u16 = 452;
/// What older servers say for the same (RFC 5321 §4.5.3.1.10), and what some say when a mailbox is full.
const EXCEEDED_STORAGE: u16 = 552;

/// What comes of an attempt for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This, whatever else could be tried.
    Settled(Outcome),
    /// Another host may take the message. Where none is left, this.
    NextHost(Outcome),
    /// The same host may take it in another transaction, at once, if it took the message for other recipients in this one.
    /// Where it took it for none, this.
    Again(Outcome),
}

impl Verdict {
    /// What becomes of the recipient when nothing else is tried.
    pub fn into_outcome(self) -> Outcome {
        match self {
            Self::Settled(outcome) | Self::NextHost(outcome) | Self::Again(outcome) => outcome,
        }
    }
}

/// What a transaction came to for a recipient.
pub fn outcome(outcome: &RecipientOutcome, host: &Host) -> Verdict {
    match outcome {
        RecipientOutcome::Replied { phase, reply } => replied(*phase, reply, host),
        RecipientOutcome::CutBeforeDot => {
            next_host((4, 4, 2), format!("{host}: the connection was lost before the message was sent"))
        }
        RecipientOutcome::CutAfterDot => lost_after_dot(host),
        RecipientOutcome::NotOffered(needed) => not_offered(*needed, host),
        RecipientOutcome::BareLineEnd => failed(
            (5, 6, 0),
            "the message has a CR or LF that is not part of a CRLF, and cannot be sent".to_owned(),
        ),
    }
}

/// A host does not offer what a message needs; another one may.
pub fn not_offered(needed: Needed, host: &Host) -> Verdict {
    let (code, status, what) = match needed {
        // Conversion required but not supported (RFC 3463 §3.7).
        Needed::EightBitMime => (554, (5, 6, 3), "8BITMIME, and the message has octets beyond ASCII"),
        Needed::BinaryMime => (554, (5, 6, 3), "BINARYMIME, and the message is binary"),
        // RFC 6531 §3.5.
        Needed::Smtputf8 => {
            (553, (5, 6, 7), "SMTPUTF8, and the message has addresses or fields beyond ASCII")
        }
        // RFC 8689 §4.2.1.
        Needed::RequireTls => (554, (5, 7, 30), "REQUIRETLS, which the sender insists on"),
    };
    elsewhere(Reply::new(code, status, format!("{host} does not offer {what}")))
}

/// A host does not take the message as it is, and it cannot be converted.
pub fn unconvertible(error: Unconvertible, host: &Host) -> Verdict {
    let text = format!("{host} does not take all octets of the message, and {error}");
    elsewhere(Reply::new(554, (5, 6, 3), text))
}

/// The content does not come out of the store. Damage does not mend, but an operator may mend it; the entry stays until it expires.
pub fn unreadable(error: &StateError) -> Verdict {
    let reply = Reply::new(451, (4, 3, 0), format!("content cannot be read: {error}"));
    Verdict::Settled(Outcome::Deferred(reply))
}

/// There is no encrypted session with a host that has proved who it is (RFC 8689 §4.2.1).
pub fn tls_required(host: &Host, why: &str) -> Verdict {
    let text = format!("{host}: the sender insists on verified TLS: {}", clean(why));
    elsewhere(Reply::new(554, (5, 7, 10), text))
}

fn elsewhere(reply: Reply) -> Verdict {
    Verdict::NextHost(Outcome::Failed(reply))
}

/// What the end of a session means for recipients whose transaction had not begun. `phase` is what was awaited at the end.
pub fn closed(closing: &Closing, phase: Phase, host: &Host) -> Verdict {
    match closing {
        Closing::Refused { phase, reply } => replied(*phase, reply, host),
        // 4.5.0: other or undefined protocol status (RFC 3463 §3.6).
        Closing::Protocol { phase, error } => {
            next_host((4, 5, 0), format!("{host} broke the protocol at {}: {error}", name(*phase)))
        }
        Closing::TimedOut => timed_out(phase, host),
        Closing::Lost => next_host((4, 4, 2), format!("{host}: connection lost at {}", name(phase))),
        Closing::BareLineEnd => outcome(&RecipientOutcome::BareLineEnd, host),
        Closing::Quit | Closing::Abandoned => {
            deferred((4, 4, 2), format!("{host}: the session was ended before the message was sent"))
        }
    }
}

/// There was no connection.
pub fn unreachable(host: &Host, error: &io::Error) -> Verdict {
    // 4.4.1: no answer from host (RFC 3463 §3.5).
    next_host((4, 4, 1), format!("connecting to {host}: {}", reason(error)))
}

/// The host was too slow.
pub fn timed_out(phase: Phase, host: &Host) -> Verdict {
    match phase {
        Phase::FinalDot => lost_after_dot(host),
        _ => next_host((4, 4, 2), format!("{host}: timed out at {}", name(phase))),
    }
}

/// The TLS handshake came to nothing.
pub fn tls_failed(host: &Host, error: &io::Error) -> Verdict {
    // 4.7.5: cryptographic failure (RFC 3463 §3.8).
    next_host((4, 7, 5), format!("{host}: TLS handshake: {}", reason(error)))
}

/// 4.4.2: bad connection (RFC 3463 §3.5). Sending again may make a second copy, and not sending again may lose the only
/// one: RFC 5321 §6.1 prefers the copy, but another host would make it for sure where the first has the message.
fn lost_after_dot(host: &Host) -> Verdict {
    let text =
        format!("{host}: the connection was lost after the message was sent; it may have been delivered");
    deferred((4, 4, 2), text)
}

fn replied(phase: Phase, reply: &Reply, host: &Host) -> Verdict {
    let said = Said::new(phase, reply, host);
    match (phase, reply.severity()) {
        (Phase::FinalDot, Severity::Positive) if reply.code / 100 == 2 => {
            Verdict::Settled(Outcome::Delivered(said.as_given()))
        }
        // Nothing was asked that this could grant; what it means is anybody's guess.
        (_, Severity::Positive) => deferred((4, 5, 0), said.with_code()),
        // The host does not serve us at all, which says nothing about the message: so 5yz is not final.
        (Phase::Greeting | Phase::Hello | Phase::StartTls | Phase::Ready | Phase::Reset | Phase::Quit, _) => {
            Verdict::NextHost(Outcome::Deferred(said.as_transient(451)))
        }
        // A host that closes is as good as one that is cut off (RFC 5321 §3.8), but at the final dot it has answered.
        (Phase::Mail | Phase::Recipient | Phase::Data | Phase::Content, _) if reply.code == CLOSING => {
            Verdict::NextHost(Outcome::Deferred(said.as_given()))
        }
        (Phase::Recipient, _) if said.is_too_many_recipients() => {
            Verdict::Again(Outcome::Deferred(Reply::new(INSUFFICIENT_STORAGE, (4, 5, 3), said.with_code())))
        }
        (Phase::Recipient, Severity::Permanent) if said.is_exceeded_storage() => {
            Verdict::Settled(Outcome::Deferred(said.as_transient(INSUFFICIENT_STORAGE)))
        }
        (_, Severity::Transient) => Verdict::Settled(Outcome::Deferred(said.as_given())),
        (_, Severity::Permanent) => Verdict::Settled(Outcome::Failed(said.as_given())),
    }
}

/// A server's reply, cleaned for keeping.
struct Said<'a> {
    phase: Phase,
    host: &'a Host,
    code: u16,
    /// As the server gave it.
    status: Option<EnhancedStatus>,
    text: String,
}

impl<'a> Said<'a> {
    fn new(phase: Phase, reply: &Reply, host: &'a Host) -> Self {
        // Where not every line bears the status, it is still in the text.
        let (status, text) = match (reply.enhanced_status, status_code(reply.code, &reply.text)) {
            (None, Some((status, text))) => (Some(status), text),
            (status, _) => (status, &*reply.text),
        };
        Self { phase, host, code: reply.code, status, text: clean(text) }
    }

    /// The reply with its own code. Where there is no status, only its class is known (RFC 3463 §3.1).
    fn as_given(&self) -> Reply {
        let class = (self.code / 100).min(5) as u8;
        let EnhancedStatus(class, subject, detail) = self.status.unwrap_or(EnhancedStatus(class, 0, 0));
        let text = format!("{} said at {}: {}", self.host, name(self.phase), self.text);
        Reply::new(self.code, (class, subject, detail), text.trim_end().to_owned())
    }

    /// The same, but under this code of 4yz where its own is 5yz.
    fn as_transient(&self, code: u16) -> Reply {
        if self.code / 100 == 4 {
            return self.as_given();
        }
        let EnhancedStatus(_, subject, detail) = self.status.unwrap_or(EnhancedStatus(4, 0, 0));
        Reply::new(code, (4, subject, detail), self.with_code())
    }

    /// For replies under another code than their own.
    fn with_code(&self) -> String {
        let reply = Reply { code: self.code, enhanced_status: self.status, text: "".into() };
        let text = format!("{} said at {}: {reply}{}", self.host, name(self.phase), self.text);
        text.trim_end().to_owned()
    }

    /// RFC 5321 §4.5.3.1.10, unless the status tells of another lack; 5.3 is too many recipients (RFC 3463 §3.6).
    fn is_too_many_recipients(&self) -> bool {
        match self.status {
            Some(EnhancedStatus(4, 5, 3)) => true,
            Some(EnhancedStatus(5, 5, 3)) | None => {
                matches!(self.code, INSUFFICIENT_STORAGE | EXCEEDED_STORAGE)
            }
            Some(_) => false,
        }
    }

    /// 552, which clients should take for 452 (RFC 5321 §4.5.3.1.10), unless the status says that the message is too long for
    /// the recipient or the host, and so for good (RFC 3463 §3.3, §3.4).
    fn is_exceeded_storage(&self) -> bool {
        let is_too_long = matches!(self.status, Some(EnhancedStatus(_, 2, 3) | EnhancedStatus(_, 3, 4)));
        self.code == EXCEEDED_STORAGE && !is_too_long
    }
}

fn next_host(status: (u8, u16, u16), text: String) -> Verdict {
    Verdict::NextHost(Outcome::Deferred(Reply::new(451, status, text)))
}

fn deferred(status: (u8, u16, u16), text: String) -> Verdict {
    Verdict::Settled(Outcome::Deferred(Reply::new(451, status, text)))
}

fn failed(status: (u8, u16, u16), text: String) -> Verdict {
    Verdict::Settled(Outcome::Failed(Reply::new(554, status, text)))
}

/// What a reply was to, in words.
fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Greeting => "greeting",
        Phase::Hello => "EHLO",
        Phase::StartTls => "STARTTLS",
        Phase::Ready => "rest",
        Phase::Reset => "RSET",
        Phase::Mail => "MAIL",
        Phase::Recipient => "RCPT",
        Phase::Data => "DATA",
        Phase::Content => "content",
        Phase::FinalDot => "final dot",
        Phase::Quit => "QUIT",
    }
}

/// An error's words, without the system's number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    clean(text.split(" (os error").next().unwrap_or_default())
}

/// What of a text from outside may be kept and shown: a few lines without control characters.
fn clean(text: &str) -> String {
    let lines = text.split('\n').map(str::trim).filter(|line| !line.is_empty()).take(TEXT_LINES);
    let text = lines.collect::<Vec<_>>().join("\n");
    let printable = text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c });
    printable.take(TEXT_LIMIT).collect()
}
