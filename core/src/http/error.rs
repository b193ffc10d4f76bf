//! What can become of a request other than an answer.

use std::error::Error;
use std::io;

/// Why there is no whole answer, by what its asker may do next. A deadline that passed is an error of kind `TimedOut` in
/// the first or the second.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No octet of the request has left: it certainly did not happen, and may be sent again.
    #[error("the request was not sent: {0}")]
    NotSent(io::Error),
    /// At least a part was sent and no whole answer came: it may have happened, or may still happen.
    #[error("there was no whole answer: {0}")]
    Unanswered(io::Error),
    /// What came is no answer of HTTP, or is longer than its reader takes. The request may have happened.
    #[error("the answer cannot be read: {0}")]
    Malformed(io::Error),
}

impl HttpError {
    /// The request was refused here, for what is wrong with it.
    pub(super) fn refused(reason: &'static str) -> Self {
        Self::NotSent(io::Error::new(io::ErrorKind::InvalidInput, reason))
    }

    /// The deadline passed before anything was sent.
    pub(super) fn never_sent() -> Self {
        Self::NotSent(io::ErrorKind::TimedOut.into())
    }

    /// The deadline passed after a part was sent.
    pub(super) fn too_late() -> Self {
        Self::Unanswered(io::ErrorKind::TimedOut.into())
    }

    /// What the library says of an exchange in which a part of the request was sent.
    pub(super) fn broken(error: hyper::Error) -> Self {
        if error.is_parse() {
            return Self::Malformed(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        let found = error.source().and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
        match found {
            // Its decoders of bodies report like this what no server may send.
            Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
                Self::Malformed(io::Error::new(io::ErrorKind::InvalidData, error))
            }
            Some(kind) => Self::Unanswered(io::Error::new(kind, error)),
            None => Self::Unanswered(io::Error::new(io::ErrorKind::UnexpectedEof, error)),
        }
    }
}
