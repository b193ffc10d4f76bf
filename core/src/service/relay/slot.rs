//! What becomes of each recipient, while hosts are tried.

use crate::delivery::meaning::Verdict;
use crate::model::Outcome;
use crate::service::settle::Remote;

/// What becomes of a recipient, so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    pub(super) outcome: Option<Outcome>,
    /// Who said so.
    pub(super) remote: Option<Remote>,
}

impl Slot {
    /// A host does not offer what the recipient needs. That is the end of it only where every host has said so: one that could not be asked may
    /// offer it.
    pub(super) fn lack(&mut self, outcome: Outcome) {
        if !matches!(self.outcome, Some(Outcome::Deferred(_))) {
            self.outcome = Some(outcome);
        }
    }

    pub(super) fn set(&mut self, verdict: &Verdict, remote: Option<Remote>) {
        match verdict {
            Verdict::NextHost(outcome @ Outcome::Failed(_)) => self.lack(outcome.clone()),
            verdict => self.outcome = Some(verdict.clone().into_outcome()),
        }
        self.remote = remote;
    }
}
