//! A simulator: one thread, virtual time, and hosts, a network, names and a store in memory. Whatever could go one way or another
//! (which job goes next, how long a request takes, in what portions octets arrive, what fails) is decided by a seed, so that
//! the same seed gives the same run. Many runs may go on at once, each on its thread.
//!
//! | module | what it holds |
//! |---|---|
//! | `executor`, `task`, `sleep` | [`Simulator`]: jobs, processes, time and chance; [`run`] |
//! | `trace` | [`Trace`]: what is kept of a run |
//! | `machine` | [`Machine`]: a host's process, which can be killed and suspended |
//! | `weather` | [`Weather`]: what goes wrong |
//! | `doors` | a host's clocks, entropy and names |
//! | `net`, `wire` | [`SimNet`]: listeners, and connections whose octets take their time |
//! | `bucket` | [`Bucket`]: what is in the store |
//! | `store`, `fate` | requests that are sent, take effect and are answered, each at its own time |
//! | `measured` | [`Measured`]: a store's times and limits as they were measured |
//!
//! Panics are how a simulation tells that a run has gone wrong; the seed and the end of the trace are printed with them.

mod bucket;
mod doors;
mod executor;
mod fate;
mod machine;
mod measured;
mod net;
mod sleep;
mod store;
mod task;
mod trace;
mod weather;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fulmar_core::platform::Platform;
use futures::future::BoxFuture;

pub use bucket::Bucket;
pub use executor::{Simulator, run, run_traced};
pub use machine::Machine;
pub use measured::Measured;
pub use net::{Block, SimNet};
pub use store::SimStore;
pub use trace::Trace;
pub use weather::{Ambush, CreateIfAbsent, Faults, Latency, NameTrouble, StoreHabits, Weather};

use crate::runtime::{Runtime, Serve};
use crate::zone::Zone;
use doors::HostClock;
use executor::lock;
use machine::{Place, SimHost};
use task::Process;

/// Where whoever belongs to no host connects from.
const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Hosts have booted at different times before the run: one this long after the other.
const BOOTED_APART: Duration = Duration::from_secs(1_000_003);

/// A simulated world for nodes to run in.
#[derive(Debug)]
pub struct Simulation {
    world: Arc<World>,
}

/// What all of a world share.
struct World {
    simulator: Simulator,
    net: Arc<SimNet>,
    weather: Arc<Weather>,
    bucket: Bucket,
    hosts: Mutex<BTreeMap<String, Arc<SimHost>>>,
    /// Where everything is that belongs to no host.
    outside: Place,
}

impl Simulation {
    /// A world in this simulator, in which nobody listens, with an empty store and calm weather.
    pub fn new(simulator: Simulator) -> Self {
        let net = Arc::new(SimNet::new(simulator.clone()));
        let weather = Arc::new(Weather::new(simulator.clone(), net.clone()));
        let bucket = Bucket::new(simulator.clone(), weather.clone());
        let host = SimHost {
            name: "outside".into(),
            address: OUTSIDE,
            clock: HostClock::new(simulator.clone(), Duration::ZERO),
            requests: Mutex::default(),
        };
        let outside = Place { process: Process::WORLD, host: Arc::new(host) };
        let world = World { simulator, net, weather, bucket, hosts: Mutex::default(), outside };
        Self { world: Arc::new(world) }
    }

    /// A process on the host of this name, whose names are answered by this zone. Hosts are made when they are first named; all
    /// share one store and one network.
    pub fn machine(&self, name: &str, zone: &Arc<Zone>) -> Machine {
        let mut hosts = lock(&self.world.hosts);
        let number = hosts.len() as u16 + 1;
        let host = hosts.entry(name.to_owned()).or_insert_with(|| {
            let [high, low] = number.to_be_bytes();
            let booted_before = BOOTED_APART * u32::from(number);
            Arc::new(SimHost {
                name: name.into(),
                address: Ipv4Addr::new(127, 1, high, low).into(),
                clock: HostClock::new(self.world.simulator.clone(), booted_before),
                requests: Mutex::default(),
            })
        });
        Machine::new(self.world.clone(), host.clone(), zone.clone())
    }

    /// The store that all machines share.
    pub fn bucket(&self) -> &Bucket {
        &self.world.bucket
    }

    /// What goes wrong.
    pub fn weather(&self) -> &Weather {
        &self.world.weather
    }

    /// The network.
    pub fn net(&self) -> &SimNet {
        &self.world.net
    }

    /// Doors of nobody's in particular, on the store that all machines share.
    pub fn outside(&self, zone: &Arc<Zone>) -> Platform {
        self.world.platform(&self.world.outside, zone)
    }
}

impl Runtime for Simulation {
    fn platform(&self, zone: &Arc<Zone>) -> Platform {
        self.outside(zone)
    }

    fn listen(
        &self,
        address: SocketAddr,
        until: BoxFuture<'static, ()>,
        serve: Serve,
    ) -> io::Result<SocketAddr> {
        self.world.net.listen(address, until, serve)
    }

    fn is_virtual(&self) -> bool {
        true
    }

    fn note(&self, what: &str) {
        self.world.simulator.note(what);
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}
