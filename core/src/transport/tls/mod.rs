//! TLS 1.2 and 1.3, over any stream, on either side.

mod certificate;
mod client;
mod identity;
mod server;
#[cfg(test)]
mod testing;
mod upgrade;

use std::fmt;
use std::sync::Arc;

use futures_rustls::pki_types::UnixTime;
use futures_rustls::rustls::crypto::{CryptoProvider, ring};
use futures_rustls::rustls::time_provider::TimeProvider;

pub use self::certificate::{Certificate, CertificateError, PEM_LIMIT};
pub use self::client::{TlsClient, TlsError};
pub use self::identity::ClientIdentity;
pub use self::server::{Acceptor, BINDING_OCTETS, HANDSHAKE, TlsAcceptError, TlsFacts};
pub use self::upgrade::Upgrade;
use crate::model::UtcTime;
use crate::platform::Clock;

/// The one crypto library of the program. Its keys and nonces come from the system's randomness rather than through the
/// `Entropy` door: secrets that somebody could repeat would be none, and nothing that is kept depends on them.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The engine's clock, by which certificates are valid.
struct Time(Arc<dyn Clock>);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.utc().since(UtcTime::default())))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}
