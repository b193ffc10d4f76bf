//! A scenario, drawn from a seed: who takes part, what is sent, what goes wrong and when. Nothing here happens; [`super::drive`] makes it happen.

mod drawing;
mod trouble;

use std::collections::BTreeSet;
use std::time::Duration;

use fulmar_core::config::QueueSettings;
use fulmar_core::model::{Address, ReversePath};

use self::drawing::Drawing;
use super::fault::Fault;
use super::history::Place;
use super::profile::Profile;
use crate::dice::Dice;
use crate::sim::Faults;

/// The domain that is ours.
pub const HOME: &str = "home.test";
/// How many accounts there are.
pub const ACCOUNTS: (usize, usize) = (2, 5);

/// See the module.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of which it was drawn.
    pub seed: u64,
    /// Its kind.
    pub profile: &'static Profile,
    /// What may go wrong.
    pub faults: BTreeSet<Fault>,
    /// Machines that serve.
    pub machines: Vec<Machine>,
    /// Accounts.
    pub accounts: Vec<Address>,
    /// Other hosts, one for each domain.
    pub hosts: Vec<Host>,
    /// What is sent.
    pub messages: Vec<Message>,
    /// What is done, and when.
    pub deeds: Vec<(Duration, Deed)>,
    /// The queue's settings on all nodes.
    pub queue: QueueSettings,
    /// Transactions with one destination at a time.
    pub attempts_per_destination: usize,
}

/// A machine that serves.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// From when on.
    pub from: Duration,
    /// By how many milliseconds its clock is wrong, and how many millionths it gains.
    pub clock: (i64, i64),
}

/// Another host.
#[derive(Clone, Debug)]
pub struct Host {
    /// The domain that it takes mail for.
    pub domain: String,
    /// Whether nodes are told of it, rather than find it by MX.
    pub is_routed: bool,
    /// How it treats clients, with weights.
    pub manners: Vec<(Manner, usize)>,
    /// From when on it takes everything.
    pub behaves_from: Duration,
}

/// How a host treats a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Manner {
    Take,
    CutGreeting,
    RefuseGreeting,
    RefuseMail,
    Garbage,
    RefuseRecipients,
    RejectRecipients,
    CutData,
    RefuseContent,
    RejectContent,
    GarbageAfterDot,
    CutAfterDot,
    Stall,
    /// Before each reply.
    Slow(Duration),
}

/// A message, and its client.
#[derive(Clone, Debug)]
pub struct Message {
    /// When its client comes first.
    pub at: Duration,
    /// Where its client goes first; then it goes from one machine to the next. None: a node of its own sends it and ends.
    pub place: Option<Place>,
    /// From whom.
    pub reverse_path: ReversePath,
    /// To whom, as named.
    pub recipients: Vec<Address>,
    /// Octets of content.
    pub octets: usize,
    /// Whether its client sends commands without waiting for replies.
    pub is_pipelined: bool,
    /// How often its client goes away after the final dot, before it waits for the reply.
    pub cuts: u32,
}

/// Something that is done.
#[derive(Clone, Debug)]
pub enum Deed {
    /// From now on this goes wrong, for one machine or for all.
    Weather(Option<Place>, Faults),
    /// The store is away.
    StoreAway(Option<Place>, Duration),
    /// The store tells everybody to slow down.
    SlowDown(Duration),
    /// A machine dies after so many more steps, and comes back.
    Kill { place: Place, steps: u64, back_after: Option<Duration> },
    /// A machine stands still.
    Suspend { place: Place, how_long: Duration },
    /// A node is told to end, and comes back.
    Stop { place: Place, grace: Duration, back_after: Option<Duration> },
    /// Somebody reads a mailbox by POP3, and deletes every so-manyth message.
    Read { account: usize, place: Place, deletes_one_in: usize },
    /// An operator orders something about some message in the queue.
    Order { is_cancel: bool },
    /// An operator reads a mailbox.
    Look { account: usize },
}

impl Plan {
    /// The scenario of a seed. Where `allowed` is given, nothing else goes wrong.
    pub fn draw(seed: u64, profile: &'static Profile, allowed: Option<&BTreeSet<Fault>>) -> Self {
        // Apart from the dice of the simulator, which begin with the same seed.
        let mut dice = Dice::new(seed.rotate_left(32) ^ 0x5bd1_e995);
        let is_calm = dice.below(12) == 0 && profile.always.is_empty();
        let faults: BTreeSet<Fault> = Fault::ALL
            .iter()
            .copied()
            .filter(|fault| dice.below(100) < profile.fault_share || profile.always.contains(fault))
            .filter(|fault| !is_calm && allowed.is_none_or(|allowed| allowed.contains(fault)))
            .collect();
        let mut drawing = Drawing { dice, profile, faults, rushes: Vec::new() };
        let rushes = drawing.within((1, 5));
        drawing.rushes = (0..rushes).map(|_| drawing.part(profile.trouble)).collect();
        let machines = drawing.machines();
        let accounts = drawing.accounts();
        let hosts = drawing.hosts();
        let messages = drawing.messages(&machines, &accounts, &hosts);
        let queue = drawing.queue();
        let attempts_per_destination = [1, 2, 3, 20][drawing.dice.below(4)];
        let deeds = drawing.deeds(machines.len(), accounts.len());
        let Drawing { faults, .. } = drawing;
        Self {
            seed,
            profile,
            faults,
            machines,
            accounts,
            hosts,
            messages,
            deeds,
            queue,
            attempts_per_destination,
        }
    }

    /// Whether a copy too many would have no excuse.
    pub fn is_exact(&self) -> bool {
        self.profile.ambushes.is_empty() && !self.faults.iter().any(|fault| fault.may_double())
    }

    /// Whose mailboxes, and who at other hosts, a named recipient comes to.
    pub fn expand(&self, named: &Address) -> Vec<Address> {
        if *named == everybody(self.accounts.len()) {
            self.accounts.clone()
        } else {
            vec![named.normalized()]
        }
    }
}

/// One of the accounts.
pub fn account(number: usize) -> Address {
    address(&format!("user{number}@{HOME}"))
}

/// The alias that comes to the first so many accounts.
pub fn everybody(accounts: usize) -> Address {
    address(&format!("all{accounts}@{HOME}"))
}

/// An address that is written here.
#[expect(clippy::expect_used, reason = "what is written here is an address")]
pub fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}
