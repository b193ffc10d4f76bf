//! Waiting for a time.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::executor::Simulator;

/// Who is to be woken when.
#[derive(Default)]
pub(super) struct Timers {
    waiting: BTreeMap<(Duration, u64), Waker>,
    next: u64,
}

impl Timers {
    fn set(&mut self, until: Duration, waker: Waker) -> (Duration, u64) {
        let timer = (until, self.next);
        self.next += 1;
        self.waiting.insert(timer, waker);
        timer
    }

    /// The first that is due, and when.
    pub(super) fn pop(&mut self) -> Option<(Duration, Waker)> {
        self.waiting.pop_first().map(|((due, _), waker)| (due, waker))
    }
}

/// See [`Simulator::sleep_until`].
pub struct Sleep {
    simulator: Simulator,
    until: Duration,
    timer: Option<(Duration, u64)>,
}

impl Sleep {
    pub(super) fn new(simulator: Simulator, until: Duration) -> Self {
        Self { simulator, until, timer: None }
    }

    fn forget(&mut self) {
        if let Some(timer) = self.timer.take() {
            let waker = self.simulator.state().timers.waiting.remove(&timer);
            drop(waker);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { simulator, until, timer } = &mut *self;
        let mut state = simulator.state();
        if state.now >= *until {
            drop(state);
            self.forget();
            return Poll::Ready(());
        }
        let set = timer.and_then(|timer| state.timers.waiting.get_mut(&timer));
        match set {
            Some(waker) => waker.clone_from(context.waker()),
            None => *timer = Some(state.timers.set(*until, context.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.forget();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("until", &self.until).finish_non_exhaustive()
    }
}
