//! The figures, to be seen: four panels over the logarithm of the number of nodes, as SVG.

use std::fmt::{self, Write};

use super::Measurement;
use super::cell::Mail;
use super::table::millis;

/// A panel with what is written around it.
const PANEL: (f64, f64) = (430.0, 270.0);
/// Around the axes of a panel: left, top, right, bottom.
const MARGIN: (f64, f64, f64, f64) = (70.0, 44.0, 20.0, 42.0);
/// Above all panels.
const HEAD: f64 = 34.0;
/// Lines across a panel that has no logarithmic axis.
const RULES: u32 = 4;
/// Mail apart and mixed.
const COLOURS: [&str; 2] = ["#1f6feb", "#d1542f"];

/// One line of a panel.
struct Line {
    colour: &'static str,
    is_dashed: bool,
    name: &'static str,
    points: Vec<(f64, f64)>,
}

struct Panel {
    title: &'static str,
    is_logarithmic: bool,
    lines: Vec<Line>,
}

/// A picture of how everything grows with the nodes.
pub fn picture(measurements: &[Measurement]) -> String {
    let panels = [
        Panel {
            title: "messages a second",
            is_logarithmic: true,
            lines: lines(measurements, |it| Some(it.figures.rate())),
        },
        Panel {
            title: "time to the 250, ms (p99; dashed: p50)",
            is_logarithmic: false,
            lines: [
                lines(measurements, |it| Some(millis(it.figures.p99))),
                lines(measurements, |it| Some(millis(it.figures.median))).into_iter().map(dashed).collect(),
            ]
            .concat(),
        },
        Panel {
            title: "store requests, $ per million messages",
            is_logarithmic: false,
            lines: lines(measurements, |it| Some(it.figures.dollars_per_million())),
        },
        Panel {
            title: "takeover of a killed node's queue, s",
            is_logarithmic: false,
            lines: lines(measurements, |it| it.figures.takeover.map(|takeover| takeover.as_secs_f64())),
        },
    ];
    let mut svg = String::new();
    // A string takes everything.
    let _ = draw(&mut svg, &panels, most_nodes(measurements));
    svg
}

impl Clone for Line {
    fn clone(&self) -> Self {
        Self { points: self.points.clone(), ..*self }
    }
}

fn dashed(line: Line) -> Line {
    Line { is_dashed: true, ..line }
}

fn most_nodes(measurements: &[Measurement]) -> f64 {
    measurements.iter().map(|it| it.cell.nodes).max().unwrap_or(1).max(10) as f64
}

/// One figure of each cluster, by where mail goes.
fn lines(measurements: &[Measurement], figure: impl Fn(&Measurement) -> Option<f64>) -> Vec<Line> {
    let of = |(mail, colour): (Mail, &'static str)| {
        let of_it = measurements.iter().filter(|it| it.cell.mail == mail);
        let points = of_it.filter_map(|it| Some((it.cell.nodes as f64, figure(it)?))).collect();
        Line { colour, is_dashed: false, name: mail.name(), points }
    };
    [Mail::Apart, Mail::Mixed].into_iter().zip(COLOURS).map(of).collect()
}

fn draw(svg: &mut String, panels: &[Panel], most_nodes: f64) -> fmt::Result {
    let (width, height) = (PANEL.0 * 2.0, HEAD + PANEL.1 * 2.0);
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>"
    )?;
    writeln!(svg, "<text x=\"16\" y=\"22\" font-size=\"15\">Fulmar on a simulated S3, by nodes</text>")?;
    for (place, (mail, colour)) in [Mail::Apart, Mail::Mixed].into_iter().zip(COLOURS).enumerate() {
        let x = 420.0 + 210.0 * place as f64;
        let words = match mail {
            Mail::Apart => "accounts apart",
            Mail::Mixed => "any account on any node",
        };
        writeln!(svg, "<path d=\"M{x} 18h24\" stroke=\"{colour}\" stroke-width=\"3\"/>")?;
        writeln!(svg, "<text x=\"{}\" y=\"22\">{words}</text>", x + 30.0)?;
    }
    for (place, panel) in panels.iter().enumerate() {
        let (column, row) = (place % 2, place / 2);
        let (x, y) = (PANEL.0 * column as f64, HEAD + PANEL.1 * row as f64);
        writeln!(svg, "<g transform=\"translate({x} {y})\">")?;
        panel.draw(svg, most_nodes)?;
        writeln!(svg, "</g>")?;
    }
    writeln!(svg, "</svg>")
}

