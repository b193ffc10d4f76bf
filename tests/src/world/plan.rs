//! A scenario, drawn from a seed: who takes part, what is sent, what goes wrong and when. Nothing here happens; [`super::drive`] makes it happen.

use std::collections::BTreeSet;
use std::time::Duration;

use fulmar_core::config::QueueSettings;
use fulmar_core::model::{Address, ReversePath};

use super::fault::Fault;
use super::history::Place;
use super::profile::Profile;
use crate::dice::Dice;
use crate::sim::Faults;

/// The domain that is ours.
pub const HOME: &str = "home.test";
/// How many accounts there are.
pub const ACCOUNTS: (usize, usize) = (2, 5);
/// Nobody is there, and mail from there is reported to nobody.
const NOBODY_HERE: &str = "gone@home.test";
/// Octets of a message of the larger kind, at least.
const LARGE_OCTETS: usize = (1 << 20) + 20_000;
/// How long the times last at which much happens.
const RUSH: Duration = Duration::from_secs(30);

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

struct Drawing {
    dice: Dice,
    profile: &'static Profile,
    faults: BTreeSet<Fault>,
    /// Times at which much happens.
    rushes: Vec<Duration>,
}

impl Drawing {
    fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    fn within(&mut self, (least, most): (usize, usize)) -> usize {
        least + self.dice.below(most - least + 1)
    }

    /// A time at which there is trouble: mostly one of a few, shortly after which much happens at once.
    fn moment(&mut self) -> Duration {
        let trouble = self.profile.trouble;
        if self.rushes.is_empty() || self.dice.below(10) < 3 {
            return self.part(trouble);
        }
        let rush = self.rushes[self.dice.below(self.rushes.len())];
        (rush + self.spread(Duration::from_millis(1), RUSH)).min(trouble)
    }

    fn part(&mut self, whole: Duration) -> Duration {
        whole * self.dice.below(10_000) as u32 / 10_000
    }

    /// Between these, small ones as often as large ones.
    fn spread(&mut self, least: Duration, most: Duration) -> Duration {
        let (least, most) = (least.as_secs_f64().max(1e-3).ln(), most.as_secs_f64().ln());
        let at = self.dice.below(10_000) as f64 / 10_000.0;
        Duration::from_secs_f64((least + (most - least) * at).exp())
    }

    fn machines(&mut self) -> Vec<Machine> {
        let count = self.within(self.profile.machines);
        (0..count)
            .map(|place| {
                let is_late = place > 0 && self.has(Fault::Newcomers) && self.dice.below(2) == 0;
                let from = if is_late { self.moment() } else { Duration::ZERO };
                let clock = match self.has(Fault::Clocks) {
                    true => {
                        (self.dice.below(7_200_000) as i64 - 3_600_000, self.dice.below(400) as i64 - 200)
                    }
                    false => (0, 0),
                };
                Machine { from, clock }
            })
            .collect()
    }

    fn accounts(&mut self) -> Vec<Address> {
        let count = self.within(ACCOUNTS);
        (0..count).map(account).collect()
    }

    fn hosts(&mut self) -> Vec<Host> {
        let count = self.within((1, 3));
        (0..count)
            .map(|number| {
                let manners = match self.has(Fault::Remotes) {
                    true => self.manners(),
                    false => vec![(Manner::Take, 1)],
                };
                let behaves_from = self.profile.trouble;
                let is_routed = self.dice.below(2) == 0;
                Host { domain: format!("host{number}.test"), is_routed, manners, behaves_from }
            })
            .collect()
    }

    fn manners(&mut self) -> Vec<(Manner, usize)> {
        let slow = Manner::Slow(Duration::from_secs(1 + self.dice.below(20) as u64));
        let bad = [
            Manner::CutGreeting,
            Manner::RefuseGreeting,
            Manner::RefuseMail,
            Manner::Garbage,
            Manner::RefuseRecipients,
            Manner::RejectRecipients,
            Manner::CutData,
            Manner::RefuseContent,
            Manner::RejectContent,
            Manner::GarbageAfterDot,
            Manner::CutAfterDot,
            Manner::Stall,
            slow,
        ];
        let mut manners = vec![(Manner::Take, 1 + self.dice.below(20))];
        for manner in bad {
            if self.dice.below(3) == 0 {
                manners.push((manner, 1 + self.dice.below(6)));
            }
        }
        manners
    }

