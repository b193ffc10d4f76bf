//! A picture of all cells: a bar for each peer. Each cell has a scale of its own, from nothing to its fastest peer: only what was measured in
//! turns is compared.

use std::fmt::Write as _;

use strum::IntoEnumIterator;

use super::{Cell, Figure, Peer, Run};
use crate::spread::Spread;

/// All in pixels.
const WIDTH: f64 = 1000.0;
const LEFT: f64 = 270.0;
/// Room for what is said behind the longest bar.
const RIGHT: f64 = 270.0;
const TOP: f64 = 104.0;
const BAR: f64 = 15.0;
const BAR_PITCH: f64 = 19.0;
const CELL_GAP: f64 = 16.0;
/// What is said beside the bars of a cell takes as much room as so many bars.
const LEAST_BARS: usize = 3;
const FOOT: f64 = 10.0;
const LEGEND_PITCH: f64 = 125.0;
/// Of the marks at both ends of a range.
const TICK: f64 = 3.0;

const BARS: &str = "Messages a second, medians; each cell to its own scale. Pale: accepted (250); line: its range. Full: delivered.";
const RATIO: &str = "Fulmar \u{d7}: how many times as fast Fulmar delivers, or accepts beside what delivers nothing, round by round.";

/// Draws what was accepted as a pale bar, what was delivered as a full one over it, and the range of the former as a line.
pub(crate) fn svg(run: &Run, title: &str) -> String {
    let cells: Vec<&Cell> = run.cells.iter().filter(|cell| bars(cell).next().is_some()).collect();
    let rows: usize = cells.iter().map(|cell| rows(cell)).sum();
    let height = TOP + rows as f64 * BAR_PITCH + cells.len() as f64 * CELL_GAP + FOOT;

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    text(&mut out, 16.0, 26.0, "start", 16, title);
    for (y, words) in [(44.0, BARS), (59.0, RATIO)] {
        text(&mut out, 16.0, y, "start", 12, words);
    }
    legend(&mut out, &cells);
    let mut y = TOP + CELL_GAP / 2.0;
    for cell in cells {
        y = draw(&mut out, cell, y) + CELL_GAP;
    }
    out + "</svg>\n"
}

/// Peers that have something to show.
fn bars(cell: &Cell) -> impl Iterator<Item = (Peer, Spread)> {
    let with_spread = |peer: &Peer| Some((*peer, cell.spread(*peer, Figure::Accepted)?));
    cell.rounds.keys().filter_map(with_spread).filter(|(_, accepted)| accepted.low > 0.0)
}

/// How many bars there is room for.
fn rows(cell: &Cell) -> usize {
    bars(cell).count().max(LEAST_BARS)
}

fn legend(out: &mut String, cells: &[&Cell]) {
    let shown =
        Peer::iter().filter(|peer| cells.iter().any(|cell| bars(cell).any(|(other, _)| other == *peer)));
    for (at, peer) in shown.enumerate() {
        let x = LEFT + at as f64 * LEGEND_PITCH;
        rectangle(out, x, 76.0, BAR, 12.0, colour(peer), 1.0);
        text(out, x + BAR + 5.0, 86.0, "start", 12, peer.into());
    }
}

/// Gives where it ends.
fn draw(out: &mut String, cell: &Cell, top: f64) -> f64 {
    let mut y = top;
    text(out, LEFT - 10.0, y + 12.0, "end", 13, &cell.name);
    for (at, words) in wrapped(&cell.load).iter().enumerate() {
        text(out, LEFT - 10.0, y + 12.0 + (at + 1) as f64 * 14.0, "end", 10, words);
    }
    let fastest = bars(cell).map(|(_, accepted)| accepted.high).fold(0.0, f64::max);
    let length = |value: f64| value / fastest * (WIDTH - LEFT - RIGHT);
    for (peer, accepted) in bars(cell) {
        rectangle(out, LEFT, y, length(accepted.median), BAR, colour(peer), 0.35);
        let mut says = format!("{:.0} accepted", accepted.median);
        if let Some(delivered) = cell.spread(peer, Figure::Delivered) {
            rectangle(out, LEFT, y, length(delivered.median), BAR, colour(peer), 1.0);
            says += &format!(", {:.0} delivered", delivered.median);
        }
        if let Some(ratio) = ratio(cell, peer) {
            says += &format!("; Fulmar {ratio:.1}\u{d7}");
        }
        range(out, LEFT + length(accepted.low), LEFT + length(accepted.high), y + BAR / 2.0);
        text(out, LEFT + length(accepted.high) + 8.0, y + 12.0, "start", 11, &says);
        y += BAR_PITCH;
    }
    top + rows(cell) as f64 * BAR_PITCH
}

