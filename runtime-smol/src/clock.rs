//! Time.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Clock, Instant};
use rustix::time::{ClockId, clock_gettime};

use crate::alarms::Sleep;

/// The clock that counts suspension. Elsewhere than on Linux, the one that there is.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

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

/// What the clock that counts suspension says.
pub(crate) fn now() -> Instant {
    let time = clock_gettime(CLOCK);
    // The system guarantees that neither is negative.
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Instant::from_origin(Duration::new(seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
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
