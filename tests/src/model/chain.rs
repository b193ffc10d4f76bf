//! Nodes that append to one account's chain, its snapshots, and the collection of commits that a snapshot covers.
//!
//! Time passes in ticks between any two steps, so that every node may sleep anywhere: a success is believed within the tick in which
//! the tip was read, a tip may be probed from until one tick after it was confirmed, and what a snapshot covers is collected three
//! ticks after it: the proportions of 20 seconds, an hour and a day. A create may take effect long after its sender has stopped
//! waiting, and again when it was repeated.
//!
//! Left out: what operations mean (each is its nonce), damaged objects, and snapshots' own requests, which nothing waits for.

use super::explorer::Model;

/// Nodes that append.
const NODES: usize = 2;
/// Numbers that there may be.
const NUMBERS: u8 = 2;
/// The last tick.
const LAST_TICK: u8 = 4;
/// How many ticks after the tip was confirmed the next number may be probed.
const PROBE_RIGHT: u8 = 1;
/// How many ticks after a snapshot was made the commits that it covers are collected.
const GRACE: u8 = 3;
/// Appends that each node makes. Each has a nonce of its own, which counts through all nodes.
const APPENDS: [u8; NODES] = [1, 1];
/// All of them.
const NONCES: usize = 2;

/// A rule that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A tip is probed from however old its confirmation is.
    ProbesFromAnOldTip,
    /// Whether it may be probed from is asked before the first probe of several, and not before each.
    LooksAtItsRightOnce,
    /// What was loaded is believed however long it took from the listing of snapshots to that of commits.
    BelievesALongLoad,
    /// A load counts from when commits were listed, not from when snapshots were.
    CountsALoadFromItsSecondListing,
    /// A success is believed however late it comes.
    BelievesALateSuccess,
    /// An append that is tried again does not look for its nonce first.
    RetriesWithoutLookingForItsNonce,
    /// A commit replaces what is under its number.
    Overwrites,
    /// What a snapshot covers is collected at once.
    CollectsAtOnce,
    /// Whoever finds another's commit tries the next number without reading it.
    PassesOverWhatWasFaster,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Chain {
    /// What is broken.
    pub mutant: Option<Mutant>,
}

/// Where a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Stage {
    #[default]
    Idle,
    /// It reads on, and looks at the time next.
    ReadsOn,
    /// It reads the next number. It looked at the time then.
    Probes { asked: u8 },
    /// It reads the latest snapshot next.
    Loads,
    /// It lists the commits after it next.
    LoadsCommits { asked: u8 },
    /// It knows the tip and writes.
    Decides,
    /// It waits for its create, sent then, and answered so.
    Waits { number: u8, sent: u8, answer: Option<Answer> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Ours,
    Foreign,
}

/// A chain as one node knows it. Sets of nonces are bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Node {
    tip: u8,
    applied: u8,
    confirmed: u8,
    /// Appends that it is done with.
    done: u8,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Snapshot {
    made: u8,
    applied: u8,
}

/// Everything at one moment. Numbers begin with 1, as commits do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    now: u8,
    commits: [Option<u8>; NUMBERS as usize],
    snapshots: [Option<Snapshot>; NUMBERS as usize],
    nodes: [Node; NODES],
    /// Numbers, as bits, that creates of each nonce are on their way to.
    on_the_way: [u8; NONCES],
    acknowledged: u8,
    /// The nonce that was first under each number: what the chain says, whatever becomes of its objects.
    history: [Option<u8>; NUMBERS as usize],
}

/// A step, of a node or of nobody in particular.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub enum Action {
    Tick,
    TakesEffect { nonce: u8, number: u8 },
    Collect(u8),
    CollectSnapshot(u8),
    BeginAppend(usize),
    LooksAtTheTime(usize),
    Probe(usize),
    LoadSnapshot(usize),
    LoadCommits(usize),
    FindsItsNonce(usize),
    Create(usize),
    Repeat(usize),
    Answered(usize),
    StopsWaiting(usize),
    Fails(usize),
    TakeSnapshot(usize),
}

fn bit(number: u8) -> u8 {
    1 << number
}

fn place(number: u8) -> usize {
    number as usize - 1
}

impl Node {
    fn nonce(&self, node: usize) -> u8 {
        APPENDS[..node].iter().sum::<u8>() + self.done
    }

    fn apply(&mut self, nonce: u8) {
        self.tip += 1;
        self.applied |= bit(nonce);
    }

    fn ends_append(&mut self) {
        self.done += 1;
        self.stage = Stage::Idle;
    }
}

