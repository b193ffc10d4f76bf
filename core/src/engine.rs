//! A whole node (rank 8): everything wired together, and what the runtime and the command line do with it.
//!
//! The engine opens no listener. Whoever runs it pushes connections into [`Engine::serve`].

mod drain;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use bytes::Bytes;
use event_listener::Event as Signal;
use futures::future::{Either, select};
use futures::io::AsyncWriteExt;

use crate::config::{Config, Listener, Protocol};
use crate::model::event::Journal;
use crate::model::{Address, Event, MailOptions, Outcome, QueueId, RecipientOptions, Reply, ReversePath};
use crate::platform::{Host, Platform, Stream};
pub use crate::queue::Current;
use crate::queue::Manager;
use crate::service::access::Access;
use crate::service::reception::{Reception, submit, submit_with};
use crate::service::{Context, local_delivery, maintenance, relay};
use crate::state::format::{self, FormatError};
pub use drain::{DrainReport, DrainSettings};

pub use crate::state::health::Readiness;
use crate::state::probe::{self, ProbeError};
use crate::state::requests::{PurposeCounts, RequestCounts, Requests};
use crate::{conversation, pop3, smtp, transport};

/// How long a client that is turned away may take to read why.
const TURN_AWAY: Duration = Duration::from_secs(5);
/// RFC 5321 §3.8, RFC 3463 §3.4.
const SMTP_FULL: &[u8] = b"421 4.3.2 too many connections, try again later\r\n";
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
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    delivered: AtomicU64,
    deferred: AtomicU64,
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
        let (manager, spool) = Manager::new(&config, requests.clone(), host);
        let context = Arc::new(Context::new(config, requests, spool));
        let (shutdown, until_shutdown) = async_channel::bounded(1);

        platform.spawn.spawn(Box::pin(manager.run()));
        platform.spawn.spawn(Box::pin(local_delivery::run(context.clone())));
        platform.spawn.spawn(Box::pin(relay::run(context.clone(), until_shutdown.clone())));
        let shared = Shared {
            context,
            counters,
            shutdown,
            until_shutdown,
            numbers: AtomicU64::new(1),
            sessions: Arc::default(),
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
        match listener.protocol {
            Protocol::Smtp if place.number > smtp.sessions => self.turn_away(stream, SMTP_FULL).await,
            Protocol::Pop3 if place.number > pop3.sessions => self.turn_away(stream, POP3_FULL).await,
            protocol => {
                let name = protocol.name();
                let opened = Event::SessionOpened { session, protocol: name, peer: peer.to_string() };
                context.journal.report(&opened);
                let (messages, reason) = match protocol {
                    Protocol::Smtp => self.receive_mail(stream, peer, session).await,
                    Protocol::Pop3 => self.give_mail(stream, peer, session).await,
                };
                let closed = Event::SessionClosed { session, protocol: name, messages, reason };
                context.journal.report(&closed);
            }
        }
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

    /// A session of SMTP; gives the messages accepted in it, and why it ended.
    async fn receive_mail(&self, stream: Box<dyn Stream>, peer: SocketAddr, session: u64) -> (u64, String) {
        let Shared { context, until_shutdown, .. } = &*self.shared;
        let (limits, clock) = (&context.config.smtp, &context.requests.platform().clock);
        let mut reception = Reception::new(context.clone(), session, peer);
        let machine = smtp::server::Session::new(context.config.hostname.clone(), limits.clone());
        let end =
            conversation::smtp::serve(stream, machine, &mut reception, limits, clock, until_shutdown).await;
        (end.messages, end.reason.to_string())
    }

    /// A session of POP3; gives the messages retrieved in it, and why it ended.
    async fn give_mail(&self, stream: Box<dyn Stream>, peer: SocketAddr, session: u64) -> (u64, String) {
        let Shared { context, until_shutdown, .. } = &*self.shared;
        let (patience, clock) = (context.config.pop3.idle_timeout, &context.requests.platform().clock);
        let mut access = Access::new(context.clone(), session, peer);
        let machine = pop3::Session::new(context.config.hostname.clone(), access.allows_password());
        let end =
            conversation::pop3::serve(stream, machine, &mut access, patience, clock, until_shutdown).await;
        (end.messages, end.reason.to_string())
    }

    /// Better told than left without an answer.
    async fn turn_away(&self, mut stream: Box<dyn Stream>, words: &[u8]) {
        let clock = &self.shared.context.requests.platform().clock;
        let telling = async {
            stream.write_all(words).await?;
            stream.close().await
        };
        // Whether the client has read it is its own affair.
        let _ = clock.before(clock.instant() + TURN_AWAY, telling).await;
    }
}

/// How many sessions of each protocol there are now.
#[derive(Debug, Default)]
struct Sessions {
    smtp: AtomicUsize,
    pop3: AtomicUsize,
    ended: Signal,
}

impl Sessions {
    fn of(&self, protocol: Protocol) -> &AtomicUsize {
        match protocol {
            Protocol::Smtp => &self.smtp,
            Protocol::Pop3 => &self.pop3,
        }
    }

    fn take(self: &Arc<Self>, protocol: Protocol) -> Place {
        let number = self.of(protocol).fetch_add(1, Ordering::SeqCst) + 1;
        Place { number, protocol, sessions: self.clone() }
    }

    /// Waits until there are none.
    async fn end(&self) {
        loop {
            let ended = self.ended.listen();
            if self.smtp.load(Ordering::SeqCst) + self.pop3.load(Ordering::SeqCst) == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// A session's place among those of its protocol at a time; given back when it is dropped.
struct Place {
    number: usize,
    protocol: Protocol,
    sessions: Arc<Sessions>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sessions.of(self.protocol).fetch_sub(1, Ordering::SeqCst);
        self.sessions.ended.notify(usize::MAX);
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
