//! Nodes that take over each other's logs.

use fulmar_tests::model::adoption::{Adoption, Mutant};

use super::{check_mutant, check_whole};

#[test]
fn a_message_has_one_owner_whoever_is_slow_or_ends() {
    check_whole("adoption", &Adoption::default(), 1_479_755);
}

#[test]
fn a_broken_rule_loses_the_message_or_gives_it_two_owners() {
    let lost = "the message was acknowledged and is in no log that anybody will look at";
    let twice = "a log was adopted into two";
    let back = "what was done with has come back";
    let two = "two nodes may attempt the message";
    for (mutant, reason) in [
        (Mutant::LooksOnlyAtTheLastOwner, twice),
        (Mutant::SparesAnOwnerWhoCameBack, twice),
        (Mutant::LooksWithoutSealing, twice),
        (Mutant::ReadsWithoutSealing, two),
        (Mutant::OverwritesLinks, twice),
        (Mutant::GivesUpAmidAnAdopt, twice),
        (Mutant::LeavesAdoptedLogsOpen, back),
        (Mutant::ClosesBeforeTheAdoptStands, lost),
        (Mutant::DeletesBeforeWhatItAdoptedIsClosed, back),
        (Mutant::ReliesOnHeartbeatsAfterSilence, two),
        (Mutant::ReliesOnHeartbeatsAfterOneProof, two),
    ] {
        check_mutant(&format!("adoption, {mutant:?}"), &Adoption { mutant: Some(mutant) }, reason);
    }
}
