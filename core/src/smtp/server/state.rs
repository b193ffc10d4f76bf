//! Where a session stands. Each state owns what is known in it, and a transition consumes the one before: there are no
//! recipients without a reverse-path, and no content without recipients.

use crate::model::{BodyType, ForwardPath, Reply};
use crate::smtp::Hello;
use crate::smtp::data::Decoder;
use crate::smtp::inspector::Inspector;

/// All that can be.
#[derive(Debug)]
pub(super) enum State {
    /// No HELO or EHLO yet.
    Ungreeted,
    /// Between transactions.
    Ready(Client),
    /// MAIL was taken.
    Transaction(Transaction),
    /// A question has been handed out and its answer is owed.
    Asked(Asked),
    /// DATA was taken, and its 354 is owed as soon as it is known that the client waits for it.
    Inviting(Transaction),
    /// After the 354.
    Receiving(Receiving),
    /// Amid a chunk of content.
    Chunk(Chunk),
    /// Between chunks of content.
    BetweenChunks(Chunking),
    /// STARTTLS was taken, and its 220 is owed as soon as it is known that the client waits for it.
    StartingTls,
    /// The client owes the response to a challenge.
    Authenticating(Client),
    /// Over.
    Closed(Closing),
}

/// Who the client says it is.
#[derive(Debug)]
pub(super) struct Client {
    /// The argument of HELO, EHLO or LHLO.
    pub(super) name: String,
    /// Which it was.
    pub(super) hello: Hello,
}

/// A transaction whose reverse-path was taken.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) client: Client,
    /// What the client declared its content to be.
    pub(super) body: BodyType,
    /// Whether it said SMTPUTF8.
    pub(super) smtputf8: bool,
    /// Recipients taken.
    pub(super) recipients: usize,
    /// Whether a recipient was refused.
    pub(super) has_refused: bool,
}

/// What was asked, with the state to go on from.
#[derive(Debug)]
pub(super) enum Asked {
    Hello(Client),
    Mail(Client, BodyType, bool),
    Recipient(Transaction, ForwardPath),
    Data(Transaction),
    /// BDAT, the first of a transaction.
    Chunk(Transaction, Size),
    /// With the number of recipients.
    EndOfContent(Client, usize),
    Auth(Client),
    Tls(Client),
    /// Something that changes nothing here, and the state that it was asked in.
    Query(Box<State>),
    /// TLS is to begin, or the client has become another: nothing is kept.
    Anew,
}

/// Content on its way, after DATA.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) client: Client,
    pub(super) recipients: usize,
    pub(super) decoder: Decoder,
    /// What the content will be answered with, once that is known to be a refusal.
    pub(super) refusal: Option<Reply>,
    /// Octets that came after that was known, in transport form.
    pub(super) swallowed: u64,
}

/// Content on its way by BDAT.
#[derive(Debug)]
pub(super) struct Chunking {
    pub(super) client: Client,
    pub(super) recipients: usize,
    pub(super) inspector: Inspector,
    /// Octets announced by all chunks so far.
    pub(super) announced: u64,
    /// Whether a chunk was refused. Nothing but RSET, or the end of the chunks, helps then (RFC 3030 §2).
    pub(super) has_failed: bool,
    /// Octets swallowed since.
    pub(super) swallowed: u64,
}

/// What a BDAT command says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) octets: u64,
    pub(super) is_last: bool,
}

/// A chunk that is coming in.
#[derive(Debug)]
pub(super) struct Chunk {
    /// None where there is no transaction that it could belong to, and what to go back to.
    pub(super) content: Result<Chunking, Box<State>>,
    /// Octets of it that are still to come.
    pub(super) left: u64,
    pub(super) is_last: bool,
    /// What it will be answered with, once that is known to be a refusal.
    pub(super) refusal: Option<Reply>,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closing {
    /// The client said QUIT.
    #[error("quit")]
    Quit,
    /// The client closed the connection without QUIT, or it broke.
    #[error("connection closed by the client or lost")]
    Lost,
    /// The client did not send, or did not read, in time.
    #[error("timed out")]
    TimedOut,
    /// Too many commands were answered with 5yz.
    #[error("too many errors")]
    TooManyErrors,
    /// Too many commands brought no message.
    #[error("too many commands without a message")]
    TooManyCommands,
    /// The client sent on after DATA without waiting for its reply.
    #[error("input after DATA before its reply")]
    InputAfterData,
    /// The content ended in a way that only a lax server would see.
    #[error("bare CR or LF at the end of content")]
    LooseEnd,
    /// Content that was refused did not come to its end.
    #[error("refused content without end")]
    EndlessContent,
    /// A BDAT command cannot be understood, so that nobody knows what of the input is content.
    #[error("BDAT without a size")]
    BadChunk,
    /// Octets followed STARTTLS in the clear.
    #[error("input after STARTTLS before its reply")]
    InputBeforeTls,
    /// The handshake of TLS failed.
    #[error("no TLS")]
    NoTls,
    /// The client is not wanted here.
    #[error("turned away")]
    TurnedAway,
    /// The client speaks HTTP.
    #[error("not SMTP")]
    NotSmtp,
    /// This server is shutting down.
    #[error("shutting down")]
    ShuttingDown,
}

impl State {
    /// Whether a transaction is under way of which the handler has not been told that it is over.
    pub(super) fn has_open_transaction(&self) -> bool {
        match self {
            Self::Transaction(_) | Self::Inviting(_) => true,
            Self::Asked(Asked::Recipient(..) | Asked::Data(_) | Asked::Chunk(..)) => true,
            Self::Receiving(receiving) => receiving.refusal.is_none(),
            Self::BetweenChunks(chunking) => !chunking.has_failed,
            Self::Chunk(Chunk { content: Ok(chunking), .. }) => !chunking.has_failed,
            Self::Chunk(Chunk { content: Err(before), .. }) | Self::Asked(Asked::Query(before)) => {
                before.has_open_transaction()
            }
            Self::Ungreeted
            | Self::Ready(_)
            | Self::StartingTls
            | Self::Authenticating(_)
            | Self::Closed(_) => false,
            // What was handed over whole is the handler's; what was refused at MAIL never began.
            Self::Asked(
                Asked::Hello(_)
                | Asked::Mail(..)
                | Asked::EndOfContent(..)
                | Asked::Auth(_)
                | Asked::Tls(_)
                | Asked::Anew,
            ) => false,
        }
    }
}
