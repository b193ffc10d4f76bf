//! What replies are about, and what becomes of recipients.

use std::time::Duration;

use crate::model::Reply;

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
    /// The message needs an extension that the server does not offer: nothing was sent.
    NotOffered(Needed),
    /// The content holds a CR or LF that is not part of a CRLF, which may not be sent (RFC 5321 §2.3.8). The
    /// final dot was not sent.
    BareLineEnd,
    /// The session was cut before the final dot was sent: the message was surely not delivered.
    CutBeforeDot,
    /// The session was cut after the final dot and before its reply: the message may have been delivered.
    CutAfterDot,
}

/// An extension without which a message may not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// 8BITMIME, for octets beyond ASCII (RFC 6152 §3).
    EightBitMime,
    /// BINARYMIME with CHUNKING (RFC 3030 §3).
    BinaryMime,
    /// SMTPUTF8, for addresses or header fields beyond ASCII (RFC 6531 §3.2).
    Smtputf8,
    /// REQUIRETLS over an encrypted session (RFC 8689 §4.2.1).
    RequireTls,
}
