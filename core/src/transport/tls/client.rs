//! The client's side of TLS 1.2 and 1.3, over any stream.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use futures_rustls::TlsConnector;
use futures_rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use futures_rustls::rustls::client::Resumption;
use futures_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use futures_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use futures_rustls::rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, WantsVerifier,
};

use super::{Time, provider};
use crate::platform::{Clock, Stream};

/// How to open TLS sessions: whom to trust, and with what to encrypt. Cheap to clone.
#[derive(Clone)]
pub struct TlsClient {
    connector: TlsConnector,
    trust: Trust,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Roots,
    Anybody,
}

/// Why there can be no client.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TlsError {
    /// None of the root certificates can be used, so that no server could ever be trusted.
    #[error("there is no usable root certificate")]
    NoRoots,
    /// The library does not take the settings.
    #[error(transparent)]
    Settings(#[from] Error),
}

impl TlsClient {
    /// Trusts servers whose certificate is valid now, is made out to their name (RFC 9525 §6) and leads to one of the roots.
    /// Roots that cannot be understood are left out, since every system has some.
    pub fn verifying(
        roots: impl IntoIterator<Item = CertificateDer<'static>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots);
        if store.is_empty() {
            return Err(TlsError::NoRoots);
        }
        let config = builder(provider(), clock)?.with_root_certificates(store).with_no_client_auth();
        Ok(Self { connector: Arc::new(config).into(), trust: Trust::Roots })
    }

    /// Takes any certificate, under any name and of any age: whom nobody watches is helped by encryption even where it proves
    /// nothing (RFC 7435 §3). That the server holds the certificate's key is verified all the same.
    pub fn opportunistic(clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let provider = provider();
        let anybody = Arc::new(Anybody(provider.signature_verification_algorithms));
        let builder = builder(provider, clock)?.dangerous().with_custom_certificate_verifier(anybody);
        let mut config = builder.with_no_client_auth();
        // The hosts behind one name need not know each other's tickets, and some servers fail over one that they do not know.
        config.resumption = Resumption::disabled();
        Ok(Self { connector: Arc::new(config).into(), trust: Trust::Anybody })
    }

    /// Opens a session on a connection on which nothing else is under way. The server's name is a DNS name or an IP address;
    /// a verifying client refuses what is neither. There is no deadline here: it is the caller's.
    ///
    /// A stream that ends without a closing alert fails with `UnexpectedEof` (RFC 8446 §6.1: it may have been cut).
    pub async fn connect(&self, server_name: &str, stream: Box<dyn Stream>) -> io::Result<Box<dyn Stream>> {
        let name = match ServerName::try_from(server_name) {
            Ok(name) => name.to_owned(),
            Err(_) if self.trust == Trust::Anybody => unnamed(),
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
        };
        Ok(Box::new(self.connector.connect(name, stream).await?))
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").field("trust", &self.trust).finish_non_exhaustive()
    }
}

/// What to call a server whose name cannot be said to it: addresses are not sent (RFC 6066 §3).
fn unnamed() -> ServerName<'static> {
    IpAddr::from(Ipv4Addr::UNSPECIFIED).into()
}

fn builder(
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, Error> {
    ClientConfig::builder_with_details(provider, Arc::new(Time(clock))).with_safe_default_protocol_versions()
}

/// Takes every certificate, and none whose key the server does not hold.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
