//! SMTP without I/O (rank 3): octets in, octets and questions out. Nothing here waits, reads a clock or knows a store.
//!
//! [`syntax`] reads one command line, [`data`] takes content out of its transport form, [`server`] is a server's side
//! of a session, built of both, and [`client`] a client's.

pub mod client;
pub mod data;
pub mod inspector;
pub mod server;
pub mod syntax;

use self::syntax::MailParameters;
use crate::model::ReversePath;
pub use crate::model::options::BodyType;

/// What a client asks for with MAIL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Where a non-delivery report goes.
    pub reverse_path: ReversePath,
    /// What else it asks for. A size that it announces is within our limit; it may send more or fewer octets.
    pub parameters: Box<MailParameters>,
    /// What the client called itself in HELO or EHLO: visible ASCII, not checked any further.
    pub greeting: String,
    /// With which command.
    pub hello: Hello,
}

/// How a client greets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hello {
    /// HELO (RFC 5321 §4.1.1.1)
    Helo,
    /// EHLO (RFC 5321 §4.1.1.1)
    #[default]
    Ehlo,
    /// LHLO (RFC 2033 §4.1)
    Lhlo,
}