    fn messages(&mut self, machines: &[Machine], accounts: &[Address], hosts: &[Host]) -> Vec<Message> {
        let count = self.within(self.profile.messages);
        (0..count)
            .map(|_| {
                let place = (self.dice.below(10) > 0).then(|| self.dice.below(machines.len()));
                let reverse_path = match self.dice.below(10) {
                    0 => address(NOBODY_HERE),
                    1 | 2 => address(&format!("sender@{}", hosts[self.dice.below(hosts.len())].domain)),
                    _ => accounts[self.dice.below(accounts.len())].clone(),
                };
                let recipients = self.recipients(accounts, hosts);
                let is_large =
                    self.profile.large_one_in > 0 && self.dice.below(self.profile.large_one_in) == 0;
                let octets = if is_large { LARGE_OCTETS } else { 100 + self.dice.below(3_000) };
                let cuts = match self.has(Fault::Clients) && self.dice.below(3) == 0 {
                    true => 1 + self.dice.below(2) as u32,
                    false => 0,
                };
                let reverse_path = ReversePath::Address(reverse_path);
                let is_pipelined = self.dice.below(2) == 0;
                Message { at: self.moment(), place, reverse_path, recipients, octets, is_pipelined, cuts }
            })
            .collect()
    }

    fn recipients(&mut self, accounts: &[Address], hosts: &[Host]) -> Vec<Address> {
        let count = 1 + self.dice.below(3);
        let mut recipients = BTreeSet::new();
        for _ in 0..count {
            let host = &hosts[self.dice.below(hosts.len())].domain;
            recipients.insert(match self.dice.below(20) {
                0 => everybody(accounts.len()),
                1 => address(&format!("nobody@{host}")),
                2..=9 => address(&format!("to{}@{host}", self.dice.below(3))),
                _ => accounts[self.dice.below(accounts.len())].clone(),
            });
        }
        recipients.into_iter().collect()
    }

    fn queue(&mut self) -> QueueSettings {
        let real = QueueSettings::default();
        let seconds = |list: &[u64]| list.iter().copied().map(Duration::from_secs).collect::<Vec<_>>();
        let retry = [seconds(&[2, 5, 20, 60]), seconds(&[1, 10]), seconds(&[15, 60, 120])];
        let expire = [Duration::from_mins(3), Duration::from_mins(30), real.expire];
        let checkpoint_segments = [3, 8, 50, 1_000];
        let window = [Duration::ZERO, Duration::from_millis(20), real.window];
        let memory = [0, 4_000, real.memory];
        let settings = QueueSettings {
            window: window[self.dice.below(window.len())],
            memory: memory[self.dice.below(memory.len())],
            checkpoint_segments: checkpoint_segments[self.dice.below(checkpoint_segments.len())],
            ..real
        };
        if self.profile.is_real_schedule {
            return settings;
        }
        let retry = retry[self.dice.below(retry.len())].clone();
        QueueSettings { retry, expire: expire[self.dice.below(expire.len())], ..settings }
    }

    fn deeds(&mut self, machines: usize, accounts: usize) -> Vec<(Duration, Deed)> {
        let mut deeds = Vec::new();
        self.weather(machines, &mut deeds);
        self.blows(machines, &mut deeds);
        for _ in 0..self.within(self.profile.visits) {
            let account = self.dice.below(accounts);
            let deed = match self.dice.below(10) {
                0..=4 => Deed::Read {
                    account,
                    place: self.dice.below(machines),
                    deletes_one_in: 1 + self.dice.below(4),
                },
                5 | 6 => Deed::Look { account },
                7 | 8 => Deed::Order { is_cancel: false },
                _ => Deed::Order { is_cancel: true },
            };
            deeds.push((self.moment(), deed));
        }
        deeds.sort_by_key(|(at, _)| *at);
        deeds
    }

