//! Hosts, each with one process at a time that can be killed, suspended and started anew.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fulmar_core::platform::{Clock, Host, Job, Platform, ProcessIdentity};
use fulmar_core::state::requests::RequestCounts;
use futures::channel::oneshot;
use futures::future::pending;

use super::World;
use super::doors::{HostClock, SimClock, SimDns, SimEntropy, SimSpawn};
use super::executor::lock;
use super::net::MachineNet;
use super::store::SimStore;
use super::task::Process;
use crate::runtime::Serve;
use crate::zone::Zone;

/// One process on a simulated host. Clones are handles to the same.
#[derive(Clone)]
pub struct Machine {
    world: Arc<World>,
    place: Place,
    zone: Arc<Zone>,
}

/// Where something runs.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) process: Process,
    pub(super) host: Arc<SimHost>,
}

/// What outlives processes.
pub(super) struct SimHost {
    pub(super) name: Arc<str>,
    pub(super) address: IpAddr,
    pub(super) clock: HostClock,
    pub(super) requests: Mutex<RequestCounts>,
}

impl Machine {
    pub(super) fn new(world: Arc<World>, host: Arc<SimHost>, zone: Arc<Zone>) -> Self {
        let process = world.simulator.begin();
        let net = world.net.clone();
        world.simulator.at_death(process, move || net.end(process));
        Self { world, place: Place { process, host }, zone }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.place.host.name
    }

    /// Where its connections come from, and where it listens if it does not care.
    pub fn address(&self) -> IpAddr {
        self.place.host.address
    }

    /// Doors of this process, and the store that all machines share.
    pub fn platform(&self) -> Platform {
        self.world.platform(&self.place, &self.zone)
    }

    /// This process, and what it can know of others: a host knows its own only.
    pub fn host(&self) -> Host {
        let (world, process) = (self.world.clone(), self.identity());
        let ours = process.clone();
        let is_gone = move |other: &ProcessIdentity| {
            let is_here = (&other.boot, &other.pid_namespace) == (&ours.boot, &ours.pid_namespace);
            is_here && world.weather.has_shortcut() && !world.simulator.is_alive(Process(other.pid as usize))
        };
        Host { process, is_gone: Arc::new(is_gone) }
    }

    /// Ends the process where it stands, as `kill -9` does. Its jobs are dropped, each at the await that it is at, its listeners
    /// close, its connections break; its requests under way take effect or do not.
    pub fn kill(&self) {
        if self.is_alive() {
            self.world.simulator.note(format_args!("{self:?} is killed"));
            self.world.simulator.kill(self.place.process);
        }
    }

    /// Kills the process when its jobs have made this many more steps, from one await to the next.
    pub fn kill_at_step(&self, steps: u64) {
        self.world.simulator.note(format_args!("{self:?} is to die in {steps} steps"));
        self.world.simulator.doom(self.place.process, steps);
    }

    /// Stops the process, as SIGSTOP does: none of its jobs goes on, while clocks do.
    pub fn suspend(&self) {
        self.world.simulator.note(format_args!("{self:?} is suspended"));
        self.world.simulator.suspend(self.place.process);
    }

    /// Has a suspended process go on. Timers that have become due meanwhile fire now.
    pub fn resume(&self) {
        self.world.simulator.note(format_args!("{self:?} goes on"));
        self.world.simulator.resume(self.place.process);
    }

    /// Starts a new process on the same host; one that still runs is killed.
    #[must_use]
    pub fn restart(&self) -> Self {
        self.kill();
        let machine = Self::new(self.world.clone(), self.place.host.clone(), self.zone.clone());
        self.world.simulator.note(format_args!("{machine:?} starts"));
        machine
    }

    /// Whether the process has not been killed. A suspended one is alive.
    pub fn is_alive(&self) -> bool {
        self.world.simulator.is_alive(self.place.process)
    }

    /// Waits until the process is killed.
    pub async fn killed(&self) {
        // The job holds `end`, and is dropped with the process.
        let (end, ended) = oneshot::channel::<()>();
        self.spawn(Box::pin(async move {
            let _end = end;
            pending::<()>().await;
        }));
        let _ = ended.await;
    }

    /// Starts a job of the process.
    pub fn spawn(&self, job: Job) {
        self.world.simulator.spawn_in(self.place.process, job);
    }

    /// Runs work as a job of the process; nothing where that is killed before the work is done.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (done, result) = oneshot::channel();
        self.spawn(Box::pin(async move {
            // Whoever asked may be gone.
            let _ = done.send(work.await);
        }));
        result.await.ok()
    }

    /// Sets the host's wall clock this many milliseconds off, and has both its clocks run fast, or slow, by so many millionths.
    /// The boot clock never jumps.
    pub fn set_clock(&self, offset: i64, drift_ppm: i64) {
        self.world
            .simulator
            .note(format_args!("the clock of {} is {offset} ms and {drift_ppm} ppm off", self.name()));
        self.place.host.clock.set(offset, drift_ppm);
    }

    /// Waits this long, by the host's clock.
    pub async fn sleep(&self, delay: Duration) {
        let clock: &dyn Clock = &SimClock(self.place.clone());
        clock.sleep(delay).await;
    }

    /// Requests to the store from this host, by all its processes.
    pub fn requests(&self) -> RequestCounts {
        *lock(&self.place.host.requests)
    }

    /// Opens a listener, on a free port where that of `address` is zero, and on the machine's own address where `address` has none.
    /// It closes when the process is killed.
    pub fn listen(&self, mut address: SocketAddr, serve: Serve) -> io::Result<SocketAddr> {
        if address.ip().is_unspecified() {
            address.set_ip(self.address());
        }
        self.world.net.open(self.place.process, address, serve)
    }

    /// Closes a listener. Its connections go on.
    pub fn close(&self, address: SocketAddr) {
        self.world.net.close(address);
    }

    fn identity(&self) -> ProcessIdentity {
        let Place { process: Process(pid), host } = &self.place;
        ProcessIdentity {
            boot: format!("boot of {}", host.name),
            pid_namespace: host.name.to_string(),
            pid: *pid as u32,
            started: *pid as u64,
        }
    }
}

impl World {
    /// Doors of a process.
    pub(super) fn platform(&self, place: &Place, zone: &Arc<Zone>) -> Platform {
        let (simulator, weather) = (self.simulator.clone(), self.weather.clone());
        let store = SimStore::new(simulator.clone(), weather.clone(), self.bucket.clone(), place.clone());
        let net = MachineNet { net: self.net.clone(), weather: weather.clone(), place: place.clone() };
        Platform {
            store: Arc::new(store),
            dns: Arc::new(SimDns {
                simulator: simulator.clone(),
                weather,
                place: place.clone(),
                zone: zone.clone(),
            }),
            net: Arc::new(net),
            clock: Arc::new(SimClock(place.clone())),
            entropy: Arc::new(SimEntropy(simulator.clone())),
            spawn: Arc::new(SimSpawn { simulator, process: place.process }),
        }
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.place.host.name, self.place.process.0)
    }
}
