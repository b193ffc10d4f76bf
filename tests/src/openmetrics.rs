//! A small reader of the text format of OpenMetrics, strict about what Prometheus would stumble over.

use std::collections::{BTreeMap, BTreeSet};

use crate::Fallible;

/// Values by series, such as `fulmar_attempts_total{outcome="failed"}`.
#[derive(Debug)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads a whole exposition; what is wrong with it is an error that quotes the line.
    pub fn parse(text: &str) -> Fallible<Self> {
        let body = text.strip_suffix("# EOF\n").ok_or("it does not end with # EOF")?;
        let mut values = BTreeMap::new();
        let mut families = BTreeSet::new();
        // Of the family whose samples come now.
        let (mut family, mut suffix) = (String::new(), "");
        for line in body.lines() {
            let wrong = |what: &str| format!("{what}: {line:?}");
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words[..] {
                ["#", "TYPE", name, kind] => {
                    suffix = match kind {
                        "counter" => "_total",
                        "gauge" => "",
                        "info" => "_info",
                        _ => return Err(wrong("a kind that nothing here has").into()),
                    };
                    family = name.to_owned();
                }
                ["#", "HELP", name, _] if families.insert(name.to_owned()) => family = name.to_owned(),
                ["#", "UNIT", name, unit] if name == family && name.ends_with(unit) => {}
                ["#", ..] => return Err(wrong("a comment that does not fit here").into()),
                _ => {
                    let (series, value) = line.rsplit_once(' ').ok_or_else(|| wrong("no value"))?;
                    let name = series.split('{').next().unwrap_or_default();
                    if name != format!("{family}{suffix}") {
                        return Err(wrong(&format!("a sample amid those of {family}")).into());
                    }
                    let value: f64 = value.parse().map_err(|_| wrong("a value that is no number"))?;
                    if values.insert(series.to_owned(), value).is_some() {
                        return Err(wrong("a series that was there before").into());
                    }
                }
            }
        }
        Ok(Self(values))
    }

    /// The value of a series, with its labels as they are written.
    pub fn value(&self, series: &str) -> Fallible<f64> {
        self.0.get(series).copied().ok_or_else(|| format!("no {series} among the metrics").into())
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
