//! The end of a run: everything is healed, what is left to do is waited for, the nodes are left alone, and what the checks need is gathered.

use std::collections::BTreeMap;
use std::time::Duration;

use fulmar_core::model::{Address, Event, Incarnation};
use fulmar_core::state::account::INBOX;
use fulmar_core::state::requests::RequestCounts;

use super::{Run, lock};
use crate::sim::Latency;
use crate::world::archive::Waiting;
use crate::world::case::{Case, Held};
use crate::world::crew::host_address;
use crate::world::history::{Fact, Node, Place};
use crate::world::senders::SENDERS;

/// How long after everything is healed mail that is due may wait.
const PROMPTNESS: Duration = Duration::from_secs(120);
/// Until then connections are made that were begun while the network was bad.
const HANDSHAKES: Duration = Duration::from_millis(200);
/// How often the queue is looked at then.
const SAMPLING: Duration = Duration::from_secs(60);
/// After this time without mail a node is idle: one that has adopted something is seen to live for ten minutes after that.
pub(super) const QUIETING: Duration = Duration::from_mins(12);

impl Run {
    /// Heals everything.
    pub(super) async fn heal(&self) {
        let simulation = &self.crew.simulation;
        simulation.weather().calm();
        simulation.weather().change_store(|store| store.latency = Latency::FAST);
        if !self.plan().is_exact() {
            // Connections that fell silent would be waited for, for as long as RFC 5321 §4.5.3.2 wants it. Those that are just being made may
            // be of that kind.
            self.simulator().sleep(HANDSHAKES).await;
            (0..self.plan().hosts.len()).for_each(|number| simulation.net().reset(host_address(number)));
        }
        self.crew.heal().await;
        self.recorder().record(Fact::Healed);
    }

    /// Waits until every client has been answered and nothing is queued that can be delivered, and sees whether mail waits longer than it
    /// should.
    pub(super) async fn settle(&self) -> Vec<(Duration, Waiting, Duration)> {
        let healed = self.simulator().now();
        let mut overdue = Vec::new();
        self.simulator().sleep(PROMPTNESS).await;
        loop {
            self.observe();
            let queue = lock(&self.archive).waiting();
            let holders = self.holders();
            for waiting in &queue {
                let place = holders.get(&waiting.log).map_or(0, |node| node.place);
                let place = if place < SENDERS { place } else { 0 };
                let late = self.crew.utc(place).since(waiting.next);
                if late > PROMPTNESS {
                    overdue.push((self.simulator().now(), waiting.clone(), late));
                }
            }
            let is_done = queue.is_empty() && *lock(&self.clients) == 0;
            if is_done || self.simulator().now() >= healed + self.plan().profile.settling {
                return overdue;
            }
            self.simulator().sleep(SAMPLING).await;
        }
    }

    /// Whose each log is.
    fn holders(&self) -> BTreeMap<Incarnation, Node> {
        let history = self.recorder().history();
        let begun = history.events().filter_map(|(_, node, event)| match event {
            Event::IncarnationBegun { incarnation } => Some((*incarnation, node)),
            _ => None,
        });
        begun.collect()
    }

    /// Leaves the nodes alone.
    pub(super) async fn rest(&self, how_long: Duration) {
        let until = self.simulator().now() + how_long;
        while self.simulator().now() < until {
            let next = self.simulator().now() + self.plan().profile.observing;
            self.simulator().sleep_until(next.min(until)).await;
            self.observe();
        }
    }

    pub(super) async fn gather(
        &self,
        overdue: Vec<(Duration, Waiting, Duration)>,
        before: Vec<(Place, RequestCounts)>,
    ) -> Case {
        let mut troubles = Vec::new();
        let idle = (self.plan().profile.resting, difference(&before, &self.crew.requests()));
        if let Err(error) = self.admin.queue().await {
            troubles.push(format!("the queue cannot be listed: {error}"));
        }
        let read_at = self.crew.simulation.bucket().now();
        let mut mailboxes = BTreeMap::new();
        for address in &self.plan().accounts {
            match self.mailbox(address).await {
                Ok(held) => drop(mailboxes.insert(address.clone(), held)),
                Err(error) => troubles.push(format!("the mailbox of {address} cannot be read: {error}")),
            }
        }
        self.observe();
        let archive = std::mem::take(&mut *lock(&self.archive));
        Case {
            plan: self.plan().clone(),
            began: self.began,
            ended: self.simulator().now(),
            history: self.recorder().history(),
            queue: archive.waiting(),
            archive,
            read_at,
            mailboxes,
            overdue,
            troubles,
            statistics: self.crew.statistics(),
            idle,
            answers: self.crew.answers.so_far(),
        }
    }

    async fn mailbox(&self, address: &Address) -> Result<Vec<Held>, String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let mut held = Vec::new();
        for listing in self.admin.mailbox(address, INBOX).await.map_err(|error| words(&error))? {
            let mut octets = Vec::new();
            let reader = self.admin.message(address, INBOX, listing.uid).await;
            let mut reader = reader.map_err(|error| format!("UID {}: {error}", listing.uid))?;
            while let Some(part) = reader.next().await.map_err(|error| words(&error))? {
                octets.extend_from_slice(&part);
            }
            held.push(Held { uid: listing.uid, queue_id: listing.queue_id, octets });
        }
        Ok(held)
    }
}

fn difference(
    before: &[(Place, RequestCounts)],
    after: &[(Place, RequestCounts)],
) -> Vec<(Place, RequestCounts)> {
    let of = |place| before.iter().find(|(other, _)| *other == place).map(|(_, counts)| *counts);
    let left = |(place, after): &(Place, RequestCounts)| {
        let before = of(*place)?;
        let mut counts = *after;
        counts.put -= before.put;
        counts.get -= before.get;
        counts.list -= before.list;
        counts.head -= before.head;
        counts.delete -= before.delete;
        counts.copy -= before.copy;
        Some((*place, counts))
    };
    after.iter().filter_map(left).collect()
}
