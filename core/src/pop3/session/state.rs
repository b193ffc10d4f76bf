//! Where a session stands. Each state owns what is known in it, and a transition consumes the one before: no message can be
//! named before a login.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::replies::{self, Reply};
use crate::pop3::content::Encoder;
use crate::pop3::{Entry, Maildrop};

/// All that can be.
#[derive(Debug)]
pub(super) enum State {
    /// RFC 1939 §4.
    Authorization(Authorization),
    /// RFC 1939 §5.
    Transaction(Transaction),
    /// RFC 1939 §6: the deletions have been handed out, and it is owed what came of them.
    Update,
    /// A question has been handed out and its answer is owed.
    Asked(Asked),
    /// The lines of LIST or UIDL are being written.
    Listing(Transaction, Listing),
    /// A message is being written.
    Sending(Transaction, Sending),
    /// Over.
    Closed(Closing),
}

/// What was asked, with the state to go on from.
#[derive(Debug)]
pub(super) enum Asked {
    StartTls(Authorization),
    LogIn(Authorization),
    Open(Transaction, Entry, Encoder),
    Read(Transaction, Encoder),
}

/// Nobody has logged in.
#[derive(Debug, Default)]
pub(super) struct Authorization {
    /// The argument of the last USER, until a PASS.
    pub(super) name: Option<String>,
    /// Logins refused so far.
    pub(super) failures: usize,
}

/// Somebody has logged in.
#[derive(Debug)]
pub(super) struct Transaction {
    maildrop: Maildrop,
    /// Places of the messages marked as deleted.
    deleted: BTreeSet<usize>,
    /// Octets of the others.
    octets: u64,
}

/// Lines of LIST or UIDL.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) kind: Scan,
    /// Place of the next message.
    pub(super) next: usize,
}

/// What a listing says of a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scan {
    Octets,
    UniqueId,
}

/// A message on its way out.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) encoder: Encoder,
    /// Content that is here and not encoded yet.
    pub(super) unsent: Bytes,
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
    /// Too many commands were answered with `-ERR`.
    #[error("too many errors")]
    TooManyErrors,
    /// Too many logins were refused.
    #[error("too many failed logins")]
    TooManyLogins,
    /// Octets came together with STLS: whoever sent them, they are not to be taken for what is said under its protection.
    #[error("octets behind STLS")]
    OctetsBehindStls,
    /// The handshake that STLS asked for came to nothing.
    #[error("no TLS session")]
    NoTls,
    /// A message could not be read to its end. Closing without the final dot is the only way to say so.
    #[error("a message could not be read to its end")]
    ContentLost,
    /// This server is shutting down.
    #[error("shutting down")]
    ShuttingDown,
}

impl Transaction {
    pub(super) fn new(maildrop: Maildrop) -> Self {
        let octets = maildrop.messages.iter().map(|entry| entry.octets).sum();
        Self { maildrop, deleted: BTreeSet::new(), octets }
    }

    /// Messages that are not marked as deleted.
    pub(super) fn count(&self) -> usize {
        self.maildrop.messages.len() - self.deleted.len()
    }

    /// Their octets.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// A message by its number, unless it is marked as deleted; or what a client is told that named it.
    pub(super) fn find(&self, number: u64) -> Result<(usize, Entry), Reply> {
        let place = number.checked_sub(1).and_then(|place| usize::try_from(place).ok());
        let found = place.and_then(|place| Some((place, *self.maildrop.messages.get(place)?)));
        match found {
            Some((place, _)) if self.deleted.contains(&place) => Err(replies::is_deleted(number)),
            found => found.ok_or_else(replies::no_such_message),
        }
    }

    /// The line of a listing about the message at a place; nothing where it is marked as deleted.
    pub(super) fn line(&self, kind: Scan, place: usize) -> Option<String> {
        let entry = self.maildrop.messages.get(place).filter(|_| !self.deleted.contains(&place))?;
        Some(self.describe(kind, place, entry))
    }

    /// RFC 1939 §5 (scan listing), §7 (unique-id listing). A unique-id has at most 31 octets.
    pub(super) fn describe(&self, kind: Scan, place: usize, entry: &Entry) -> String {
        let number = place + 1;
        match kind {
            Scan::Octets => format!("{number} {}", entry.octets),
            Scan::UniqueId => format!("{number} {}.{}", self.maildrop.uid_validity, entry.uid),
        }
    }

    /// Whether a place is behind the last message.
    pub(super) fn is_past(&self, place: usize) -> bool {
        place >= self.maildrop.messages.len()
    }

    pub(super) fn delete(&mut self, place: usize, entry: &Entry) {
        if self.deleted.insert(place) {
            self.octets -= entry.octets;
        }
    }

    /// Unmarks every message.
    pub(super) fn reset(self) -> Self {
        Self::new(self.maildrop)
    }

    /// The UIDs of the messages marked as deleted.
    pub(super) fn into_deleted(self) -> Vec<u32> {
        let messages = &self.maildrop.messages;
        self.deleted.iter().filter_map(|place| Some(messages.get(*place)?.uid)).collect()
    }
}
