//! The instant at which a run begins, the same for all of its threads.

use std::sync::{Barrier, OnceLock};
use std::time::{Instant, SystemTime};

/// See the module.
pub(super) struct Start<'a> {
    ready: Barrier,
    begins: &'a (dyn Fn() + Sync),
    at: OnceLock<(Instant, SystemTime)>,
}

impl<'a> Start<'a> {
    /// Of a run with so many threads, of which one calls this just before.
    pub(super) fn of(threads: u64, begins: &'a (dyn Fn() + Sync)) -> Self {
        Self { ready: Barrier::new(threads as usize), begins, at: OnceLock::new() }
    }

    /// Waits until all threads are here, and gives the instant.
    pub(super) fn together(&self) -> Instant {
        if self.ready.wait().is_leader() {
            (self.begins)();
        }
        self.ready.wait();
        self.at().0
    }

    /// In milliseconds since 1970.
    pub(super) fn unix_ms(&self) -> u64 {
        self.at().1.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64
    }

    fn at(&self) -> &(Instant, SystemTime) {
        self.at.get_or_init(|| (Instant::now(), SystemTime::now()))
    }
}
