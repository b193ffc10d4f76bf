//! A whole node (rank 8): everything wired together, and what the runtime and the command line do with it.
//!
//! The engine opens no listener. Whoever runs it pushes connections into [`Engine::serve`].

mod drain;
mod sessions;
mod tls;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use bytes::Bytes;
use futures::future::{Either, select};
use futures::io::AsyncWriteExt;

use crate::config::{Config, Listener, Protocol, TlsMode};
use crate::conversation::smtp::Terms;
use crate::model::event::Journal;
use crate::model::{Address, Event, MailOptions, Outcome, QueueId, RecipientOptions, Reply, ReversePath};
use crate::platform::{Host, Platform, Stream};
use crate::policy::replies::{SessionFacts, footer as footer_of};
use crate::queue::Manager;
pub use crate::queue::{Current, Overload, Taken};
use crate::service::access::Access;
use crate::service::certificates::Certificates;
use crate::service::reception::{Reception, keeps_up, service, submit, submit_with};
use crate::service::{Context, local_delivery, maintenance, relay};
use crate::smtp::server::Closing;
use crate::state::format::{self, FormatError};
pub use drain::{DrainReport, DrainSettings};
use sessions::Sessions;
pub use tls::CertificateFile;
use tls::Line;

pub use crate::state::health::Readiness;
use crate::state::probe::{self, ProbeError};
use crate::state::requests::{PurposeCounts, RequestCounts, Requests};
use crate::{conversation, pop3, smtp, transport};

/// How long a client that is turned away may take to read why.
const TURN_AWAY: Duration = Duration::from_secs(5);
/// RFC 5321 §3.8, RFC 3463 §3.4.
const SMTP_FULL: &[u8] = b"421 4.3.2 too many connections, try again later\r\n";
/// The same, where it is not their number.
const SMTP_BUSY: &[u8] = b"421 4.3.2 too much to do, try again later\r\n";
/// RFC 3206 §4.
const POP3_FULL: &[u8] = b"-ERR [SYS/TEMP] too many connections, try again later\r\n";
/// How long the release of the queue may take beyond the grace period; what takes longer is left to the adopter.
const RELEASE: Duration = Duration::from_secs(10);
/// Pause after the first start that failed; it doubles up to `START_PAUSE_LIMIT`.
const START_PAUSE: Duration = Duration::from_secs(1);
/// See `START_PAUSE`.
const START_PAUSE_LIMIT: Duration = Duration::from_secs(30);

/// Why an engine cannot start.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be used, now or with this version.
    #[error(transparent)]
    Store(#[from] FormatError),
    /// The store would lose mail or double it as soon as there are two nodes.
    #[error(
        "the store at {endpoint} is not safe for mail: when several nodes create one object at once, exactly one must \
         succeed, but {reason}. If no other node will ever write this store, say so with single_node = true in [store]"
    )]
    UnsafeStore {
        /// Where it is.
        endpoint: String,
        /// What it did.
        reason: String,
    },
}

impl StartError {
    /// Whether another try may succeed: the store may come back, or an operator may make the bucket or mend its permissions.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Store(FormatError::Store(_)))
    }
}

/// What a node has done since it started.
#[derive(Clone, Copy, Debug)]
pub struct Statistics {
    /// Messages that were acknowledged.
    pub accepted: u64,
    /// Recipients that were delivered to.
    pub delivered: u64,
    /// Store requests.
    pub store: RequestCounts,
    /// The same, by what they were sent for.
    pub by_purpose: PurposeCounts,
    /// What waits to become durable now, and transactions that were refused because of overload.
    pub taken: Taken,
    /// Connections that were answered `421` or `-ERR`: beyond the sessions that there may be at a time, or because of overload.
    pub turned_away: u64,
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RequestCounts { put, get, head, list, delete, copy, .. } = self.store;
        write!(
            f,
            "accepted {} delivered {}; store requests: put {put} get {get} head {head} list {list} delete {delete} copy {copy}",
            self.accepted, self.delivered
        )
    }
}

/// A node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    context: Arc<Context>,
    counters: Arc<Counters>,
    /// Closed when the node shuts down; that is what sessions and services wait for.
    shutdown: Sender<Infallible>,
    until_shutdown: Receiver<Infallible>,
    numbers: AtomicU64,
    sessions: Arc<Sessions>,
    certificates: Arc<Certificates>,
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    delivered: AtomicU64,
    deferred: AtomicU64,
    turned_away: AtomicU64,
}

