//! Several measurements of one thing.

use std::fmt;

/// The middle of some figures, and how far they reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Half of them are at most this; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub low: f64,
    /// The greatest.
    pub high: f64,
}

impl Spread {
    /// Nothing where there are no figures.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let below = sorted[(sorted.len() - 1) / 2];
        Some(Self { median: (below + sorted[middle]) / 2.0, low, high })
    }
}

impl fmt::Display for Spread {
    /// `2.13 (1.90-2.40)`; the precision counts for all three.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} ({:.digits$}-{:.digits$})", self.median, self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle_and_the_range_holds_all() {
        for (figures, expected) in [
            (vec![3.0, 1.0, 2.0], "2.0 (1.0-3.0)"),
            (vec![4.0, 1.0], "2.5 (1.0-4.0)"),
            (vec![7.0], "7.0 (7.0-7.0)"),
        ] {
            assert_eq!(format!("{:.1}", Spread::of(figures).unwrap()), expected);
        }
        assert_eq!(Spread::of([]), None);
    }
}
