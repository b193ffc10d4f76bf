//! One cluster: its nodes come, mail comes, one node is killed, and the others take over.

use std::sync::Arc;
use std::time::Duration;

use fulmar_tests::sim::{self, Simulation, Simulator};
use fulmar_tests::world::content::{compose, stuffed};

use super::S3;
use super::client::Client;
use super::figures::Figures;
use super::ground;
use super::meter::Meter;
use super::node::Node;
use super::tally::Tally;

/// Accounts for each node: so few that where mail comes apart a node knows them before anything is measured, and so many that their commits
/// hardly ever meet where it does not.
pub(super) const ACCOUNTS_PER_NODE: usize = 50;
/// Accounts of a cluster where mail is mixed, at most: each has a past in the store, which is in memory here.
pub(super) const MIXED_ACCOUNTS_LIMIT: usize = 15_000;
/// Nodes come one by one within this time: each looks at the others once a minute, and not all at once.
const ARRIVING: Duration = Duration::from_mins(1);
/// Every node has seen every other one by then: each reads the heartbeat of each once, one after the other.
const SETTLING: Duration = Duration::from_mins(5);
/// Of mail before anything is measured, and of what is measured: so that small clusters are seen for long, and large ones take no hours.
const WARM_UP_LIMITS: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(110));
const WINDOW_LIMITS: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(60));
/// Seconds in which a node gets some seven messages for each account of its own.
const APART_WARM_UP: f64 = 8.0;
/// Seconds for each node of the cluster, in which a node gets some three messages for each account of all.
const MIXED_WARM_UP: f64 = 10.0;
/// Seconds, by the nodes: some 50,000 messages in the warm-up, and 10,000 to 30,000 in the window.
const WARM_UP_NODE_SECONDS: f64 = 3_300.0;
const WINDOW_NODE_SECONDS: f64 = 600.0;
/// Clients come within this time.
const CLIENTS: Duration = Duration::from_secs(1);
/// How long a takeover is waited for, and the delivery of everything that was promised.
const PATIENCE: Duration = Duration::from_mins(5);
/// How often it is looked whether that is done.
const LOOKING: Duration = Duration::from_millis(100);
/// The node that is killed.
const VICTIM: usize = 0;

/// To whom the mail goes that a node gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mail {
    /// To accounts that no other node gets mail for, as where clients are sent to nodes by recipient.
    Apart,
    /// To any account, as behind a load balancer that knows nothing of mail.
    Mixed,
}

/// A cluster, and what is done with it.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Nodes.
    pub nodes: usize,
    /// To whom mail goes.
    pub mail: Mail,
    /// Clients of each node. Each sends one message after the other, without a pause, over one connection.
    pub sessions: usize,
    /// Octets of a message.
    pub octets: usize,
    /// How long mail comes before anything is measured, in virtual time.
    pub warm_up: Duration,
    /// How long is measured, in virtual time.
    pub window: Duration,
    /// Whatever could go one way or another is decided by it.
    pub seed: u64,
}

impl Mail {
    /// How long mail comes to a cluster of so many nodes before anything is measured, where nobody says otherwise: until a node knows
    /// its accounts, or for as many messages as can be simulated.
    pub fn warm_up(self, nodes: usize) -> Duration {
        let wanted = match self {
            Self::Apart => APART_WARM_UP,
            Self::Mixed => (MIXED_WARM_UP * nodes as f64).min(WARM_UP_NODE_SECONDS / nodes as f64),
        };
        within(wanted, WARM_UP_LIMITS)
    }
}

/// How long a cluster of so many nodes is measured, where nobody says otherwise.
pub fn window(nodes: usize) -> Duration {
    within(WINDOW_NODE_SECONDS / nodes as f64, WINDOW_LIMITS)
}

fn within(seconds: f64, (least, most): (Duration, Duration)) -> Duration {
    Duration::from_secs_f64(seconds).clamp(least, most)
}

impl Cell {
    /// Lives through it.
    ///
    /// # Panics
    ///
    /// Where the simulation does not end.
    pub fn measure(self) -> Figures {
        sim::run(self.seed, async |simulator| self.live(simulator).await).0
    }

    async fn live(self, simulator: Simulator) -> Figures {
        let simulation = Simulation::new(simulator.clone());
        let zone = Arc::default();
        // Where mail comes apart, each account is loaded once, before anything is measured: its past makes no difference.
        ground::make(simulation.outside(&zone), self.all_accounts(), self.mail == Mail::Mixed).await;
        simulation.weather().change_store(|store| {
            store.measured = Some(S3);
            store.page_objects = (1_000, 1_000);
            store.whole_seconds = true;
        });
        let (meter, tally) = (Arc::<Meter>::default(), Arc::new(Tally::new(VICTIM)));
        let nodes: Vec<Node> = (0..self.nodes)
            .map(|place| {
                let machine = simulation.machine(&format!("n{place}"), &zone);
                Node {
                    place,
                    machine,
                    simulator: simulator.clone(),
                    meter: meter.clone(),
                    tally: tally.clone(),
                }
            })
            .collect();
        nodes.iter().for_each(|node| node.come(simulator.between(Duration::ZERO, ARRIVING)));
        simulator.sleep(ARRIVING + SETTLING).await;
        let arrival = meter.counts();

        let from = simulator.now() + self.warm_up;
        let until = from + self.window;
        let net = simulation.outside(&zone).net;
        let content: Arc<[u8]> = stuffed(&compose(0, self.octets)).into();
        for node in &nodes {
            for _ in 0..self.sessions {
                let client = Client {
                    simulator: simulator.clone(),
                    net: net.clone(),
                    server: node.address(),
                    accounts: self.accounts(node.place),
                    content: content.clone(),
                    tally: tally.clone(),
                    from: simulator.now() + simulator.between(Duration::ZERO, CLIENTS),
                    until,
                };
                simulator.spawn(Box::pin(client.run()));
            }
        }
        simulator.sleep_until(from).await;
        let before = meter.counts();
        simulator.sleep_until(until).await;
        let requests = meter.counts().since(&before);
        if self.nodes > 1 {
            nodes[VICTIM].machine.kill();
            tally.killed(simulator.now());
        }
        let late = simulator.now() + PATIENCE;
        while simulator.now() < late && !tally.is_settled() {
            simulator.sleep(LOOKING).await;
        }
        Figures { arrival, ..tally.figures(from..until, requests) }
    }

    /// The accounts to which the mail goes that this node gets.
    fn accounts(&self, place: usize) -> std::ops::Range<usize> {
        match self.mail {
            Mail::Apart => place * ACCOUNTS_PER_NODE..(place + 1) * ACCOUNTS_PER_NODE,
            Mail::Mixed => 0..self.all_accounts(),
        }
    }

    fn all_accounts(&self) -> usize {
        let accounts = self.nodes * ACCOUNTS_PER_NODE;
        match self.mail {
            Mail::Apart => accounts,
            Mail::Mixed => accounts.min(MIXED_ACCOUNTS_LIMIT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_figures_and_nothing_is_lost_with_a_node() {
        let cell = Cell {
            nodes: 3,
            mail: Mail::Mixed,
            sessions: 3,
            octets: 1_000,
            warm_up: Duration::from_secs(2),
            window: Duration::from_secs(2),
            seed: 7,
        };
        let figures = cell.measure();
        assert_eq!(cell.measure(), figures);
        assert!(figures.messages > 10 && figures.takeover.is_some(), "{figures:?}");
        assert_eq!(figures.undelivered, 0, "{figures:?}");
        assert_ne!(Cell { seed: 8, ..cell }.measure(), figures);
    }
}
