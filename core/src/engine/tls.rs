//! TLS on our own listeners.

use std::net::SocketAddr;

use super::{Engine, Shared};
use crate::config::{Listener, TlsMode};
use crate::platform::Stream;
pub use crate::service::certificates::CertificateFile;
use crate::transport::{TlsAcceptError, TlsFacts, Upgrade};

/// A client's connection, before anything is spoken over it.
pub(super) struct Line {
    pub(super) stream: Box<dyn Stream>,
    /// Where it is encrypted.
    pub(super) facts: Option<TlsFacts>,
    /// With what to encrypt it when the client asks for that; nothing where that is not to be offered.
    pub(super) upgrade: Option<Upgrade>,
}

impl Engine {
    /// From now on these files' certificates are shown, before those in the store; the first is for everybody who asks for no other. Sessions
    /// that are open go on with what they have. What cannot be used is reported, and leaves in place what came from there before.
    pub fn set_certificates(&self, files: &[CertificateFile]) {
        self.shared.certificates.set_files(files);
    }

    /// A client's stream, encrypted where it must be from its first octet on.
    pub(super) async fn line(
        &self,
        stream: Box<dyn Stream>,
        listener: &Listener,
        session: u64,
        peer: SocketAddr,
    ) -> Result<Line, TlsAcceptError> {
        if listener.tls.mode == TlsMode::None {
            return Ok(Line { stream, facts: None, upgrade: None });
        }
        let Shared { context, certificates, until_shutdown, .. } = &*self.shared;
        certificates.refresh().await;
        let acceptor = certificates.acceptor().clone();
        let has_certificates = acceptor.has_certificates();
        let (options, journal) = (listener.tls.within(&context.config.tls), context.journal.clone());
        let upgrade = Upgrade { acceptor, options, journal, session, peer };
        if listener.tls.mode == TlsMode::Implicit {
            let (stream, facts) = upgrade.accept(stream, until_shutdown).await?;
            return Ok(Line { stream, facts: Some(facts), upgrade: None });
        }
        Ok(Line { stream, facts: None, upgrade: has_certificates.then_some(upgrade) })
    }
}