    /// Spells of bad weather, with better ones between.
    fn weather(&mut self, machines: usize, deeds: &mut Vec<(Duration, Deed)>) {
        let mut at = Duration::ZERO;
        let spell = self.profile.trouble / 8;
        while at < self.profile.trouble {
            let place = (self.dice.below(3) == 0).then(|| self.dice.below(machines));
            let faults = self.faults_of_a_spell();
            deeds.push((at, Deed::Weather(place, faults)));
            let lasts = spell / 4 + self.part(spell);
            deeds.push((at + lasts, Deed::Weather(place, Faults::default())));
            at += lasts + self.part(spell / 2);
        }
        let longest = Duration::from_mins(4).min(self.profile.trouble / 4);
        if self.has(Fault::Outages) {
            for _ in 0..self.within((1, 2)) {
                let place = (self.dice.below(2) == 0).then(|| self.dice.below(machines));
                let how_long = self.spread(Duration::from_secs(5), longest);
                deeds.push((self.moment(), Deed::StoreAway(place, how_long)));
            }
        }
        if self.has(Fault::Bursts) {
            for _ in 0..self.within((1, 3)) {
                let how_long = self.spread(Duration::from_secs(1), longest);
                deeds.push((self.moment(), Deed::SlowDown(how_long)));
            }
        }
    }

    fn faults_of_a_spell(&mut self) -> Faults {
        let mut strength = |fault, most: f64| match self.faults.contains(&fault) {
            true => most * [0.0, 0.05, 0.2, 1.0][self.dice.below(4)],
            false => 0.0,
        };
        Faults {
            lost_request: strength(Fault::LostRequests, 0.3),
            lost_answer: strength(Fault::LostResponses, 0.3),
            error_before: strength(Fault::ErrorsBefore, 0.4),
            error_after: strength(Fault::ErrorsAfter, 0.4),
            late_effect: strength(Fault::LateEffects, 0.2),
            slow_down: strength(Fault::Bursts, 0.5),
            truncated: strength(Fault::TruncatedReads, 0.3),
            forbidden: Vec::new(),
            connect_refused: strength(Fault::NetCuts, 0.2),
            connect_lost: strength(Fault::NetCuts, 0.1),
            cut: strength(Fault::NetCuts, 0.3),
            stalled: strength(Fault::NetCuts, 0.1),
            half_closed: strength(Fault::NetCuts, 0.1),
            dns_failure: strength(Fault::DnsFailures, 0.5),
            dns_timeout: strength(Fault::DnsFailures, 0.2),
            dns_slow: strength(Fault::DnsFailures, 0.3),
        }
    }

    fn blows(&mut self, machines: usize, deeds: &mut Vec<(Duration, Deed)>) {
        let kinds: Vec<Fault> = [Fault::Kills, Fault::Suspensions, Fault::Shutdowns]
            .into_iter()
            .filter(|fault| self.has(*fault))
            .collect();
        if kinds.is_empty() {
            return;
        }
        let longest = Duration::from_mins(70);
        for _ in 0..self.within(self.profile.blows).max(1) {
            let place = self.dice.below(machines);
            let is_back = self.dice.below(4) > 0;
            let back_after =
                is_back.then(|| self.spread(Duration::from_millis(100), self.profile.trouble / 3));
            let deed = match kinds[self.dice.below(kinds.len())] {
                Fault::Kills => {
                    let steps = self.dice.below([2, 20, 400][self.dice.clone().below(3)]) as u64;
                    Deed::Kill { place, steps, back_after }
                }
                Fault::Suspensions => {
                    Deed::Suspend { place, how_long: self.spread(Duration::from_secs(1), longest) }
                }
                _ => {
                    let grace = self.spread(Duration::from_millis(10), Duration::from_secs(60));
                    Deed::Stop { place, grace, back_after }
                }
            };
            deeds.push((self.moment(), deed));
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
