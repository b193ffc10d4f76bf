//! One connection on its way into TLS.

use std::convert::Infallible;
use std::net::SocketAddr;

use async_channel::Receiver;

use super::server::{Acceptor, TlsAcceptError, TlsFacts};
use crate::config::ListenerTls;
use crate::model::Event;
use crate::model::event::Journal;
use crate::platform::Stream;

/// What one connection needs to be encrypted, now or when its client asks for it.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// Shows the certificates.
    pub acceptor: Acceptor,
    /// How its listener wants it.
    pub options: ListenerTls,
    /// Is told what came of it.
    pub journal: Journal,
    /// Number of the session on this node.
    pub session: u64,
    /// The client's address and port.
    pub peer: SocketAddr,
}

impl Upgrade {
    /// Opens the session; see [`Acceptor::accept`]. The caller holds no octet of the client's that it has not understood: whatever came in
    /// the clear and is taken for part of the session was anybody's (RFC 3207 §4.2).
    pub async fn accept(
        &self,
        stream: Box<dyn Stream>,
        shutdown: &Receiver<Infallible>,
    ) -> Result<(Box<dyn Stream>, TlsFacts), TlsAcceptError> {
        let accepted = self.acceptor.accept(stream, &self.options, shutdown).await;
        let session = self.session;
        self.journal.report(&match &accepted {
            Ok((_, facts)) => Event::TlsAccepted {
                session,
                version: facts.version.number(),
                cipher: facts.cipher.clone(),
                server_name: facts.server_name.clone(),
                client: facts.client.as_ref().map(|client| client.subject.clone()),
            },
            Err(error) => {
                Event::TlsFailed { session, peer: self.peer.to_string(), reason: error.to_string() }
            }
        });
        accepted
    }
}
