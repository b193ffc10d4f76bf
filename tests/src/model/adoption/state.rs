//! What there is of logs and of nodes at one moment.

/// Nodes; each writes the log of its number.
pub(super) const NODES: u8 = 4;
/// The one that accepts.
pub(super) const WRITER: u8 = 0;
/// The one that may stop halfway with a log, and give it up.
pub(super) const HESITANT: u8 = 1;
/// The one that does not.
pub(super) const HASTY: u8 = 2;
/// The one that goes on whatever happens.
pub(super) const LAST: u8 = 3;
/// Links that a chain of owners may have.
const LINKS: usize = 6;

/// One link of a log's chain of owners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Link {
    #[default]
    None,
    By(u8),
    GivenUp,
    Closed,
}

/// What others may think of a node, and it of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Life {
    #[default]
    Beating,
    /// It has not written a heartbeat for long enough to be thought dead, and may be only slow.
    Silent,
    /// It has ended, or has learnt that its log is not its own any more.
    Gone,
}

/// How far a node is with a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It is not about any.
    #[default]
    Idle,
    /// Has found so many links, and claims the log by the next.
    Claims {
        /// The log.
        log: u8,
        /// Links.
        seen: u8,
    },
    /// Has claimed it under this epoch, and seals the logs of owners before this place.
    SealsOwners {
        /// The log.
        log: u8,
        /// Its own link, counted from 1.
        epoch: u8,
        /// The place, counted from 0.
        before: u8,
    },
    /// Seals and reads the log itself.
    Reads {
        /// The log.
        log: u8,
        /// As above.
        epoch: u8,
    },
    /// Has read it, and looks at the chain again.
    LooksAgain {
        /// The log.
        log: u8,
        /// As above.
        epoch: u8,
        /// Whether the message lives in it.
        holds: bool,
    },
    /// Has sent its Adopt.
    Adopts {
        /// The log.
        log: u8,
    },
    /// Closes what the log had adopted, and then it.
    Closes {
        /// The log.
        log: u8,
    },
}

/// One log. Sets of logs are bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Log {
    pub(super) owners: [Link; LINKS],
    pub(super) is_sealed: bool,
    /// Whether the message lives in it.
    pub(super) holds: bool,
    /// Logs whose Adopt stands in it.
    pub(super) adopted: u8,
    pub(super) is_deleted: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) life: Life,
    /// It has been silent since it began.
    pub(super) was_silent: bool,
    pub(super) stage: Stage,
    /// Logs whose Adopt it has found in another, which is to be closed first.
    pub(super) outer: u8,
    /// An Adopt that was sent and may take effect: of which log, and whether with the message in it.
    pub(super) adopt: Option<(u8, bool)>,
}

/// Everything at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    pub(super) logs: [Log; NODES as usize],
    pub(super) nodes: [Node; NODES as usize],
    pub(super) is_sent: bool,
    pub(super) is_acknowledged: bool,
    pub(super) is_delivered: bool,
    /// The message was adopted once more after it had been delivered and that was written down.
    pub(super) came_back: bool,
}

pub(super) fn bit(log: u8) -> u8 {
    1 << log
}

impl Log {
    pub(super) fn links(&self) -> u8 {
        self.owners.iter().take_while(|link| **link != Link::None).count() as u8
    }

    pub(super) fn last(&self) -> Link {
        self.links().checked_sub(1).map_or(Link::None, |last| self.owners[last as usize])
    }

    pub(super) fn is_closed(&self) -> bool {
        self.last() == Link::Closed
    }

    pub(super) fn link(&mut self, link: Link) {
        self.owners[self.links() as usize] = link;
    }

    pub(super) fn close(&mut self) {
        if !self.is_closed() {
            self.link(Link::Closed);
        }
    }
}

impl State {
    pub(super) fn log(&self, log: u8) -> &Log {
        &self.logs[log as usize]
    }

    pub(super) fn log_mut(&mut self, log: u8) -> &mut Log {
        &mut self.logs[log as usize]
    }

    pub(super) fn node(&self, node: u8) -> &Node {
        &self.nodes[node as usize]
    }

    pub(super) fn node_mut(&mut self, node: u8) -> &mut Node {
        &mut self.nodes[node as usize]
    }

    /// Whether others can know of a node: it has accepted or claimed something, with a heartbeat before.
    pub(super) fn is_known(&self, node: u8) -> bool {
        node == WRITER || self.logs.iter().any(|log| log.owners.contains(&Link::By(node)))
    }

    /// Whether others may think that a log is nobody's.
    pub(super) fn is_dead(&self, log: u8) -> bool {
        self.node(log).life != Life::Beating && self.is_known(log) && !self.log(log).is_closed()
    }

    /// Logs in which an Adopt of this one stands.
    pub(super) fn adopters(&self, log: u8) -> u8 {
        self.logs.iter().filter(|adopter| adopter.adopted & bit(log) != 0).count() as u8
    }

    pub(super) fn adopt_takes_effect(&mut self, node: u8) {
        let adopt = self.node_mut(node).adopt.take();
        let is_delivered = self.is_delivered;
        let own = self.log_mut(node);
        if let Some((log, holds)) = adopt
            && !own.is_sealed
            && !own.is_deleted
        {
            own.adopted |= bit(log);
            own.holds |= holds;
            self.came_back |= holds && is_delivered;
        }
    }
}
