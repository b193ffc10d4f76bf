//! A store, the nodes on it and their clients, in a runtime of which nothing is known but its doors.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use event_listener::Event as Signal;
use fulmar_core::admin::Admin;
use fulmar_core::config::{Config, Listener, Protocol};
use fulmar_core::engine::Engine;
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Address, Domain, Event};
use fulmar_core::platform::{
    Host, Instant, Payload, Platform, ProcessIdentity, Record, RecordKind, Target, When,
};
use fulmar_tests::faults::{Faulty, Life, MortalSpawn};
use fulmar_tests::listing::keys;
use fulmar_tests::runtime::Runtime;
use fulmar_tests::sim::{self, Simulation};
use fulmar_tests::zone::Zone;
use futures::FutureExt;
use futures::channel::oneshot;

use super::client::Client;
use super::sink::{Memory, Sink};

pub(super) const ALICE: &str = "alice@home.test";
pub(super) const BOB: &str = "bob@home.test";
/// Comes to both.
pub(super) const TEAM: &str = "team@home.test";
pub(super) const PASSWORD: &str = "password";

/// How long a condition may take to come about.
const PATIENCE: Duration = Duration::from_secs(100);
/// The same in virtual time, in which nodes keep the schedule of production.
const VIRTUAL_PATIENCE: Duration = Duration::from_hours(24);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Nobody listens there.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));

pub(super) struct World {
    runtime: Arc<dyn Runtime>,
    platform: Platform,
    zone: Arc<Zone>,
    config: Config,
    admin: Admin,
    /// Notified of every answered request and of every event of any node.
    changed: Arc<Signal>,
    /// Process numbers of nodes that are no more, where the others are told.
    gone: Arc<Mutex<BTreeSet<u32>>>,
}

pub(super) struct Node {
    pub(super) engine: Engine,
    pub(super) faults: Arc<Faulty>,
    pub(super) smtp: SocketAddr,
    pub(super) pop3: SocketAddr,
    number: u32,
    life: Arc<Life>,
    events: Arc<Mutex<Vec<Event>>>,
    /// A listener ends when its sender is dropped.
    listening: Vec<oneshot::Sender<()>>,
}

impl World {
    /// A store with a domain, two accounts and an alias, for nodes whose settings `change` may alter.
    pub(super) async fn new(runtime: Arc<dyn Runtime>, change: impl FnOnce(&mut Config)) -> Self {
        let zone = Arc::<Zone>::default();
        let platform = runtime.platform(&zone);
        for (key, bytes) in ground() {
            platform.store.put(key, Payload::from(bytes.clone()), When::Always).await.unwrap();
        }
        let mut config = config();
        if !runtime.is_virtual() {
            // Long enough for the result of an attempt to be written before the next one.
            config.queue.retry = vec![Duration::from_secs(1)];
        }
        change(&mut config);
        let admin = Admin::new(config.clone(), platform.clone(), Journal::silent());
        Self { runtime, platform, zone, config, admin, changed: Arc::default(), gone: Arc::default() }
    }

    /// Opens a next hop for mail to a domain, to which nodes that start from now on may relay. The domain has an exchange that
    /// comes before it, at which nobody listens.
    pub(super) fn sink(&mut self, domain: &str) -> Sink {
        let memory = Arc::<Memory>::default();
        let (stop, stopped) = oneshot::channel();
        let (spawn, serving) = (self.platform.spawn.clone(), memory.clone());
        let serve = move |stream, _| {
            let serving = serving.clone();
            // However the client goes.
            spawn.spawn(Box::pin(async move { drop(serving.serve(stream).await) }));
        };
        let address = self.runtime.listen(LOOPBACK, stopped.map(drop).boxed(), Box::new(serve)).unwrap();
        self.config.relay.port = address.port();
        self.config.relay.networks = vec!["127.0.0.0/8".parse().unwrap()];
        self.config.relay.private_networks = self.config.relay.networks.clone();
        self.zone.mx(domain, &[(20, "takes.test"), (10, "silent.test")]);
        self.zone.host("takes.test", &[address.ip()]);
        self.zone.host("silent.test", &[NOBODY]);
        Sink { memory, _listening: stop }
    }

