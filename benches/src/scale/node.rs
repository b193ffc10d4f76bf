//! A node of the cluster: a whole engine, on a machine of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fulmar_core::config::{Config, Listener, NextHop, Protocol, Route};
use fulmar_core::engine::Engine;
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Address, Domain, ReversePath};
use fulmar_tests::sim::{Machine, Simulator};

use super::meter::{Meter, counted};
use super::tally::Tally;

const SMTP: u16 = 25;
/// Of which there is none.
const DOWN: &str = "10.255.0.1";
/// A domain whose host is down.
const DOWN_DOMAIN: &str = "down.test";
/// Between two attempts at mail for it: longer than a run.
const RETRY: Duration = Duration::from_hours(4);

pub(super) struct Node {
    pub(super) place: usize,
    pub(super) machine: Machine,
    pub(super) simulator: Simulator,
    pub(super) meter: Arc<Meter>,
    pub(super) tally: Arc<Tally>,
}

impl Node {
    /// Starts after a while. What it does first is to take a message for a host that is down, so that it holds mail at every moment,
    /// as nodes in service do: it never becomes idle, and there is something to take over.
    pub(super) fn come(&self, after: Duration) {
        let (machine, address, simulator) = (self.machine.clone(), self.address(), self.simulator.clone());
        let (config, platform) = (config(machine.name()), counted(machine.platform(), &self.meter));
        let (tally, place) = (self.tally.clone(), self.place);
        let journal = {
            let simulator = simulator.clone();
            Journal::new(move |event| tally.event(place, event, simulator.now()))
        };
        self.machine.spawn(Box::pin(async move {
            simulator.sleep(after).await;
            let started = Engine::start_patiently(config, platform, machine.host(), journal).await;
            // Without it nobody is served, which shows.
            let Ok(engine) = started else { return };
            listen(&machine, &engine, address);
            let content = Bytes::from_static(b"Subject: later\r\n\r\nlater\r\n");
            while engine.send(ReversePath::Null, vec![down()], content.clone()).await.is_err() {}
        }));
    }

    /// Where it takes mail.
    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.machine.address(), SMTP)
    }
}

fn listen(machine: &Machine, engine: &Engine, address: SocketAddr) {
    let (engine, spawn) = (engine.clone(), machine.platform().spawn);
    let serve = move |stream, peer| {
        let engine = engine.clone();
        let listener = Listener::new(Protocol::Smtp, address);
        spawn.spawn(Box::pin(async move { engine.serve(stream, peer, &listener).await }));
    };
    // Nobody else listens there.
    let _ = machine.listen(address, Box::new(serve));
}

#[expect(clippy::expect_used, reason = "these names are domains")]
fn config(name: &str) -> Config {
    let mut config = Config::new(Domain::parse(&format!("{name}.home.test")).expect("a domain"));
    // The modelled clients are hosts without names and policies.
    config.verification.is_on = false;
    config.queue.retry = vec![RETRY];
    let domain = Some(Domain::parse(DOWN_DOMAIN).expect("a domain"));
    let next_hop = NextHop { host: DOWN.to_owned(), port: SMTP };
    config.relay.routes = vec![Route { domain, next_hop }];
    config
}

#[expect(clippy::expect_used, reason = "it is an address")]
fn down() -> Address {
    Address::parse(&format!("somebody@{DOWN_DOMAIN}")).expect("an address")
}
