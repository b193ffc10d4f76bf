//! Hands mail to other hosts.
//!
//! The queue hands out a message with all its recipients at one destination, and says how many such attempts run at a time. An
//! attempt goes over an idle connection where there is one, else from host to host until every recipient is settled or no
//! host is left. What a reply means is decided in [`meaning`] alone.

mod content;
mod delivery;
mod forwarding;
mod plan;
mod renewal;
mod slot;

use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use async_channel::Receiver;
use futures::future::join;

use self::delivery::Delivery;
use super::Context;
use super::settle::settle;
use crate::conversation::smtp_client::{Client, OpenError};
use crate::delivery::Host;
use crate::delivery::connections::{Connection, Connections, LONGEST_REST};
use crate::delivery::meaning::{self, Verdict};
use crate::model::Event;
use crate::platform::Instant;
use crate::queue::Work;
use crate::smtp::client::Closing;
use crate::state::requests::{Purpose, Requests};
use crate::transport::TlsClient;

/// How long one address may take to answer a connection.
const CONNECT: Duration = Duration::from_secs(30);
/// How long all hosts of a destination together may take until one of them is ready for the message.
const LONGEST_SEARCH: Duration = Duration::from_mins(5);

/// Runs until the queue ends. From the shutdown on no connection is kept; attempts under way go on, and the queue says how long
/// they are waited for.
pub async fn run(context: Arc<Context>, until_shutdown: Receiver<Infallible>) {
    let relay = Arc::new(Relay::new(context));
    let working = async {
        while let Ok(work) = relay.context.spool.relay_work().recv().await {
            let attempt = attempt(relay.clone(), work);
            relay.context.requests.platform().spawn.spawn(Box::pin(attempt));
        }
    };
    let closing = async {
        // Nothing is ever sent: the channel is closed.
        let _ = until_shutdown.recv().await;
        relay.connections.close();
    };
    join(working, closing).await;
}

async fn attempt(relay: Arc<Relay>, work: Work) {
    // Work for accounts of ours goes elsewhere.
    let Some(destination) = &work.destination else { return };
    let outcomes = Delivery::new(&relay, &work, destination).run().await;
    settle(&relay.context, &work, outcomes).await;
}

/// What attempts share.
#[derive(Debug)]
struct Relay {
    context: Arc<Context>,
    requests: Requests,
    connections: Connections,
    tls: Option<TlsClient>,
    /// For what may go nowhere else (RFC 8689 §4.2.1).
    verifying: Option<TlsClient>,
}

/// Why a host is of no use now.
struct Useless {
    verdict: Verdict,
    /// Whether it did not even say a word.
    is_silent: bool,
}

impl Relay {
    fn new(context: Arc<Context>) -> Self {
        let platform = context.requests.platform();
        // What is tried again is not to meet the memory of its own failure.
        let rest = context.config.queue.retry.first().copied().unwrap_or(LONGEST_REST);
        let connections = Connections::new(platform.clock.clone(), platform.spawn.clone(), rest);
        let roots = context.config.relay.roots.iter().cloned().map(Into::into);
        // Without roots no host can be trusted, and what needs one that is fails.
        let verifying = TlsClient::verifying(roots, platform.clock.clone()).ok();
        let tls = TlsClient::opportunistic(platform.clock.clone());
        let tls = tls.map_err(|error| {
            let doing = "setting up TLS for other hosts; mail goes out in the clear".to_owned();
            context.journal.report(&Event::Trouble { doing, error: error.to_string() });
        });
        Self { requests: context.requests.of(Purpose::Relay), connections, tls: tls.ok(), verifying, context }
    }

    /// Opens a session with a host, encrypted where it offers that: in the clear where the handshake fails, since a certificate
    /// would not be believed in any case (RFC 7435 §3). With `needs_tls` it is encrypted under a certificate that holds, or there is none.
    async fn connect(&self, host: &Host, deadline: Instant, needs_tls: bool) -> Result<Connection, Useless> {
        if needs_tls {
            return self.connect_verified(host, deadline).await;
        }
        let tls = self.tls.as_ref().map(|tls| (tls, host.name.as_str()));
        let client = match self.open(host, tls, deadline).await? {
            Ok(client) => client,
            Err(_) => match self.open(host, None, deadline).await? {
                Ok(client) => client,
                Err(error) => {
                    return Err(Useless { verdict: meaning::tls_failed(host, &error), is_silent: false });
                }
            },
        };
        Ok(Connection { client, host: host.clone(), is_verified: false })
    }

    /// RFC 8689 §4.2.1: the certificate is made out to the name under which the host was found.
    async fn connect_verified(&self, host: &Host, deadline: Instant) -> Result<Connection, Useless> {
        let useless = |why: &str| Useless { verdict: meaning::tls_required(host, why), is_silent: false };
        let Some(tls) = &self.verifying else {
            return Err(useless("this host knows no root certificates by which to verify others"));
        };
        match self.open(host, Some((tls, host.name.as_str())), deadline).await? {
            Ok(client) if client.is_encrypted() => {
                Ok(Connection { client, host: host.clone(), is_verified: true })
            }
            Ok(client) => {
                client.quit().await;
                Err(useless("it does not offer STARTTLS"))
            }
            // What was understood and is wrong stays so; a handshake that broke off may succeed next time.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput) => {
                Err(useless(&error.to_string()))
            }
            Err(error) => Err(Useless { verdict: meaning::tls_failed(host, &error), is_silent: false }),
        }
    }

    /// The inner error is that of the TLS handshake.
    async fn open(
        &self,
        host: &Host,
        tls: Option<(&TlsClient, &str)>,
        deadline: Instant,
    ) -> Result<Result<Client, std::io::Error>, Useless> {
        let (platform, config) = (self.context.requests.platform(), &self.context.config);
        let connected = platform.net.connect(&host.target, deadline.min(platform.clock.instant() + CONNECT));
        let stream = connected
            .await
            .map_err(|error| Useless { verdict: meaning::unreachable(host, &error), is_silent: true })?;
        match Client::open(stream, config.hostname.clone(), tls, platform.clock.clone(), deadline).await {
            Ok(client) => Ok(Ok(client)),
            Err(OpenError::Tls(error)) => Ok(Err(error)),
            Err(OpenError::Ended(end)) => Err(Useless {
                verdict: meaning::closed(&end.closing, end.phase, host),
                is_silent: end.closing == Closing::TimedOut,
            }),
        }
    }
}
