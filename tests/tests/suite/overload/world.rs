//! A node under load on a slow store, another one that watches it, and what came of it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fulmar_core::admin::Admin;
use fulmar_core::config::{Config, Listener, Protocol};
use fulmar_core::engine::Engine;
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Address, Domain, Event, Outcome as Attempt, QueueId};
use fulmar_core::state::account::{Account, Op};
use fulmar_core::state::chain::{Chain, Draft};
use fulmar_core::state::frame::Data;
use fulmar_core::state::layout;
use fulmar_core::state::requests::Requests;
use fulmar_tests::sim::{self, Machine, Measured, Simulation, Simulator};
use fulmar_tests::world::content::{compose, stuffed};

use super::client::{Client, Told};

const HOME: &str = "home.test";
const RECIPIENT: &str = "recipient@home.test";
/// Clients come within this time.
const ARRIVING: Duration = Duration::from_secs(10);
/// How long the last deliveries are waited for.
const PATIENCE: Duration = Duration::from_mins(10);
/// Octets of a frame before its header.
const FIXED: usize = 16;
/// How often it is looked at heartbeats, and whether all is delivered.
const LOOKING: Duration = Duration::from_millis(500);

/// What is done to the node.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    /// Clients at a time.
    pub(super) sessions: usize,
    /// Of a message.
    pub(super) octets: usize,
    /// How long clients begin messages.
    pub(super) seconds: u64,
    pub(super) seed: u64,
    pub(super) store: Measured,
    pub(super) commit_wait: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    seconds: u64,
    pub(super) accepted: usize,
    pub(super) refused_early: usize,
    /// The replies.
    pub(super) refused_late: Vec<String>,
    pub(super) accepted_after_refusals: usize,
    /// Messages that were in no segment when their client was told 250.
    pub(super) not_durable: usize,
    /// Messages that were answered 250 and never delivered.
    pub(super) undelivered: usize,
    /// Logs that were fenced or adopted.
    pub(super) takeovers: usize,
    /// The longest that the node's heartbeat stood still while it held mail.
    pub(super) longest_silence: Duration,
    trace: u64,
}

/// What happens, as it happens.
#[derive(Debug, Default)]
struct Books {
    outcome: Outcome,
    owed: BTreeSet<QueueId>,
    delivered: BTreeSet<QueueId>,
    /// Segments that have been looked at, and their headers.
    segments: BTreeSet<String>,
    durable: Vec<Bytes>,
}

impl Outcome {
    pub(super) fn per_second(&self) -> f64 {
        self.accepted as f64 / self.seconds as f64
    }
}

impl Scene {
    pub(super) fn play(&self) -> Outcome {
        let (mut outcome, trace) = sim::run(self.seed, async |simulator| self.live(simulator).await);
        outcome.trace = trace.hash;
        outcome
    }

    async fn live(&self, simulator: Simulator) -> Outcome {
        let simulation = Arc::new(Simulation::new(simulator.clone()));
        let zone = Arc::default();
        let admin = Admin::new(config("admin"), simulation.outside(&zone), Journal::silent());
        admin.domain_add(&Domain::parse(HOME).unwrap()).await.unwrap();
        make_account(&simulation).await;
        let books = Arc::<Mutex<Books>>::default();
        let [server, _] = ["n0", "n1"].map(|name| {
            let machine = simulation.machine(name, &zone);
            start(&machine, self.commit_wait, &books);
            SocketAddr::new(machine.address(), 25)
        });
        // Both know one another by then.
        simulator.sleep(Duration::from_mins(3)).await;
        simulation.weather().change_store(|store| store.measured = Some(self.store.clone()));
        let from = simulator.now();
        let until = from + Duration::from_secs(self.seconds);
        for _ in 0..self.sessions {
            let (books, simulation) = (books.clone(), simulation.clone());
            let client = Client {
                simulator: simulator.clone(),
                net: simulation.outside(&zone).net,
                server,
                to: RECIPIENT.to_owned(),
                content: stuffed(&compose(0, self.octets)),
                from: from + simulator.between(Duration::ZERO, ARRIVING),
                until,
                told: Box::new(move |told| books.lock().unwrap().told(told, &simulation)),
            };
            simulator.spawn(Box::pin(client.run()));
        }
        let (mut beats, mut still_since) = (Vec::new(), from);
        while simulator.now() < until + PATIENCE {
            simulator.sleep(LOOKING).await;
            let now = simulator.now();
            if now > until + ARRIVING && books.lock().unwrap().owed.is_empty() {
                break;
            }
            // When heartbeats were last written, by the store's clock.
            let live = simulation.bucket().objects();
            let written: Vec<_> = live
                .iter()
                .filter(|(key, _)| key.starts_with("live/") && key.ends_with(".beat"))
                .map(|(key, (_, at))| (key.clone(), *at))
                .collect();
            if written != beats {
                (beats, still_since) = (written, now);
            }
            let silence = now - still_since;
            let mut books = books.lock().unwrap();
            books.outcome.longest_silence = books.outcome.longest_silence.max(silence);
        }
        let mut books = std::mem::take(&mut *books.lock().unwrap());
        books.outcome.undelivered = books.owed.len();
        books.outcome.seconds = self.seconds;
        books.outcome
    }
}

