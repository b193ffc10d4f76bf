//! The collection of spool folders: closing links, `Ended`, and the sweeper that trusts them.
//!
//! Node 0 has accepted message 0 and node 1 message 1; each one's content lies in its log's folder and stays there, whichever log the
//! message is adopted into. Nodes 0 to 2 may end at any step. Node 3 does not, so that there is always somebody to bring things to their end; it
//! ends its own log last.
//!
//! Left out: who may think whom dead and races for a log, which are `adoption`'s: only logs of nodes that are gone are adopted here, in one step up to the
//! Adopt. The day of grace passes for everything at once.

use super::explorer::Model;

/// Nodes; each writes the log of its number, whose folder has that number, too.
const NODES: usize = 4;
/// The one that goes on whatever happens.
const LAST: usize = 3;
/// Messages, each accepted by the node of its number.
const MESSAGES: u8 = 2;

/// A rule that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A node ends its log, or says that nothing lives in a folder, while a log that came to it is open.
    EndsWhileSomethingIsOpen,
    /// It is said that nothing lives in a folder though a message has its content there.
    SaysEndedTooSoon,
    /// A folder whose log was closed into another is taken for dead.
    TakesClosedForDead,
    /// A folder whose log was closed into one that is said to have ended is taken for dead.
    TakesEndedInBetweenForItsOwn,
    /// `own/` is deleted before the rest.
    DeletesOwnersFirst,
    /// `own/` is deleted while another folder's link leads to it.
    DeletesOwnersThatAreLedTo,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Garbage {
    /// What is broken.
    pub mutant: Option<Mutant>,
}

/// The last link of a log's chain of owners, `Ended` apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Link {
    #[default]
    None,
    By(u8),
    /// Into a log, or none.
    Closed(Option<u8>),
}

/// A log and its folder. Sets are bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Log {
    owner: Link,
    /// `Ended` follows the closing link.
    is_ended: bool,
    /// The last link is a day old.
    is_old: bool,
    /// Messages that live in it.
    live: u8,
    /// Logs whose Adopt stands in it.
    adopted: u8,
    /// Those, and what had come to them.
    folders: u8,
    is_gone: Gone,
}

/// What of a folder has been deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Gone {
    content: bool,
    owners: bool,
}

/// Everything at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    logs: [Log; NODES],
    /// Nodes that have ended.
    ended: u8,
    /// Logs that each node has adopted and not yet closed together with what came to them.
    closing: [Option<u8>; NODES],
    delivered: u8,
    came_back: bool,
}

/// A step.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Action {
    NodeEnds(usize),
    Adopt { node: usize, log: usize },
    CloseOne { node: usize, log: usize },
    StopHalfway(usize),
    Deliver { node: usize, message: u8 },
    EndLog(usize),
    SayEnded { node: usize, folder: usize },
    DayPasses,
    DeleteContent(usize),
    DeleteOwners(usize),
}

type Step<'a> = &'a mut dyn FnMut(Action, &dyn Fn(&mut State));

fn bit(number: usize) -> u8 {
    1 << number
}

fn of(set: u8) -> impl Iterator<Item = usize> {
    (0..NODES).filter(move |number| set & bit(*number) != 0)
}

impl Log {
    fn is_closed(&self) -> bool {
        matches!(self.owner, Link::Closed(_))
    }

    fn close(&mut self, into: Option<usize>) {
        if !self.is_closed() {
            self.owner = Link::Closed(into.map(|into| into as u8));
            self.is_old = false;
        }
    }
}

impl State {
    fn is_running(&self, node: usize) -> bool {
        self.ended & bit(node) == 0
    }

    /// Whether everything that came to a log is closed.
    fn is_all_closed(&self, log: usize) -> bool {
        of(self.logs[log].folders).all(|folder| self.logs[folder].is_closed())
    }

    /// Whether a log's entries are its own still.
    fn is_holding(&self, log: usize) -> bool {
        !self.logs.iter().any(|other| other.adopted & bit(log) != 0)
    }
}

impl Garbage {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn node(&self, state: &State, node: usize, step: Step) {
        let this = state.logs[node];
        for message in (0..MESSAGES).filter(|message| this.live & bit(*message as usize) != 0) {
            step(Action::Deliver { node, message }, &|next| {
                next.logs[node].live &= !bit(message as usize);
                next.delivered |= bit(message as usize);
            });
        }
        if node != LAST {
            step(Action::NodeEnds(node), &|next| {
                next.ended |= bit(node);
                next.closing[node] = None;
            });
        }
        if let Some(log) = state.closing[node].map(usize::from) {
            close_one(state, node, log, step);
            step(Action::StopHalfway(node), &|next| next.closing[node] = None);
            return;
        }
        let may_end = state.is_all_closed(node) || self.is(Mutant::EndsWhileSomethingIsOpen);
        let is_needed = node == LAST && (0..LAST).any(|log| !state.logs[log].is_closed());
        if this.live == 0 && may_end && !is_needed {
            step(Action::EndLog(node), &|next| {
                next.logs[node].close(None);
                next.ended |= bit(node);
            });
        }
        for folder in of(this.folders).filter(|folder| state.logs[*folder].is_closed()) {
            let is_used = this.live & bit(folder) != 0 && !self.is(Mutant::SaysEndedTooSoon);
            if !is_used && may_end && !state.logs[folder].is_ended {
                step(Action::SayEnded { node, folder }, &|next| {
                    next.logs[folder].is_ended = true;
                    next.logs[folder].is_old = false;
                });
            }
        }
        if node != 0 {
            for log in (0..LAST).filter(|log| *log != node && !state.is_running(*log)) {
                step(Action::Adopt { node, log }, &|next| adopt(next, node, log));
            }
        }
    }

