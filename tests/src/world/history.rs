//! What happened in a run, as those saw it who took part: one list of facts in the order of virtual time. Together with what the bucket
//! held ([`super::archive::Archive`]) it is all that the checks know.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fulmar_core::model::{Address, Event, QueueId};

use crate::sim::Simulator;

/// One of the machines that serve, by its number in the plan; those that only send come after them.
pub type Place = usize;

/// One fact.
#[derive(Clone, Debug)]
pub enum Fact {
    /// A node reports.
    Event {
        /// Which.
        node: Node,
        /// What.
        event: Event,
    },
    /// A node's life turns.
    Life(Node, Turn),
    /// A fault begins or ends, in words.
    Weather(String),
    /// Nothing fails from now on.
    Healed,
    /// A client has ended an attempt to hand over a message.
    Offered(Offer),
    /// Another host has ended a transaction.
    Taken(Taking),
    /// A reader of a mailbox was shown these UIDs.
    Read {
        /// Whose mailbox.
        account: Address,
        /// Through which node, or none for an operator.
        node: Option<Node>,
        /// UIDVALIDITY and the UIDs, in the order shown.
        shown: (u64, Vec<u32>),
    },
    /// A reader has asked for messages to be deleted.
    Deleted {
        /// Out of whose mailbox.
        account: Address,
        /// Which.
        uids: BTreeSet<u32>,
        /// Whether it was told that they are.
        is_acknowledged: bool,
    },
    /// An operator has given an order.
    Ordered {
        /// About this message.
        queue_id: QueueId,
        /// `retry` or `cancel`.
        action: &'static str,
    },
}

/// One life of one machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// The machine.
    pub place: Place,
    /// Which of its lives.
    pub life: u32,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}-{}", self.place, self.life)
    }
}

impl Node {
    /// What it calls itself in SMTP.
    pub fn hostname(self) -> String {
        format!("{self}.home.test")
    }

    /// The node of this name.
    pub fn of(hostname: &str) -> Option<Self> {
        let (place, life) = hostname.strip_suffix(".home.test")?.strip_prefix('n')?.split_once('-')?;
        Some(Self { place: place.parse().ok()?, life: life.parse().ok()? })
    }
}

/// A turn in a node's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Its engine runs.
    Started,
    /// Its process is gone.
    Killed,
    /// Its process stands still.
    Suspended,
    /// It goes on.
    Resumed,
    /// It was told to end.
    Stopping,
    /// It has done so.
    Stopped,
}

/// A client's attempt at a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The message.
    pub number: usize,
    /// The attempt, from 0.
    pub attempt: u32,
    /// Where it was made.
    pub place: Place,
    /// Whether the whole content and its end were sent.
    pub is_whole: bool,
    /// How it ended.
    pub answer: Answer,
}

/// What a client was told in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `250`.
    Taken(QueueId),
    /// 5yz: it will not try again.
    Refused(String),
    /// Anything else, or nothing.
    Later(String),
}

/// A transaction at another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taking {
    /// The host, by its number in the plan.
    pub host: usize,
    /// The node on the other side, as it called itself.
    pub node: Option<Node>,
    /// When the transaction began.
    pub began: Duration,
    /// When the host had said its last word in it, or the connection was seen to end.
    pub ended: Duration,
    /// From the trace field; nothing where no content came.
    pub queue_id: Option<QueueId>,
    /// Which message it is.
    pub number: Option<usize>,
    /// Recipients that were accepted.
    pub recipients: Vec<Address>,
    /// Whether the content is what was sent.
    pub is_same: bool,
    /// What became of it.
    pub end: End,
}

/// How a transaction at another host ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The host has the message, and its client went on after the final reply.
    Taken,
    /// The host has the message, and nobody knows whether its client has heard that.
    TakenUnheard,
    /// The host does not have it.
    Not,
}

impl End {
    /// Whether the host has the message.
    pub fn is_taken(self) -> bool {
        self != Self::Not
    }
}

/// All facts so far. Cheap to clone; everybody writes into the same one.
#[derive(Clone, Debug)]
pub struct Recorder {
    simulator: Simulator,
    facts: Arc<Mutex<Vec<(Duration, Fact)>>>,
}

/// All facts of a run, with their times since it began.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In order.
    pub facts: Vec<(Duration, Fact)>,
}

impl Recorder {
    /// Nothing has happened yet.
    pub fn new(simulator: Simulator) -> Self {
        Self { simulator, facts: Arc::default() }
    }

    /// Takes down a fact, and says which it is.
    pub fn record(&self, fact: Fact) -> usize {
        let now = self.simulator.now();
        let mut facts = self.locked();
        facts.push((now, fact));
        facts.len() - 1
    }

    /// The client of a message that was taken has gone on: it has heard of it, or at least acts as if it had.
    pub fn heard(&self, number: usize) {
        if let Some((_, Fact::Taken(taking))) = self.locked().get_mut(number)
            && taking.end == End::TakenUnheard
        {
            taking.end = End::Taken;
        }
    }

    /// Everything so far.
    pub fn history(&self) -> History {
        History { facts: self.locked().clone() }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<(Duration, Fact)>> {
        self.facts.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl History {
    /// When everything was healed; the end where it never was.
    pub fn healed(&self) -> Duration {
        let healed = self.facts.iter().find(|(_, fact)| matches!(fact, Fact::Healed));
        healed.map_or(self.end(), |(at, _)| *at)
    }

    /// The time of the last fact.
    pub fn end(&self) -> Duration {
        self.facts.last().map_or(Duration::ZERO, |(at, _)| *at)
    }

    /// The attempts of clients.
    pub fn offers(&self) -> impl Iterator<Item = &Offer> {
        self.facts.iter().filter_map(|(_, fact)| match fact {
            Fact::Offered(offer) => Some(offer),
            _ => None,
        })
    }

    /// The transactions at other hosts, each with when it ended.
    pub fn takings(&self) -> impl Iterator<Item = (Duration, &Taking)> {
        self.facts.iter().filter_map(|(at, fact)| match fact {
            Fact::Taken(taking) => Some((*at, taking)),
            _ => None,
        })
    }

    /// What nodes have reported.
    pub fn events(&self) -> impl Iterator<Item = (Duration, Node, &Event)> {
        self.facts.iter().filter_map(|(at, fact)| match fact {
            Fact::Event { node, event } => Some((*at, *node, event)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_told_by_its_name() {
        let node = Node { place: 2, life: 13 };
        assert_eq!(Node::of(&node.hostname()), Some(node));
        assert_eq!(Node::of("client.test"), None);
    }
}
