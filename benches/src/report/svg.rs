//! A picture of all cells: a bar for each peer, on a logarithmic scale of messages a second.

use std::fmt::Write as _;

use strum::IntoEnumIterator;

use super::{Cell, Figure, Peer, Run};
use crate::spread::Spread;

/// All in pixels.
const WIDTH: f64 = 920.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 70.0;
const TOP: f64 = 96.0;
const BAR: f64 = 15.0;
const BAR_PITCH: f64 = 19.0;
const CELL_GAP: f64 = 16.0;
/// What is said beside the bars of a cell takes as much room as so many bars.
const LEAST_BARS: usize = 3;
const FOOT: f64 = 46.0;
const LEGEND_PITCH: f64 = 125.0;

/// Draws what was accepted as a pale bar, what was delivered as a full one over it, and the range of the former as a line.
pub(crate) fn svg(run: &Run, title: &str) -> String {
    let cells: Vec<&Cell> = run.cells.iter().filter(|cell| scale(cell).next().is_some()).collect();
    let rows: usize = cells.iter().map(|cell| rows(cell)).sum();
    let bottom = TOP + rows as f64 * BAR_PITCH + cells.len() as f64 * CELL_GAP;
    let height = bottom + FOOT;
    let decades = Decades::around(cells.iter().copied().flat_map(scale));

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    text(&mut out, 16.0, 26.0, "start", 16, title);
    text(
        &mut out,
        16.0,
        46.0,
        "start",
        12,
        "Messages a second, logarithmic; medians. Pale: accepted (250), line: its range. Full: delivered.",
    );
    legend(&mut out, &cells);
    for decade in decades.low..=decades.high {
        let (x, value) = (decades.x(10_f64.powi(decade)), 10_f64.powi(decade));
        line(&mut out, (x, TOP), (x, bottom), "#ddd");
        text(&mut out, x, bottom + 18.0, "middle", 12, &format!("{value}"));
    }
    text(&mut out, LEFT, bottom + 36.0, "start", 12, "messages/s");
    let mut y = TOP + CELL_GAP / 2.0;
    for cell in cells {
        y = draw(&mut out, cell, &decades, y) + CELL_GAP;
    }
    out + "</svg>\n"
}

/// The whole decades that hold all values.
struct Decades {
    low: i32,
    high: i32,
}

impl Decades {
    fn around(values: impl Iterator<Item = f64>) -> Self {
        let logarithms: Vec<f64> = values.map(f64::log10).collect();
        let low = logarithms.iter().copied().fold(f64::INFINITY, f64::min);
        let high = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if !low.is_finite() || !high.is_finite() {
            return Self { low: 0, high: 1 };
        }
        // The shortest bar is to be seen too.
        let low = (low - 0.1).floor() as i32;
        Self { low, high: (high.ceil() as i32).max(low + 1) }
    }

    fn x(&self, value: f64) -> f64 {
        let part = (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        LEFT + part.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }
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

/// All values that are drawn.
fn scale(cell: &Cell) -> impl Iterator<Item = f64> {
    let delivered = |peer| cell.spread(peer, Figure::Delivered).map(|spread| spread.median);
    bars(cell).flat_map(move |(peer, accepted)| {
        [Some(accepted.low), Some(accepted.high), delivered(peer)]
            .into_iter()
            .flatten()
            .filter(|value| *value > 0.0)
    })
}

fn legend(out: &mut String, cells: &[&Cell]) {
    let shown =
        Peer::iter().filter(|peer| cells.iter().any(|cell| bars(cell).any(|(other, _)| other == *peer)));
    for (at, peer) in shown.enumerate() {
        let x = LEFT + at as f64 * LEGEND_PITCH;
        rectangle(out, x, 62.0, BAR, 12.0, colour(peer), 1.0);
        text(out, x + BAR + 5.0, 72.0, "start", 12, peer.into());
    }
}

/// Gives where it ends.
fn draw(out: &mut String, cell: &Cell, decades: &Decades, top: f64) -> f64 {
    let mut y = top;
    text(out, LEFT - 10.0, y + 12.0, "end", 13, &cell.name);
    for (at, words) in wrapped(&cell.load).iter().enumerate() {
        text(out, LEFT - 10.0, y + 12.0 + (at + 1) as f64 * 14.0, "end", 10, words);
    }
    for (peer, accepted) in bars(cell) {
        let end = decades.x(accepted.median);
        rectangle(out, LEFT, y, end - LEFT, BAR, colour(peer), 0.35);
        if let Some(delivered) = cell.spread(peer, Figure::Delivered) {
            let end = decades.x(delivered.median);
            rectangle(out, LEFT, y, end - LEFT, BAR, colour(peer), 1.0);
        }
        let middle = y + BAR / 2.0;
        line(out, (decades.x(accepted.low), middle), (decades.x(accepted.high), middle), "#222");
        let beyond = decades.x(accepted.high).max(end) + 5.0;
        text(out, beyond, y + 12.0, "start", 11, &format!("{:.0}", accepted.median));
        y += BAR_PITCH;
    }
    top + rows(cell) as f64 * BAR_PITCH
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

fn line(out: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), stroke: &str) {
    add(
        out,
        format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{stroke}\"/>"
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
    fn a_bar_ends_where_its_value_stands_on_the_logarithmic_scale() {
        let run = Run {
            cells: vec![cell("x", &[(Peer::Fulmar, 1000.0), (Peer::Postfix, 20.0)])],
            ..Run::default()
        };
        let picture = svg(&run, "a < b");
        // From 10/2 up: the scale has the decades 0 to 3, over 600 pixels.
        assert!(
            picture.contains("width=\"600.0\" height=\"15.0\" fill=\"#0072b2\" fill-opacity=\"0.35\""),
            "{picture}"
        );
        assert!(
            picture.contains("width=\"200.0\" height=\"15.0\" fill=\"#d55e00\" fill-opacity=\"1\""),
            "{picture}"
        );
        assert!(picture.contains("a &lt; b") && picture.contains(">1000<"), "{picture}");
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
