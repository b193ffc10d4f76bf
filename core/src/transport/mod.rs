//! What lies between a connection and the protocol on it (rank 4): TLS.

mod tls;

pub use futures_rustls::pki_types::CertificateDer;
pub use tls::{TlsClient, TlsError};
