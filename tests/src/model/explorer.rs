//! Tries every order of events of a model, breadth first, so that what it finds comes by the shortest way.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::time::{Duration, Instant};

/// States that are kept, at most: a model that has more is too large to be tried whole.
const STATES: usize = 4_000_000;

/// Something that moves from state to state.
pub trait Model {
    /// All that matters for what may happen next.
    type State: Clone + Eq + Hash;
    /// One step, as a trace shows it.
    type Action: fmt::Debug;

    /// Where everything begins.
    fn start(&self) -> Self::State;
    /// Everything that may happen next, and what comes of it. The same state gives the same list.
    fn next(&self, state: &Self::State) -> Vec<(Self::Action, Self::State)>;
    /// What must never be, where the state is such.
    fn violation(&self, state: &Self::State) -> Option<&'static str>;
    /// Whether everything has come to its good end. From every state one must remain reachable.
    fn is_end(&self, state: &Self::State) -> bool;
}

/// What came of trying everything, or of trying until something was found.
#[derive(Debug)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub transitions: usize,
    /// Steps on the shortest way to the state that is farthest from the start.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// The shortest way to what must not be, if it is reachable.
    pub found: Option<Found>,
}

/// A way to what must not be.
#[derive(Debug)]
pub struct Found {
    /// What is wrong there.
    pub reason: &'static str,
    /// Step by step.
    pub trace: Vec<String>,
}

/// The reason given where no good end can be reached any more.
pub const DEAD_END: &str = "no good end can be reached any more";

/// How a state was reached first: from which one, by which of its steps.
#[derive(Clone, Copy)]
struct Reached {
    from: u32,
    step: u32,
}

/// Tries everything.
pub fn explore<M: Model>(model: &M) -> Explored {
    let began = Instant::now();
    let start = model.start();
    let mut numbers = HashMap::<_, u32, BuildHasherDefault<Mix>>::default();
    numbers.insert(start.clone(), 0);
    let mut reached = vec![Reached { from: 0, step: 0 }];
    let mut ends = vec![model.is_end(&start)];
    let mut edges: Vec<(u32, u32)> = Vec::new();
    let mut ahead = VecDeque::from([(start, 0_u32, 0_usize)]);
    let mut depth = 0;
    let mut wrong = None;
    'all: while let Some((state, number, steps)) = ahead.pop_front() {
        depth = steps;
        if let Some(reason) = model.violation(&state) {
            wrong = Some((number, reason));
            break 'all;
        }
        for (step, (_, next)) in (0..).zip(model.next(&state)) {
            if next == state {
                continue;
            }
            let fresh = reached.len() as u32;
            let known = match numbers.entry(next) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(vacant) => {
                    assert!(reached.len() < STATES, "the model has over {STATES} states");
                    reached.push(Reached { from: number, step });
                    ends.push(model.is_end(vacant.key()));
                    ahead.push_back((vacant.key().clone(), fresh, steps + 1));
                    *vacant.insert(fresh)
                }
            };
            edges.push((number, known));
        }
    }
    let wrong = wrong.or_else(|| Some((first_dead_end(ends, &edges)?, DEAD_END)));
    Explored {
        states: reached.len(),
        transitions: edges.len(),
        depth,
        took: began.elapsed(),
        found: wrong.map(|(number, reason)| Found { reason, trace: trace(model, &reached, number) }),
    }
}

/// The first state from which no end is reachable.
fn first_dead_end(mut leads_to_end: Vec<bool>, edges: &[(u32, u32)]) -> Option<u32> {
    let mut grows = true;
    while grows {
        grows = false;
        // Most steps lead to later states, so that this way round a few passes are enough.
        for (from, to) in edges.iter().rev() {
            if leads_to_end[*to as usize] && !leads_to_end[*from as usize] {
                leads_to_end[*from as usize] = true;
                grows = true;
            }
        }
    }
    leads_to_end.iter().position(|leads| !leads).map(|state| state as u32)
}

/// The steps to a state, taken once more.
fn trace<M: Model>(model: &M, reached: &[Reached], to: u32) -> Vec<String> {
    let mut steps = Vec::new();
    let mut number = to;
    while number != 0 {
        let Reached { from, step } = reached[number as usize];
        steps.push(step);
        number = from;
    }
    let mut state = model.start();
    let mut trace = Vec::with_capacity(steps.len());
    for step in steps.into_iter().rev() {
        let (action, next) = model.next(&state).swap_remove(step as usize);
        trace.push(format!("{action:?}"));
        state = next;
    }
    trace
}

/// Hashes states, of which most of the time would go to the library's hash: nobody chooses them to collide.
#[derive(Default)]
struct Mix(u64);

impl Mix {
    fn mix(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Mix {
    fn write(&mut self, octets: &[u8]) {
        octets.iter().for_each(|octet| self.mix(u64::from(*octet)));
    }

    fn write_u8(&mut self, value: u8) {
        self.mix(u64::from(value));
    }

    fn write_isize(&mut self, value: isize) {
        self.mix(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, transitions, depth, took, found } = self;
        write!(f, "{states} states, {transitions} transitions, depth {depth}, {:.1} s", took.as_secs_f64())?;
        if let Some(found) = found {
            write!(f, ": {}", found.reason)?;
            for (step, number) in found.trace.iter().zip(1..) {
                write!(f, "\n  {number:2}. {step}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A walk over 0..=9 by one or two steps at a time.
    struct Walk {
        forbidden: Option<u8>,
        trap: Option<u8>,
    }

    impl Model for Walk {
        type State = u8;
        type Action = u8;

        fn start(&self) -> u8 {
            0
        }

        fn next(&self, at: &u8) -> Vec<(u8, u8)> {
            let steps = [1, 2].into_iter().filter(|step| at + step <= 9 && Some(*at) != self.trap);
            steps.map(|step| (step, at + step)).collect()
        }

        fn violation(&self, at: &u8) -> Option<&'static str> {
            (Some(*at) == self.forbidden).then_some("forbidden")
        }

        fn is_end(&self, at: &u8) -> bool {
            *at == 9
        }
    }

    #[test]
    fn every_state_is_counted_once_and_the_shortest_way_to_a_violation_is_shown() {
        let whole = explore(&Walk { forbidden: None, trap: None });
        assert_eq!((whole.states, whole.transitions, whole.depth), (10, 17, 5));
        assert!(whole.found.is_none());
        let found = explore(&Walk { forbidden: Some(5), trap: None }).found.unwrap();
        assert_eq!((found.reason, found.trace.len()), ("forbidden", 3));
    }

    #[test]
    fn a_state_from_which_no_end_is_reachable_is_found_though_nothing_is_wrong_with_it() {
        let found = explore(&Walk { forbidden: None, trap: Some(4) }).found.unwrap();
        assert_eq!((found.reason, found.trace.len()), (DEAD_END, 2));
    }
}