impl State {
    fn latest_snapshot(&self) -> (u8, u8) {
        let standing = (1..).zip(self.snapshots).filter_map(|(tip, snapshot)| Some((tip, snapshot?.applied)));
        standing.last().unwrap_or((0, 0))
    }

    /// Reads all commits after what the node knows.
    fn replay(&self, node: &mut Node) {
        while node.tip < NUMBERS
            && let Some(nonce) = self.commits[place(node.tip + 1)]
        {
            node.apply(nonce);
        }
    }

    /// What somebody finds who reads the chain from the beginning.
    fn fresh(&self) -> Node {
        let (tip, applied) = self.latest_snapshot();
        let mut reader = Node { tip, applied, ..Node::default() };
        self.replay(&mut reader);
        reader
    }
}

impl Chain {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn store(&self, state: &State, step: &mut impl FnMut(Action, &dyn Fn(&mut State))) {
        if state.now < LAST_TICK {
            step(Action::Tick, &|next| next.now += 1);
        }
        for (nonce, numbers) in (0..).zip(state.on_the_way) {
            for number in (1..=NUMBERS).filter(|number| numbers & bit(*number) != 0) {
                step(Action::TakesEffect { nonce, number }, &|next| self.take_effect(next, nonce, number));
            }
        }
        let is_over =
            |snapshot: Snapshot| self.is(Mutant::CollectsAtOnce) || state.now >= snapshot.made + GRACE;
        let over = (1..).zip(state.snapshots).filter(|(_, snapshot)| snapshot.is_some_and(is_over));
        let covered = over.map(|(tip, _)| tip).max().unwrap_or(0);
        for number in 1..=covered {
            if state.commits[place(number)].is_some() {
                step(Action::Collect(number), &|next| next.commits[place(number)] = None);
            }
            if number < covered && state.snapshots[place(number)].is_some() {
                step(Action::CollectSnapshot(number), &|next| next.snapshots[place(number)] = None);
            }
        }
    }

    fn take_effect(&self, state: &mut State, nonce: u8, number: u8) {
        state.on_the_way[nonce as usize] &= !bit(number);
        let object = &mut state.commits[place(number)];
        if object.is_none() || self.is(Mutant::Overwrites) {
            *object = Some(nonce);
        }
        let answer = if *object == Some(nonce) { Answer::Ours } else { Answer::Foreign };
        state.history[place(number)].get_or_insert(nonce);
        for (node, this) in state.nodes.iter_mut().enumerate() {
            if let Stage::Waits { number: waits_for, answer: slot, .. } = &mut this.stage
                && *waits_for == number
                && APPENDS[..node].iter().sum::<u8>() + this.done == nonce
            {
                *slot = Some(answer);
            }
        }
    }

    fn node(&self, state: &State, node: usize, step: &mut impl FnMut(Action, &dyn Fn(&mut State))) {
        let this = state.nodes[node];
        let age = state.now - this.confirmed;
        let may_probe = age <= PROBE_RIGHT || self.is(Mutant::ProbesFromAnOldTip);
        let is_right_seen = self.is(Mutant::LooksAtItsRightOnce);
        match this.stage {
            Stage::Idle => {
                if this.done < APPENDS[node] {
                    let stage = match may_probe {
                        true => Stage::ReadsOn,
                        false => Stage::Loads,
                    };
                    step(Action::BeginAppend(node), &|next| next.nodes[node].stage = stage);
                }
                if this.tip > 0 && state.snapshots[place(this.tip)].is_none() {
                    let snapshot = Snapshot { made: state.now, applied: this.applied };
                    step(Action::TakeSnapshot(node), &|next| {
                        next.snapshots[place(this.tip)] = Some(snapshot);
                    });
                }
            }
            Stage::ReadsOn => {
                let stage = match may_probe || is_right_seen {
                    true => Stage::Probes { asked: state.now },
                    false => Stage::Loads,
                };
                step(Action::LooksAtTheTime(node), &|next| next.nodes[node].stage = stage);
            }
            Stage::Probes { asked } => step(Action::Probe(node), &|next| {
                let found = (this.tip < NUMBERS).then(|| state.commits[place(this.tip + 1)]).flatten();
                let this = &mut next.nodes[node];
                match found {
                    Some(nonce) => {
                        this.apply(nonce);
                        this.stage = Stage::ReadsOn;
                    }
                    None => {
                        this.confirmed = asked;
                        this.stage = Stage::Decides;
                    }
                }
            }),
            Stage::Loads => step(Action::LoadSnapshot(node), &|next| {
                let (tip, applied) = state.latest_snapshot();
                let stage = Stage::LoadsCommits { asked: state.now };
                next.nodes[node] = Node { tip, applied, stage, ..this };
            }),
            Stage::LoadsCommits { asked } => step(Action::LoadCommits(node), &|next| {
                let this = &mut next.nodes[node];
                state.replay(this);
                let is_late = self.is(Mutant::CountsALoadFromItsSecondListing);
                this.confirmed = if is_late { state.now } else { asked };
                let is_fresh = state.now <= this.confirmed + PROBE_RIGHT;
                let is_believed = is_fresh || self.is(Mutant::BelievesALongLoad);
                this.stage = if is_believed { Stage::Decides } else { Stage::Loads };
            }),
            Stage::Decides => self.decide(state, node, step),
            Stage::Waits { number, sent, answer } => self.wait(state, node, [number, sent], answer, step),
        }
    }

