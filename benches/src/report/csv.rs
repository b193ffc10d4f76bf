//! Every figure of every round, one a line (RFC 4180 §2), and what they come to.

use strum::IntoEnumIterator;

use super::{Cell, Figure, Peer, Run};
use crate::spread::Spread;

/// `cell,peer,round,figure,unit,value`, with these names in the first line. Rounds count from 1; behind those of a cell stand `median`,
/// `low` and `high` of all rounds, and of the ratios `Fulmar / PEER`, round by round. What was measured alone has no cell, and
/// no single rounds.
pub(crate) fn csv(run: &Run) -> String {
    let mut lines = vec!["cell,peer,round,figure,unit,value".to_owned()];
    for cell in &run.cells {
        for (peer, rounds) in &cell.rounds {
            for (number, round) in rounds.iter().enumerate() {
                for figure in Figure::iter() {
                    let Some(value) = round.get(&figure) else { continue };
                    let (name, unit, _) = figure.caption();
                    let number = (number + 1).to_string();
                    let fields =
                        [cell.name.as_str(), (*peer).into(), &number, name, unit, &value.to_string()];
                    lines.push(fields.map(quoted).join(","));
                }
            }
        }
        lines.extend(summary(cell));
    }
    for alone in &run.alone {
        lines.extend(spread(["", "Fulmar"], [alone.name, alone.unit], alone.spread));
    }
    lines.join("\r\n") + "\r\n"
}

fn summary(cell: &Cell) -> Vec<String> {
    let mut lines = Vec::new();
    for peer in cell.rounds.keys().copied() {
        let name: &str = peer.into();
        for figure in Figure::iter() {
            let (what, unit, _) = figure.caption();
            let of_all = cell.spread(peer, figure);
            lines.extend(of_all.into_iter().flat_map(|all| spread([&cell.name, name], [what, unit], all)));
            let ratios = cell.ratios(figure, Peer::Fulmar, peer).filter(|_| peer != Peer::Fulmar);
            let name = format!("Fulmar / {name}");
            lines
                .extend(ratios.into_iter().flat_map(|all| spread([&cell.name, &name], [what, "ratio"], all)));
        }
    }
    lines
}

fn spread([cell, peer]: [&str; 2], [figure, unit]: [&str; 2], spread: Spread) -> [String; 3] {
    let Spread { median, low, high } = spread;
    [("median", median), ("low", low), ("high", high)]
        .map(|(round, value)| [cell, peer, round, figure, unit, &value.to_string()].map(quoted).join(","))
}

fn quoted(field: &str) -> String {
    if field.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::report::{Alone, Cell, Peer, Round};
    use crate::spread::Spread;

    #[test]
    fn each_figure_of_each_round_is_a_line_and_commas_are_quoted() {
        let round = Round::from([(Figure::Accepted, 4557.5), (Figure::P50, 1.25)]);
        let rounds = BTreeMap::from([(Peer::FulmarOnS3, vec![Round::new(), round])]);
        let cell = Cell { name: "a \"b\"".to_owned(), rounds, ..Cell::default() };
        let csv = csv(&Run { cells: vec![cell], alone: Vec::new() });
        let expected = [
            "cell,peer,round,figure,unit,value",
            "\"a \"\"b\"\"\",Fulmar on S3,2,accepted,messages/s,4557.5",
            "\"a \"\"b\"\"\",Fulmar on S3,2,\"250, p50\",ms,1.25",
            "\"a \"\"b\"\"\",Fulmar on S3,median,accepted,messages/s,4557.5",
        ];
        assert_eq!(csv.split("\r\n").take(4).collect::<Vec<_>>(), expected);
        assert!(csv.ends_with("\r\n"));
    }

    #[test]
    fn medians_and_ratios_stand_with_their_ranges() {
        let rounds = |values: [f64; 3]| values.map(|value| Round::from([(Figure::Cpu, value)])).to_vec();
        let rounds = BTreeMap::from([
            (Peer::Fulmar, rounds([1.0, 2.0, 3.0])),
            (Peer::Postfix, rounds([4.0, 4.0, 4.0])),
        ]);
        let cell = Cell { name: "x".to_owned(), rounds, ..Cell::default() };
        let spread = Spread::of([3.0, 4.0, 5.0]).unwrap();
        let alone = Alone { name: "cold start, S3", unit: "ms", spread };
        let csv = csv(&Run { cells: vec![cell], alone: vec![alone] });
        let found: Vec<&str> =
            csv.lines().filter(|line| line.contains("median") || line.contains("low")).collect();
        let expected = [
            "x,Fulmar,median,CPU,\"s per 1,000\",2",
            "x,Fulmar,low,CPU,\"s per 1,000\",1",
            "x,Postfix,median,CPU,\"s per 1,000\",4",
            "x,Postfix,low,CPU,\"s per 1,000\",4",
            "x,Fulmar / Postfix,median,CPU,ratio,0.5",
            "x,Fulmar / Postfix,low,CPU,ratio,0.25",
            ",Fulmar,median,\"cold start, S3\",ms,4",
            ",Fulmar,low,\"cold start, S3\",ms,3",
        ];
        assert_eq!(found, expected);
    }
}
