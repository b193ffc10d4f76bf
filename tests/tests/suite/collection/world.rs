//! Nodes on one simulated store, each of which can be suspended or killed at any of its requests.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use event_listener::Event as Signal;
use fulmar_core::admin::Admin;
use fulmar_core::config::Config;
use fulmar_core::mailbox::Letter;
use fulmar_core::model::event::Journal;
use fulmar_core::model::{
    Address, BodyId, Domain, Event, Incarnation, MailOptions, Nonce, Outcome, QueueId, ReversePath, UtcTime,
};
use fulmar_core::platform::{
    Clock, Host, Instant, Listed, Object, Page, Payload, Platform, Store, StoreError, When,
};
use fulmar_core::queue::Manager;
use fulmar_core::service::Context;
use fulmar_core::service::sweep::{Swept, sweep_if_due};
use fulmar_core::state::content::Fresh;
use fulmar_core::state::frame::Extent;
use fulmar_core::state::layout;
use fulmar_core::state::log::{Body, Content, Envelope, Part, Piece, Pieces};
use fulmar_core::state::requests::Requests;
use fulmar_tests::runtime::Runtime;
use fulmar_tests::sim::{Simulation, Simulator};

pub(crate) const HOUR: Duration = Duration::from_hours(1);
pub(crate) const DAY: Duration = Duration::from_hours(24);
/// Octets of a piece of a large body here.
const PIECE: usize = 40;

/// A store, and time that passes for all.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    platform: Platform,
}

/// A node without listeners and services: what it does is done by the test.
pub(crate) struct Node {
    pub(crate) context: Context,
    pub(crate) suspension: Suspension,
    events: Arc<Mutex<Vec<Event>>>,
    shutdown: async_channel::Sender<Infallible>,
    until_shutdown: async_channel::Receiver<Infallible>,
}

pub(crate) fn account() -> Address {
    Address::parse("u@x.test").unwrap()
}

pub(crate) fn folder() -> String {
    layout::account(&account())
}

impl World {
    pub(crate) fn new(simulator: Simulator) -> Self {
        let platform = Simulation::new(simulator.clone()).platform(&Arc::default());
        Self { simulator, platform }
    }

    pub(crate) fn node(&self) -> Node {
        let suspension = Suspension::default();
        let mut platform = self.platform.clone();
        platform.store = Arc::new(SuspendedStore(platform.store, suspension.clone()));
        platform.clock = Arc::new(SuspendedClock(platform.clock, suspension.clone()));
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let seen = events.clone();
        let journal = Journal::new(move |event| seen.lock().unwrap().push(event.clone()));
        let config = Config::new(Domain::parse("mx.test").unwrap());
        let requests = Requests::new(platform, config.store.clone(), journal);
        let (_, spool) = Manager::new(&config, requests.clone(), Host::unknown());
        let context = Context::new(config, requests, spool);
        let (shutdown, until_shutdown) = async_channel::bounded(1);
        Node { context, suspension, events, shutdown, until_shutdown }
    }

    /// An operator's hands.
    pub(crate) fn admin(&self) -> Admin {
        Admin::new(Config::new(Domain::parse("mx.test").unwrap()), self.platform.clone(), Journal::silent())
    }

    pub(crate) async fn put(&self, key: &str, payload: impl Into<Payload>) {
        self.platform.store.put(key, payload.into(), When::Always).await.unwrap();
    }

    pub(crate) async fn delete(&self, key: &str) {
        self.platform.store.delete(&[key.to_owned()]).await.unwrap();
    }

    pub(crate) async fn get(&self, key: &str) -> Bytes {
        self.platform.store.get(key, None).await.unwrap().bytes
    }

    /// The store's own time.
    pub(crate) async fn now(&self) -> UtcTime {
        let key = layout::check(self.nonce()) + "now";
        self.put(&key, Bytes::from_static(b"now")).await;
        let now = self.platform.store.head(&key).await.unwrap().modified;
        self.delete(&key).await;
        now
    }

