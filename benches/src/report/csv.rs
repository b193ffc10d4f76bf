//! Every figure of every round, one a line (RFC 4180 §2).

use super::{Figure, Run};
use strum::IntoEnumIterator;

/// `cell,peer,round,figure,unit,value`, with these names in the first line. Rounds count from 1; what was measured alone has no
/// cell, and its median counts.
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
    }
    for alone in &run.alone {
        let value = alone.spread.median.to_string();
        lines.push(["", "Fulmar", "", alone.name, alone.unit, &value].map(quoted).join(","));
    }
    lines.join("\r\n") + "\r\n"
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
        let spread = Spread::of([3.0, 4.0, 5.0]).unwrap();
        let alone = Alone { name: "cold start, S3", unit: "ms", spread };
        let lines = [
            "cell,peer,round,figure,unit,value",
            "\"a \"\"b\"\"\",Fulmar on S3,2,accepted,messages/s,4557.5",
            "\"a \"\"b\"\"\",Fulmar on S3,2,\"250, p50\",ms,1.25",
            ",Fulmar,,\"cold start, S3\",ms,4",
        ];
        let expected: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        assert_eq!(csv(&Run { cells: vec![cell], alone: vec![alone] }), expected);
    }
}
