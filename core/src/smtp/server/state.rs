//! Where a session stands. Each state owns what is known in it, and a transition consumes the one before: there are no
//! recipients without a reverse-path, and no content without recipients.

use crate::model::{ForwardPath, Reply};
use crate::smtp::data::Decoder;

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
    /// Over.
    Closed(Closing),
}

/// Who the client says it is.
#[derive(Debug)]
pub(super) struct Client {
    /// The argument of HELO or EHLO.
    pub(super) name: String,
    /// Whether it was EHLO.
    pub(super) esmtp: bool,
}

/// A transaction whose reverse-path was taken.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) client: Client,
    /// Recipients taken.
    pub(super) recipients: usize,
    /// Whether a recipient was refused.
    pub(super) has_refused: bool,
}

/// What was asked, with the state to go on from.
#[derive(Debug)]
pub(super) enum Asked {
    Mail(Client),
    Recipient(Transaction, ForwardPath),
    Data(Transaction),
    EndOfContent(Client),
}

/// Content on its way.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) client: Client,
    pub(super) decoder: Decoder,
    /// What the content will be answered with, once that is known to be a refusal.
    pub(super) refusal: Option<Reply>,
    /// Octets that came after that was known, in transport form.
    pub(super) swallowed: u64,
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
            Self::Transaction(_) | Self::Inviting(_) | Self::Asked(Asked::Recipient(..) | Asked::Data(_)) => {
                true
            }
            Self::Receiving(receiving) => receiving.refusal.is_none(),
            Self::Ungreeted | Self::Ready(_) | Self::Closed(_) => false,
            // What was handed over whole is the handler's; what was refused at MAIL never began.
            Self::Asked(Asked::Mail(_) | Asked::EndOfContent(_)) => false,
        }
    }
}