    fn sweep(&self, state: &State, step: Step) {
        if state.logs.iter().any(|log| log.owner != Link::None && !log.is_old && !log.is_gone.owners) {
            step(Action::DayPasses, &|next| {
                next.logs.iter_mut().for_each(|log| log.is_old |= log.owner != Link::None);
            });
        }
        for (folder, log) in state.logs.iter().enumerate() {
            let owners_first = self.is(Mutant::DeletesOwnersFirst);
            if log.is_gone.owners && !owners_first || !self.is_dead(state, folder) {
                continue;
            }
            if !log.is_gone.content {
                step(Action::DeleteContent(folder), &|next| {
                    let Log { owner, is_ended, is_old, is_gone, .. } = next.logs[folder];
                    let is_gone = Gone { content: true, ..is_gone };
                    next.logs[folder] = Log { owner, is_ended, is_old, is_gone, ..Log::default() };
                });
            }
            let leads =
                |other: &Log| other.owner == Link::Closed(Some(folder as u8)) && !other.is_gone.owners;
            let is_led_to = state.logs.iter().any(leads) && !self.is(Mutant::DeletesOwnersThatAreLedTo);
            if (log.is_gone.content || owners_first) && !log.is_gone.owners && !is_led_to {
                step(Action::DeleteOwners(folder), &|next| {
                    next.logs[folder].owner = Link::None;
                    next.logs[folder].is_ended = false;
                    next.logs[folder].is_gone.owners = true;
                });
            }
        }
    }

    /// Whether the links say that nothing lives in a folder, and have for a day.
    fn is_dead(&self, state: &State, folder: usize) -> bool {
        let mut log = &state.logs[folder];
        if log.is_ended {
            return log.is_old;
        }
        for _ in 0..NODES {
            let Link::Closed(into) = log.owner else { return false };
            if !log.is_old {
                return false;
            }
            let Some(into) = into else { return true };
            log = &state.logs[into as usize];
            let by_mistake = self.is(Mutant::TakesClosedForDead)
                || log.is_ended && self.is(Mutant::TakesEndedInBetweenForItsOwn);
            if by_mistake {
                return true;
            }
        }
        false
    }
}

/// Step 7 of an adoption, one log at a time.
fn close_one(state: &State, node: usize, log: usize, step: Step) {
    // Not what these had adopted: whoever ends the log that all of them came to looks for those.
    let open = of(state.logs[log].adopted).filter(|adopted| !state.logs[*adopted].is_closed());
    let open: Vec<usize> = open.collect();
    for log in &open {
        step(Action::CloseOne { node, log: *log }, &|next| next.logs[*log].close(Some(node)));
    }
    if open.is_empty() {
        step(Action::CloseOne { node, log }, &|next| {
            next.logs[log].close(Some(node));
            next.closing[node] = None;
        });
    }
}

/// Steps 1 to 6 of an adoption, of a log or of the one that had adopted it.
fn adopt(state: &mut State, node: usize, log: usize) {
    let mut log = log;
    let mut outer = Vec::new();
    while let Link::By(owner) = state.logs[log].owner
        && let owner = owner as usize
        && owner != node
    {
        if state.is_running(owner) {
            return;
        }
        // What stood there and has been deleted is not found.
        if state.logs[owner].adopted & bit(log) == 0 {
            break;
        }
        outer.push(log);
        log = owner;
    }
    if state.logs[log].is_closed() {
        outer.into_iter().for_each(|outer| state.logs[outer].close(Some(log)));
        return;
    }
    if log == node {
        return;
    }
    state.closing[node] = Some(log as u8);
    let found = state.logs[log];
    state.logs[log].owner = Link::By(node as u8);
    state.logs[log].is_old = false;
    let own = &mut state.logs[node];
    if own.adopted & bit(log) == 0 {
        state.came_back |= found.live & state.delivered != 0;
        own.adopted |= bit(log);
        own.folders |= bit(log) | found.folders;
        own.live |= found.live;
    }
}

impl Model for Garbage {
    type State = State;
    type Action = Action;

    fn start(&self) -> State {
        let mut state = State::default();
        (0..MESSAGES as usize).for_each(|message| state.logs[message].live = bit(message));
        state
    }

    fn next(&self, state: &State) -> Vec<(Action, State)> {
        let mut steps = Vec::new();
        let mut step = |action: Action, effect: &dyn Fn(&mut State)| {
            let mut next = state.clone();
            effect(&mut next);
            steps.push((action, next));
        };
        for node in (0..NODES).filter(|node| state.is_running(*node)) {
            self.node(state, node, &mut step);
        }
        self.sweep(state, &mut step);
        steps
    }

    fn violation(&self, state: &State) -> Option<&'static str> {
        if state.came_back {
            return Some("what was done with has come back");
        }
        let held = (0..NODES).filter(|log| state.is_holding(*log) && !state.logs[*log].is_closed());
        let held = held.fold(0, |held, log| held | state.logs[log].live);
        if of(held).any(|message| state.logs[message].is_gone.content) {
            return Some("the content of a live message was deleted");
        }
        let all = bit(MESSAGES as usize) - 1;
        (held | state.delivered != all).then_some("a message is in no log that anybody will look at")
    }

    fn is_end(&self, state: &State) -> bool {
        state.logs.iter().all(|log| log.is_gone.content && log.is_gone.owners)
    }
}
