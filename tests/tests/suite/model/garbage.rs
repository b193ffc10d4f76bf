//! The collection of spool folders.

use fulmar_tests::model::garbage::{Garbage, Mutant};

use super::{check_mutant, check_whole};

#[test]
fn nothing_that_is_needed_is_collected_and_everything_else_is() {
    check_whole("garbage", &Garbage::default(), 372_842);
}

#[test]
fn a_broken_rule_deletes_what_is_needed_or_leaves_what_is_not() {
    let deleted = "the content of a live message was deleted";
    let back = "what was done with has come back";
    for (mutant, reason) in [
        (Mutant::EndsWhileSomethingIsOpen, back),
        (Mutant::SaysEndedTooSoon, deleted),
        (Mutant::TakesClosedForDead, deleted),
        (Mutant::TakesEndedInBetweenForItsOwn, deleted),
        (Mutant::DeletesOwnersFirst, back),
        (Mutant::DeletesOwnersThatAreLedTo, deleted),
    ] {
        check_mutant(&format!("garbage, {mutant:?}"), &Garbage { mutant: Some(mutant) }, reason);
    }
}
