//! A thousand nodes that each come for a moment within an hour, as scheduled functions do: each sends a message and lets go of it, or drains the
//! queue. What they leave behind, and what it costs.

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fulmar_core::admin::prices::dollars;
use fulmar_core::config::Config;
use fulmar_core::engine::{DrainSettings, Engine};
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Domain, ReversePath};
use fulmar_core::state::requests::RequestCounts;

use super::archive::Archive;
use super::content::compose;
use super::ground;
use super::plan::{ACCOUNTS, account};
use crate::sim::{self, Machine, Simulation, Simulator};
use crate::zone::Zone;

/// How many nodes.
pub const NODES: usize = 1_000;
/// Within which time they come.
const SPAN: Duration = Duration::from_hours(1);
/// Of how many one drains; the others send.
const DRAINS_ONE_IN: usize = 20;
/// How long a node may take to end.
const GRACE: Duration = Duration::from_secs(20);
/// How long one that drains may take.
const DRAIN: Duration = Duration::from_secs(50);
/// After this time the daily sweeps have found what is left.
const LATER: Duration = Duration::from_hours(72);
/// Octets of a message.
const OCTETS: usize = 2_000;

/// What it came to.
#[derive(Clone, Debug, Default)]
pub struct Bill {
    /// Messages that were taken.
    pub accepted: usize,
    /// Messages that lie in mailboxes at the end of the hour and when those nodes are gone that came last.
    pub delivered: usize,
    /// Requests of all nodes in that time.
    pub requests: RequestCounts,
    /// The most that all nodes together sent in one minute.
    pub busiest_minute: u64,
    /// Objects by kind when the last node has gone.
    pub objects: BTreeMap<&'static str, usize>,
    /// The same three days later, in which one node was there.
    pub objects_later: BTreeMap<&'static str, usize>,
}

impl Bill {
    /// What the requests cost, in dollars.
    pub fn dollars(&self) -> f64 {
        dollars(&self.requests)
    }
}

impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RequestCounts { put, get, head, list, delete, copy, .. } = self.requests;
        writeln!(
            f,
            "{NODES} nodes within an hour: {} messages taken, {} delivered",
            self.accepted, self.delivered
        )?;
        writeln!(f, "requests: put {put} get {get} head {head} list {list} delete {delete} copy {copy}")?;
        writeln!(f, "the busiest minute had {} requests", self.busiest_minute)?;
        writeln!(f, "list price on S3: {:.4} dollars, for storage nothing to speak of", self.dollars())?;
        writeln!(f, "objects when the last has gone: {:?}", self.objects)?;
        write!(f, "objects three days later: {:?}", self.objects_later)
    }
}

/// Lets them come and go.
pub fn thousand(seed: u64) -> Bill {
    sim::run(seed, async |simulator| live(simulator).await).0
}

async fn live(simulator: Simulator) -> Bill {
    let simulation = Arc::new(Simulation::new(simulator.clone()));
    let zone = Arc::<Zone>::default();
    for (key, bytes) in ground::objects() {
        simulation.bucket().put(key, bytes.clone());
    }
    let mut nodes: Vec<Machine> = Vec::new();
    let mut bill = Bill::default();
    let (mut minute, mut before) = (Duration::ZERO, 0);
    let accepted = Arc::<AtomicUsize>::default();
    for number in 0..NODES {
        let pause = simulator.between(Duration::ZERO, SPAN * 2 / NODES as u32);
        simulator.sleep(pause).await;
        let machine = simulation.machine(&format!("f{number}"), &zone);
        let visiting = visit(machine.clone(), number, accepted.clone());
        machine.platform().spawn.spawn(Box::pin(visiting));
        nodes.push(machine);
        if simulator.now() >= minute + Duration::from_mins(1) {
            let sent = sum(&nodes);
            bill.busiest_minute = bill.busiest_minute.max(sent.requests() - before);
            (minute, before) = (simulator.now(), sent.requests());
        }
    }
    simulator.sleep(Duration::from_mins(5)).await;
    bill.accepted = accepted.load(Ordering::Relaxed);
    bill.objects = kinds(&simulation);
    // One node looks after what is left, as a cron job or a server would.
    let last = simulation.machine("last", &zone);
    let theirs = last.clone();
    let started = last.run(async move {
        let (config, platform, host) = (config("last"), theirs.platform(), theirs.host());
        Engine::start(config, platform, host, Journal::silent()).await
    });
    let engine = started.await;
    nodes.push(last);
    simulator.sleep(Duration::from_mins(10)).await;
    bill.requests = sum(&nodes);
    bill.delivered = delivered(&simulation, simulator.now());
    simulator.sleep(LATER).await;
    bill.objects_later = kinds(&simulation);
    drop(engine);
    bill
}

/// One node's moment.
async fn visit(machine: Machine, number: usize, accepted: Arc<AtomicUsize>) {
    let (config, platform, host) = (config(machine.name()), machine.platform(), machine.host());
    if number % DRAINS_ONE_IN == DRAINS_ONE_IN - 1 {
        let settings = DrainSettings { deadline: Some(DRAIN), until_empty: false };
        // What it reports is for its caller; here the bucket is looked at.
        let _ = Engine::drain(config, platform, host, Journal::silent(), settings, pending()).await;
    } else if let Ok(engine) = Engine::visit(config, platform, host, Journal::silent()).await {
        let to = vec![account(number % ACCOUNTS.1)];
        let content = Bytes::from(compose(number, OCTETS));
        if engine.send(ReversePath::Null, to, content).await.is_ok() {
            accepted.fetch_add(1, Ordering::Relaxed);
        }
        engine.shutdown(GRACE).await;
    }
    machine.kill();
}

#[expect(clippy::expect_used, reason = "the names of these machines are domains")]
fn config(name: &str) -> Config {
    let mut config = Config::new(Domain::parse(&format!("{name}.home.test")).expect("a domain"));
    config.verification.is_on = false;
    config
}

fn sum(nodes: &[Machine]) -> RequestCounts {
    nodes.iter().map(Machine::requests).sum()
}

/// How many objects there are of each kind.
fn kinds(simulation: &Simulation) -> BTreeMap<&'static str, usize> {
    const KINDS: [&str; 9] = ["/log/", "/own/", "/ck/", "/body/", "/c/", "/snap/", "live/", "gc/", "probe/"];
    let mut kinds = BTreeMap::new();
    for key in simulation.bucket().keys("") {
        let kind = KINDS.iter().find(|kind| key.contains(*kind)).copied().unwrap_or("others");
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

/// Messages that mailboxes were given.
fn delivered(simulation: &Simulation, now: Duration) -> usize {
    let mut archive = Archive::default();
    archive.observe(now, simulation.bucket().objects());
    let accounts = (0..ACCOUNTS.1).map(account);
    accounts.map(|account| archive.replay(&account, |_, _| ()).message_count()).sum()
}
