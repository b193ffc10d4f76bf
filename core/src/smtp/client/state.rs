//! Where a session stands. Each state owns what is known in it, and a transition consumes the one before.

use std::time::Duration;

use super::encoder::Encoder;
use super::exchange::Exchange;
use super::extensions::Extensions;
use super::replies::ProtocolError;
use crate::model::Reply;

/// All that can be.
#[derive(Debug)]
pub(super) enum State {
    /// The server's greeting is awaited.
    Greeting,
    /// EHLO was sent.
    Ehlo,
    /// HELO was sent, for EHLO was refused.
    Helo,
    /// STARTTLS was sent; what was offered without TLS holds on if it is refused.
    StartTls(Extensions),
    /// TLS is to be begun by the driver.
    Handshake,
    /// Between transactions.
    Ready(Peer),
    /// MAIL, RCPT and DATA are on their way.
    Exchange(Exchange),
    /// Content may be sent.
    Content(Transfer),
    /// The final dot was sent, for these recipients. Where there are none it only ended an empty content.
    Concluding(Extensions, Vec<usize>),
    /// QUIT was sent; this is why.
    Quitting(Closing),
    /// Over.
    Closed(Closing),
}

/// A server between transactions.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) extensions: Extensions,
    /// Whether it still holds the envelope of a transaction that came to nothing.
    pub(super) needs_reset: bool,
}

/// Content on its way.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) extensions: Extensions,
    /// Recipients taken; never empty.
    pub(super) recipients: Vec<usize>,
    pub(super) encoder: Encoder,
}

/// Whether a session is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartTls {
    /// Never, whatever the server offers.
    Never,
    /// Where the server offers it (RFC 3207 §2); in the clear where it does not, or refuses.
    IfOffered,
}

/// What a reply was about, or what is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The greeting.
    Greeting,
    /// EHLO or HELO.
    Hello,
    /// STARTTLS, and the handshake after it.
    StartTls,
    /// Nothing: the session is between transactions.
    Ready,
    /// RSET
    Reset,
    /// MAIL
    Mail,
    /// RCPT
    Recipient,
    /// DATA, before content.
    Data,
    /// Content, before its end.
    Content,
    /// The final dot.
    FinalDot,
    /// QUIT, or the close of the connection.
    Quit,
}

impl Phase {
    /// How long to wait for one reply, or for one piece of content to be taken, before giving up (RFC 5321 §4.5.3.2). The
    /// standard does not speak of EHLO, STARTTLS and RSET, which get as long as MAIL, nor of QUIT, after which
    /// nothing is at stake. Between transactions it is how long a server waits at least (RFC 5321 §4.5.3.2.7).
    pub fn longest_wait(self) -> Duration {
        match self {
            Self::Greeting | Self::Hello | Self::StartTls | Self::Ready => Duration::from_mins(5),
            Self::Reset | Self::Mail | Self::Recipient => Duration::from_mins(5),
            Self::Data => Duration::from_mins(2),
            Self::Content => Duration::from_mins(3),
            Self::FinalDot => Duration::from_mins(10),
            Self::Quit => Duration::from_secs(10),
        }
    }
}

/// What became of a recipient. What a reply means for the queue is not decided here; the reply is as the server gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientOutcome {
    /// The server has answered. It has taken the message for this recipient where the reply is positive, which it is only
    /// to [`Phase::FinalDot`].
    Replied {
        /// What the reply was about.
        phase: Phase,
        /// What it said.
        reply: Reply,
    },
    /// The message is declared to hold octets beyond ASCII, and the server does not offer 8BITMIME: nothing was sent
    /// (RFC 6152 §3).
    EightBitNotOffered,
    /// The content holds a CR or LF that is not part of a CRLF, which may not be sent (RFC 5321 §2.3.8). The
    /// final dot was not sent.
    BareLineEnd,
    /// The session was cut before the final dot was sent: the message was surely not delivered.
    CutBeforeDot,
    /// The session was cut after the final dot and before its reply: the message may have been delivered.
    CutAfterDot,
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closing {
    /// It was told to quit.
    #[error("quit")]
    Quit,
    /// The server refused to go on: any 421 (RFC 5321 §3.8), or 4yz or 5yz to a command that no session can do without, or
    /// amid content.
    #[error("refused ({phase:?}): {reply}")]
    Refused {
        /// What the reply was about.
        phase: Phase,
        /// What it said.
        reply: Reply,
    },
    /// The server sent something that cannot be understood.
    #[error("protocol error ({phase:?}): {error}")]
    Protocol {
        /// What was awaited.
        phase: Phase,
        /// What came.
        error: ProtocolError,
    },
    /// The content could not be sent: see [`RecipientOutcome::BareLineEnd`].
    #[error("content with a bare CR or LF")]
    BareLineEnd,
    /// The server closed the connection, or it broke, or TLS failed.
    #[error("connection closed by the server or lost")]
    Lost,
    /// The server was too slow.
    #[error("timed out")]
    TimedOut,
    /// The driver gave it up, to stop.
    #[error("given up")]
    Abandoned,
}

impl State {
    pub(super) fn phase(&self) -> Phase {
        match self {
            Self::Greeting => Phase::Greeting,
            Self::Ehlo | Self::Helo => Phase::Hello,
            Self::StartTls(_) | Self::Handshake => Phase::StartTls,
            Self::Ready(_) => Phase::Ready,
            Self::Exchange(exchange) => exchange.phase(),
            Self::Content(_) => Phase::Content,
            Self::Concluding(..) => Phase::FinalDot,
            Self::Quitting(_) | Self::Closed(_) => Phase::Quit,
        }
    }

    /// Recipients that no outcome was told for, and whether the final dot was sent for them.
    pub(super) fn unsettled(&self) -> (Vec<usize>, bool) {
        match self {
            Self::Exchange(exchange) => (exchange.unsettled(), false),
            Self::Content(transfer) => (transfer.recipients.clone(), false),
            Self::Concluding(_, recipients) => (recipients.clone(), true),
            _ => (Vec::new(), false),
        }
    }
}
