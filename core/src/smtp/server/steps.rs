//! What a session wants of whoever drives it.

use super::Closing;
use crate::model::{ForwardPath, RecipientOptions, Reply};
use crate::smtp::Mail;
use crate::smtp::syntax::Attribute;

/// What the driver has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Everything that was handed in has been taken: send the replies, then wait for more.
    Idle,
    /// Replies have grown beyond what is held back for the rest of a pipelined group: send them before going on.
    Send,
    /// Question for [`super::Session::answer`]: may a client of this name go on?
    Hello(String),
    /// Question for [`super::Session::answer`]: may this transaction begin?
    Mail(Mail),
    /// Question for [`super::Session::answer`]: may this recipient be added to it?
    Recipient(ForwardPath, RecipientOptions),
    /// Question for [`super::Session::answer`]: may its content be sent?
    Data,
    /// The next octets of content, out of their transport form. Needs no answer, but `answer` may refuse the message here.
    Content(&'a [u8]),
    /// Question for [`super::Session::conclude`]: the content is whole, will the message be kept?
    EndOfContent,
    /// The transaction is over without a message.
    Reset,
    /// Question for [`super::Session::answer`]: is there a certificate to begin TLS with?
    Tls,
    /// Send the replies, then make the handshake of TLS; [`super::Session::restart`] goes on, [`super::Session::abandon`] gives up.
    StartTls,
    /// Question for [`super::Session::challenge`] or [`super::Session::authenticate`]: the client wants to be known by this SASL mechanism, one of
    /// those offered. With its initial response, where it sent one.
    Auth(String, Option<Vec<u8>>),
    /// Question for [`super::Session::challenge`] or [`super::Session::authenticate`]: what the client says to the challenge.
    AuthResponse(Vec<u8>),
    /// The client has given up to be known.
    AuthCancelled,
    /// Question for [`super::Session::tell`].
    Query(Query),
    /// Question for [`super::Session::restart`], or for [`super::Session::tell`] where it is refused: a proxy says who the client is.
    Xclient(Vec<Attribute>),
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

/// What changes nothing in the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Whom a string means (RFC 5321 §3.5.1); the second says whether the answer may hold UTF-8.
    Vrfy(String, bool),
    /// Whom a list leads to (RFC 5321 §3.5.2).
    Expn(String, bool),
    /// Whose mail is to be sent now (RFC 1985 §5).
    Etrn(String),
    /// Whose mail a filter hands on.
    Xforward(Vec<Attribute>),
}

/// What a client is expected to send next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A command line, or the rest of one.
    Command,
    /// Content.
    Content,
}
