//! The invariants.

mod accounting;
mod adoption;
mod copies;
mod garbage;
mod mailboxes;
mod owners;
mod pace;

use std::fmt;

use fulmar_core::model::Outcome;

use self::accounting::Books;
use super::case::Case;

/// Something that should not have happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant it breaks.
    pub invariant: u8,
    /// What is known of it.
    pub words: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invariant {}: {}", self.invariant, self.words)
    }
}

/// Every violation of every invariant.
pub fn all(case: &Case) -> Vec<Violation> {
    let books = Books::new(case);
    let mut violations = Vec::new();
    violations.extend(accounting::nothing_is_lost(&books));
    violations.extend(accounting::nothing_is_made_up(&books));
    violations.extend(copies::copies_have_reasons(&books));
    violations.extend(copies::mailboxes_have_one_copy(&books));
    violations.extend(mailboxes::mailboxes_go_forward(case));
    violations.extend(owners::logs_have_one_owner(&case.archive));
    violations.extend(adoption::adoptions_are_sound(case));
    violations.extend(garbage::garbage_is_garbage(case));
    violations.extend(pace::transactions_are_limited(case));
    violations.extend(pace::due_mail_is_attempted(&books));
    violations.extend(pace::requests_are_few(case));
    violations
}

/// An outcome in few words.
pub fn named(outcome: &Outcome) -> String {
    let kind = match outcome {
        Outcome::Delivered(_) => "delivered",
        Outcome::Failed(_) => "failed",
        Outcome::Deferred(_) => "deferred",
        Outcome::Cancelled(_) => "cancelled",
    };
    format!("{kind}: {}", outcome.reply())
}

#[cfg(test)]
mod tests;
