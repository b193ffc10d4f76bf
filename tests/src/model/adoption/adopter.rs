//! What an adopter does, request by request.

use super::state::{HESITANT, LAST, Life, Link, NODES, Stage, State, bit};
use super::{Action, Adoption, Mutant};

/// Takes a step and its effect.
pub(super) type Step<'a> = &'a mut dyn FnMut(Action, &dyn Fn(&mut State));

/// Links that a chain may have when one of those that may fall silent claims the log: else two could go on for ever.
const CLAIMS: u8 = 2;

impl Adoption {
    pub(super) fn adopt(&self, state: &State, node: u8, step: Step) {
        let this = state.node(node);
        if this.life == Life::Gone {
            return;
        }
        match this.stage {
            Stage::Idle => {
                for log in (0..NODES).filter(|log| *log != node && state.is_dead(*log)) {
                    step(Action::FindDead { node, log }, &|next| self.begin(next, node, log));
                }
            }
            // It is asked again until it is known.
            Stage::Adopts { .. } if this.adopt.is_some() || state.log(node).is_sealed => {}
            stage => {
                step(Action::GoOn(node, stage), &|next| self.go_on(next, node));
                if node == HESITANT {
                    step(Action::StopHalfway(node), &|next| stop(next, node));
                }
            }
        }
        for log in (0..NODES).filter(|_| node == HESITANT) {
            let is_idle = this.stage == Stage::Idle && this.adopt.is_none();
            let may_give_up = is_idle || self.is(Mutant::GivesUpAmidAnAdopt);
            let is_taken = state.log(node).adopted & bit(log) != 0;
            let claimed = &state.log(log);
            if may_give_up && !is_taken && claimed.links() <= CLAIMS && claimed.last() == Link::By(node) {
                step(Action::GiveUp { node, log }, &|next| next.log_mut(log).link(Link::GivenUp));
            }
        }
    }

    /// The last node's adoptions: nothing comes between their requests.
    pub(super) fn adopt_at_once(&self, state: &State, step: Step) {
        for log in (0..NODES).filter(|log| *log != LAST && state.is_dead(*log)) {
            step(Action::AdoptAtOnce { node: LAST, log }, &|next| {
                self.begin(next, LAST, log);
                while next.node(LAST).stage != Stage::Idle {
                    self.go_on(next, LAST);
                    next.adopt_takes_effect(LAST);
                }
            });
        }
    }

    /// Reads the chain of owners of a log that it has found dead, or that it has to adopt instead of another.
    fn begin(&self, state: &mut State, node: u8, log: u8) {
        let links = state.log(log).links();
        let stage = match state.log(log).last() {
            Link::Closed => {
                let outer = state.node(node).outer;
                (0..NODES)
                    .filter(|other| outer & bit(*other) != 0)
                    .for_each(|other| state.log_mut(other).close());
                return stop(state, node);
            }
            Link::By(owner) if owner == node => Stage::SealsOwners { log, epoch: links, before: links - 1 },
            Link::By(owner) if state.node(owner).life == Life::Beating => return stop(state, node),
            Link::By(_) | Link::GivenUp | Link::None if node == LAST || links < CLAIMS => {
                Stage::Claims { log, seen: links }
            }
            Link::By(_) | Link::GivenUp | Link::None => return stop(state, node),
        };
        state.node_mut(node).stage = stage;
    }

    /// The next request of an adoption.
    fn go_on(&self, state: &mut State, node: u8) {
        match state.node(node).stage {
            Stage::Idle => {}
            Stage::Claims { log, seen } => {
                let slot = &mut state.log_mut(log).owners[seen as usize];
                if *slot != Link::None && !self.is(Mutant::OverwritesLinks) {
                    return stop(state, node);
                }
                *slot = Link::By(node);
                state.node_mut(node).stage = Stage::SealsOwners { log, epoch: seen + 1, before: seen };
            }
            Stage::SealsOwners { log, epoch, before } => self.seal_owner(state, node, [log, epoch, before]),
            Stage::Reads { log, epoch } => {
                state.log_mut(log).is_sealed |= !self.is(Mutant::ReadsWithoutSealing);
                let holds = state.log(log).holds;
                state.node_mut(node).stage = Stage::LooksAgain { log, epoch, holds };
            }
            Stage::LooksAgain { log, epoch, holds } => {
                if state.log(log).links() != epoch || state.log(log).last() != Link::By(node) {
                    return stop(state, node);
                }
                let is_taken = state.log(node).adopted & bit(log) != 0;
                if !is_taken {
                    state.node_mut(node).adopt = Some((log, holds));
                }
                let may_close = is_taken || self.is(Mutant::ClosesBeforeTheAdoptStands);
                state.node_mut(node).stage =
                    if may_close { Stage::Closes { log } } else { Stage::Adopts { log } };
            }
            Stage::Adopts { log } => state.node_mut(node).stage = Stage::Closes { log },
            Stage::Closes { log } => {
                let is_open =
                    |other: &u8| state.log(log).adopted & bit(*other) != 0 && !state.log(*other).is_closed();
                let found = (0..NODES).find(is_open).filter(|_| !self.is(Mutant::LeavesAdoptedLogsOpen));
                state.log_mut(found.unwrap_or(log)).close();
                if found.is_none() {
                    stop(state, node);
                }
            }
        }
    }

    /// Seals the log of the newest owner before a place, and looks for an Adopt in it.
    fn seal_owner(&self, state: &mut State, node: u8, [log, epoch, before]: [u8; 3]) {
        let owner_at = |place: u8| state.log(log).owners[place as usize];
        let mut earlier = (0..before).rev().filter_map(|place| match owner_at(place) {
            Link::By(owner) if owner != node && owner_at(place + 1) != Link::GivenUp => Some((place, owner)),
            _ => None,
        });
        let Some((place, owner)) = earlier.next() else {
            state.node_mut(node).stage = Stage::Reads { log, epoch };
            return;
        };
        let before = if self.is(Mutant::LooksOnlyAtTheLastOwner) { 0 } else { place };
        state.node_mut(node).stage = Stage::SealsOwners { log, epoch, before };
        if self.is(Mutant::SparesAnOwnerWhoCameBack) && state.node(owner).life == Life::Beating {
            return;
        }
        state.log_mut(owner).is_sealed |= !self.is(Mutant::LooksWithoutSealing);
        if state.log(owner).adopted & bit(log) != 0 {
            state.node_mut(node).outer |= bit(log);
            self.begin(state, node, owner);
        }
    }
}

/// Leaves a log alone, done with or not.
fn stop(state: &mut State, node: u8) {
    state.node_mut(node).stage = Stage::Idle;
    state.node_mut(node).outer = 0;
}
