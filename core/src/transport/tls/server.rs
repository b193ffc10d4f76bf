//! The server's side of TLS 1.2 and 1.3.
//!
//! - **Which certificate**: the first that is made out to the name that the client asks for, else the first with a wildcard for it, else
//!   the first of all. Among those that fit, one that the client can verify goes first, so that a name may have one certificate for
//!   each kind of key. A set is replaced whole; sessions that are open keep what they have.
//! - **No resumption**: there are neither tickets nor a cache of sessions. Nodes behind one balancer could not resume each other's sessions
//!   without sharing the keys of tickets, whoever holds these keys can read what was sent, and a mail session is long beside its handshake.
//! - **No renegotiation**: the library refuses the first attempt by an alert, and the second ends the session.
//! - **Channel binding** is `tls-exporter`, with TLS 1.3 only: with 1.2 it needs an extended master secret (RFC 9266 §4.2), and whether there is
//!   one the library does not tell.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_channel::Receiver;
use futures::future::{Either, select};
use futures_rustls::TlsAcceptor;
use futures_rustls::pki_types::UnixTime;
use futures_rustls::rustls::server::danger::ClientCertVerifier;
use futures_rustls::rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use futures_rustls::rustls::sign::CertifiedKey;
use futures_rustls::rustls::version::{TLS12, TLS13};
use futures_rustls::rustls::{
    Error, ProtocolVersion, ServerConfig, ServerConnection, SupportedProtocolVersion,
};

use super::certificate::Certificate;
use super::identity::{ClientIdentity, Lenient, verifier};
use super::{Time, provider};
use crate::config::{ClientCertificates, ListenerTls, TlsVersion};
use crate::model::UtcTime;
use crate::platform::{Clock, Stream};

/// How long a handshake may take, all of it. Beyond: the connection is closed.
pub const HANDSHAKE: Duration = Duration::from_secs(30);
/// Octets of channel binding (RFC 9266 §2).
pub const BINDING_OCTETS: usize = 32;
/// RFC 9266 §2.
const BINDING_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// What is known of a session after its handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// The version that is spoken.
    pub version: TlsVersion,
    /// The cipher suite's name at IANA, such as `TLS_AES_128_GCM_SHA256`.
    pub cipher: String,
    /// The name that the client asked for (RFC 6066 §3), in lower case.
    pub server_name: Option<String>,
    /// Who the client says it is by certificate, where it was asked and shows one.
    pub client: Option<ClientIdentity>,
    /// Channel binding `tls-exporter` (RFC 9266 §2); nothing with TLS 1.2.
    pub exporter: Option<[u8; BINDING_OCTETS]>,
}

/// Why there is no session. The connection is closed in every case: what the client has sent is no use without it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsAcceptError {
    /// There is none to be shown.
    #[error("there is no certificate")]
    NoCertificate,
    /// The handshake did not come to its end in time.
    #[error("no handshake in {} s", HANDSHAKE.as_secs())]
    TooSlow,
    /// The connection ended before that.
    #[error("closed amid the handshake")]
    Lost,
    /// The node shuts down.
    #[error("shutting down")]
    ShuttingDown,
    /// What came is no TLS, or nothing that both sides could agree on.
    #[error("{0}")]
    Failed(String),
}

/// Opens sessions with clients. Cheap to clone; all clones show the same certificates.
#[derive(Clone)]
pub struct Acceptor {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    certificates: Arc<Certificates>,
    /// What was made of listeners' settings: as many as there are different ones.
    prepared: Mutex<Vec<(ListenerTls, Prepared)>>,
}

/// A listener's settings, as the library wants them.
#[derive(Clone)]
struct Prepared {
    config: Arc<ServerConfig>,
    /// Whether a certificate of a client proves anything.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl Acceptor {
    /// Without certificates, and so of no use yet. `clock` says whether those of clients are valid.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let shared = Shared { clock, certificates: Arc::default(), prepared: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// From now on these are shown; the first is the one for everybody who asks for no other.
    pub fn set_certificates(&self, certificates: Vec<Certificate>) {
        let mut shown = self.shared.certificates.0.write().unwrap_or_else(PoisonError::into_inner);
        *shown = certificates;
    }

