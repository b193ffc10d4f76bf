//! The machines that serve, and the nodes on them: started, killed, suspended, told to end, and started again.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fulmar_core::config::{Config, Listener, NextHop, Protocol, Route};
use fulmar_core::engine::{Engine, Statistics};
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Domain, UtcTime};
use fulmar_core::platform::Platform;
use fulmar_core::state::requests::RequestCounts;
use futures::future::select;
use futures::pin_mut;

use super::Doors;
use super::answers::{self, Counter};
use super::history::{Fact, Node, Place, Recorder, Turn};
use super::plan::Plan;
use crate::sim::{Machine, Simulation, Simulator};
use crate::zone::Zone;

/// Where other hosts listen.
const SMTP: u16 = 25;
const POP3: u16 = 110;
/// Whoever connects may relay, and wherever other hosts are, nodes may connect there.
const EVERYWHERE: [&str; 1] = ["0.0.0.0/0"];
/// A machine that was told to end has ended after its grace and this.
const ENDING: Duration = Duration::from_secs(30);
/// Nobody is killed later than this before everything is healed.
const LAST_CHANCE: Duration = Duration::from_secs(1);
/// Pause before a node that could not start is started again.
const RESTART: Duration = Duration::from_secs(1);

/// What one run's nodes, clients and hosts share.
pub struct Crew {
    /// Its time.
    pub simulator: Simulator,
    /// Store, network and weather.
    pub simulation: Simulation,
    /// All names.
    pub zone: Arc<Zone>,
    /// What is to happen.
    pub plan: Arc<Plan>,
    /// What has happened.
    pub recorder: Recorder,
    /// How their requests end.
    pub answers: Arc<Counter>,
    /// Puts something in front of a node's doors, where there is something to be tried out.
    doors: Doors,
    slots: Mutex<Vec<Slot>>,
}

/// A machine that serves.
struct Slot {
    machine: Machine,
    life: u32,
    /// None until it has started, and once it is gone.
    engine: Option<Engine>,
    /// Something is being done to it.
    is_busy: bool,
    /// It is to die, or was told to end.
    is_ending: bool,
}

impl Crew {
    /// Machines that have not started.
    pub fn new(simulator: Simulator, plan: Arc<Plan>, recorder: Recorder, doors: Doors) -> Arc<Self> {
        let (simulation, zone) = (Simulation::new(simulator.clone()), Arc::<Zone>::default());
        let slots = plan.machines.iter().enumerate().map(|(place, planned)| {
            let machine = simulation.machine(&machine_name(place), &zone);
            machine.set_clock(planned.clock.0, planned.clock.1);
            machine.kill();
            Slot { machine, life: 0, engine: None, is_busy: false, is_ending: false }
        });
        let slots = Mutex::new(slots.collect());
        let answers = Arc::<Counter>::default();
        Arc::new(Self { simulator, simulation, zone, plan, recorder, answers, doors, slots })
    }

    /// Starts a node where none runs. Returns at once; the node serves when it can.
    pub fn start(self: &Arc<Self>, place: Place) {
        let (machine, node) = {
            let slot = &mut self.slots()[place];
            if slot.machine.is_alive() {
                return;
            }
            slot.machine = slot.machine.restart();
            slot.life += 1;
            (slot.machine.clone(), Node { place, life: slot.life })
        };
        let crew = self.clone();
        let starting = machine.clone();
        machine.platform().spawn.spawn(Box::pin(async move {
            let engine = crew.engine(&starting, node).await;
            crew.listen(&starting, &engine, Protocol::Smtp, SMTP);
            crew.listen(&starting, &engine, Protocol::Pop3, POP3);
            crew.recorder.record(Fact::Life(node, Turn::Started));
            crew.slots()[place].engine = Some(engine);
        }));
    }