impl Panel {
    fn draw(&self, svg: &mut String, most_nodes: f64) -> fmt::Result {
        let (left, top) = (MARGIN.0, MARGIN.1);
        let (right, bottom) = (PANEL.0 - MARGIN.2, PANEL.1 - MARGIN.3);
        let values = || self.lines.iter().flat_map(|line| &line.points).map(|(_, value)| *value);
        let axis = Axis::over(values(), self.is_logarithmic);
        let x = |nodes: f64| left + (right - left) * nodes.log10() / most_nodes.log10();
        let y = |value: f64| bottom - (bottom - top) * axis.part(value);
        writeln!(svg, "<text x=\"{left}\" y=\"{}\" font-size=\"13\">{}</text>", top - 14.0, self.title)?;
        for value in axis.rules() {
            let at = y(value);
            writeln!(svg, "<path d=\"M{left} {at:.1}H{right}\" stroke=\"#ddd\"/>")?;
            writeln!(
                svg,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 6.0,
                at + 4.0,
                short(value)
            )?;
        }
        for nodes in decades(1.0, most_nodes) {
            let at = x(nodes);
            writeln!(svg, "<path d=\"M{at:.1} {top}V{bottom}\" stroke=\"#eee\"/>")?;
            writeln!(
                svg,
                "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{nodes}</text>",
                bottom + 16.0
            )?;
        }
        let middle = (left + right) / 2.0;
        writeln!(svg, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">nodes</text>", bottom + 32.0)?;
        self.lines.iter().try_for_each(|line| line.draw(svg, &x, &y))
    }
}

impl Line {
    fn draw(&self, svg: &mut String, x: &impl Fn(f64) -> f64, y: &impl Fn(f64) -> f64) -> fmt::Result {
        let Self { colour, is_dashed, name, points } = self;
        let places: Vec<_> =
            points.iter().map(|(nodes, value)| format!("{:.1},{:.1}", x(*nodes), y(*value))).collect();
        let dashes = if *is_dashed { " stroke-dasharray=\"5 4\"" } else { "" };
        writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/>",
            places.join(" ")
        )?;
        for (nodes, value) in points {
            writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"><title>{name}, {nodes} nodes: {}</title></circle>",
                x(*nodes),
                y(*value),
                short(*value)
            )?;
        }
        Ok(())
    }
}

/// From the bottom of a panel to its top.
struct Axis {
    least: f64,
    most: f64,
    is_logarithmic: bool,
}

impl Axis {
    /// One that holds all values.
    fn over(values: impl Iterator<Item = f64> + Clone, is_logarithmic: bool) -> Self {
        let most = values.clone().fold(1.0, f64::max);
        if is_logarithmic {
            let least = values.fold(most, f64::min).max(1.0);
            let decade = |value: f64| 10_f64.powf(value);
            Self { least: decade(least.log10().floor()), most: decade(most.log10().ceil()), is_logarithmic }
        } else {
            let rule = round_up(most / f64::from(RULES));
            Self { least: 0.0, most: rule * f64::from(RULES), is_logarithmic }
        }
    }

    /// How far up a value stands, of 1.
    fn part(&self, value: f64) -> f64 {
        if self.is_logarithmic {
            (value / self.least).log10() / (self.most / self.least).log10().max(1.0)
        } else {
            value / self.most
        }
    }

    fn rules(&self) -> Vec<f64> {
        if self.is_logarithmic {
            decades(self.least, self.most).collect()
        } else {
            (0..=RULES).map(|rule| self.most * f64::from(rule) / f64::from(RULES)).collect()
        }
    }
}

/// Powers of ten from one to the other, which may be a little off.
fn decades(least: f64, most: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(least), |decade| Some(decade * 10.0))
        .take_while(move |decade| *decade < most * 1.1)
}

/// The next number that is one, two, two and a half or five times a power of ten.
fn round_up(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    let step = steps.into_iter().find(|step| step * decade >= value * 0.999);
    step.unwrap_or(10.0) * decade
}

/// Thousands as k, and no more digits than are needed.
fn short(value: f64) -> String {
    let (value, unit) = if value >= 1_000.0 { (value / 1_000.0, "k") } else { (value, "") };
    let digits = usize::from(value < 100.0 && value.fract() > 0.05);
    format!("{value:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_all_values_and_end_at_round_numbers() {
        for (values, is_logarithmic, expected) in [
            (vec![83.0, 61_000.0], true, (10.0, 100_000.0)),
            (vec![183.0, 371.0], false, (0.0, 400.0)),
            (vec![4.9], false, (0.0, 8.0)),
            (vec![], false, (0.0, 1.0)),
        ] {
            let axis = Axis::over(values.iter().copied(), is_logarithmic);
            assert_eq!((axis.least.round(), axis.most.round()), expected, "{values:?}");
            assert!(values.iter().all(|value| (0.0..=1.0).contains(&axis.part(*value))));
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, expected) in
            [(0.0, "0"), (12.5, "12.5"), (250.0, "250"), (2_500.0, "2.5k"), (1e5, "100k")]
        {
            assert_eq!(short(value), expected);
        }
    }
}
