//! A store, and the nodes that live and die on it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use event_listener::Event as Signal;
use fulmar_core::admin::Admin;
use fulmar_core::config::Config;
use fulmar_core::engine::{Engine, StartError};
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Address, Domain, Event, Incarnation};
use fulmar_core::platform::{Host, Payload, Platform, ProcessIdentity, Spawn, Store, When};
use fulmar_core::state::owner::Owner;
use fulmar_core::state::{frame, layout};
use fulmar_runtime_smol::{SmolEntropy, SmolNet, SmolRuntime};
use fulmar_storage_s3::MemoryStore;
use fulmar_tests::clock::AdvancedClock;
use fulmar_tests::faults::{Faulty, Life, MortalSpawn};
use fulmar_tests::zone::Zone;
use smol::future::FutureExt;

/// How long something may take that is sure to come.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const HOSTNAME: &str = "mx.test";
pub(super) const ACCOUNTS: [&str; 3] = ["alice@example.test", "bob@example.test", "carol@example.test"];
/// Comes to the first two accounts.
pub(super) const ALIAS: &str = "team@example.test";
pub(super) const POSTMASTER: &str = "postmaster@mx.test";

pub(super) struct World {
    pub(super) runtime: Arc<SmolRuntime>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<AdvancedClock>,
    pub(super) config: Config,
    /// Notified of every answered request and of every event of any node.
    pub(super) changed: Arc<Signal>,
    /// Process numbers of nodes that are no more.
    gone: Arc<Mutex<BTreeSet<u32>>>,
    pub(super) admin: Arc<Admin>,
}

pub(super) struct Node {
    number: u32,
    pub(super) engine: Engine,
    pub(super) faults: Arc<Faulty>,
    pub(super) life: Arc<Life>,
    pub(super) spawn: Arc<dyn Spawn>,
    pub(super) events: Arc<Mutex<Vec<Event>>>,
    gone: Arc<Mutex<BTreeSet<u32>>>,
}

/// A domain, three accounts and an alias: made once, because passwords are slow by design.
pub(super) struct Ground {
    runtime: Arc<SmolRuntime>,
    objects: BTreeMap<String, Bytes>,
}

impl Ground {
    pub(super) fn new() -> Self {
        let runtime = Arc::new(SmolRuntime::new(SmolRuntime::default_threads()).unwrap());
        let world = World::bare(runtime.clone());
        let objects = smol::block_on(async {
            let alias = address(ALIAS);
            world.admin.domain_add(alias.domain()).await.unwrap();
            for account in ACCOUNTS {
                world.admin.account_add(&address(account), "secret").await.unwrap();
            }
            world.admin.alias_add(&alias, &[address(ACCOUNTS[0]), address(ACCOUNTS[1])]).await.unwrap();
            world.objects("").await
        });
        Self { runtime, objects }
    }

    /// A world of its own on this ground.
    pub(super) async fn world(&self) -> World {
        let world = World::bare(self.runtime.clone());
        for (key, bytes) in &self.objects {
            world.store.put(key, Payload::from(bytes.clone()), When::Always).await.unwrap();
        }
        world
    }
}

