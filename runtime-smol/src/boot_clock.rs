//! The time since the machine was started.

use std::time::Duration;

use fulmar_core::platform::Instant;
use rustix::time::{ClockId, clock_gettime};

/// The clock that counts suspension. Elsewhere than on Linux, the one that there is.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// What the clock that counts suspension says.
pub(crate) fn now() -> Instant {
    let time = clock_gettime(CLOCK);
    // The system guarantees that neither is negative.
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Instant::from_origin(Duration::new(seconds, nanoseconds))
}
