//! A store in virtual time, with nodes that stay and nodes that only drain.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use fulmar_core::admin::Admin;
use fulmar_core::config::Config;
use fulmar_core::engine::{DrainReport, DrainSettings, Engine, StartError};
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Address, Domain, Event, QueueId, ReversePath};
use fulmar_core::platform::{Host, Payload, Platform, When};
use fulmar_core::state::layout;
use fulmar_tests::faults::{Failure, Faulty, Life, MortalSpawn, Verb, Which};
use fulmar_tests::listing::keys;
use fulmar_tests::runtime::Runtime;
use fulmar_tests::sim::{self, Simulation, Simulator};
use fulmar_tests::zone::Zone;
use futures::future::pending;

pub(super) const ALICE: &str = "alice@home.test";
/// After the first attempt of a schedule that nobody has changed, with its spread.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(75);
/// How long a node that is told to end may take.
const GRACE: Duration = Duration::from_secs(5);

pub(super) struct World {
    pub(super) platform: Platform,
    pub(super) config: Config,
    pub(super) admin: Admin,
}

/// A way to the store that counts and may fail, and the life of whoever goes it.
pub(super) struct Way {
    pub(super) platform: Platform,
    pub(super) faults: Arc<Faulty>,
    pub(super) life: Arc<Life>,
    pub(super) events: Arc<Mutex<Vec<Event>>>,
}

/// A node that stays.
pub(super) struct Node {
    pub(super) engine: Engine,
    pub(super) way: Way,
}

/// A drain that has ended.
pub(super) struct Drained {
    pub(super) report: Result<DrainReport, StartError>,
    pub(super) way: Way,
    pub(super) took: Duration,
}

/// Runs a case in a world of its own.
pub(super) fn in_world(case: impl AsyncFnOnce(World)) {
    sim::run(1, async |simulator| case(World::new(simulator).await).await);
}

impl World {
    async fn new(simulator: Simulator) -> Self {
        let platform = Simulation::new(simulator).platform(&Arc::<Zone>::default());
        for (key, bytes) in ground() {
            platform.store.put(key, Payload::from(bytes.clone()), When::Always).await.unwrap();
        }
        let admin = Admin::new(config(), platform.clone(), Journal::silent());
        Self { platform, config: config(), admin }
    }

    pub(super) fn way(&self) -> Way {
        let life = Arc::<Life>::default();
        let faults = Arc::new(Faulty::new(self.platform.store.clone(), life.clone(), Arc::default()));
        let spawn = Arc::new(MortalSpawn { spawn: self.platform.spawn.clone(), life: life.clone() });
        let platform = Platform { store: faults.clone(), spawn, ..self.platform.clone() };
        Way { platform, faults, life, events: Arc::default() }
    }

    /// A node that serves, as far as the store can tell.
    pub(super) async fn start(&self) -> Node {
        let way = self.way();
        let starting =
            Engine::start(self.config.clone(), way.platform.clone(), Host::unknown(), way.journal());
        Node { engine: starting.await.unwrap(), way }
    }

    /// A node that has taken this many messages for an account and could not deliver them yet.
    pub(super) async fn holding(&self, messages: usize) -> Node {
        let node = self.start().await;
        node.way.faults.fail(Which::new(Verb::Put, "account/"), Failure::Refused, usize::MAX);
        for number in 0..messages {
            send(&node.engine, number).await.unwrap();
        }
        let is_deferred = |event: &Event| matches!(event, Event::Attempted { .. });
        while node.way.events(is_deferred) < messages {
            self.pass(Duration::from_millis(100)).await;
        }
        // The deferrals are written soon.
        self.pass(Duration::from_secs(2)).await;
        node
    }

    /// The same, released at its end.
    pub(super) async fn released(&self, messages: usize) {
        self.holding(messages).await.engine.shutdown(GRACE).await;
        assert!(self.keys(layout::LIVE).await[0].ends_with(".free"));
    }

    pub(super) async fn drain(&self, settings: DrainSettings) -> Drained {
        self.drain_by(settings, |_| ()).await
    }

    /// A drain whose way to the store is prepared before its first request.
    pub(super) async fn drain_by(&self, settings: DrainSettings, prepare: impl FnOnce(&Faulty)) -> Drained {
        let way = self.way();
        prepare(&way.faults);
        let began = self.platform.clock.instant();
        let (config, host) = (self.config.clone(), Host::unknown());
        let report =
            Engine::drain(config, way.platform.clone(), host, way.journal(), settings, pending()).await;
        let took = self.platform.clock.instant().since(began);
        Drained { report, way, took }
    }

    pub(super) async fn pass(&self, time: Duration) {
        self.platform.clock.sleep(time).await;
    }

    pub(super) async fn keys(&self, folder: &str) -> Vec<String> {
        keys(&*self.platform.store, folder).await
    }

    pub(super) async fn put(&self, key: &str, text: &str) {
        let payload = Payload::from(Bytes::copy_from_slice(text.as_bytes()));
        self.platform.store.put(key, payload, When::Always).await.unwrap();
    }

    /// Messages in the first account's INBOX.
    pub(super) async fn delivered(&self) -> usize {
        self.admin.mailbox(&address(ALICE), "INBOX").await.unwrap().len()
    }
}

impl Way {
    fn journal(&self) -> Journal {
        let events = self.events.clone();
        Journal::new(move |event| events.lock().unwrap().push(event.clone()))
    }

    /// How many of its events are such.
    pub(super) fn events(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|event| is_it(event)).count()
    }
}

impl Drained {
    /// What it said at its end.
    pub(super) fn said(&self) -> DrainReport {
        self.report.clone().unwrap()
    }
}

/// Sends a message to the first account.
pub(super) async fn send(engine: &Engine, number: usize) -> Result<QueueId, fulmar_core::model::Reply> {
    let content = Bytes::from(format!("Subject: {number}\r\n\r\n"));
    engine.send(ReversePath::Null, vec![address(ALICE)], content).await
}

pub(super) fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub(super) fn config() -> Config {
    let mut config = Config::new(Domain::parse("mx.test").unwrap());
    config.verification.is_on = false;
    config
}

/// An account in a domain of ours, made once, because passwords are slow by design.
fn ground() -> &'static [(String, Bytes)] {
    static GROUND: OnceLock<Vec<(String, Bytes)>> = OnceLock::new();
    GROUND.get_or_init(|| {
        let (objects, _) = sim::run(0, async |simulator| {
            let platform = Simulation::new(simulator).platform(&Arc::default());
            let admin = Admin::new(config(), platform.clone(), Journal::silent());
            admin.domain_add(address(ALICE).domain()).await.unwrap();
            admin.account_add(&address(ALICE), "password").await.unwrap();
            let mut objects = Vec::new();
            for key in keys(&*platform.store, "").await {
                let bytes = platform.store.get(&key, None).await.unwrap().bytes;
                objects.push((key, bytes));
            }
            objects
        });
        objects
    })
}
