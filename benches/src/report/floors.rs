//! What is asked of Fulmar, as figures of the cells; missed floors end a run with an error.

use std::fmt;

use super::{Cell, Figure, Peer, Run};

/// What is compared with the limit: always a median.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Measure {
    /// Of a figure in a cell, one peer's by another's.
    Ratio(&'static str, Figure, Peer, Peer),
    /// A figure in a cell.
    Of(&'static str, Figure, Peer),
    /// What is measured of Fulmar alone.
    Alone(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

/// One demand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Floor {
    pub(crate) measure: Measure,
    pub(crate) limit: Limit,
}

/// Requests that go with time and not with messages (starting, heartbeats) show as less than this in a run of some thousand.
const NONE: f64 = 0.005;

/// 0.25 s by Postfix's 1.6: what processor time of a message is worth differs by a factor of three between machines.
const CPU_BY_POSTFIX: f64 = 0.16;

/// Every number that is asked.
pub(crate) const FLOORS: &[Floor] = {
    use Figure::{Accepted, Cpu, Delivered, Get, List, Memory, Put};
    use Limit::{AtLeast, AtMost};
    use Measure::{Alone, Of, Ratio};
    use Peer::{Fulmar, FulmarOnS3, Postfix, Sink};
    &[
        Floor { measure: Ratio("local-20", Accepted, Fulmar, Postfix), limit: AtLeast(5.0) },
        Floor { measure: Ratio("local-100", Accepted, Fulmar, Postfix), limit: AtLeast(5.0) },
        Floor { measure: Ratio("local-20", Accepted, Fulmar, Sink), limit: AtLeast(0.6) },
        Floor { measure: Ratio("local-100", Accepted, Fulmar, Sink), limit: AtLeast(0.6) },
        Floor { measure: Of("local-20", Cpu, Fulmar), limit: AtMost(0.25) },
        Floor { measure: Of("local-100", Cpu, Fulmar), limit: AtMost(0.25) },
        Floor { measure: Ratio("local-20", Cpu, Fulmar, Postfix), limit: AtMost(CPU_BY_POSTFIX) },
        Floor { measure: Ratio("local-100", Cpu, Fulmar, Postfix), limit: AtMost(CPU_BY_POSTFIX) },
        Floor { measure: Ratio("relay-20", Delivered, Fulmar, Postfix), limit: AtLeast(4.0) },
        Floor { measure: Ratio("relay-100-s3", Accepted, FulmarOnS3, Fulmar), limit: AtLeast(0.55) },
        Floor { measure: Ratio("relay-100-s3", Cpu, FulmarOnS3, Fulmar), limit: AtMost(1.4) },
        Floor { measure: Of("relay-100-s3", Put, FulmarOnS3), limit: AtMost(0.1) },
        Floor { measure: Of("relay-100-s3", Get, FulmarOnS3), limit: AtMost(NONE) },
        Floor { measure: Of("relay-100-s3", List, FulmarOnS3), limit: AtMost(NONE) },
        Floor { measure: Of("local-1000", Memory, Fulmar), limit: AtMost(150.0) },
        Floor { measure: Alone(IDLE_SESSION), limit: AtMost(16.0) },
        Floor { measure: Alone(LARGE_QUEUE), limit: AtMost(400.0) },
        Floor { measure: Alone(WAIT_ON_DIRECTORY), limit: AtMost(2.0) },
        Floor { measure: Alone(WAIT_ON_S3), limit: AtMost(50.0) },
        Floor { measure: Alone(COLD_START), limit: AtMost(50.0) },
        Floor { measure: Alone(COLD_START_ON_S3), limit: AtMost(50.0) },
    ]
};

/// Names of what is measured of Fulmar alone, and judged.
pub(crate) const IDLE_SESSION: &str = "memory of an idle session";
pub(crate) const LARGE_QUEUE: &str = "queue of a million entries";
/// What a lone client waits for beyond the write of one segment; with the limit of the group commit's window, for which it is never
/// to wait.
pub(crate) const WAIT_ON_DIRECTORY: &str = "lone client's 250, less one write, directory";
pub(crate) const WAIT_ON_S3: &str = "lone client's 250, less one write, S3";
pub(crate) const COLD_START: &str = "cold start, directory";
pub(crate) const COLD_START_ON_S3: &str = "cold start, S3";

/// What came of one demand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    /// Nothing where nothing could be measured.
    pub(crate) measured: Option<f64>,
    pub(crate) limit: Limit,
}

impl Verdict {
    pub(crate) fn holds(&self) -> bool {
        self.measured.is_some_and(|measured| match self.limit {
            Limit::AtLeast(limit) => measured >= limit,
            Limit::AtMost(limit) => measured <= limit,
        })
    }
}

/// Judges what was to be measured: a demand on a cell that was left out is none. Of Fulmar every round has to count as well, whatever
/// it was asked: one that does not has lost a message, or doubled one.
pub(crate) fn judge(run: &Run, with_alone: bool) -> Vec<Verdict> {
    let demands = FLOORS.iter().filter(|floor| match floor.measure {
        Measure::Ratio(cell, ..) | Measure::Of(cell, ..) => find(run, cell).is_some(),
        Measure::Alone(_) => with_alone,
    });
    let verdict = |floor: &Floor| Verdict {
        what: floor.measure.to_string(),
        measured: measured(run, floor.measure),
        limit: floor.limit,
    };
    let ours = [Peer::Fulmar, Peer::FulmarOnS3];
    let discarded = run.cells.iter().map(|cell| Verdict {
        what: format!("{}: rounds in which mail was lost or doubled, Fulmar", cell.name),
        measured: Some(ours.map(|peer| cell.discarded(peer) as f64).iter().sum()),
        limit: Limit::AtMost(0.0),
    });
    demands.map(verdict).chain(discarded).collect()
}

fn find<'a>(run: &'a Run, name: &str) -> Option<&'a Cell> {
    run.cells.iter().find(|cell| cell.name == name)
}

