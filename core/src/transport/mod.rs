//! What lies between a connection and the protocol on it (rank 4): TLS, and what a load balancer says in
//! front of it.

mod proxy;
mod tls;

pub use futures_rustls::pki_types::CertificateDer;
pub use proxy::{ProxyError, read_header as read_proxy_header};
pub use tls::{
    Acceptor, BINDING_OCTETS, Certificate, CertificateError, ClientIdentity, HANDSHAKE, PEM_LIMIT,
    TlsAcceptError, TlsClient, TlsError, TlsFacts, Upgrade,
};
