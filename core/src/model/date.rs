//! Points in time as mail writes them.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UtcTime(pub u64);

impl UtcTime {
    /// The time this much later.
    pub fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero where it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// RFC 5322 §3.3: `Sun, 22 Nov 2026 00:12:27 +0000`.
    pub fn to_rfc5322(self) -> String {
        self.date_time().format("%a, %d %b %Y %H:%M:%S +0000").to_string()
    }

    /// RFC 3339 §5.6 with milliseconds: `2026-11-22T00:12:27.500Z`.
    pub fn to_rfc3339(self) -> String {
        self.date_time().to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// Reads `date-time` of RFC 3339 §5.6; none before 1970.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        u64::try_from(time.timestamp_millis()).ok().map(Self)
    }

    fn date_time(self) -> DateTime<Utc> {
        i64::try_from(self.0)
            .ok()
            .and_then(DateTime::from_timestamp_millis)
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

/// A span of time for people, in the largest unit that does not hide much: `5 days`, `36 hours`, `1 minute`.
pub fn in_words(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let fits = |unit: &(u64, &str)| seconds == unit.0 || seconds >= 2 * unit.0;
    match units.into_iter().find(fits) {
        Some((unit, name)) => {
            let count = seconds / unit;
            format!("{count} {name}{}", if count == 1 { "" } else { "s" })
        }
        None => "less than a second".to_owned(),
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_name_the_same_instant() {
        let time = UtcTime(1_795_306_347_500);
        assert_eq!(time.to_rfc5322(), "Sun, 22 Nov 2026 00:12:27 +0000");
        assert_eq!(time.to_rfc3339(), "2026-11-22T00:12:27.500Z");
        assert_eq!(UtcTime::from_rfc3339("2026-11-22T01:12:27.5+01:00"), Some(time));
        assert_eq!(
            [UtcTime::from_rfc3339("1969-12-31T23:59:59Z"), UtcTime::from_rfc3339("tomorrow")],
            [None; 2]
        );
        assert_eq!(UtcTime(u64::MAX).to_rfc3339().len(), "+262142-12-31T23:59:59.999Z".len());
    }

    #[test]
    fn spans_are_told_in_the_largest_unit_that_does_not_hide_much() {
        for (seconds, words) in [
            (0, "less than a second"),
            (1, "1 second"),
            (60, "1 minute"),
            (90, "90 seconds"),
            (36 * 3_600, "36 hours"),
            (86_400, "1 day"),
            (5 * 86_400 + 7, "5 days"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}