impl Engine {
    /// Starts a node on a store, which is marked with the layout's version if it is new. `host` lets the node adopt its
    /// predecessor's log without waiting.
    pub async fn start(
        config: Config,
        platform: Platform,
        host: Host,
        journal: Journal,
    ) -> Result<Self, StartError> {
        let engine = Self::visit(config, platform, host.clone(), journal).await?;
        engine.shared.certificates.look().await;
        engine.look_after_others(host);
        Ok(engine)
    }

    /// As [`Engine::start`], for a node that stays only for a moment: it adopts nothing, and does nothing but what it is asked to.
    pub async fn visit(
        config: Config,
        platform: Platform,
        host: Host,
        journal: Journal,
    ) -> Result<Self, StartError> {
        let (counters, requests) = begin(&config, platform, journal);
        prepare(&requests).await?;
        Ok(Self::assemble(config, requests, counters, host))
    }

    /// As [`Engine::start`], again and again with growing pauses for as long as the store is away or refuses.
    pub async fn start_patiently(
        config: Config,
        platform: Platform,
        host: Host,
        journal: Journal,
    ) -> Result<Self, StartError> {
        let (counters, requests) = begin(&config, platform, journal);
        let mut pause = START_PAUSE;
        while let Err(error) = prepare(&requests).await {
            if !error.may_pass() {
                return Err(error);
            }
            let reason = error.to_string();
            requests.journal().report(&Event::StartDelayed { reason, pause_seconds: pause.as_secs() });
            requests.platform().clock.sleep(pause).await;
            pause = (pause * 2).min(START_PAUSE_LIMIT);
        }
        let engine = Self::assemble(config, requests, counters, host.clone());
        engine.shared.certificates.look().await;
        engine.look_after_others(host);
        Ok(engine)
    }

    /// From now on the node watches the others, and keeps its own log small.
    fn look_after_others(&self, host: Host) {
        let Shared { context, until_shutdown, .. } = &*self.shared;
        let spawn = &context.requests.platform().spawn;
        spawn.spawn(Box::pin(maintenance::run(context.clone(), host, until_shutdown.clone())));
    }