fn measured(run: &Run, measure: Measure) -> Option<f64> {
    let spread = match measure {
        Measure::Ratio(cell, figure, ours, theirs) => find(run, cell)?.ratios(figure, ours, theirs),
        Measure::Of(cell, figure, peer) => find(run, cell)?.spread(peer, figure),
        Measure::Alone(name) => run.alone.iter().find(|alone| alone.name == name).map(|alone| alone.spread),
    };
    spread.map(|spread| spread.median)
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Ratio(cell, figure, ours, theirs) => {
                let [ours, theirs]: [&str; 2] = [ours.into(), theirs.into()];
                write!(f, "{cell}: {}, {ours} / {theirs}", figure.caption().0)
            }
            Self::Of(cell, figure, peer) => {
                let (name, unit, _) = figure.caption();
                write!(f, "{cell}: {name} ({unit}), {}", <&str>::from(peer))
            }
            Self::Alone(name) => write!(f, "{name}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.holds() { "holds " } else { "MISSED" };
        let measured = self.measured.map_or("not measured".to_owned(), |measured| format!("{measured:.3}"));
        let (how, limit) = match self.limit {
            Limit::AtLeast(limit) => ("at least", limit),
            Limit::AtMost(limit) => ("at most", limit),
        };
        write!(f, "{word}  {:72}  {measured:>12}  {how} {limit}", self.what)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cells;
    use crate::report::{Alone, Round};
    use crate::spread::Spread;

    /// A run in which every floor just holds, with one figure moved.
    fn run(accepted: f64) -> Run {
        let round = |value| vec![Round::from([(Figure::Accepted, value)])];
        let rounds = BTreeMap::from([(Peer::Fulmar, round(accepted)), (Peer::Postfix, round(10.0))]);
        let alone = FLOORS.iter().filter_map(|floor| match (floor.measure, floor.limit) {
            (Measure::Alone(name), Limit::AtLeast(limit) | Limit::AtMost(limit)) => {
                Some(Alone { name, unit: "", spread: Spread::of([limit])? })
            }
            _ => None,
        });
        let cell = Cell { name: "local-20".to_owned(), rounds, ..Cell::default() };
        Run { cells: vec![cell], alone: alone.collect() }
    }

    fn missed(run: &Run, with_alone: bool) -> Vec<String> {
        let verdicts = judge(run, with_alone);
        verdicts.into_iter().filter(|verdict| !verdict.holds()).map(|verdict| verdict.what).collect()
    }

    #[test]
    fn a_floor_is_missed_below_its_limit_and_where_nothing_was_measured() {
        let unmeasured = [
            "local-20: accepted, Fulmar / smtp-sink",
            "local-20: CPU (s per 1,000), Fulmar",
            "local-20: CPU, Fulmar / Postfix",
        ]
        .map(str::to_owned);
        assert_eq!(missed(&run(50.0), true), unmeasured);
        let slow = missed(&run(49.0), true);
        assert_eq!(slow[0], "local-20: accepted, Fulmar / Postfix");
        assert_eq!(slow[1..], unmeasured);
    }

    #[test]
    fn a_lost_message_is_missed_though_it_was_fast() {
        let mut run = run(50.0);
        run.cells[0].rounds.entry(Peer::Fulmar).or_default().push(Round::new());
        assert!(missed(&run, true).iter().any(|what| what.contains("lost or doubled")));
    }

    #[test]
    fn what_was_left_out_is_not_judged_and_what_failed_is() {
        let mut run = run(50.0);
        run.alone.clear();
        assert_eq!(missed(&run, false).len(), 3);
        let alone = FLOORS.iter().filter(|floor| matches!(floor.measure, Measure::Alone(_))).count();
        assert_eq!(missed(&run, true).len(), 3 + alone);
        run.cells.clear();
        assert_eq!(judge(&run, false), []);
    }

    #[test]
    fn every_floor_is_about_a_cell_that_measures_it() {
        let plans = cells::telling();
        for floor in FLOORS {
            let (name, peers) = match floor.measure {
                Measure::Ratio(name, _, ours, theirs) => (name, vec![ours, theirs]),
                Measure::Of(name, _, peer) => (name, vec![peer]),
                Measure::Alone(_) => continue,
            };
            let plan = plans.iter().find(|plan| plan.name == name);
            let plan = plan.unwrap_or_else(|| panic!("no cell {name}"));
            assert!(peers.iter().all(|peer| plan.peers.contains(peer)), "{name}: {peers:?}");
        }
    }
}