impl Books {
    fn told(&mut self, told: Told, simulation: &Simulation) {
        match told {
            Told::Accepted(id) => {
                self.outcome.accepted += 1;
                self.outcome.accepted_after_refusals += usize::from(self.outcome.refused_early > 0);
                self.outcome.not_durable += usize::from(!self.is_durable(id, simulation));
                if !self.delivered.contains(&id) {
                    self.owed.insert(id);
                }
            }
            Told::RefusedEarly(reply) => {
                assert!(reply.starts_with("452 4.3.1 "), "{reply}");
                self.outcome.refused_early += 1;
            }
            Told::RefusedLate(reply) => self.outcome.refused_late.push(reply),
        }
    }

    /// Whether a segment in the store names the message.
    fn is_durable(&mut self, id: QueueId, simulation: &Simulation) -> bool {
        for key in simulation.bucket().keys("spool/") {
            if key.contains("/log/")
                && !self.segments.contains(&key)
                && let Some(object) = simulation.bucket().get(&key)
            {
                self.segments.insert(key);
                // The records stand in the header, one line of JSON behind the frame's fixed part.
                let end = object[FIXED..].iter().position(|octet| *octet == b'\n').unwrap();
                self.durable.push(object.slice(FIXED..FIXED + end));
            }
        }
        let id = id.to_string();
        let names = |object: &Bytes| object.windows(id.len()).any(|octets| octets == id.as_bytes());
        self.durable.iter().rev().any(names)
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Attempted { queue_id, outcome: Attempt::Delivered(_), .. } => {
                self.delivered.insert(*queue_id);
                self.owed.remove(queue_id);
            }
            Event::Adopted { .. } | Event::Fenced { .. } => self.outcome.takeovers += 1,
            _ => {}
        }
    }
}

/// One without a password, which is slow by design.
async fn make_account(simulation: &Simulation) {
    let requests =
        Requests::new(simulation.outside(&Arc::default()), config("admin").store, Journal::silent());
    let address = Address::parse(RECIPIENT).unwrap();
    let mut chain = Chain::<Account>::new(layout::account(&address));
    let ops = vec![Op::Create { address }];
    chain.append(&requests, |_| Draft { ops: ops.clone(), data: Data::default() }).await.unwrap();
}

/// A node that listens for SMTP.
fn start(machine: &Machine, commit_wait: Duration, books: &Arc<Mutex<Books>>) {
    let (machine, books) = (machine.clone(), books.clone());
    let journal = Journal::new(move |event| books.lock().unwrap().event(event));
    machine.clone().spawn(Box::pin(async move {
        let (mut config, platform) = (config(machine.name()), machine.platform());
        config.queue.commit_wait = commit_wait;
        let spawn = platform.spawn.clone();
        let engine = Engine::start(config, platform, machine.host(), journal).await.unwrap();
        let address = SocketAddr::new(machine.address(), 25);
        let serve = move |stream, peer| {
            let (engine, listener) = (engine.clone(), Listener::new(Protocol::Smtp, address));
            spawn.spawn(Box::pin(async move { engine.serve(stream, peer, &listener).await }));
        };
        machine.listen(address, Box::new(serve)).unwrap();
    }));
}

fn config(name: &str) -> Config {
    let mut config = Config::new(Domain::parse(&format!("{name}.{HOME}")).unwrap());
    config.verification.is_on = false;
    config
}
