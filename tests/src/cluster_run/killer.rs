//! Who is disturbed, how and when: all of it by dice.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use super::cluster::{Cluster, Fault, Kind, NODES, TICK, hostname};
use crate::Fallible;
use crate::dice::Dice;
use crate::ledger_run::Plan;

/// How long a stopped node stands still: long enough to be taken for dead, and to wake up with mail that is not its own.
const STOP: Duration = Duration::from_secs(60);
/// Between two disturbances: at least this, and up to the spread more.
const PAUSE: Duration = Duration::from_secs(3);
const PAUSE_SPREAD: Duration = Duration::from_secs(6);
/// How long an ended process stays away, at most.
const REST: Duration = Duration::from_secs(3);
/// One in so many disturbances is a stop; one in so many, a polite end; the others are kills.
const STOP_SHARE: usize = 10;
const TERM_SHARE: usize = 4;
/// One in so many disturbances comes while the store is away.
const OUTAGE_SHARE: usize = 20;
/// How many disturbances pass by one node before they pass by another: somebody must live on for long enough to find the
/// others dead.
const SPARED_FOR: usize = 14;

/// A killer with a plan.
pub(super) struct Killer {
    dice: Dice,
    deck: Vec<Kind>,
}

impl Killer {
    pub(super) fn new(plan: Plan) -> Self {
        let mut dice = Dice::new(plan.seed);
        let stops = plan.kills / STOP_SHARE;
        let terms = plan.kills / TERM_SHARE;
        let mut deck = vec![Kind::Kill; plan.kills];
        deck[..stops].fill(Kind::Stop);
        deck[stops..stops + terms].fill(Kind::Term);
        // Stops take long, and come early enough to be over before the end.
        let early = plan.kills - plan.kills / 4;
        dice.shuffle(&mut deck[stops..]);
        let mut first: Vec<Kind> = deck[..early].to_vec();
        dice.shuffle(&mut first);
        deck[..early].copy_from_slice(&first);
        Self { dice, deck }
    }

    /// Does it all; calls `tick` again and again meanwhile.
    pub(super) fn run(
        mut self,
        cluster: &mut Cluster,
        mut tick: impl FnMut() -> Fallible<()>,
    ) -> Fallible<()> {
        let mut spared = self.dice.below(NODES);
        for (number, kind) in self.deck.clone().into_iter().enumerate() {
            if number % SPARED_FOR == SPARED_FOR - 1 {
                spared = (spared + 1 + self.dice.below(NODES - 1)) % NODES;
            }
            let until = Instant::now() + PAUSE + self.share_of(PAUSE_SPREAD);
            let victim = loop {
                tick()?;
                cluster.tick()?;
                let mut candidates = cluster.undisturbed();
                candidates.retain(|candidate| *candidate != spared);
                if Instant::now() >= until && !candidates.is_empty() {
                    break candidates[self.dice.below(candidates.len())];
                }
                thread::sleep(TICK);
            };
            let duration = if kind == Kind::Stop { STOP } else { self.share_of(REST) };
            // The store goes away a little before the node is disturbed.
            let is_outage = number % OUTAGE_SHARE == OUTAGE_SHARE / 2;
            if is_outage {
                cluster.kill_store()?;
                thread::sleep(self.share_of(REST));
            }
            cluster.disturb(victim, kind, duration)?;
            if is_outage {
                cluster.restart_store()?;
            }
        }
        Ok(())
    }

    fn share_of(&mut self, most: Duration) -> Duration {
        most * self.dice.below(100) as u32 / 100
    }
}

/// How often what was done.
pub(super) fn tally(faults: &[Fault]) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for fault in faults {
        *counts.entry(fault.kind.name()).or_default() += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!("done: {}", counts.join(", "))
}

/// Each fault with its time in UTC, as it stands in the logs.
pub(super) fn timeline(faults: &[Fault], ended: Duration) -> String {
    let mut text = "what was done:".to_owned();
    let clock = |at: Duration| {
        let seconds = at.as_secs() % 86_400;
        let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
        format!("{hours:02}:{minutes:02}:{:02}.{:03}", seconds % 60, at.subsec_millis())
    };
    for fault in faults {
        let whom = fault.node.map(hostname).unwrap_or_default();
        let (at, until) = (clock(fault.at), clock(fault.until.unwrap_or(ended)));
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {at} to {until} {} {whom}", fault.kind.name());
    }
    text
}