    /// Alters the settings of nodes that start from now on.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
    }

    /// A store for nodes that verify the mail of strangers and write to the owners of domains about it; with the next hop for far.test.
    pub(super) async fn verifying(runtime: Arc<dyn Runtime>) -> (Self, Sink) {
        let mut world = Self::new(runtime, |_| ()).await;
        let sink = world.sink("far.test");
        world.change(|config| {
            config.relay.networks = Vec::new();
            config.verification.is_on = true;
            config.verification.exempt = Vec::new();
            config.dmarc_reports.from = Some(address("dmarc@home.test"));
        });
        (world, sink)
    }

    /// Publishes a record of text.
    pub(super) fn publish(&self, name: &str, text: &str) {
        self.zone.set(name, RecordKind::Txt, Ok(vec![Record::Txt(text.as_bytes().to_vec())]));
    }

    /// An operator's hands.
    pub(super) fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The names that nodes find.
    pub(super) fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Starts a node, of a process with this number, that serves SMTP and POP3.
    pub(super) async fn start(&self, number: u32) -> Node {
        let life = Arc::<Life>::default();
        let store = self.platform.store.clone();
        let faults = Arc::new(Faulty::new(store, life.clone(), self.changed.clone()));
        let spawn = Arc::new(MortalSpawn { spawn: self.platform.spawn.clone(), life: life.clone() });
        let platform = Platform { store: faults.clone(), spawn, ..self.platform.clone() };
        let (gone, process) = (self.gone.clone(), ProcessIdentity { pid: number, ..Default::default() });
        let is_gone = Arc::new(move |other: &ProcessIdentity| gone.lock().unwrap().contains(&other.pid));
        let (events, changed) = (Arc::<Mutex<Vec<Event>>>::default(), self.changed.clone());
        let seen = events.clone();
        let runtime = self.runtime.clone();
        let journal = Journal::new(move |event| {
            runtime.note(&format!("node {number}: {event:?}"));
            seen.lock().unwrap().push(event.clone());
            changed.notify(usize::MAX);
        });
        let host = Host { process, is_gone };
        let engine = Engine::start(self.config.clone(), platform.clone(), host, journal).await.unwrap();
        let mut listening = Vec::new();
        let mut listen = |protocol| {
            let (stop, stopped) = oneshot::channel();
            listening.push(stop);
            self.listen(&engine, &platform, protocol, stopped)
        };
        let (smtp, pop3) = (listen(Protocol::Smtp), listen(Protocol::Pop3));
        Node { engine, faults, smtp, pop3, number, life, events, listening }
    }

    fn listen(
        &self,
        engine: &Engine,
        platform: &Platform,
        protocol: Protocol,
        stopped: oneshot::Receiver<()>,
    ) -> SocketAddr {
        let (engine, spawn) = (engine.clone(), platform.spawn.clone());
        let serve = move |stream, peer| {
            let (engine, listener) = (engine.clone(), Listener::new(protocol, LOOPBACK));
            spawn.spawn(Box::pin(async move { engine.serve(stream, peer, &listener).await }));
        };
        self.runtime.listen(LOOPBACK, stopped.map(drop).boxed(), Box::new(serve)).unwrap()
    }

    /// Ends a node as `kill -9` does. In virtual time the others find out by its silence; in real time they would take half a
    /// minute for that, and are told that its process is gone.
    pub(super) fn kill(&self, mut node: Node) {
        node.life.end();
        node.listening.clear();
        if !self.runtime.is_virtual() {
            self.gone.lock().unwrap().insert(node.number);
        }
    }

    /// Connects, and leaves the greeting unread.
    pub(super) async fn connect(&self, server: SocketAddr) -> Client {
        let deadline = self.platform.clock.instant() + CONNECT;
        let connected = self.platform.net.connect(&Target::Address(server), deadline).await;
        Client::new(connected.unwrap())
    }

    /// A client of SMTP that has said EHLO.
    pub(super) async fn smtp(&self, node: &Node) -> Client {
        let mut client = self.connect(node.smtp).await;
        client.expect("220 ").await;
        client.command("EHLO client.test", "250 ").await;
        client
    }

    /// A client of POP3 that has logged in.
    pub(super) async fn pop3(&self, node: &Node, account: &str) -> Client {
        let mut client = self.connect(node.pop3).await;
        client.expect("+OK ").await;
        client.log_in(account, PASSWORD).await;
        client
    }

    /// Waits until a condition holds that only requests and events can bring about.
    pub(super) async fn until<F: Future<Output = bool> + Send>(
        &self,
        what: &str,
        condition: impl Fn() -> F + Sync,
    ) {
        let clock = &self.platform.clock;
        let patience = if self.runtime.is_virtual() { VIRTUAL_PATIENCE } else { PATIENCE };
        let waiting = async {
            loop {
                let changed = self.changed.listen();
                if condition().await {
                    return;
                }
                changed.await;
            }
        };
        let came = clock.before(clock.instant() + patience, waiting).await;
        assert!(came.is_some(), "{what} has not come about; the queue: {:?}", self.admin.queue().await);
    }

    /// Waits until nothing is queued.
    pub(super) async fn until_done(&self) {
        self.until("an empty queue", || async { self.queued().await == 0 }).await;
    }

    /// Recipients that are not done with.
    pub(super) async fn queued(&self) -> usize {
        self.admin.queue().await.unwrap().len()
    }

    /// Every message of an account's INBOX, whole.
    pub(super) async fn inbox(&self, account: &str) -> Vec<Vec<u8>> {
        let account = address(account);
        let mut messages = Vec::new();
        for listing in self.admin.mailbox(&account, "INBOX").await.unwrap() {
            let mut reader = self.admin.message(&account, "INBOX", listing.uid).await.unwrap();
            let mut message = Vec::new();
            while let Some(part) = reader.next().await.unwrap() {
                message.extend_from_slice(&part);
            }
            messages.push(message);
        }
        messages
    }

    /// What its clock says.
    pub(super) fn now(&self) -> Instant {
        self.platform.clock.instant()
    }

    /// Lets time pass. For worlds of virtual time.
    pub(super) async fn pass(&self, time: Duration) {
        self.platform.clock.sleep(time).await;
    }

    /// All objects below a folder, in the order of their names.
    pub(super) async fn objects(&self, prefix: &str) -> Vec<Bytes> {
        let mut objects = Vec::new();
        for key in self.keys(prefix).await {
            objects.push(self.platform.store.get(&key, None).await.unwrap().bytes);
        }
        objects
    }

    /// Removes an object, behind everybody's back.
    pub(super) async fn remove(&self, key: &str) {
        self.platform.store.delete(&[key.to_owned()]).await.unwrap();
    }

    /// The names of all objects below a folder.
    pub(super) async fn keys(&self, prefix: &str) -> Vec<String> {
        keys(&*self.platform.store, prefix).await
    }
}

