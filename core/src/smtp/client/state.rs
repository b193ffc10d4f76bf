//! Where a session stands. Each state owns what is known in it, and a transition consumes the one before.

use super::encoder::Encoder;
use super::exchange::Exchange;
use super::extensions::Extensions;
use super::outcome::Phase;
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
    /// The final dot, or the last chunk, was sent. Where there are no recipients it only ended an empty content.
    Concluding(Transfer),
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
    /// Recipients taken.
    pub(super) recipients: Vec<usize>,
    pub(super) encoder: Encoder,
}

impl Transfer {
    /// Whether more content may be sent now, or a reply has to come first (RFC 3030 §2).
    pub(super) fn may_go_on(&self) -> bool {
        let most = if self.extensions.pipelining { CHUNKS_IN_FLIGHT } else { 0 };
        self.encoder.chunks_awaited() <= most
    }
}

/// Chunks that may be on their way without a reply; the replies to so many fit any receive window.
const CHUNKS_IN_FLIGHT: usize = 16;

/// Whether a session is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartTls {
    /// Never, whatever the server offers.
    Never,
    /// Where the server offers it (RFC 3207 §2); in the clear where it does not, or refuses.
    IfOffered,
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
    /// The content could not be sent: see [`super::RecipientOutcome::BareLineEnd`].
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
            Self::Concluding(_) => Phase::FinalDot,
            Self::Quitting(_) | Self::Closed(_) => Phase::Quit,
        }
    }

    /// Recipients that no outcome was told for, and whether the final dot was sent for them.
    pub(super) fn unsettled(&self) -> (Vec<usize>, bool) {
        match self {
            Self::Exchange(exchange) => (exchange.unsettled(), false),
            Self::Content(transfer) => (transfer.recipients.clone(), false),
            Self::Concluding(transfer) => (transfer.recipients.clone(), true),
            _ => (Vec::new(), false),
        }
    }
}
