//! A server's certificate with the chain that leads to it and its key.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_rustls::pki_types::pem::{Error as PemError, PemObject};
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::sign::CertifiedKey;
use futures_rustls::rustls::{Error, InconsistentKeys, SignatureScheme};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::time::ASN1Time;

use super::provider;
use crate::model::UtcTime;

/// Octets of one certificate's chain and key, in PEM form.
pub const PEM_LIMIT: usize = 256 << 10;
/// What a wildcard begins with.
const WILDCARD: &str = "*.";

/// A certificate that can be shown to clients. Cheap to clone. `Debug` does not show the key.
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    names: Arc<[String]>,
    begins: UtcTime,
    expires: UtcTime,
}

/// Why there is no certificate to be had from what was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// There is more than any chain needs.
    #[error("more than {} KiB", PEM_LIMIT >> 10)]
    TooLarge,
    /// A section in PEM form is broken.
    #[error("not in PEM form")]
    NotPem,
    /// There is no certificate.
    #[error("no certificate in PEM form")]
    NoCertificate,
    /// There is no key that can be read.
    #[error("no private key in PEM form, or one that needs a password")]
    NoKey,
    /// The first certificate is another key's.
    #[error("the private key is not the first certificate's")]
    Mismatch,
    /// A certificate, or the key, is nothing that can be used.
    #[error("{0}")]
    Unusable(String),
}

impl Certificate {
    /// Reads a chain, the server's own certificate first, and its key, all in PEM form and in any order (RFC 7468 §5.1, §10). Whether
    /// the certificate is valid now is not looked at.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        if pem.len() > PEM_LIMIT {
            return Err(CertificateError::TooLarge);
        }
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let chain = chain.map_err(|_| CertificateError::NotPem)?;
        let own = chain.first().ok_or(CertificateError::NoCertificate)?;
        let Facts { names, begins, expires } = Facts::of(own)?;
        for above in &chain[1..] {
            Facts::of(above)?;
        }
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
            PemError::NoItemsFound => CertificateError::NoKey,
            _ => CertificateError::NotPem,
        })?;
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificateError::Mismatch,
            error => CertificateError::Unusable(error.to_string()),
        })?;
        Ok(Self { key: Arc::new(key), names: names.into(), begins, expires })
    }

    /// The same, shown to clients that ask for one of these names, whatever names stand in it.
    pub fn named(self, names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().map(|name| name.to_ascii_lowercase()).collect(), ..self }
    }

    /// The names for which it is shown, in lower case; `*.` at the beginning of one stands for one label.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The first moment at which it is not valid any more.
    pub fn expires(&self) -> UtcTime {
        self.expires
    }

    /// What is wrong with it at this time; nothing where it is valid.
    pub fn fault_at(&self, now: UtcTime) -> Option<String> {
        match now {
            now if now < self.begins => Some(format!("not valid before {}", self.begins)),
            now if now >= self.expires => Some(format!("expired at {}", self.expires)),
            _ => None,
        }
    }

    pub(super) fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// Whether a client that offers these signatures can make use of it.
    pub(super) fn suits(&self, schemes: &[SignatureScheme]) -> bool {
        self.key.key.choose_scheme(schemes).is_some()
    }

    /// Whether it is made out to exactly this name.
    pub(super) fn is_for(&self, server_name: &str) -> bool {
        self.names.iter().any(|name| name.eq_ignore_ascii_case(server_name))
    }

    /// Whether it is made out to all names beside this one (RFC 9525 §6.3): the wildcard stands for the whole first label.
    pub(super) fn is_for_all_beside(&self, server_name: &str) -> bool {
        let Some((first, parent)) = server_name.split_once('.') else { return false };
        let is_above = |name: &String| {
            name.strip_prefix(WILDCARD).is_some_and(|domain| domain.eq_ignore_ascii_case(parent))
        };
        !first.is_empty() && self.names.iter().any(is_above)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { names, expires, .. } = self;
        f.debug_struct("Certificate").field("names", names).field("expires", expires).finish_non_exhaustive()
    }
}

/// What stands in a certificate.
struct Facts {
    names: Vec<String>,
    begins: UtcTime,
    expires: UtcTime,
}

impl Facts {
    fn of(certificate: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let unusable = |error: &dyn fmt::Display| CertificateError::Unusable(error.to_string());
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| unusable(&error))?;
        let alternative = parsed.subject_alternative_name().map_err(|error| unusable(&error))?;
        let names = alternative.iter().flat_map(|extension| &extension.value.general_names);
        let names = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
        let validity = parsed.validity();
        // The last second belongs to the time in which it is valid (RFC 5280 §4.1.2.5).
        let expires = time(validity.not_after).after(Duration::from_secs(1));
        Ok(Self { names: names.collect(), begins: time(validity.not_before), expires })
    }
}

/// What lies before 1970 is all the same.
fn time(written: ASN1Time) -> UtcTime {
    let seconds = u64::try_from(written.timestamp()).unwrap_or_default();
    UtcTime::default().after(Duration::from_secs(seconds))
}
