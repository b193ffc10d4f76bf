//! Kinds of scenarios.

use std::time::Duration;

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
    /// How often machines die, are suspended or told to end, in all.
    pub blows: (usize, usize),
    /// Whether nodes keep the retry schedule and the expiry of production.
    pub is_real_schedule: bool,
    /// How often the bucket is looked at.
    pub observing: Duration,
    /// How long to wait for the queue to be empty once everything is healed. What is queued then must be due later.
    pub settling: Duration,
    /// How long nodes are then left alone, so that what they leave behind can be judged.
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
        messages: (10, 40),
        trouble: Duration::from_mins(10),
        fault_share: 35,
        blows: (0, 6),
        is_real_schedule: false,
        observing: Duration::from_secs(30),
        settling: Duration::from_mins(40),
        resting: Duration::from_mins(5),
        large_one_in: 150,
        visits: (2, 8),
    };

    /// Six days with the retry schedule of production, and two days after that.
    pub const SIX_DAYS: Self = Self {
        name: "six_days",
        machines: (2, 3),
        messages: (40, 80),
        trouble: Duration::from_hours(6 * 24),
        fault_share: 35,
        blows: (4, 16),
        is_real_schedule: true,
        observing: Duration::from_mins(15),
        settling: Duration::from_hours(6),
        resting: Duration::from_hours(2 * 24),
        large_one_in: 60,
        visits: (10, 20),
    };

    /// All that can be asked for by name.
    pub const ALL: &[&Self] = &[&Self::SHORT, &Self::SIX_DAYS];

    /// The profile of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|profile| profile.name == name).copied()
    }
}
