//! What happened in many runs, summed up, so that a reader sees that things did go wrong.

use std::collections::BTreeMap;
use std::fmt;

use fulmar_core::model::{Event, Outcome};

use super::Verdict;
use super::drive::GOOD_WEATHER;
use super::history::{Answer, End, Fact, Turn};

/// Sums by name, in the order in which they are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    sums: BTreeMap<(usize, &'static str), u64>,
}

/// What is counted, in the order in which it is told.
const NAMES: &[&str] = &[
    "runs",
    "virtual minutes",
    "messages",
    "offers",
    "cut by clients",
    "acknowledged",
    "refused",
    "told to come later",
    "lives",
    "kills",
    "suspensions",
    "told to end",
    "fenced",
    "adoptions",
    "entries adopted",
    "adoptions left to others",
    "delivered",
    "deferred",
    "failed",
    "cancelled",
    "reports",
    "copies at other hosts",
    "repeated copies",
    "replies lost",
    "mailboxes read",
    "expunges",
    "orders",
    "store troubles",
    "requests",
    "requests turned away",
    "requests without an answer",
    "spells of bad weather",
    "segments",
    "seals",
    "checkpoints",
    "commits",
    "objects collected",
    "violations",
];

impl Tally {
    /// Adds what came of a run.
    pub fn add(&mut self, verdict: &Verdict) {
        let case = &verdict.case;
        self.count("runs", 1);
        self.count("virtual minutes", case.history.end().as_secs() / 60);
        self.count("messages", case.plan.messages.len() as u64);
        self.count("violations", verdict.violations.len() as u64);
        self.count("requests", case.answers.requests);
        self.count("requests turned away", case.answers.turned_away);
        self.count("requests without an answer", case.answers.unanswered);
        case.history.facts.iter().for_each(|(_, fact)| self.add_fact(fact));
        let segments = case.archive.logs.values().flat_map(|log| log.segments.values());
        for segment in segments {
            let is_seal = segment
                .records
                .iter()
                .any(|record| matches!(record, fulmar_core::state::log::Record::Seal { .. }));
            self.count(if is_seal { "seals" } else { "segments" }, 1);
        }
        self.count("checkpoints", case.archive.logs.values().map(|log| log.checkpoints.len() as u64).sum());
        self.count("commits", case.archive.accounts.values().map(|commits| commits.len() as u64).sum());
        let collected = case.archive.removed.iter().filter(|(_, key, _)| !key.starts_with("live/")).count();
        self.count("objects collected", collected as u64);
        let mut copies = BTreeMap::<_, u64>::new();
        for (_, taking) in case.history.takings().filter(|(_, taking)| taking.end.is_taken()) {
            for recipient in &taking.recipients {
                *copies.entry((taking.queue_id, recipient)).or_default() += 1;
            }
        }
        self.count("repeated copies", copies.values().map(|copies| copies - 1).sum());
    }

    fn add_fact(&mut self, fact: &Fact) {
        match fact {
            Fact::Event { event, .. } => self.add_event(event),
            Fact::Life(_, Turn::Started) => self.count("lives", 1),
            Fact::Life(_, Turn::Killed) => self.count("kills", 1),
            Fact::Life(_, Turn::Suspended) => self.count("suspensions", 1),
            Fact::Life(_, Turn::Stopping) => self.count("told to end", 1),
            Fact::Life(_, Turn::Resumed | Turn::Stopped) | Fact::Healed => {}
            Fact::Weather(words) if words.ends_with(GOOD_WEATHER) => {}
            Fact::Weather(_) => self.count("spells of bad weather", 1),
            Fact::Offered(offer) => {
                self.count("offers", 1);
                match &offer.answer {
                    Answer::Taken(_) => self.count("acknowledged", 1),
                    Answer::Refused(_) => self.count("refused", 1),
                    Answer::Later(reason) if reason.contains("cut after the final dot") => {
                        self.count("cut by clients", 1);
                    }
                    Answer::Later(_) => self.count("told to come later", 1),
                }
            }
            Fact::Taken(taking) => {
                let copies = if taking.end.is_taken() { taking.recipients.len() as u64 } else { 0 };
                self.count("copies at other hosts", copies);
                self.count("replies lost", u64::from(taking.end == End::TakenUnheard));
            }
            Fact::Read { .. } => self.count("mailboxes read", 1),
            Fact::Deleted { is_acknowledged, .. } => self.count("expunges", u64::from(*is_acknowledged)),
            Fact::Ordered { .. } => self.count("orders", 1),
        }
    }

    fn add_event(&mut self, event: &Event) {
        match event {
            Event::Fenced { .. } => self.count("fenced", 1),
            Event::Adopted { entries, .. } => {
                self.count("adoptions", 1);
                self.count("entries adopted", *entries as u64);
            }
            Event::AdoptionLeft { .. } => self.count("adoptions left to others", 1),
            Event::StoreTrouble { .. } => self.count("store troubles", 1),
            Event::Bounced { .. } => self.count("reports", 1),
            Event::Attempted { outcome, .. } => match outcome {
                Outcome::Delivered(_) => self.count("delivered", 1),
                Outcome::Deferred(_) => self.count("deferred", 1),
                Outcome::Failed(_) => self.count("failed", 1),
                Outcome::Cancelled(_) => self.count("cancelled", 1),
            },
            Event::Ordered { action: "cancel", .. } => self.count("cancelled", 1),
            _ => {}
        }
    }

    fn count(&mut self, name: &'static str, more: u64) {
        let place = NAMES.iter().position(|other| *other == name).unwrap_or(NAMES.len());
        *self.sums.entry((place, name)).or_default() += more;
    }

    /// Adds what others have summed up.
    pub fn merge(&mut self, other: &Self) {
        for ((_, name), sum) in &other.sums {
            self.count(name, *sum);
        }
    }

    /// One sum.
    pub fn sum(&self, name: &str) -> u64 {
        self.sums.iter().find(|((_, other), _)| *other == name).map_or(0, |(_, sum)| *sum)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in NAMES {
            writeln!(f, "  {:>10}  {name}", self.sum(name))?;
        }
        Ok(())
    }
}
