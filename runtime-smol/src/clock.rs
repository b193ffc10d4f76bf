//! Time.

use std::time::SystemTime;

use async_trait::async_trait;
use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Clock, Instant};

use crate::alarms::Sleep;
use crate::boot_clock::now;

/// The system's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SmolClock;

#[async_trait]
impl Clock for SmolClock {
    fn utc(&self) -> UtcTime {
        let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UtcTime::default().after(elapsed)
    }

    fn instant(&self) -> Instant {
        now()
    }

    async fn sleep_until(&self, instant: Instant) {
        Sleep::new(instant).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_sleep_ends_at_its_instant_and_not_before() {
        let clock = SmolClock;
        let due = clock.instant() + Duration::from_millis(20);
        smol::block_on(clock.sleep_until(due));
        assert!(clock.instant() >= due);
        smol::block_on(clock.sleep_until(due - Duration::from_hours(1)));
    }

    #[test]
    fn the_year_is_one_in_which_this_program_exists() {
        assert!(SmolClock.utc().to_rfc3339().as_str() > "2026");
    }
}
