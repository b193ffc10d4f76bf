//! A simulator: one thread, virtual time, and a network, names and a store in memory. Whatever could go one way or another
//! (which job goes next, how long a request takes, in what portions octets arrive) is decided by a seed, so that the same
//! seed gives the same run.
//!
//! | module | what it holds |
//! |---|---|
//! | `executor` | [`Simulator`]: jobs, time, chance and the trace; [`run`] |
//! | `doors` | clock, entropy and names |
//! | `net`, `wire` | [`SimNet`]: listeners, and connections whose octets take their time |
//! | `store` | [`SimStore`]: requests that are sent, take effect and are answered, each at its own time |
//!
//! Panics are how a simulation tells that a run has gone wrong; the seed and the end of the trace are printed with them.

mod doors;
mod executor;
mod net;
mod store;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use fulmar_core::platform::Platform;
use futures::future::BoxFuture;

pub use executor::{Simulator, Trace, run};
pub use net::SimNet;
pub use store::SimStore;

use crate::runtime::{Runtime, Serve};
use crate::zone::Zone;
use doors::{SimClock, SimDns, SimEntropy, SimSpawn};

/// A simulated world for nodes to run in.
#[derive(Debug)]
pub struct Simulation {
    simulator: Simulator,
    net: Arc<SimNet>,
}

impl Simulation {
    /// A world in this simulator, in which nobody listens.
    pub fn new(simulator: Simulator) -> Self {
        let net = Arc::new(SimNet::new(simulator.clone()));
        Self { simulator, net }
    }

    /// Its network.
    pub fn net(&self) -> &SimNet {
        &self.net
    }
}

impl Runtime for Simulation {
    fn platform(&self, zone: &Arc<Zone>) -> Platform {
        let simulator = &self.simulator;
        Platform {
            store: Arc::new(SimStore::new(simulator.clone())),
            dns: Arc::new(SimDns { simulator: simulator.clone(), zone: zone.clone() }),
            net: self.net.clone(),
            clock: Arc::new(SimClock(simulator.clone())),
            entropy: Arc::new(SimEntropy(simulator.clone())),
            spawn: Arc::new(SimSpawn(simulator.clone())),
        }
    }

    fn listen(
        &self,
        address: SocketAddr,
        until: BoxFuture<'static, ()>,
        serve: Serve,
    ) -> io::Result<SocketAddr> {
        self.net.listen(address, until, serve)
    }

    fn is_virtual(&self) -> bool {
        true
    }

    fn note(&self, what: &str) {
        self.simulator.note(what);
    }
}