    /// Starts an engine on a machine, and returns when it runs.
    async fn engine(&self, machine: &Machine, node: Node) -> Engine {
        let (platform, journal) = self.doors_of(machine, node);
        loop {
            let (platform, journal) = (platform.clone(), journal.clone());
            let started = Engine::start_patiently(self.config(node), platform, machine.host(), journal).await;
            match started {
                Ok(engine) => return engine,
                // As a supervisor would.
                Err(_) => self.simulator.sleep(RESTART).await,
            }
        }
    }

    /// The same, of a node that comes only to do what it is asked to.
    pub async fn visitor(&self, machine: &Machine, node: Node) -> Engine {
        let (platform, journal) = self.doors_of(machine, node);
        loop {
            let (platform, journal) = (platform.clone(), journal.clone());
            match Engine::visit(self.config(node), platform, machine.host(), journal).await {
                Ok(engine) => return engine,
                Err(_) => self.simulator.sleep(RESTART).await,
            }
        }
    }

    /// A node's doors and journal, both listened at.
    fn doors_of(&self, machine: &Machine, node: Node) -> (Platform, Journal) {
        let (recorder, simulator) = (self.recorder.clone(), self.simulator.clone());
        let journal = Journal::new(move |event| {
            simulator.record((node.place, node.life, event.kind()), || format!("{node}: {event:?}"));
            recorder.record(Fact::Event { node, event: event.clone() });
        });
        let platform = (self.doors)(machine.platform(), &self.simulator);
        (answers::counted(platform, &self.answers), journal)
    }

    fn listen(&self, machine: &Machine, engine: &Engine, protocol: Protocol, port: u16) {
        let address = SocketAddr::new(machine.address(), port);
        let (engine, spawn) = (engine.clone(), machine.platform().spawn);
        let serve = move |stream, peer| {
            let (engine, listener) = (engine.clone(), Listener::new(protocol, address));
            spawn.spawn(Box::pin(async move { engine.serve(stream, peer, &listener).await }));
        };
        // Only a process that listens there already could keep it from that.
        let _ = machine.listen(address, Box::new(serve));
    }

    /// Where a machine takes mail, and where it gives it.
    pub fn addresses(&self, place: Place) -> (SocketAddr, SocketAddr) {
        let address = self.slots()[place].machine.address();
        (SocketAddr::new(address, SMTP), SocketAddr::new(address, POP3))
    }

    /// The node of a place.
    pub fn node(&self, place: Place) -> Node {
        Node { place, life: self.slots()[place].life }
    }

    /// What the clock of a machine says.
    pub fn utc(&self, place: Place) -> UtcTime {
        self.slots()[place].machine.platform().clock.utc()
    }

    /// Whether something is being done to a machine already; if not, the caller has it.
    fn seize(&self, place: Place) -> Option<Machine> {
        let slot = &mut self.slots()[place];
        if slot.is_busy || !slot.machine.is_alive() {
            return None;
        }
        slot.is_busy = true;
        Some(slot.machine.clone())
    }

    /// Kills a machine after so many more steps.
    pub async fn kill(self: &Arc<Self>, place: Place, steps: u64, back_after: Option<Duration>) {
        let Some(machine) = self.seize(place) else { return };
        self.slots()[place].is_ending = true;
        machine.kill_at_step(steps);
        let late = self.simulator.sleep_until(self.plan.profile.trouble.saturating_sub(LAST_CHANCE));
        // One that does nothing makes no steps.
        select(Box::pin(machine.killed()), late).await;
        machine.kill();
        self.gone(place, Turn::Killed);
        self.come_back(place, back_after).await;
    }