impl Node {
    /// Whether an event is among what it has reported.
    pub(super) fn has_reported(&self, is_it: impl Fn(&Event) -> bool) -> bool {
        self.events.lock().unwrap().iter().any(is_it)
    }

    /// What it has reported, as far as it is of interest.
    pub(super) fn events<T>(&self, of_interest: impl Fn(&Event) -> Option<T>) -> Vec<T> {
        self.events.lock().unwrap().iter().filter_map(of_interest).collect()
    }

    /// Stops it as a signal would: no more connections, then an orderly end within `grace`.
    pub(super) async fn shut_down(&mut self, grace: Duration) {
        self.listening.clear();
        self.engine.shutdown(grace).await;
    }
}

fn config() -> Config {
    let mut config = Config::new(Domain::parse("mx.test").unwrap());
    config.verification.is_on = false;
    config
}

/// What stands in the store before the first node. Made once, because passwords are slow by design, and in a simulation, so
/// that it is the same in every process.
fn ground() -> &'static [(String, Bytes)] {
    static GROUND: OnceLock<Vec<(String, Bytes)>> = OnceLock::new();
    GROUND.get_or_init(|| {
        let (objects, _) = sim::run(0, async |simulator| {
            let platform = Simulation::new(simulator).platform(&Arc::default());
            let admin = Admin::new(config(), platform.clone(), Journal::silent());
            admin.domain_add(address(TEAM).domain()).await.unwrap();
            for account in [ALICE, BOB] {
                admin.account_add(&address(account), PASSWORD).await.unwrap();
            }
            admin.alias_add(&address(TEAM), &[address(ALICE), address(BOB)]).await.unwrap();
            let mut objects = Vec::new();
            for key in keys(&*platform.store, "").await {
                let object = platform.store.get(&key, None).await.unwrap();
                objects.push((key, object.bytes));
            }
            objects
        });
        objects
    })
}

pub(super) fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}
