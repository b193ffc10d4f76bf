//! Who a client is by its certificate.

use std::sync::Arc;

use futures_rustls::pki_types::{CertificateDer, UnixTime};
use futures_rustls::rustls::client::danger::HandshakeSignatureValid;
use futures_rustls::rustls::crypto::CryptoProvider;
use futures_rustls::rustls::server::WebPkiClientVerifier;
use futures_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use futures_rustls::rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::config::ClientCertificates;

/// What a client's certificate says. That the client holds its key is certain; whether anything else in it is true says
/// `is_verified`. Whoever made the certificate has chosen the texts: they hold no control characters, and any other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The subject, such as `CN=alice, O=Example`.
    pub subject: String,
    /// The subject's common name, the first of several.
    pub common_name: Option<String>,
    /// Mail addresses among its alternative names (RFC 5280 §4.2.1.6, rfc822Name).
    pub emails: Vec<String>,
    /// Whether it is valid now and leads to an authority of the listener's.
    pub is_verified: bool,
}

impl ClientIdentity {
    /// What cannot be understood says nothing.
    pub(super) fn read(certificate: &CertificateDer<'_>, is_verified: bool) -> Self {
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
            return Self { is_verified, ..Self::default() };
        };
        let common_name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        let alternative = parsed.subject_alternative_name().ok().flatten();
        let names = alternative.iter().flat_map(|extension| &extension.value.general_names);
        let emails = names.filter_map(|name| match name {
            GeneralName::RFC822Name(email) => Some(printable(email)),
            _ => None,
        });
        Self {
            subject: printable(&parsed.subject().to_string()),
            common_name: common_name.map(printable),
            emails: emails.collect(),
            is_verified,
        }
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}

/// Says whether a client's certificate proves anything; nothing where none is asked for.
pub(super) fn verifier(
    wanted: &ClientCertificates,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let authorities = match wanted {
        ClientCertificates::None => return Ok(None),
        ClientCertificates::Optional(authorities) | ClientCertificates::Required(authorities) => authorities,
    };
    let mut trust = RootCertStore::empty();
    for certificate in authorities.certificates() {
        trust.add(certificate.clone()).map_err(|error| error.to_string())?;
    }
    let strict = WebPkiClientVerifier::builder_with_provider(Arc::new(trust), provider.clone()).build();
    strict.map(Some).map_err(|error| error.to_string())
}

/// Asks for a certificate and takes any, or none, but none whose key the client does not hold. What it proves is asked of the other
/// verifier after the handshake.
#[derive(Debug)]
pub(super) struct Lenient(pub(super) Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Lenient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
