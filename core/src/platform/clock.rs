//! Time.

use std::future::Future;
use std::ops::{Add, Sub};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{Either, select};
use futures::pin_mut;

use crate::model::UtcTime;

/// A point on a clock that never goes back and goes on while the machine is suspended (Linux: `CLOCK_BOOTTIME`).
/// Only differences mean anything; values of two nodes must not be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(Duration);

impl Instant {
    /// The instant this long after the clock's origin.
    pub const fn from_origin(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long after the clock's origin.
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// How long after `earlier` this is; zero where it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(delay))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, delay: Duration) -> Self {
        Self(self.0.saturating_sub(delay))
    }
}

/// The only source of time in the engine.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Wall time. May jump either way.
    fn utc(&self) -> UtcTime;
    /// Elapsed time, suspension included.
    fn instant(&self) -> Instant;
    /// Returns at `instant`, or at once where that has passed.
    async fn sleep_until(&self, instant: Instant);
}

impl dyn Clock {
    /// Waits this long.
    pub async fn sleep(&self, delay: Duration) {
        self.sleep_until(self.instant() + delay).await;
    }

    /// What `work` gives, or nothing once the deadline has passed; `work` is then dropped.
    pub async fn before<T>(&self, deadline: Instant, work: impl Future<Output = T> + Send) -> Option<T> {
        let late = self.sleep_until(deadline);
        pin_mut!(work);
        match select(work, late).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }
}
