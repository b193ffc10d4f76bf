//! The system's time, which a test can also let jump ahead.

use std::time::Duration;

use async_trait::async_trait;
use event_listener::Event;
use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Clock, Instant};
use fulmar_runtime_smol::SmolClock;
use futures::future::select;
use std::sync::atomic::{AtomicU64, Ordering};

/// Goes as the system's clock does, ahead of it by all that it was advanced.
#[derive(Debug, Default)]
pub struct AdvancedClock {
    ahead_milliseconds: AtomicU64,
    readings: AtomicU64,
    advanced: Event,
}

impl AdvancedClock {
    /// Jumps ahead. Whoever sleeps until a point in between wakes.
    pub fn advance(&self, by: Duration) {
        let milliseconds = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.ahead_milliseconds.fetch_add(milliseconds, Ordering::SeqCst);
        self.advanced.notify(usize::MAX);
    }

    /// How often the time was asked for: a loop that turns without rest shows here.
    pub fn readings(&self) -> u64 {
        self.readings.load(Ordering::Relaxed)
    }

    fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead_milliseconds.load(Ordering::SeqCst))
    }
}

#[async_trait]
impl Clock for AdvancedClock {
    fn utc(&self) -> UtcTime {
        SmolClock.utc().after(self.ahead())
    }

    fn instant(&self) -> Instant {
        self.readings.fetch_add(1, Ordering::Relaxed);
        SmolClock.instant() + self.ahead()
    }

    async fn sleep_until(&self, instant: Instant) {
        loop {
            let advanced = self.advanced.listen();
            let left = instant.since(self.instant());
            if left.is_zero() {
                return;
            }
            select(smol::Timer::after(left), advanced).await;
        }
    }
}
