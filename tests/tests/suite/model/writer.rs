//! A writer with segments under way, and its adopter.

use fulmar_tests::model::writer::{Mutant, Writer};

use super::{check_mutant, check_whole};

#[test]
fn whatever_a_writer_acknowledges_is_adopted() {
    check_whole("writer", &Writer::default(), 1_436_970);
}

#[test]
fn a_broken_rule_loses_what_the_writer_acknowledged() {
    for mutant in [
        Mutant::SealsOnlyTheFirstHole,
        Mutant::ReadsFewerThanTheWindow,
        Mutant::TakesASealForTheEnd,
        Mutant::NoSecondLook,
        Mutant::CheckpointAboveAHole,
        Mutant::DeletesBeforeTheCheckpointStands,
        Mutant::WriterOverwrites,
        Mutant::SealOverwrites,
        Mutant::SendsBeyondTheWindow,
        Mutant::DeletesSealsEarly,
        Mutant::HeartbeatsRenewTheRight,
    ] {
        let name = format!("writer, {mutant:?}");
        let reason = "a message was acknowledged and is not among those adopted";
        check_mutant(&name, &Writer { mutant: Some(mutant) }, reason);
    }
}