    pub(crate) async fn list(&self, prefix: &str) -> Vec<Listed> {
        let mut listed: Vec<Listed> = Vec::new();
        loop {
            let after = listed.last().map(|last| last.key.clone());
            let page = self.platform.store.list(prefix, after.as_deref()).await.unwrap();
            listed.extend(page.objects);
            if !page.more {
                return listed;
            }
        }
    }

    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        self.list(prefix).await.into_iter().map(|listed| listed.key).collect()
    }

    pub(crate) async fn sleep(&self, delay: Duration) {
        self.simulator.sleep(delay).await;
    }

    pub(crate) fn below(&self, bound: usize) -> usize {
        self.simulator.chance(|dice| dice.below(bound))
    }

    /// A message with this text, whose body lies in the spool where it is `large`.
    pub(crate) async fn letter(&self, text: &str, large: bool) -> Letter {
        let (now, entropy) = self.platform.draw();
        let header = Bytes::from(format!("Subject: {text}\r\n\r\n"));
        let inc = Incarnation::draw(now, entropy);
        let part = |len: usize| Part { inc, seq: 0, extent: Extent { at: 0, len: len as u64, crc: 0 } };
        let octets = Bytes::from(text.repeat(10));
        let (body, fresh) = if large {
            let id = BodyId::draw(now, entropy);
            let mut pieces = Vec::new();
            for (number, piece) in octets.chunks(PIECE).enumerate() {
                self.put(&layout::spool_piece(inc, id, number), octets.slice_ref(piece)).await;
                pieces.push(Piece { len: piece.len() as u64, crc: crc32fast::hash(piece) });
            }
            (Body::Pieces(Pieces { inc, body: id, pieces }), Vec::new())
        } else {
            (Body::Inline(part(octets.len())), vec![octets.clone()])
        };
        let envelope = Envelope {
            id: QueueId::draw(now, entropy),
            accepted: now,
            reverse_path: ReversePath::Null,
            options: MailOptions::default(),
            verdict: None,
            size: 0,
            content: Content { header: part(header.len()), body },
        };
        let fresh = Some(Fresh { header, body: fresh });
        Letter { envelope: Arc::new(envelope), fresh, make_account: true, is_suspicious: false }
    }

    /// Pieces that somebody has copied into the account and never named.
    pub(crate) async fn orphan(&self) -> String {
        let (now, entropy) = self.platform.draw();
        let body = BodyId::draw(now, entropy);
        for number in 0..3 {
            self.put(&layout::account_piece(&account(), body, number), Bytes::from_static(b"orphan")).await;
        }
        layout::chain_body(&folder(), body)
    }

    pub(crate) fn nonce(&self) -> Nonce {
        let (now, entropy) = self.platform.draw();
        Nonce::draw(now, entropy)
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        let (now, entropy) = self.platform.draw();
        Incarnation::draw(now, entropy)
    }

    pub(crate) fn utc(&self) -> UtcTime {
        self.platform.clock.utc()
    }
}

impl Node {
    pub(crate) async fn deliver(&self, letter: Letter) -> Outcome {
        self.context.mailboxes.deliver(&account(), letter).await
    }

    /// Delivers so many small messages, one commit each, and gives their texts.
    pub(crate) async fn deliver_some(&self, world: &World, name: &str, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for number in 0..count {
            let text = format!("{name} {number}");
            let outcome = self.deliver(world.letter(&text, false).await).await;
            assert!(matches!(outcome, Outcome::Delivered(_)), "{outcome:?}");
            texts.push(text);
        }
        texts
    }

    pub(crate) async fn expunge(&self, uids: Vec<u32>) {
        let inbox = self.context.mailboxes.snapshot(&account(), "INBOX").await.unwrap();
        inbox.expunge(uids).await.unwrap();
    }

    /// Every message of INBOX, read to its end: its text by its UID. Fails where one is not whole.
    pub(crate) async fn inbox(&self) -> BTreeMap<u32, String> {
        let inbox = self.context.mailboxes.snapshot(&account(), "INBOX").await.unwrap();
        let uids: Vec<u32> = inbox.messages().map(|(uid, _)| uid).collect();
        let mut texts = BTreeMap::new();
        for uid in uids {
            let mut reader = inbox.open(uid).await.unwrap_or_else(|error| panic!("UID {uid}: {error}"));
            let mut content = Vec::new();
            while let Some(part) = reader.next().await.unwrap() {
                content.extend_from_slice(&part);
            }
            let content = String::from_utf8(content).unwrap();
            let (_, rest) = content.split_once("Subject: ").unwrap();
            let (text, body) = rest.split_once("\r\n\r\n").unwrap();
            assert_eq!(body, text.repeat(10));
            texts.insert(uid, text.to_owned());
        }
        texts
    }

