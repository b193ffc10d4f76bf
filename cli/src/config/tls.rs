//! TLS: the files of `[tls]`, and what a `[[listener]]` says of it.

use std::fs;
use std::path::{Path, PathBuf};

use fulmar_core::config::{Authorities, ClientCertificates, ListenerTls, Protocol, TlsMode, TlsVersion};
use toml::Spanned;
use toml::de::DeValue;

use super::tables::{self, Form, field, list_field};
use super::value::{list, text, word};
use super::written::{Lines, Written, Wrong};

/// Names of the fields of a listener that are about TLS.
pub(super) const OF_LISTENER: [(&str, &str); 4] = [
    ("tls", r#""none", "starttls" or "implicit""#),
    ("tls_minimum", r#""1.2" or "1.3""#),
    ("client_certificates", r#""none", "optional" or "required""#),
    ("client_ca", FILES),
];
/// What the list of further certificates is called.
pub(super) const CERTIFICATES: &str = "certificates";
const FILES: &str = "the name of a file in PEM form";
const NAMES: &str = r#"names such as "mx.example.org" or "*.example.org""#;
const FORM: Form<3> = Form {
    heading: "tls.certificates",
    fields: [("certificate", FILES), ("key", FILES), ("names", NAMES)],
    required: 1,
};
const VERSIONS: [(&str, TlsVersion); 2] =
    [(TlsVersion::V1_2.number(), TlsVersion::V1_2), (TlsVersion::V1_3.number(), TlsVersion::V1_3)];
const MODES: [(&str, TlsMode); 3] = [
    (TlsMode::None.name(), TlsMode::None),
    (TlsMode::StartTls.name(), TlsMode::StartTls),
    (TlsMode::Implicit.name(), TlsMode::Implicit),
];
const WANTED: [(&str, Wanted); 3] =
    [("none", Wanted::None), ("optional", Wanted::Optional), ("required", Wanted::Required)];

/// Files with certificates. Names of files count from the folder in which the process runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsFiles {
    /// `[tls] certificate`
    pub(super) certificate: Option<PathBuf>,
    /// `[tls] key`
    pub(super) key: Option<PathBuf>,
    /// `[[tls.certificates]]`
    pub(super) more: Vec<CertificatePaths>,
}

/// Where one certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificatePaths {
    /// The chain; the key too, where it has no file of its own.
    pub(crate) certificate: PathBuf,
    pub(crate) key: Option<PathBuf>,
    /// For which names it is shown; those that stand in it, where there are none.
    pub(crate) names: Vec<String>,
}

impl TlsFiles {
    /// All certificates; the first is for clients that ask for no other.
    pub(crate) fn all(&self) -> Vec<CertificatePaths> {
        let first = self.certificate.as_ref().map(|certificate| CertificatePaths {
            certificate: certificate.clone(),
            key: self.key.clone(),
            names: Vec::new(),
        });
        first.into_iter().chain(self.more.iter().cloned()).collect()
    }
}

#[derive(Clone, Copy)]
enum Wanted {
    None,
    Optional,
    Required,
}

/// The name of a file.
pub(super) fn file(written: &Written) -> Result<PathBuf, Wrong> {
    text(written, "a file", FILES, |text| (!text.is_empty()).then(|| text.into()))
}

pub(super) fn version(written: &Written) -> Result<TlsVersion, Wrong> {
    word(written, &VERSIONS)
}

/// Reads the file's `[[tls.certificates]]` tables.
pub(super) fn from_file(
    lines: &Lines<'_>,
    value: &Spanned<DeValue<'_>>,
    mistake: &mut dyn FnMut(&str, Wrong),
) -> Vec<CertificatePaths> {
    let mut certificates = Vec::new();
    for [certificate, key, names] in tables::read(&FORM, lines, value, mistake) {
        let certificate = field("certificate", certificate.as_ref(), file, mistake);
        let key = field("key", key.as_ref(), file, mistake);
        let name = |written: &Written| {
            text(written, "a name", NAMES, |name| is_name(name).then(|| name.to_ascii_lowercase()))
        };
        let names = list_field("names", names.as_ref(), |written| list(written, name), mistake);
        if let Some(certificate) = certificate {
            certificates.push(CertificatePaths { certificate, key, names: names.unwrap_or_default() });
        }
    }
    certificates
}

/// A host's name, or one that stands for all names beside it.
fn is_name(name: &str) -> bool {
    let host = name.strip_prefix("*.").unwrap_or(name);
    host.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet))
    })
}

/// What a listener says of TLS, its fields in the order of [`OF_LISTENER`].
pub(super) fn of_listener(
    protocol: Protocol,
    [mode, minimum, wanted, authorities]: [Option<&Written>; 4],
    mistake: &mut dyn FnMut(&str, Wrong),
) -> ListenerTls {
    let mut tls = ListenerTls::of(protocol);
    let [(of_mode, _), (of_minimum, _), (of_wanted, _), (of_authorities, _)] = OF_LISTENER;
    if let Some(mode) = field(of_mode, mode, |written| word(written, &MODES), mistake) {
        tls.mode = mode;
    }
    tls.minimum = field(of_minimum, minimum, version, mistake);
    let meaning = field(of_wanted, wanted, |written| word(written, &WANTED), mistake);
    let read = |written: &Written| {
        let path = file(written)?;
        read_authorities(&path).map_err(|reason| written.wrong(&reason, FILES))
    };
    let found = field(of_authorities, authorities, read, mistake);
    match (meaning.unwrap_or(Wanted::None), authorities, found) {
        (Wanted::Optional, _, Some(found)) => tls.client_certificates = ClientCertificates::Optional(found),
        (Wanted::Required, _, Some(found)) => tls.client_certificates = ClientCertificates::Required(found),
        (Wanted::None, Some(written), Some(_)) => {
            let allowed = "nothing, where client_certificates is \"none\"";
            mistake(of_authorities, written.wrong("is not asked for", allowed));
        }
        (Wanted::Optional | Wanted::Required, None, _) => {
            if let Some(written) = wanted {
                mistake(of_wanted, written.wrong("says nothing without client_ca", "both or neither"));
            }
        }
        // Neither is said, or what is wrong with the file has been told.
        _ => {}
    }
    tls
}

fn read_authorities(path: &Path) -> Result<Authorities, String> {
    let pem = fs::read(path).map_err(|error| format!("cannot be read ({error})"))?;
    let read = Authorities::from_pem(path.display().to_string(), &pem);
    read.map_err(|error| error.to_string())
}

/// How a listener's TLS is written where it is not as the protocol has it.
pub(super) fn shown(protocol: Protocol, tls: &ListenerTls) -> Vec<(&'static str, String)> {
    let [(of_mode, _), (of_minimum, _), (of_wanted, _), (of_authorities, _)] = OF_LISTENER;
    let mut shown = Vec::new();
    if tls.mode != protocol.tls_mode() {
        shown.push((of_mode, tls.mode.name().to_owned()));
    }
    if let Some(minimum) = tls.minimum {
        shown.push((of_minimum, minimum.number().to_owned()));
    }
    let asked = match &tls.client_certificates {
        ClientCertificates::None => None,
        ClientCertificates::Optional(authorities) => Some(("optional", authorities)),
        ClientCertificates::Required(authorities) => Some(("required", authorities)),
    };
    if let Some((wanted, authorities)) = asked {
        shown.push((of_wanted, wanted.to_owned()));
        shown.push((of_authorities, authorities.source().to_owned()));
    }
    shown
}
