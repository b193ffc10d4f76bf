//! Nodes that append to one account's chain.

use fulmar_tests::model::chain::{Chain, Mutant};

use super::{check_mutant, check_whole};

#[test]
fn whatever_is_acknowledged_is_in_the_chain_once() {
    check_whole("chain", &Chain::default(), 341_994);
}

#[test]
fn a_broken_rule_loses_an_append_or_makes_it_twice() {
    let lost = "an append was acknowledged and is not in the chain";
    let twice = "an append is in the chain twice";
    let strays = "a node believes in another history than the chain's";
    for (mutant, reason) in [
        (Mutant::ProbesFromAnOldTip, lost),
        (Mutant::LooksAtItsRightOnce, lost),
        (Mutant::BelievesALongLoad, lost),
        (Mutant::CountsALoadFromItsSecondListing, lost),
        (Mutant::BelievesALateSuccess, lost),
        (Mutant::RetriesWithoutLookingForItsNonce, twice),
        (Mutant::Overwrites, lost),
        (Mutant::CollectsAtOnce, lost),
        (Mutant::PassesOverWhatWasFaster, strays),
    ] {
        check_mutant(&format!("chain, {mutant:?}"), &Chain { mutant: Some(mutant) }, reason);
    }
}
