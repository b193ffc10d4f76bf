//! TLS on our own listeners.

use std::sync::Arc;

use futures_rustls::pki_types::CertificateDer;
use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::rustls::RootCertStore;

use super::Protocol;

/// What holds for all listeners of a node.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// The oldest version that is spoken, where a listener does not say otherwise.
    pub minimum: TlsVersion,
    /// Whether certificates, with their keys, are taken out of the store too.
    pub from_store: bool,
}

/// A version of TLS. What is older is not spoken (RFC 8996 §1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246 §1.
    #[default]
    V1_2,
    /// RFC 8446 §1.
    V1_3,
}

impl TlsVersion {
    /// All of them, oldest first.
    pub const ALL: [Self; 2] = [Self::V1_2, Self::V1_3];

    /// Its number, as in settings, events and trace fields.
    pub const fn number(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

/// When a listener's sessions are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    None,
    /// From the command on that asks for it, which is offered where there is a certificate (RFC 3207 §4, RFC 2595 §4).
    StartTls,
    /// From the first octet on (RFC 8314 §3).
    Implicit,
}

impl TlsMode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::StartTls, Self::Implicit];

    /// Its name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::StartTls => "starttls",
            Self::Implicit => "implicit",
        }
    }
}

/// TLS on one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// When.
    pub mode: TlsMode,
    /// The oldest version that is spoken there; nothing where it is the node's.
    pub minimum: Option<TlsVersion>,
    /// Who proves by certificate who they are.
    pub client_certificates: ClientCertificates,
}

impl ListenerTls {
    /// As the protocol has it, and without certificates of clients.
    pub const fn of(protocol: Protocol) -> Self {
        Self { mode: protocol.tls_mode(), minimum: None, client_certificates: ClientCertificates::None }
    }

    /// With the node's version where it has none of its own.
    pub fn within(&self, settings: &TlsSettings) -> Self {
        Self { minimum: self.minimum.or(Some(settings.minimum)), ..self.clone() }
    }
}

/// What is wanted of clients' certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked for.
    None,
    /// They are asked for. A client without one is served, and one whose certificate proves nothing is as well.
    Optional(Authorities),
    /// A handshake without one that leads to these authorities and is valid now fails.
    Required(Authorities),
}

/// Whose word is taken on who a client is. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities {
    source: String,
    certificates: Arc<[CertificateDer<'static>]>,
}

/// Why a file holds no authorities.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthoritiesError {
    /// There is no certificate in it.
    #[error("holds no certificate in PEM form")]
    Empty,
    /// One of its certificates, counted from 1, cannot be understood.
    #[error("certificate {0} cannot be understood")]
    Unusable(usize),
}

impl Authorities {
    /// Reads certificates in PEM form (RFC 7468 §5.1); anything else between them is passed over. `source` says where they are from.
    pub fn from_pem(source: impl Into<String>, pem: &[u8]) -> Result<Self, AuthoritiesError> {
        let (mut certificates, mut trust) = (Vec::new(), RootCertStore::empty());
        for (index, read) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let unusable = AuthoritiesError::Unusable(index + 1);
            let certificate = read.map_err(|_| unusable.clone())?;
            trust.add(certificate.clone()).map_err(|_| unusable)?;
            certificates.push(certificate);
        }
        if certificates.is_empty() {
            return Err(AuthoritiesError::Empty);
        }
        Ok(Self { source: source.into(), certificates: certificates.into() })
    }

    /// Where they are from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Their certificates.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }
}
