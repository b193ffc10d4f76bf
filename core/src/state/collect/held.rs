//! What the state of a chain needs of the chain's folder.

use std::collections::BTreeSet;

use crate::model::BodyId;
use crate::state::chain::State;
use crate::state::{account, domain};

/// Commits and bodies that messages lie in.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// Commits whose data holds a message's header block, at least.
    pub commits: BTreeSet<u64>,
    /// Large bodies.
    pub bodies: BTreeSet<BodyId>,
}

/// A state whose chain's folder is collected in.
pub trait Holding: State {
    /// What the state needs. Nothing that it has once let go of comes back.
    fn held(&self) -> Held;
    /// The body that a change names.
    fn named(op: &Self::Op) -> Option<BodyId>;
    /// The change that bars what others decided on before it (see [`super::chain`]); nothing where there are no bodies.
    fn fence() -> Option<Self::Op>;
}

impl Holding for account::Account {
    fn held(&self) -> Held {
        let messages = self.mailboxes.values().flat_map(|mailbox| mailbox.messages.values());
        let mut held = Held::default();
        for message in messages {
            held.commits.insert(message.commit);
            held.bodies.extend(message.content.body.as_ref().map(|body| body.id));
        }
        held
    }

    fn named(op: &account::Op) -> Option<BodyId> {
        match op {
            account::Op::Append(arrival) => arrival.content.body.as_ref().map(|body| body.id),
            _ => None,
        }
    }

    fn fence() -> Option<account::Op> {
        Some(account::Op::Fence {})
    }
}

impl Holding for domain::LocalDomain {
    fn held(&self) -> Held {
        Held::default()
    }

    fn named(_: &domain::Op) -> Option<BodyId> {
        None
    }

    fn fence() -> Option<domain::Op> {
        None
    }
}
