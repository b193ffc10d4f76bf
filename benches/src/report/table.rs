//! The figures as text.

use strum::IntoEnumIterator;

use super::{Cell, Figure, Peer, Run};

const FIRST_COLUMN: usize = 32;
const COLUMN: usize = 24;

/// A cell: a line for each figure, median and range of each peer; below it what Fulmar's is by the others', round by round.
pub(crate) fn cell(cell: &Cell) -> String {
    let peers: Vec<Peer> = cell.rounds.keys().copied().collect();
    let mut lines = vec![format!("{}: {}", cell.name, cell.load)];
    lines.extend(cell.remarks.iter().map(|remark| format!("  {remark}")));
    lines.push(line("median (range)", peers.iter().map(|peer| <&str>::from(*peer).to_owned())));
    for figure in Figure::iter() {
        let (name, unit, digits) = figure.caption();
        let spreads: Vec<_> = peers.iter().map(|peer| cell.spread(*peer, figure)).collect();
        if spreads.iter().all(Option::is_none) {
            continue;
        }
        let texts = spreads.iter().map(|spread| spread.map_or("-".to_owned(), |s| format!("{s:.digits$}")));
        lines.push(line(&format!("{name} ({unit})"), texts));
        let ratios: Vec<_> = peers.iter().map(|peer| ratio(cell, figure, *peer)).collect();
        if ratios.iter().any(Option::is_some) {
            lines.push(line("  Fulmar's by it", ratios.into_iter().map(Option::unwrap_or_default)));
        }
    }
    lines.join("\n") + "\n"
}

/// What was measured of Fulmar alone.
pub(crate) fn alone(run: &Run) -> String {
    let row = |alone: &super::Alone| format!("{:48}  {:.2} {}\n", alone.name, alone.spread, alone.unit);
    run.alone.iter().map(row).collect()
}

/// Nothing for Fulmar itself, and where one of the two was not measured.
fn ratio(cell: &Cell, figure: Figure, peer: Peer) -> Option<String> {
    if peer == Peer::Fulmar {
        return None;
    }
    cell.ratios(figure, Peer::Fulmar, peer).map(|ratios| format!("{ratios:.2}"))
}

fn line(first: &str, rest: impl IntoIterator<Item = String>) -> String {
    let columns: String = rest.into_iter().map(|text| format!("{text:COLUMN$}")).collect();
    format!("{first:FIRST_COLUMN$}{columns}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::report::Round;

    #[test]
    fn ratios_stand_below_what_they_are_ratios_of_and_remarks_on_top() {
        let round = |accepted, cpu| Round::from([(Figure::Accepted, accepted), (Figure::Cpu, cpu)]);
        let ours = vec![round(4000.0, 0.2), round(4200.0, 0.21)];
        let theirs = vec![round(800.0, 2.0), round(700.0, 2.1)];
        let sink = vec![Round::from([(Figure::Accepted, 8000.0)])];
        let rounds = BTreeMap::from([(Peer::Fulmar, ours), (Peer::Postfix, theirs), (Peer::Sink, sink)]);
        let (name, load) = ("x".to_owned(), "a load".to_owned());
        let shown =
            cell(&Cell { name, load, rounds, remarks: vec!["Haraka: not installed, why".to_owned()] });
        let expected = "\
x: a load
  Haraka: not installed, why
median (range)                  Fulmar                  Postfix                 smtp-sink
accepted (messages/s)           4100 (4000-4200)        750 (700-800)           8000 (8000-8000)
  Fulmar's by it                                        5.50 (5.00-6.00)        0.50 (0.50-0.50)
CPU (s per 1,000)               0.205 (0.200-0.210)     2.050 (2.000-2.100)     -
  Fulmar's by it                                        0.10 (0.10-0.10)
";
        assert_eq!(shown, expected);
    }
}
