//! POP3 without I/O (rank 3): octets in, octets and questions out. Nothing here waits, reads a clock or knows a store.
//!
//! [`syntax`] reads one command line, `content` puts a message into its transport form, and [`Session`] is a server's side
//! of a session (RFC 1939), with CAPA and PIPELINING (RFC 2449), STLS (RFC 2595) and the response codes of RFC 3206.

mod content;
mod session;
pub mod syntax;

use std::fmt;

pub use session::{COMMAND_LINE, Closing, ERRORS, LOGIN_FAILURES, Session, Step};

/// Who a client says it is, with the proof. The password does not show in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The argument of USER.
    pub name: String,
    /// The argument of PASS.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A mailbox as it stands at login. Message n is the n-th of its messages, as long as the session lasts (RFC 1939 §4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maildrop {
    /// UIDs of another validity name other messages.
    pub uid_validity: u64,
    /// The messages.
    pub messages: Vec<Entry>,
}

/// A message of a maildrop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Unique within the validity.
    pub uid: u32,
    /// Octets, with CRLF at the end of every line and without the dots of the transport form (RFC 1939 §11).
    pub octets: u64,
}

/// Why a login is refused (RFC 3206 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// There is no such account, or it has another password: which of the two is not told.
    Credentials,
    /// Nothing is known against the credentials.
    Unavailable,
}

/// What was asked for cannot be had now. The client is told `[SYS/TEMP]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;
