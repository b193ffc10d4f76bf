//! The certificates that the system trusts.

use rustls_native_certs::load_native_certs;
use tracing::warn;

use fulmar_core::transport::CertificateDer;

/// The root certificates of the system, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. What cannot be read is left
/// out with a warning; there may be none at all. Reads files, so it belongs to the start of a program.
pub fn system_roots() -> Vec<CertificateDer<'static>> {
    let found = load_native_certs();
    for error in found.errors {
        warn!(%error, "root certificates left out");
    }
    found.certs
}
