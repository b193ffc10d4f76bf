//! Nodes that take over each other's logs.
//!
//! Node 0 accepts one message. Nodes 1 to 3 adopt its log, and each other's, into their own. Each of 0 to 2 may fall silent at any step,
//! which is when others may think it dead, go on later as if nothing had been, or end. Node 3 does none of that, and adopts in
//! one step, so that there is always somebody to bring things to their end. A log that is closed may be deleted as soon as its
//! writer has lost the right to write.
//!
//! Left out: sealing number by number, which is `writer`'s (here a log is sealed and read in one step), and where content
//! lies, which is `garbage`'s.

mod adopter;
mod state;

use super::explorer::Model;
use adopter::Step;
use state::{HASTY, HESITANT, LAST, Life, Log, NODES, Node, Stage, State, WRITER, bit};

/// A rule that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Only the last owner's log is sealed and looked at.
    LooksOnlyAtTheLastOwner,
    /// An earlier owner whose heartbeat came back is left alone.
    SparesAnOwnerWhoCameBack,
    /// Earlier owners' logs are looked at and not sealed.
    LooksWithoutSealing,
    /// The log itself is read and not sealed.
    ReadsWithoutSealing,
    /// A link replaces another's under the same epoch.
    OverwritesLinks,
    /// An owner gives up while its Adopt is under way.
    GivesUpAmidAnAdopt,
    /// Logs that an adopted log had adopted are not closed with it, nor when it is deleted.
    LeavesAdoptedLogsOpen,
    /// The log is closed before its Adopt stands.
    ClosesBeforeTheAdoptStands,
    /// A closed log is deleted though one that it had adopted is open.
    DeletesBeforeWhatItAdoptedIsClosed,
    /// Who was silent for long enough to be thought dead relies on the heartbeat that it has written since.
    ReliesOnHeartbeatsAfterSilence,
    /// The same, once a segment has shown that the log was not sealed by then.
    ReliesOnHeartbeatsAfterOneProof,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Adoption {
    /// What is broken.
    pub mutant: Option<Mutant>,
}

/// A step, of the node that it begins with.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Action {
    AcceptTakesEffect,
    FallSilent(u8),
    BeatAgain(u8),
    Prove(u8),
    End(u8),
    FindFenced(u8),
    Deliver(u8),
    EndOwnLog(u8),
    FindDead { node: u8, log: u8 },
    GoOn(u8, Stage),
    AdoptTakesEffect(u8),
    GiveUp { node: u8, log: u8 },
    StopHalfway(u8),
    AdoptAtOnce { node: u8, log: u8 },
    Delete(u8),
}

impl Adoption {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn accept(&self, state: &State, step: Step) {
        if !state.is_sent && !state.log(WRITER).is_sealed {
            step(Action::AcceptTakesEffect, &|next| {
                next.is_sent = true;
                next.log_mut(WRITER).holds = true;
                // Nothing is worse than a client that is told at once.
                next.is_acknowledged = next.node(WRITER).life != Life::Gone;
            });
        }
    }

    fn live(&self, state: &State, node: u8, step: Step) {
        let (this, log) = (state.node(node), state.log(node));
        if this.life == Life::Gone {
            return;
        }
        if node != LAST && state.is_known(node) {
            match this.life {
                Life::Beating => step(Action::FallSilent(node), &|next| {
                    next.node_mut(node).life = Life::Silent;
                    next.node_mut(node).was_silent = true;
                }),
                _ if node == HASTY => {}
                _ => step(Action::BeatAgain(node), &|next| next.node_mut(node).life = Life::Beating),
            }
            step(Action::End(node), &|next| *next.node_mut(node) = Node::gone(this.adopt));
        }
        if log.is_sealed {
            step(Action::FindFenced(node), &|next| *next.node_mut(node) = Node::gone(None));
            return;
        }
        if this.was_silent && self.is(Mutant::ReliesOnHeartbeatsAfterOneProof) {
            step(Action::Prove(node), &|next| next.node_mut(node).was_silent = false);
        }
        if log.holds && (node != WRITER || state.is_acknowledged) {
            step(Action::Deliver(node), &|next| {
                next.log_mut(node).holds = false;
                next.is_delivered = true;
            });
        }
        let is_done = this.stage == Stage::Idle && this.adopt.is_none() && !log.holds && log.links() == 0;
        let has_been_used = if node == WRITER { state.is_delivered } else { state.is_known(node) };
        if is_done && has_been_used && node != LAST {
            step(Action::EndOwnLog(node), &|next| {
                next.log_mut(node).close();
                *next.node_mut(node) = Node::gone(None);
            });
        }
    }