impl World {
    fn bare(runtime: Arc<SmolRuntime>) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let clock = Arc::new(AdvancedClock::default());
        let mut config = Config::new(Domain::parse(HOSTNAME).unwrap());
        config.verification.is_on = false;
        config.store.attempt_timeout = Duration::from_secs(2);
        config.store.deadline = Duration::from_millis(200);
        config.store.pause = Duration::from_millis(5);
        config.store.pause_limit = Duration::from_millis(40);
        config.queue.window = Duration::from_millis(2);
        config.queue.retry = vec![Duration::from_millis(100)];
        let platform = Platform {
            store: store.clone(),
            dns: Arc::new(Zone::default()),
            net: Arc::new(SmolNet::new(runtime.spawn())),
            clock: clock.clone(),
            entropy: Arc::new(SmolEntropy),
            spawn: runtime.spawn(),
        };
        let admin = Arc::new(Admin::new(config.clone(), platform, Journal::silent()));
        Self { runtime, store, clock, config, changed: Arc::default(), gone: Arc::default(), admin }
    }

    /// The same store, for nodes whose clocks are so much ahead of it.
    pub(super) fn with_clock_ahead(&self, by: Duration) -> Self {
        let Self { runtime, store, config, changed, gone, admin, .. } = self;
        let clock = Arc::new(AdvancedClock::default());
        clock.advance(by);
        let (runtime, store, config) = (runtime.clone(), store.clone(), config.clone());
        Self {
            runtime,
            store,
            clock,
            config,
            changed: changed.clone(),
            gone: gone.clone(),
            admin: admin.clone(),
        }
    }

    /// Starts a node, of a process with this number.
    pub(super) async fn start(&self, number: u32) -> Node {
        self.try_start(number, |_| ()).await.unwrap()
    }

    /// Starts a node whose way to the store is prepared before its first request.
    pub(super) async fn try_start(
        &self,
        number: u32,
        prepare: impl FnOnce(&Faulty),
    ) -> Result<Node, StartError> {
        let (birth, platform, host, journal) = self.conceive(number, prepare);
        let engine = Engine::start(self.config.clone(), platform, host, journal).await?;
        Ok(birth(engine))
    }

    /// The same for a node that does not give up.
    pub(super) async fn start_patiently(
        &self,
        number: u32,
        prepare: impl FnOnce(&Faulty),
    ) -> Result<Node, StartError> {
        let (birth, platform, host, journal) = self.conceive(number, prepare);
        let engine = Engine::start_patiently(self.config.clone(), platform, host, journal).await?;
        Ok(birth(engine))
    }

    /// What a node starts with, and what makes it of its engine.
    fn conceive(
        &self,
        number: u32,
        prepare: impl FnOnce(&Faulty),
    ) -> (impl FnOnce(Engine) -> Node, Platform, Host, Journal) {
        let life = Arc::<Life>::default();
        let faults = Arc::new(Faulty::new(self.store.clone(), life.clone(), self.changed.clone()));
        prepare(&faults);
        let platform = Platform {
            store: faults.clone(),
            dns: Arc::new(Zone::default()),
            net: Arc::new(SmolNet::new(self.runtime.spawn())),
            clock: self.clock.clone(),
            entropy: Arc::new(SmolEntropy),
            spawn: Arc::new(MortalSpawn { spawn: self.runtime.spawn(), life: life.clone() }),
        };
        let (gone, process) = (self.gone.clone(), ProcessIdentity { pid: number, ..Default::default() });
        let is_gone = Arc::new(move |other: &ProcessIdentity| gone.lock().unwrap().contains(&other.pid));
        let (events, changed) = (Arc::<Mutex<Vec<Event>>>::default(), self.changed.clone());
        let seen = events.clone();
        let journal = Journal::new(move |event| {
            seen.lock().unwrap().push(event.clone());
            changed.notify(usize::MAX);
        });
        let (spawn, gone) = (self.runtime.spawn(), self.gone.clone());
        let birth = move |engine| Node { number, engine, faults, life, spawn, events, gone };
        (birth, platform, Host { process, is_gone }, journal)
    }

    /// Waits until a condition holds that only requests and events can bring about.
    pub(super) async fn until<F: Future<Output = bool>>(&self, what: &str, condition: impl Fn() -> F) {
        let waiting = async {
            loop {
                let changed = self.changed.listen();
                if condition().await {
                    return true;
                }
                changed.await;
            }
        };
        let late = async {
            smol::Timer::after(PATIENCE).await;
            false
        };
        assert!(waiting.or(late).await, "{what} has not come about: {}", self.picture().await);
    }

    /// Lets time fly until a condition holds: in small steps, so that nobody misses a round.
    pub(super) async fn advance_until<F: Future<Output = bool>>(
        &self,
        what: &str,
        condition: impl Fn() -> F,
    ) {
        let began = std::time::Instant::now();
        while !condition().await {
            assert!(began.elapsed() < PATIENCE, "{what} has not come about: {}", self.picture().await);
            self.clock.advance(Duration::from_secs(1));
            smol::Timer::after(Duration::from_millis(5)).await;
            self.let_others_run().await;
        }
    }

    /// Waits until the runtime has come round to new jobs some times: on a busy machine it takes long to come to any, and time that flies
    /// meanwhile would make attempts time out that nothing holds up.
    async fn let_others_run(&self) {
        for _ in 0..8 {
            let (done, is_done) = futures::channel::oneshot::channel();
            self.runtime.spawn().spawn(Box::pin(async move {
                let _ = done.send(());
            }));
            let _ = is_done.await;
        }
    }

    /// Waits until nothing is queued and nobody but these nodes is in `live/`.
    pub(super) async fn until_settled(&self, alive: &[&Node]) {
        self.until("rest", || async {
            let live = self.live().await;
            let others = live.iter().any(|inc| !alive.iter().any(|node| node.has_begun(*inc)));
            !others && self.admin.queue().await.is_ok_and(|queue| queue.is_empty())
        })
        .await;
    }

    /// Logs with a sign of life.
    pub(super) async fn live(&self) -> BTreeSet<Incarnation> {
        let keys = self.objects(layout::LIVE).await;
        let logs = keys.keys().filter_map(|key| layout::parse_live(key));
        let of_log = |key| match key {
            layout::LiveKey::Beat(inc) | layout::LiveKey::Free(inc) => Some(inc),
            layout::LiveKey::Order(_) | layout::LiveKey::Lock(_) => None,
        };
        logs.filter_map(of_log).collect()
    }

    /// Everything below a folder, by key.
    pub(super) async fn objects(&self, prefix: &str) -> BTreeMap<String, Bytes> {
        let mut objects = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.store.list(prefix, after.as_deref()).await.unwrap();
            for listed in &page.objects {
                // It may have been deleted since.
                if let Ok(object) = self.store.get(&listed.key, None).await {
                    objects.insert(listed.key.clone(), object.bytes);
                }
            }
            after = page.objects.last().map(|last| last.key.clone());
            if !page.more {
                return objects;
            }
        }
    }

    /// Replaces an object, behind everybody's back.
    pub(super) async fn overwrite(&self, key: &str, octets: impl Into<Bytes>) {
        self.store.put(key, Payload::from(octets.into()), When::Always).await.unwrap();
    }

    /// Whether nobody is to adopt this log any more.
    pub(super) async fn is_closed(&self, log: Incarnation) -> bool {
        let owners = self.objects(&layout::owners(log)).await;
        owners.values().next_back().is_some_and(|octets| {
            frame::decode::<Owner>(octets).is_ok_and(|frame| frame.header.claim.is_closing())
        })
    }

    /// What stands in the store, for a failed test.
    pub(super) async fn picture(&self) -> String {
        let objects = self.objects("").await;
        let mut lines: Vec<String> = Vec::new();
        for (key, bytes) in objects.iter().filter(|(key, _)| !key.starts_with("domain/")) {
            let head = String::from_utf8_lossy(bytes.get(16..bytes.len().min(300)).unwrap_or_default());
            lines.push(format!("{key}: {}", head.lines().next().unwrap_or_default()));
        }
        format!("queue {:?}\n{}", self.admin.queue().await, lines.join("\n"))
    }
}

impl Node {
    /// Ends it as `kill -9` does.
    pub(super) fn kill(&self) {
        self.life.end();
        self.take_for_gone();
    }

    /// The others are told that its process is no more, whether that is so or not.
    pub(super) fn take_for_gone(&self) {
        self.gone.lock().unwrap().insert(self.number);
    }

    /// The logs that it has begun.
    pub(super) fn incarnations(&self) -> Vec<Incarnation> {
        self.find(|event| match event {
            Event::IncarnationBegun { incarnation } => Some(*incarnation),
            _ => None,
        })
    }

    fn has_begun(&self, log: Incarnation) -> bool {
        self.incarnations().contains(&log)
    }

    /// What stands in those of its events that the function knows.
    pub(super) fn find<T>(&self, of: impl Fn(&Event) -> Option<T>) -> Vec<T> {
        self.events.lock().unwrap().iter().filter_map(of).collect()
    }

    /// Whether an event tells all of this, in whatever words.
    pub(super) fn has_told(&self, words: &[&str]) -> bool {
        let told = |event: &Event| {
            let text = serde_json::to_string(event).unwrap();
            words.iter().all(|word| text.contains(word)).then_some(())
        };
        !self.find(told).is_empty()
    }
}

pub(super) fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}
