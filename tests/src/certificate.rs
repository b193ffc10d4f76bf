//! A certificate for servers that tests start.

#![expect(clippy::expect_used, reason = "what does not go as expected fails the test that asked for it")]

use std::fmt;
use std::sync::Arc;

use futures_rustls::TlsAcceptor;
use futures_rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use futures_rustls::rustls::ServerConfig;
use futures_rustls::rustls::crypto::ring;

/// A self-signed certificate with its key, new each time.
#[derive(Clone)]
pub struct Certificate {
    host: String,
    der: CertificateDer<'static>,
    pem: String,
    acceptor: TlsAcceptor,
}

impl Certificate {
    /// For a host of this name, or this address.
    pub fn new(host: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([host.to_owned()]).expect("a host's name");
        let der = made.cert.der().clone();
        let pem = made.cert.pem() + &made.signing_key.serialize_pem();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![der.clone()], key.into()));
        let config = Arc::new(config.expect("the key is the certificate's"));
        Self { host: host.to_owned(), der, pem, acceptor: TlsAcceptor::from(config) }
    }

    /// The name or address that it was made for.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// For clients to trust.
    pub fn der(&self) -> CertificateDer<'static> {
        self.der.clone()
    }

    /// The certificate and its key, as they stand in a file.
    pub fn pem(&self) -> String {
        self.pem.clone()
    }

    /// The server's side of handshakes.
    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}
