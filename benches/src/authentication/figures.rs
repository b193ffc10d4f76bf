//! What came of all rounds, printed and judged.

use std::collections::BTreeMap;
use std::fmt;

use super::{Cell, Round};
use crate::spread::Spread;

/// A cell, that without what it measures, and the milliseconds of processor time that it may cost a message more.
const PAIRS: [(Cell, Cell, f64); 2] = [(Cell::Verify, Cell::Off, 0.25), (Cell::Sign, Cell::Unsigned, 1.2)];

/// All rounds of all cells.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    rounds: BTreeMap<Cell, Vec<Round>>,
}

impl Figures {
    pub(super) fn enter(&mut self, cell: Cell, round: Round) {
        self.rounds.entry(cell).or_default().push(round);
    }

    /// Where authentication costs more than it may; nothing where all is well.
    pub fn faults(&self) -> Vec<String> {
        let fault = |(cell, without, most): &(Cell, Cell, f64)| {
            let more = self.more(*cell, *without).map(|spread| spread.median);
            match more {
                Some(more) if more <= *most => None,
                Some(more) => {
                    Some(format!("{cell} costs {more:.3} ms a message more than {without}; at most {most}"))
                }
                None => Some(format!("{cell} was not measured")),
            }
        };
        PAIRS.iter().filter_map(fault).collect()
    }

    fn spread(&self, cell: Cell, figure: impl Fn(&Round) -> f64) -> Option<Spread> {
        Spread::of(self.rounds.get(&cell)?.iter().map(figure))
    }

    /// One cell held against another, round by round.
    fn compare(&self, cell: Cell, without: Cell, by: impl Fn(&Round, &Round) -> f64) -> Option<Spread> {
        let (with, without) = (self.rounds.get(&cell)?, self.rounds.get(&without)?);
        Spread::of(with.iter().zip(without).map(|(with, without)| by(with, without)))
    }

    fn more(&self, cell: Cell, without: Cell) -> Option<Spread> {
        self.compare(cell, without, |with, without| with.cpu - without.cpu)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |what: String, accepted: Option<Spread>, cpu: Option<Spread>, digits: [usize; 2]| {
            let show = |spread: Option<Spread>, digits: usize| {
                spread.map_or(String::new(), |spread| format!("{spread:.digits$}"))
            };
            let (accepted, cpu) = (show(accepted, digits[0]), show(cpu, digits[1]));
            writeln!(f, "{}", format!("{what:24} {accepted:24} {cpu}").trim_end())
        };
        line("\nmedian (range)".to_owned(), None, None, [0; 2])?;
        for (cell, without, most) in PAIRS {
            for cell in [without, cell] {
                let accepted = self.spread(cell, |round| round.accepted);
                line(cell.to_string(), accepted, self.spread(cell, |round| round.cpu), [0, 3])?;
            }
            let rate = self.compare(cell, without, |with, without| with.accepted / without.accepted);
            let cpu = self.compare(cell, without, |with, without| with.cpu / without.cpu);
            line(format!("  by {without}"), rate, cpu, [2, 2])?;
            line(format!("  more, at most {most}"), None, self.more(cell, without), [0, 3])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Verification costs `more[0]` ms, signatures `more[1]`.
    fn figures(more: [f64; 2]) -> Figures {
        let mut figures = Figures::default();
        for noise in [0.0, 0.01, 5.0] {
            for (cell, accepted, cpu) in [
                (Cell::Off, 4_000.0, 0.2),
                (Cell::Verify, 3_000.0, 0.2 + more[0]),
                (Cell::Unsigned, 6_000.0, 0.1),
                (Cell::Sign, 1_500.0, 0.1 + more[1]),
            ] {
                figures.enter(cell, Round { accepted: accepted * (1.0 + noise), cpu: cpu + noise });
            }
        }
        figures
    }

    #[test]
    fn each_cost_is_held_against_its_own_bound() {
        for (more, faults) in [([0.2, 1.1], 0), ([0.3, 1.1], 1), ([0.2, 1.3], 1), ([0.3, 1.3], 2)] {
            assert_eq!(figures(more).faults().len(), faults, "{more:?}");
        }
        assert_eq!(Figures::default().faults().len(), 2, "nothing was measured");
    }

    #[test]
    fn neighbouring_rounds_are_compared_and_not_the_medians() {
        let shown = figures([0.1, 0.5]).to_string();
        for line in [
            "off                      4040 (4000-24000)        0.210 (0.200-5.200)",
            "  by off                 0.75 (0.75-0.75)         1.48 (1.02-1.50)",
            "  more, at most 0.25                              0.100 (0.100-0.100)",
            "  by unsigned            0.25 (0.25-0.25)         5.55 (1.10-6.00)",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
        }
    }
}