    fn decide(&self, state: &State, node: usize, step: &mut impl FnMut(Action, &dyn Fn(&mut State))) {
        let this = state.nodes[node];
        let nonce = this.nonce(node);
        if this.applied & bit(nonce) != 0 && !self.is(Mutant::RetriesWithoutLookingForItsNonce) {
            step(Action::FindsItsNonce(node), &|next| {
                next.acknowledged |= bit(nonce);
                next.nodes[node].ends_append();
            });
        } else if this.tip < NUMBERS {
            step(Action::Create(node), &|next| {
                let number = this.tip + 1;
                next.on_the_way[nonce as usize] |= bit(number);
                next.nodes[node].stage = Stage::Waits { number, sent: state.now, answer: None };
            });
        } else {
            // The model has no more numbers.
            step(Action::Fails(node), &|next| next.nodes[node].ends_append());
        }
    }

    fn wait(
        &self,
        state: &State,
        node: usize,
        [number, sent]: [u8; 2],
        answer: Option<Answer>,
        step: &mut impl FnMut(Action, &dyn Fn(&mut State)),
    ) {
        let this = state.nodes[node];
        let nonce = this.nonce(node);
        let is_in_time = state.now == this.confirmed || self.is(Mutant::BelievesALateSuccess);
        match answer {
            Some(Answer::Ours) if is_in_time => step(Action::Answered(node), &|next| {
                next.acknowledged |= bit(nonce);
                let this = &mut next.nodes[node];
                this.apply(nonce);
                this.confirmed = sent;
                this.ends_append();
            }),
            Some(Answer::Ours) => step(Action::Answered(node), &|next| next.nodes[node].stage = Stage::Loads),
            Some(Answer::Foreign) if self.is(Mutant::PassesOverWhatWasFaster) => {
                step(Action::Answered(node), &|next| {
                    next.nodes[node].tip += 1;
                    next.nodes[node].stage = Stage::Decides;
                });
            }
            Some(Answer::Foreign) => {
                step(Action::Answered(node), &|next| next.nodes[node].stage = Stage::ReadsOn);
            }
            None => {}
        }
        if state.on_the_way[nonce as usize] & bit(number) == 0 {
            // The answer was lost.
            step(Action::Repeat(node), &|next| {
                next.on_the_way[nonce as usize] |= bit(number);
                next.nodes[node].stage = Stage::Waits { number, sent, answer: None };
            });
        }
        step(Action::StopsWaiting(node), &|next| next.nodes[node].stage = Stage::Loads);
        step(Action::Fails(node), &|next| next.nodes[node].ends_append());
    }
}

impl Model for Chain {
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
        self.store(state, &mut step);
        for node in 0..NODES {
            self.node(state, node, &mut step);
        }
        steps
    }

    fn violation(&self, state: &State) -> Option<&'static str> {
        let fresh = state.fresh();
        if state.acknowledged & !fresh.applied != 0 {
            return Some("an append was acknowledged and is not in the chain");
        }
        let history: Vec<u8> = state.history.iter().flatten().copied().collect();
        if (1..history.len()).any(|later| history[..later].contains(&history[later])) {
            return Some("an append is in the chain twice");
        }
        let strays = |node: &Node| {
            let before = history.iter().take(node.tip as usize).fold(0, |set, nonce| set | bit(*nonce));
            node.stage == Stage::Idle && node.applied != before
        };
        state.nodes.iter().any(strays).then_some("a node believes in another history than the chain's")
    }

    fn is_end(&self, state: &State) -> bool {
        let nodes = state.nodes.iter().zip(APPENDS);
        nodes.into_iter().all(|(node, appends)| node.done == appends && node.stage == Stage::Idle)
    }
}