    /// What happens to a log in its own time, whatever becomes of its node.
    fn store(&self, state: &State, node: u8, step: Step) {
        if state.node(node).adopt.is_some() {
            step(Action::AdoptTakesEffect(node), &|next| next.adopt_takes_effect(node));
        }
        let log = state.log(node);
        let asks = !matches!(
            self.mutant,
            Some(Mutant::DeletesBeforeWhatItAdoptedIsClosed | Mutant::LeavesAdoptedLogsOpen)
        );
        let is_needed = asks && !state.are_adopted_closed(node);
        // The writer's right is over long before the day is.
        if node == HESITANT
            && log.is_closed()
            && !log.is_deleted
            && !is_needed
            && state.node(node).life == Life::Gone
        {
            step(Action::Delete(node), &|next| {
                *next.log_mut(node) = Log { owners: log.owners, is_deleted: true, ..Log::default() };
            });
        }
    }
}

impl Model for Adoption {
    type State = State;
    type Action = Action;

    fn start(&self) -> State {
        State::default()
    }

    fn next(&self, state: &State) -> Vec<(Action, State)> {
        let mut steps = Vec::new();
        let mut step = |action: Action, effect: &dyn Fn(&mut State)| {
            let mut next = state.clone();
            effect(&mut next);
            steps.push((action, next));
        };
        self.accept(state, &mut step);
        for node in 0..NODES {
            self.live(state, node, &mut step);
            self.store(state, node, &mut step);
            match node {
                WRITER => {}
                LAST => self.adopt_at_once(state, &mut step),
                _ => self.adopt(state, node, &mut step),
            }
        }
        steps
    }

    fn violation(&self, state: &State) -> Option<&'static str> {
        let lives = |log: &Log| log.holds && !log.is_closed();
        if state.is_acknowledged && !state.is_delivered && !state.logs.iter().any(lives) {
            return Some("the message was acknowledged and is in no log that anybody will look at");
        }
        if (0..NODES).any(|log| state.adopters(log) > 1) {
            return Some("a log was adopted into two");
        }
        if state.came_back {
            return Some("what was done with has come back");
        }
        let attempts_anothers = |node: u8| {
            let (this, log) = (&state.node(node), &state.log(node));
            let relies = !this.was_silent || self.is(Mutant::ReliesOnHeartbeatsAfterSilence);
            let by_heartbeat = this.life == Life::Beating && relies;
            let by_proof = this.life != Life::Gone && !log.is_sealed;
            log.holds && state.adopters(node) > 0 && (by_heartbeat || by_proof)
        };
        (0..NODES).any(attempts_anothers).then_some("two nodes may attempt the message")
    }

    fn is_end(&self, state: &State) -> bool {
        let is_settled = |node: u8| {
            let is_over = state.node(node).life == Life::Gone && state.log(node).is_closed();
            node == LAST || !state.is_known(node) || is_over
        };
        (0..NODES).all(is_settled)
    }
}

impl Node {
    fn gone(adopt: Option<(u8, bool)>) -> Self {
        Self { life: Life::Gone, adopt, ..Self::default() }
    }
}

impl State {
    fn are_adopted_closed(&self, log: u8) -> bool {
        let adopted = self.log(log).adopted;
        (0..NODES).all(|other| adopted & bit(other) == 0 || self.log(other).is_closed())
    }
}
