//! Kinds of scenarios.

use std::time::Duration;

use super::fault::Fault;
use crate::faults::Verb;
use crate::sim::{Ambush, Latency};

/// What scenarios of one kind have in common. Ranges include both ends.
#[derive(Clone, Debug)]
pub struct Profile {
    /// As it is given on the command line.
    pub name: &'static str,
    /// Machines that serve.
    pub machines: (usize, usize),
    /// Messages.
    pub messages: (usize, usize),
    /// How long mail comes and things go wrong.
    pub trouble: Duration,
    /// Of how many faults there is one at a time, in hundredths.
    pub fault_share: usize,
    /// Faults that there are in each.
    pub always: &'static [Fault],
    /// Requests at which nodes are made to stand still.
    pub ambushes: &'static [Ambush],
    /// How far away the store is.
    pub latency: Latency,
    /// How often machines die, are suspended or told to end, in all.
    pub blows: (usize, usize),
    /// Whether nodes keep the retry schedule and the expiry of production.
    pub is_real_schedule: bool,
    /// How often the bucket is looked at.
    pub observing: Duration,
    /// How long to wait for the queue to be empty once everything is healed. What is queued then must be due later.
    pub settling: Duration,
    /// How long nodes are then left alone, and their requests counted, when they have had time to see that nothing is left to do.
    pub resting: Duration,
    /// Of how many messages one is over 1 MiB; none where zero.
    pub large_one_in: usize,
    /// Readers of mailboxes, and orders of an operator.
    pub visits: (usize, usize),
}

impl Profile {
    /// Some ten minutes of faults, then all is healed.
    pub const SHORT: Self = Self {
        name: "short",
        machines: (1, 4),
        messages: (10, 60),
        trouble: Duration::from_mins(10),
        fault_share: 35,
        always: &[],
        ambushes: &[],
        latency: Latency::FAST,
        blows: (1, 8),
        is_real_schedule: false,
        observing: Duration::from_secs(30),
        settling: Duration::from_mins(40),
        resting: Duration::from_mins(5),
        large_one_in: 150,
        visits: (2, 8),
    };

    /// Six days with the retry schedule of production, and three days after that.
    pub const SIX_DAYS: Self = Self {
        name: "six_days",
        machines: (2, 3),
        messages: (40, 80),
        trouble: Duration::from_hours(6 * 24),
        fault_share: 35,
        always: &[Fault::Kills],
        ambushes: &[],
        latency: Latency::FAST,
        blows: (8, 30),
        is_real_schedule: true,
        observing: Duration::from_mins(15),
        settling: Duration::from_hours(6),
        resting: Duration::from_hours(3 * 24),
        large_one_in: 60,
        visits: (10, 20),
    };

    /// Nodes that stand still amid adoptions for long enough to be taken for dead, and come back while others are at work on what was
    /// theirs; and a store so far away that several segments are under way at a time.
    pub const ADOPTIONS: Self = Self {
        name: "adoptions",
        machines: (3, 4),
        messages: (25, 50),
        fault_share: 15,
        always: &[Fault::Suspensions, Fault::Remotes],
        ambushes: &[
            standing_still(Verb::Put, "/own/", 0.2),
            standing_still(Verb::List, "/own/", 0.08),
            standing_still(Verb::List, "/ck/", 0.08),
            standing_still(Verb::Put, "/log/", 0.03),
            standing_still(Verb::Put, "live/", 0.01),
        ],
        latency: Latency {
            usual: (Duration::from_millis(5), Duration::from_millis(300)),
            slow: (Duration::from_millis(300), Duration::from_secs(5)),
            slow_one_in: 20,
        },
        blows: (2, 8),
        ..Self::SHORT
    };

    /// A node that stands still for days and comes back with what it knew of accounts, of whose chains much has been collected since.
    pub const OLD_TIPS: Self = Self {
        name: "old_tips",
        machines: (2, 2),
        messages: (250, 350),
        fault_share: 0,
        ambushes: &[Ambush {
            verb: Verb::Put,
            part: "live/",
            probability: 0.000_3,
            stands_still: (Duration::from_hours(60), Duration::from_hours(90)),
        }],
        blows: (0, 0),
        resting: Duration::from_hours(1),
        visits: (20, 30),
        ..Self::SIX_DAYS
    };

    /// All that can be asked for by name.
    pub const ALL: &[&Self] = &[&Self::SHORT, &Self::SIX_DAYS, &Self::ADOPTIONS, &Self::OLD_TIPS];

    /// The profile of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|profile| profile.name == name).copied()
    }
}

/// For about as long as it takes the others to notice.
const fn standing_still(verb: Verb, part: &'static str, probability: f64) -> Ambush {
    let stands_still = (Duration::from_secs(25), Duration::from_secs(110));
    Ambush { verb, part, probability, stands_still }
}