    pub(crate) async fn texts(&self) -> Vec<String> {
        self.inbox().await.into_values().collect()
    }

    /// Sweeps, if that has not been done on this day.
    pub(crate) async fn sweep(&self, world: &World) -> Swept {
        self.try_sweep(world).await.unwrap()
    }

    /// The same; fails where it was suspended for longer than a request may take.
    pub(crate) async fn try_sweep(&self, world: &World) -> Result<Swept, StoreError> {
        let now = world.now().await;
        sweep_if_due(&self.context, now, &self.until_shutdown).await
    }

    pub(crate) fn shut_down(&self) {
        self.shutdown.close();
    }

    /// What it has reported as damaged or left alone.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let complaint = |event: &Event| match event {
            Event::ObjectDamaged { key, reason } => Some(format!("{key}: {reason}")),
            Event::Trouble { doing, error } => Some(format!("{doing}: {error}")),
            _ => None,
        };
        self.events.lock().unwrap().iter().filter_map(complaint).collect()
    }
}

/// Stops a process where it stands: it sends no request, receives no answer, and no timer of it fires, until it goes on.
#[derive(Clone, Default)]
pub(crate) struct Suspension {
    state: Arc<Mutex<State>>,
    changed: Arc<Signal>,
}

#[derive(Default)]
struct State {
    steps: usize,
    stop_at: Option<usize>,
    is_stopped: bool,
}

impl Suspension {
    /// Stops it at this step: each request is one when it is sent and another when it is answered.
    pub(crate) fn stop_at(&self, step: usize) {
        let mut state = self.state();
        (state.steps, state.stop_at) = (0, Some(step));
    }

    pub(crate) fn go_on(&self) {
        let mut state = self.state();
        (state.stop_at, state.is_stopped) = (None, false);
        drop(state);
        self.changed.notify(usize::MAX);
    }

    /// Returns when it has been stopped.
    pub(crate) async fn stopped(&self) {
        self.until(|state| state.is_stopped).await;
    }

    async fn step(&self) {
        {
            let mut state = self.state();
            if state.stop_at == Some(state.steps) {
                state.is_stopped = true;
                self.changed.notify(usize::MAX);
            }
            state.steps += 1;
        }
        self.until(|state| !state.is_stopped).await;
    }

    async fn until(&self, is_so: impl Fn(&State) -> bool) {
        loop {
            let changed = self.changed.listen();
            if is_so(&self.state()) {
                return;
            }
            changed.await;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct SuspendedClock(Arc<dyn Clock>, Suspension);

#[async_trait]
impl Clock for SuspendedClock {
    fn utc(&self) -> UtcTime {
        self.0.utc()
    }

    fn instant(&self) -> Instant {
        self.0.instant()
    }

    async fn sleep_until(&self, instant: Instant) {
        self.0.sleep_until(instant).await;
        self.1.until(|state| !state.is_stopped).await;
    }
}

struct SuspendedStore(Arc<dyn Store>, Suspension);

impl SuspendedStore {
    async fn ask<T>(&self, request: impl Future<Output = T>) -> T {
        self.1.step().await;
        let answer = request.await;
        self.1.step().await;
        answer
    }
}

#[async_trait]
impl Store for SuspendedStore {
    async fn put(&self, key: &str, payload: Payload, when: When) -> Result<(), StoreError> {
        self.ask(self.0.put(key, payload, when)).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        self.ask(self.0.get(key, range)).await
    }

    async fn head(&self, key: &str) -> Result<Listed, StoreError> {
        self.ask(self.0.head(key)).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        self.ask(self.0.delete(keys)).await
    }

    async fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.ask(self.0.copy(from, to)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        self.ask(self.0.list(prefix, after)).await
    }
}
