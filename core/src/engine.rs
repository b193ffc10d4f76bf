//! A whole node (rank 8): everything wired together, and what the runtime and the command line do with it.
//!
//! The engine opens no listener. Whoever runs it pushes connections into [`Engine::serve`].

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use bytes::Bytes;
use event_listener::Event as Signal;
use futures::io::AsyncWriteExt;
use serde::Serialize;

use crate::config::{Config, Listener};
use crate::conversation;
use crate::directory::Directory;
use crate::mailbox::Mailboxes;
use crate::model::event::Journal;
use crate::model::{Address, Event, Outcome, QueueId, Reply, ReversePath};
use crate::platform::{Host, Platform, Stream};
use crate::queue::Manager;
use crate::service::reception::{Reception, submit};
use crate::service::{Context, local_delivery, maintenance};
use crate::smtp::server::Session;
use crate::state::chains::Chains;
use crate::state::format::{self, FormatError};
use crate::state::requests::{RequestCounts, Requests};

/// How long a client that is turned away may take to read why.
const TURN_AWAY: Duration = Duration::from_secs(5);
/// How long the release of the queue may take beyond the grace period; what takes longer is left to the adopter.
const RELEASE: Duration = Duration::from_secs(10);

/// Why an engine cannot start.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be used, now or with this version.
    #[error(transparent)]
    Store(#[from] FormatError),
}

/// What a node has done since it started.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Statistics {
    /// Messages that were acknowledged.
    pub accepted: u64,
    /// Recipients that were delivered to.
    pub delivered: u64,
    /// Store requests.
    pub store: RequestCounts,
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
    sessions: AtomicUsize,
    session_ended: Signal,
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    delivered: AtomicU64,
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
        let counters = Arc::new(Counters::default());
        let journal = counting(&counters, journal);
        let requests = Requests::new(platform.clone(), config.store.clone(), journal.clone());
        format::ensure(&requests).await?;

        let accounts = Arc::new(Chains::new(requests.clone()));
        let mailboxes = Mailboxes::new(requests.clone(), accounts.clone());
        let directory = Directory::new(requests.clone(), accounts);
        let (manager, spool) = Manager::new(&config, requests.clone(), host.clone());
        let context =
            Arc::new(Context { config, requests, directory, spool, journal, receiving: Arc::default() });
        let (shutdown, until_shutdown) = async_channel::bounded(1);

        platform.spawn.spawn(Box::pin(manager.run()));
        platform.spawn.spawn(Box::pin(local_delivery::run(context.clone(), mailboxes)));
        platform.spawn.spawn(Box::pin(maintenance::run(context.clone(), host, until_shutdown.clone())));
        let shared = Shared {
            context,
            counters,
            shutdown,
            until_shutdown,
            numbers: AtomicU64::new(1),
            sessions: AtomicUsize::new(0),
            session_ended: Signal::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Serves one client to the end of its session. May be dropped at any await.
    pub async fn serve(&self, stream: Box<dyn Stream>, peer: SocketAddr, _listener: &Listener) {
        let Shared { context, numbers, .. } = &*self.shared;
        let place = Place::take(self.shared.clone());
        if place.number > context.config.smtp.sessions {
            return self.turn_away(stream).await;
        }
        let session = numbers.fetch_add(1, Ordering::Relaxed);
        context.journal.report(&Event::SessionOpened { session, peer: peer.to_string() });
        let mut reception = Reception::new(context.clone(), session, peer);
        let limits = &context.config.smtp;
        let machine = Session::new(context.config.hostname.clone(), limits.clone());
        let clock = &context.requests.platform().clock;
        let end =
            conversation::serve(stream, machine, &mut reception, limits, clock, &self.shared.until_shutdown)
                .await;
        let reason = end.reason.to_string();
        context.journal.report(&Event::SessionClosed { session, messages: end.messages, reason });
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

    /// Ends the node: clients are told `421`, transactions in flight and deliveries under way may finish within `grace`, and what is left is released to the others.
    pub async fn shutdown(&self, grace: Duration) {
        let clock = self.shared.context.requests.platform().clock.clone();
        let deadline = clock.instant() + grace;
        self.shared.shutdown.close();
        clock.before(deadline, self.sessions_end()).await;
        clock.before(deadline + RELEASE, self.shared.context.spool.close(deadline)).await;
    }

    /// What the node has done so far.
    pub fn statistics(&self) -> Statistics {
        let Shared { context, counters, .. } = &*self.shared;
        Statistics {
            accepted: counters.accepted.load(Ordering::Relaxed),
            delivered: counters.delivered.load(Ordering::Relaxed),
            store: context.requests.meter().counts(),
        }
    }

    async fn sessions_end(&self) {
        loop {
            let ended = self.shared.session_ended.listen();
            if self.shared.sessions.load(Ordering::SeqCst) == 0 {
                return;
            }
            ended.await;
        }
    }

    /// RFC 5321 §3.8: better told than left without an answer.
    async fn turn_away(&self, mut stream: Box<dyn Stream>) {
        let clock = &self.shared.context.requests.platform().clock;
        let mut words = Vec::new();
        Reply::new(421, (4, 3, 2), "too many connections, try again later").write_to(&mut words);
        let telling = async {
            stream.write_all(&words).await?;
            stream.close().await
        };
        // Whether the client has read it is its own affair.
        let _ = clock.before(clock.instant() + TURN_AWAY, telling).await;
    }
}

/// A session's place among those at a time; given back when it is dropped.
struct Place {
    number: usize,
    shared: Arc<Shared>,
}

impl Place {
    fn take(shared: Arc<Shared>) -> Self {
        let number = shared.sessions.fetch_add(1, Ordering::SeqCst) + 1;
        Self { number, shared }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.sessions.fetch_sub(1, Ordering::SeqCst);
        self.shared.session_ended.notify(usize::MAX);
    }
}

fn counting(counters: &Arc<Counters>, journal: Journal) -> Journal {
    let counters = counters.clone();
    Journal::new(move |event| {
        match event {
            Event::Accepted { .. } => counters.accepted.fetch_add(1, Ordering::Relaxed),
            Event::Attempted { outcome: Outcome::Delivered(_), .. } => {
                counters.delivered.fetch_add(1, Ordering::Relaxed)
            }
            _ => 0,
        };
        journal.report(event);
    })
}