    fn assemble(config: Config, requests: Requests, counters: Arc<Counters>, host: Host) -> Self {
        let platform = requests.platform().clone();
        let certificates = Arc::new(Certificates::new(&requests, config.tls.from_store));
        let (manager, spool) = Manager::new(&config, requests.clone(), host);
        let context = Arc::new(Context::new(config, requests, spool));
        let (shutdown, until_shutdown) = async_channel::bounded(1);
        let sessions = Sessions::counting(context.sessions.clone());

        platform.spawn.spawn(Box::pin(manager.run()));
        platform.spawn.spawn(Box::pin(local_delivery::run(context.clone())));
        platform.spawn.spawn(Box::pin(relay::run(context.clone(), until_shutdown.clone())));
        let shared = Shared {
            context,
            counters,
            shutdown,
            until_shutdown,
            numbers: AtomicU64::new(1),
            sessions,
            certificates,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Serves one client to the end of its session. `peer` is the other end of the connection; the client, where that is a load
    /// balancer of the listener's, is whoever its header names. May be dropped at any await.
    pub async fn serve(&self, mut stream: Box<dyn Stream>, peer: SocketAddr, listener: &Listener) {
        let Shared { context, numbers, sessions, .. } = &*self.shared;
        let Config { smtp, pop3, .. } = &context.config;
        let place = sessions.take(listener.protocol);
        let Some(peer) = self.client(&mut *stream, peer, listener).await else { return };
        let session = numbers.fetch_add(1, Ordering::Relaxed);
        let full = match listener.protocol {
            Protocol::Pop3 | Protocol::Pop3s => (place.number > pop3.sessions).then_some(POP3_FULL),
            _ if place.number > smtp.sessions => Some(SMTP_FULL),
            _ => (!keeps_up(context).await).then_some(SMTP_BUSY),
        };
        if let Some(words) = full {
            // In the clear it would be no answer to somebody who waits for a handshake.
            if listener.tls.mode != TlsMode::Implicit {
                self.turn_away(stream, words).await;
            }
            return;
        }
        // Held as long as the client is here, its handshake included: one that never comes to its end takes a place as well.
        let guest = match listener.protocol {
            Protocol::Pop3 | Protocol::Pop3s => None,
            _ => Some(context.limits.connect(peer.ip(), context.requests.platform().clock.instant())),
        };
        let refusal = guest.as_ref().and_then(|guest| guest.as_ref().err());
        let protocol = listener.protocol.name();
        context.journal.report(&Event::SessionOpened { session, protocol, peer: peer.to_string() });
        let (messages, reason) = if refusal.is_some() && listener.tls.mode == TlsMode::Implicit {
            (0, Closing::TurnedAway.to_string())
        } else {
            match self.line(stream, listener, session, peer).await {
                Ok(line) => match listener.protocol {
                    Protocol::Pop3 | Protocol::Pop3s => self.give_mail(line, peer, session).await,
                    _ => self.receive_mail(line, peer, session, listener, refusal).await,
                },
                Err(error) => (0, error.to_string()),
            }
        };
        context.journal.report(&Event::SessionClosed { session, protocol, messages, reason });
    }

    /// Takes a message of the operator's; durable on success. The reply says why it was not taken.
    pub async fn send(
        &self,
        reverse_path: ReversePath,
        recipients: Vec<Address>,
        content: Bytes,
    ) -> Result<QueueId, Reply> {
        submit(&self.shared.context, reverse_path, &recipients, &content).await
    }

    /// The same with what a client would ask for by parameters of MAIL and RCPT.
    pub async fn send_with(
        &self,
        reverse_path: ReversePath,
        options: MailOptions,
        recipients: Vec<(Address, RecipientOptions)>,
        content: Bytes,
    ) -> Result<QueueId, Reply> {
        submit_with(&self.shared.context, reverse_path, options, &recipients, &content).await
    }

    /// Ends the node: clients are told `421`, transactions in flight and deliveries under way may finish within `grace`, and what is left is released to the others.
    pub async fn shutdown(&self, grace: Duration) {
        let clock = self.shared.context.requests.platform().clock.clone();
        let deadline = clock.instant() + grace;
        self.shared.shutdown.close();
        clock.before(deadline, self.shared.sessions.end()).await;
        clock.before(deadline + RELEASE, self.shared.context.spool.close(deadline)).await;
    }

    /// What the node has done so far.
    pub fn statistics(&self) -> Statistics {
        let Shared { context, counters, .. } = &*self.shared;
        let by_purpose = context.requests.meter().by_purpose();
        Statistics {
            accepted: counters.accepted.load(Ordering::Relaxed),
            delivered: counters.delivered.load(Ordering::Relaxed),
            store: by_purpose.total(),
            by_purpose,
            taken: context.spool.taken(),
            turned_away: counters.turned_away.load(Ordering::Relaxed),
        }
    }

    /// What the node holds in the queue; nothing where it has no log, or the queue has ended.
    pub async fn queue(&self) -> Option<Current> {
        self.shared.context.spool.current().await
    }

    /// Whether the node can do its work.
    pub fn readiness(&self) -> Readiness {
        self.shared.context.requests.readiness()
    }

    /// Who is to be served; nobody where a load balancer does not say so as it must, or the node shuts down meanwhile.
    async fn client(
        &self,
        stream: &mut dyn Stream,
        peer: SocketAddr,
        listener: &Listener,
    ) -> Option<SocketAddr> {
        if !listener.expects_proxy_header(peer.ip()) {
            return Some(peer);
        }
        let Shared { context, until_shutdown, .. } = &*self.shared;
        let reading = transport::read_proxy_header(stream, &context.requests.platform().clock);
        match select(pin!(reading), pin!(until_shutdown.recv())).await {
            Either::Left((Ok(source), _)) => Some(source.unwrap_or(peer)),
            Either::Left((Err(error), _)) => {
                let (peer, reason) = (peer.to_string(), error.to_string());
                context.journal.report(&Event::ProxyHeaderRefused { peer, reason });
                None
            }
            Either::Right(_) => None,
        }
    }

    /// A session of SMTP, of a client that is not wanted where there is a `refusal`; gives the messages accepted in it, and why it ended.
    async fn receive_mail(
        &self,
        line: Line,
        peer: SocketAddr,
        session: u64,
        listener: &Listener,
        refusal: Option<&Reply>,
    ) -> (u64, String) {
        let Line { stream, facts, upgrade } = line;
        let Shared { context, until_shutdown, .. } = &*self.shared;
        let (config, clock) = (&context.config, &context.requests.platform().clock);
        let limits = listener.settings.limits(&config.smtp);
        let hostname = listener.settings.hostname(config).clone();
        let banner = listener.settings.banner(config).map(|banner| banner.as_str().to_owned());
        let mut reception = Reception::new(context, listener, session, peer, facts, upgrade.is_some());
        let of_listener = service(listener.protocol);
        let offers = reception.offers();
        let footer = SessionFacts { peer: peer.ip(), session, hostname: hostname.clone() };
        let mut machine =
            smtp::server::Session::serving(of_listener, hostname, banner, limits.clone(), offers);
        machine.set_footer(footer_of(&config.policy.replies, &footer));
        if listener.settings.mends_newlines_of(peer.ip()) {
            machine.normalize();
        }
        if let Some(reply) = refusal.cloned().or_else(|| reception.admit().err()) {
            machine.turn_away(reply);
        }
        let terms = Terms { limits: &limits, manners: &config.policy.manners, upgrade: upgrade.as_ref() };
        let end =
            conversation::smtp::serve(stream, machine, &mut reception, terms, clock, until_shutdown).await;
        (end.messages, end.reason.to_string())
    }

    /// A session of POP3; gives the messages retrieved in it, and why it ended.
    async fn give_mail(&self, line: Line, peer: SocketAddr, session: u64) -> (u64, String) {
        let Line { stream, facts, upgrade } = line;
        let Shared { context, until_shutdown, .. } = &*self.shared;
        let (patience, clock) = (context.config.pop3.idle_timeout, &context.requests.platform().clock);
        let mut access = Access::new(context.clone(), session, peer);
        let allows_password = facts.is_some() || access.allows_password();
        let machine = pop3::Session::new(context.config.hostname.clone(), allows_password);
        let machine = if upgrade.is_some() { machine.offering_tls() } else { machine };
        let (access, upgrade) = (&mut access, upgrade.as_ref());
        let end =
            conversation::pop3::serve(stream, machine, access, upgrade, patience, clock, until_shutdown)
                .await;
        (end.messages, end.reason.to_string())
    }

    /// Better told than left without an answer.
    async fn turn_away(&self, mut stream: Box<dyn Stream>, words: &[u8]) {
        self.shared.counters.turned_away.fetch_add(1, Ordering::Relaxed);
        let clock = &self.shared.context.requests.platform().clock;
        let telling = async {
            stream.write_all(words).await?;
            stream.close().await
        };
        // Whether the client has read it is its own affair.
        let _ = clock.before(clock.instant() + TURN_AWAY, telling).await;
    }
}

/// The node's way to its store, with a journal that counts.
fn begin(config: &Config, platform: Platform, journal: Journal) -> (Arc<Counters>, Requests) {
    let counters = Arc::new(Counters::default());
    let journal = counting(&counters, journal);
    (counters, Requests::new(platform, config.store.clone(), journal))
}

/// Before anything is accepted: the store is ours to write, and keeps what the engine relies on.
async fn prepare(requests: &Requests) -> Result<(), StartError> {
    format::ensure(requests).await?;
    probe::ensure(requests).await.map_err(|error| match error {
        ProbeError::Store(error) => FormatError::Store(error).into(),
        ProbeError::Unsafe(reason) => {
            let endpoint = requests.settings().endpoint.clone().unwrap_or_default();
            StartError::UnsafeStore { endpoint, reason }
        }
    })
}

fn counting(counters: &Arc<Counters>, journal: Journal) -> Journal {
    let counters = counters.clone();
    Journal::new(move |event| {
        match event {
            Event::Accepted { .. } => counters.accepted.fetch_add(1, Ordering::Relaxed),
            Event::Attempted { outcome: Outcome::Delivered(_), .. } => {
                counters.delivered.fetch_add(1, Ordering::Relaxed)
            }
            Event::Attempted { outcome: Outcome::Deferred(_), .. } => {
                counters.deferred.fetch_add(1, Ordering::Relaxed)
            }
            _ => 0,
        };
        journal.report(event);
    })
}