    /// Tells a node to end.
    pub async fn stop(self: &Arc<Self>, place: Place, grace: Duration, back_after: Option<Duration>) {
        let Some(machine) = self.seize(place) else { return };
        self.slots()[place].is_ending = true;
        let engine = self.slots()[place].engine.clone();
        if let Some(engine) = engine {
            self.recorder.record(Fact::Life(self.node(place), Turn::Stopping));
            let (smtp, pop3) = self.addresses(place);
            machine.close(smtp);
            machine.close(pop3);
            let stopping = machine.run(async move { engine.shutdown(grace).await });
            let late = self.simulator.sleep(grace + ENDING);
            pin_mut!(stopping);
            // A supervisor's patience ends.
            select(stopping, late).await;
        }
        machine.kill();
        self.gone(place, Turn::Stopped);
        self.come_back(place, back_after).await;
    }

    /// Has a machine stand still.
    pub async fn suspend(self: &Arc<Self>, place: Place, how_long: Duration) {
        let Some(machine) = self.seize(place) else { return };
        machine.suspend();
        self.recorder.record(Fact::Life(self.node(place), Turn::Suspended));
        let until = self.simulator.now() + how_long;
        self.simulator.sleep_until(until.min(self.plan.profile.trouble)).await;
        machine.resume();
        self.recorder.record(Fact::Life(self.node(place), Turn::Resumed));
        self.slots()[place].is_busy = false;
    }

    fn gone(&self, place: Place, turn: Turn) {
        self.recorder.record(Fact::Life(self.node(place), turn));
        let slot = &mut self.slots()[place];
        slot.engine = None;
        slot.is_ending = false;
    }

    async fn come_back(self: &Arc<Self>, place: Place, after: Option<Duration>) {
        if let Some(after) = after {
            self.simulator.sleep(after).await;
            self.start(place);
        }
        self.slots()[place].is_busy = false;
    }

    /// Sees to it that somebody lives: where nobody does, or nobody who will go on, somebody is started as soon as a machine is free.
    pub async fn heal(self: &Arc<Self>) {
        loop {
            let (survives, free) = {
                let slots = self.slots();
                let survives = slots.iter().any(|slot| slot.machine.is_alive() && !slot.is_ending);
                (survives, slots.iter().position(|slot| !slot.machine.is_alive()))
            };
            match (survives, free) {
                (true, _) => return,
                (false, Some(place)) => self.start(place),
                (false, None) => self.simulator.sleep(RESTART).await,
            }
        }
    }

    /// What the nodes that run have done.
    pub fn statistics(&self) -> Vec<Statistics> {
        self.slots().iter().filter_map(|slot| slot.engine.as_ref().map(Engine::statistics)).collect()
    }

    /// Requests of each machine that runs.
    pub fn requests(&self) -> Vec<(Place, RequestCounts)> {
        let slots = self.slots();
        let alive = slots.iter().enumerate().filter(|(_, slot)| slot.machine.is_alive());
        alive.map(|(place, slot)| (place, slot.machine.requests())).collect()
    }

    /// The settings of a node.
    pub fn config(&self, node: Node) -> Config {
        let mut config = Config::new(domain(&node.hostname()));
        config.verification.is_on = false;
        config.queue = self.plan.queue.clone();
        config.pop3.allow_plaintext = true;
        let relay = &mut config.relay;
        relay.networks = EVERYWHERE.iter().filter_map(|network| network.parse().ok()).collect();
        relay.private_networks = relay.networks.clone();
        relay.attempts_per_destination = self.plan.attempts_per_destination;
        let routed = self.plan.hosts.iter().enumerate().filter(|(_, host)| host.is_routed);
        relay.routes = routed
            .map(|(number, host)| {
                let next_hop = NextHop { host: host_address(number).ip().to_string(), port: SMTP };
                Route { domain: Some(domain(&host.domain)), next_hop }
            })
            .collect();
        config
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Crew")
    }
}

/// What a machine is called.
pub fn machine_name(place: Place) -> String {
    format!("m{place}")
}

/// Where another host listens.
pub fn host_address(number: usize) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 1, 0, number as u8 + 1)), SMTP)
}

#[expect(clippy::expect_used, reason = "the names of a plan are domains")]
fn domain(text: &str) -> Domain {
    Domain::parse(text).expect("a domain")
}