    /// Whether there is any.
    pub fn has_certificates(&self) -> bool {
        !self.shared.certificates.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Opens a session on a connection on which nothing else is under way. Where it fails the connection is gone.
    ///
    /// A stream that ends without a closing alert fails with `UnexpectedEof` (RFC 8446 §6.1: it may have been cut).
    pub async fn accept(
        &self,
        stream: Box<dyn Stream>,
        options: &ListenerTls,
        shutdown: &Receiver<Infallible>,
    ) -> Result<(Box<dyn Stream>, TlsFacts), TlsAcceptError> {
        if !self.has_certificates() {
            return Err(TlsAcceptError::NoCertificate);
        }
        let clock = &self.shared.clock;
        let prepared = self.shared.prepared(options)?;
        let handshake = TlsAcceptor::from(prepared.config).accept(stream);
        let handshake = clock.before(clock.instant() + HANDSHAKE, handshake);
        let stream = match select(pin!(shutdown.recv()), pin!(handshake)).await {
            Either::Left(_) => return Err(TlsAcceptError::ShuttingDown),
            Either::Right((None, _)) => return Err(TlsAcceptError::TooSlow),
            Either::Right((Some(Err(error)), _)) => return Err(error.into()),
            Either::Right((Some(Ok(stream)), _)) => stream,
        };
        let facts = self.shared.facts(stream.get_ref().1, prepared.verifier.as_deref())?;
        Ok((Box::new(stream), facts))
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("certificates", &self.shared.certificates).finish_non_exhaustive()
    }
}

impl From<io::Error> for TlsAcceptError {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => Self::Failed(error.to_string()),
            None => Self::Lost,
        }
    }
}

impl Shared {
    fn prepared(&self, options: &ListenerTls) -> Result<Prepared, TlsAcceptError> {
        let mut known = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, prepared)) = known.iter().find(|(of, _)| of == options) {
            return Ok(prepared.clone());
        }
        let made = self.prepare(options)?;
        known.push((options.clone(), made.clone()));
        Ok(made)
    }

    fn prepare(&self, options: &ListenerTls) -> Result<Prepared, TlsAcceptError> {
        let failed = |error: Error| TlsAcceptError::Failed(error.to_string());
        let provider = provider();
        let time = Arc::new(Time(self.clock.clone()));
        let builder = ServerConfig::builder_with_details(provider.clone(), time)
            .with_protocol_versions(versions(options.minimum.unwrap_or_default()))
            .map_err(failed)?;
        let verifier = verifier(&options.client_certificates, &provider).map_err(TlsAcceptError::Failed)?;
        let builder = match (&options.client_certificates, &verifier) {
            (ClientCertificates::Optional(_), Some(strict)) => {
                builder.with_client_cert_verifier(Arc::new(Lenient(strict.clone())))
            }
            (_, Some(strict)) => builder.with_client_cert_verifier(strict.clone()),
            (_, None) => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(self.certificates.clone());
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Prepared { config: Arc::new(config), verifier })
    }

    fn facts(
        &self,
        session: &ServerConnection,
        verifier: Option<&dyn ClientCertVerifier>,
    ) -> Result<TlsFacts, TlsAcceptError> {
        let version = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
            _ => TlsVersion::V1_2,
        };
        let suite = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        let exporter = match version {
            TlsVersion::V1_2 => None,
            TlsVersion::V1_3 => {
                let exported = session.export_keying_material([0; BINDING_OCTETS], BINDING_LABEL, Some(b""));
                Some(exported.map_err(|error| TlsAcceptError::Failed(error.to_string()))?)
            }
        };
        let identity = |verifier: &dyn ClientCertVerifier| {
            let (own, chain) = session.peer_certificates()?.split_first()?;
            let now = UnixTime::since_unix_epoch(self.clock.utc().since(UtcTime::default()));
            let verified = verifier.verify_client_cert(own, chain, now).is_ok();
            Some(ClientIdentity::read(own, verified))
        };
        Ok(TlsFacts {
            version,
            // The library marks those of TLS 1.3, whose names do not.
            cipher: suite.unwrap_or_default().replacen("TLS13_", "TLS_", 1),
            server_name: session.server_name().map(str::to_ascii_lowercase),
            client: verifier.and_then(identity),
            exporter,
        })
    }
}

fn versions(minimum: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static NEWEST_FIRST: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    match minimum {
        TlsVersion::V1_2 => &NEWEST_FIRST,
        TlsVersion::V1_3 => &NEWEST_FIRST[..1],
    }
}

/// The certificates that are shown now.
#[derive(Debug, Default)]
struct Certificates(RwLock<Vec<Certificate>>);

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.read().unwrap_or_else(PoisonError::into_inner);
        choose(&shown, hello.server_name(), |certificate| certificate.suits(hello.signature_schemes()))
            .map(|certificate| certificate.key().clone())
    }
}

/// The certificate for a client; see the head of this file.
fn choose<'a>(
    shown: &'a [Certificate],
    server_name: Option<&str>,
    suits: impl Fn(&Certificate) -> bool,
) -> Option<&'a Certificate> {
    let among = |fits: &dyn Fn(&Certificate) -> bool| {
        let fitting = || shown.iter().filter(|certificate| fits(certificate));
        fitting().find(|certificate| suits(certificate)).or_else(|| fitting().next())
    };
    let named = server_name.and_then(|name| {
        among(&|certificate| certificate.is_for(name))
            .or_else(|| among(&|certificate| certificate.is_for_all_beside(name)))
    });
    named.or_else(|| shown.first())
}
