//! Draws who takes part and what is sent.

use std::collections::BTreeSet;
use std::time::Duration;

use fulmar_core::config::QueueSettings;
use fulmar_core::model::{Address, ReversePath};

use super::{ACCOUNTS, Deed, Host, Machine, Manner, Message, account, address, everybody};
use crate::dice::Dice;
use crate::world::fault::Fault;
use crate::world::profile::Profile;

/// Nobody is there, and mail from there is reported to nobody.
const NOBODY_HERE: &str = "gone@home.test";
/// Octets of a message of the larger kind, at least.
const LARGE_OCTETS: usize = (1 << 20) + 20_000;
/// How long the times last at which much happens.
const RUSH: Duration = Duration::from_secs(30);

/// A scenario that is being drawn.
pub(super) struct Drawing {
    pub(super) dice: Dice,
    pub(super) profile: &'static Profile,
    pub(super) faults: BTreeSet<Fault>,
    /// Times at which much happens.
    pub(super) rushes: Vec<Duration>,
}

impl Drawing {
    pub(super) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    pub(super) fn within(&mut self, (least, most): (usize, usize)) -> usize {
        least + self.dice.below(most - least + 1)
    }

    /// A time at which there is trouble: mostly one of a few, shortly after which much happens at once.
    pub(super) fn moment(&mut self) -> Duration {
        let trouble = self.profile.trouble;
        if self.rushes.is_empty() || self.dice.below(10) < 3 {
            return self.part(trouble);
        }
        let rush = self.rushes[self.dice.below(self.rushes.len())];
        (rush + self.spread(Duration::from_millis(1), RUSH)).min(trouble)
    }

    pub(super) fn part(&mut self, whole: Duration) -> Duration {
        whole * self.dice.below(10_000) as u32 / 10_000
    }

    /// Between these, small ones as often as large ones.
    pub(super) fn spread(&mut self, least: Duration, most: Duration) -> Duration {
        let (least, most) = (least.as_secs_f64().max(1e-3).ln(), most.as_secs_f64().ln());
        let at = self.dice.below(10_000) as f64 / 10_000.0;
        Duration::from_secs_f64((least + (most - least) * at).exp())
    }

    pub(super) fn machines(&mut self) -> Vec<Machine> {
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

    pub(super) fn accounts(&mut self) -> Vec<Address> {
        let count = self.within(ACCOUNTS);
        (0..count).map(account).collect()
    }

    pub(super) fn hosts(&mut self) -> Vec<Host> {
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

    pub(super) fn manners(&mut self) -> Vec<(Manner, usize)> {
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

    pub(super) fn messages(
        &mut self,
        machines: &[Machine],
        accounts: &[Address],
        hosts: &[Host],
    ) -> Vec<Message> {
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

    pub(super) fn recipients(&mut self, accounts: &[Address], hosts: &[Host]) -> Vec<Address> {
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

    pub(super) fn queue(&mut self) -> QueueSettings {
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

    pub(super) fn deeds(&mut self, machines: usize, accounts: usize) -> Vec<(Duration, Deed)> {
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
}
