//! The models of the protocols that nodes share the store by: every order of events, and what comes of breaking a rule.

mod adoption;
mod chain;
mod garbage;
mod writer;

use fulmar_tests::model::explorer::{Model, explore};

/// Nothing goes wrong in any order of events. The count of states changes with the model, and shows that it was meant to.
fn check_whole<M: Model>(name: &str, model: &M, states: usize) {
    let explored = explore(model);
    eprintln!("{name}: {explored}");
    assert!(explored.found.is_none(), "{name}");
    assert_eq!(explored.states, states, "{name}");
}

/// Breaking this rule goes wrong, in this way.
fn check_mutant<M: Model>(name: &str, model: &M, reason: &str) {
    let explored = explore(model);
    eprintln!("{name}: {explored}");
    assert_eq!(explored.found.map(|found| found.reason), Some(reason), "{name}");
}
