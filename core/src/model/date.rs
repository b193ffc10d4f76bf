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

    fn date_time(self) -> DateTime<Utc> {
        i64::try_from(self.0)
            .ok()
            .and_then(DateTime::from_timestamp_millis)
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
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
        assert_eq!(UtcTime(u64::MAX).to_rfc3339().len(), "+262142-12-31T23:59:59.999Z".len());
    }
}
