//! SMTP without I/O (rank 3): octets in, octets and questions out. Nothing here waits, reads a clock or knows a store.
//!
//! [`syntax`] reads one command line, [`data`] takes content out of its transport form, [`server`] is a server's side
//! of a session, built of both, and [`client`] a client's.

pub mod client;
pub mod data;
pub mod server;
pub mod syntax;

use crate::model::ReversePath;
pub use crate::model::options::BodyType;

/// What a client asks for with MAIL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Where a non-delivery report goes.
    pub reverse_path: ReversePath,
    /// Octets of content that the client announced (RFC 1870 §6.1), within our limit. It may send more or fewer.
    pub declared_size: Option<u64>,
    /// Of what kind the content will be.
    pub body: BodyType,
    /// What the client called itself in HELO or EHLO: visible ASCII, not checked any further.
    pub greeting: String,
    /// Whether it said EHLO.
    pub esmtp: bool,
}
