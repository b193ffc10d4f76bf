//! Whole engines on one simulated bucket, under a seed: mail comes and goes, a random subset of faults happens, everything is healed, and then the
//! invariants are checked from what nodes reported, what clients and other hosts saw, and what lies in the bucket.
//!
//! | module | what it holds |
//! |---|---|
//! | `profile`, `fault`, `plan` | what a scenario is, drawn from a seed |
//! | `drive`, `crew` | makes it happen: nodes, deeds, healing, the end; gives a [`Case`] |
//! | `senders`, `client`, `remote`, `reader` | those on the other side: they know only what they were told |
//! | `content` | messages that can be judged wherever they turn up |
//! | `history`, `archive`, `answers` | what happened; what was ever in the bucket; how requests ended |
//! | `check` | the invariants, each a function from a [`Case`] to violations |
//! | `runs`, `tally` | many seeds on all cores, and what happened in them |
//! | `timeline` | what happened to each message, for people |
//! | `thousand` | a thousand nodes that come for a moment, and what they cost |
//! | `mutants` | mistakes that doors make in a node's stead |
//! | `ground` | what stands in the bucket before the first node |

pub mod answers;
pub mod archive;
pub mod case;
pub mod check;
pub mod client;
pub mod content;
pub mod crew;
pub mod drive;
pub mod fault;
pub mod ground;
pub mod history;
pub mod mutants;
pub mod plan;
pub mod profile;
pub mod reader;
pub mod remote;
pub mod runs;
pub mod senders;
pub mod tally;
pub mod thousand;
pub mod timeline;

use std::collections::BTreeSet;

use fulmar_core::platform::Platform;

pub use case::Case;
pub use check::Violation;
pub use fault::{Fault, parse_list};
pub use mutants::{DOOR_MUTANTS, Mutant, plain_doors};
pub use plan::Plan;
pub use profile::Profile;
pub use runs::{Failure, Runs, Summary, reasons};
pub use tally::Tally;
pub use thousand::{Bill, thousand};
pub use timeline::timeline;

use crate::sim::{self, Simulator, Trace};

/// What is put in front of every node's doors.
pub type Doors = fn(Platform, &Simulator) -> Platform;

/// What came of a seed.
#[derive(Debug)]
pub struct Verdict {
    /// What happened.
    pub case: Case,
    /// What should not have.
    pub violations: Vec<Violation>,
    /// The trace's sum and, where it was asked for, lines.
    pub trace: Trace,
}

/// Lives through the scenario of a seed, and judges it. Lines are taken down where `is_traced`.
pub fn run(
    seed: u64,
    profile: &'static Profile,
    faults: Option<&BTreeSet<Fault>>,
    doors: Doors,
    is_traced: bool,
) -> Verdict {
    let plan = Plan::draw(seed, profile, faults);
    let main = async |simulator| drive::live(simulator, plan, doors).await;
    let (case, trace) = if is_traced { sim::run_traced(seed, main) } else { sim::run(seed, main) };
    let violations = check::all(&case);
    Verdict { case, violations, trace }
}