/// Fulmar's speed by another's, as the table has it.
fn ratio(cell: &Cell, peer: Peer) -> Option<f64> {
    let of = |figure| cell.ratios(figure, Peer::Fulmar, peer).map(|ratios| ratios.median);
    of(Figure::Delivered).or_else(|| of(Figure::Accepted)).filter(|_| peer != Peer::Fulmar)
}

/// Seen on any colour: dark on a light ground of its own.
fn range(out: &mut String, low: f64, high: f64, y: f64) {
    for (stroke, width) in [("white", 3.0), ("#222", 1.0)] {
        line(out, (low, y), (high, y), stroke, width);
        for end in [low, high] {
            line(out, (end, y - TICK), (end, y + TICK), stroke, width);
        }
    }
}

/// Lines that fit beside the bars.
fn wrapped(words: &str) -> Vec<String> {
    const LINE: usize = 42;
    let mut lines = vec![String::new()];
    for word in words.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].len() + word.len() >= LINE {
            lines.push(word.to_owned());
        } else {
            if !lines[last].is_empty() {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines
}

/// Told apart by people who do not see all colours, too.
fn colour(peer: Peer) -> &'static str {
    match peer {
        Peer::Fulmar => "#0072b2",
        Peer::FulmarOnS3 => "#56b4e9",
        Peer::Postfix => "#d55e00",
        Peer::Haraka => "#009e73",
        Peer::Sink => "#777777",
    }
}

fn rectangle(out: &mut String, x: f64, y: f64, width: f64, height: f64, fill: &str, opacity: f64) {
    add(
        out,
        format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\" \
             fill-opacity=\"{opacity}\"/>"
        ),
    );
}

fn line(out: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), stroke: &str, width: f64) {
    add(
        out,
        format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{stroke}\" \
             stroke-width=\"{width}\"/>"
        ),
    );
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, size: u32, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    add(
        out,
        format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\">{words}</text>"
        ),
    );
}

fn add(out: &mut String, element: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{element}");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::report::Round;

    fn cell(name: &str, peers: &[(Peer, f64)]) -> Cell {
        let round = |value| Round::from([(Figure::Accepted, value), (Figure::Delivered, value / 2.0)]);
        let rounds = peers.iter().map(|(peer, value)| (*peer, vec![round(*value)])).collect();
        Cell { name: name.to_owned(), rounds, ..Cell::default() }
    }

    #[test]
    fn bars_are_as_long_as_their_share_of_the_fastest_and_say_what_they_stand_for() {
        let run = Run {
            cells: vec![cell("x", &[(Peer::Fulmar, 1000.0), (Peer::Postfix, 250.0)])],
            ..Run::default()
        };
        let picture = svg(&run, "a < b");
        for bar in [
            "width=\"460.0\" height=\"15.0\" fill=\"#0072b2\" fill-opacity=\"0.35\"",
            "width=\"230.0\" height=\"15.0\" fill=\"#0072b2\" fill-opacity=\"1\"",
            "width=\"115.0\" height=\"15.0\" fill=\"#d55e00\" fill-opacity=\"0.35\"",
            ">1000 accepted, 500 delivered<",
            ">250 accepted, 125 delivered; Fulmar 4.0\u{d7}<",
            "a &lt; b",
        ] {
            assert!(picture.contains(bar), "{bar}: {picture}");
        }
        assert!(!picture.contains("Haraka"), "{picture}");
    }

    #[test]
    fn what_was_not_measured_is_not_drawn() {
        let nothing =
            Cell { rounds: BTreeMap::from([(Peer::Fulmar, vec![Round::new()])]), ..Cell::default() };
        let picture = svg(&Run { cells: vec![nothing], ..Run::default() }, "nothing");
        assert!(
            picture.ends_with("</svg>\n") && !picture.contains("NaN") && !picture.contains("inf"),
            "{picture}"
        );
        assert!(!picture.contains("#0072b2"));
    }
}
