//! Next hops for relayed mail: one in this process that follows a script, and real ones.

mod aiosmtpd;
mod postfix;
mod script;
mod sink;

pub use self::aiosmtpd::Aiosmtpd;
pub use self::postfix::{Additions, Postfix};
pub use self::script::{Act, Phase, Script};
pub use self::sink::{Connection, Received, Sink};
