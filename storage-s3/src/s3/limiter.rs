//! How many requests may be under way at a time: fewer while the store is under pressure.
//!
//! Additive increase, multiplicative decrease: a sign of pressure halves the window, a window full of successes widens it
//! by one. All requests that were under way together meet the same pressure, so it counts once for all of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_lock::Mutex as AsyncMutex;
use event_listener::{Event, listener};
use fulmar_core::platform::{Clock, Instant};

/// Requests under way at a time where nothing speaks against it.
const WINDOW_LIMIT: usize = 64;

/// A request that its caller gave up after this long counts as a sign of pressure. Before, the caller may have gone for
/// reasons of its own.
const SLOW_ANSWER: Duration = Duration::from_secs(5);

/// Admits requests. Those that wait are admitted in the order in which they came.
pub(super) struct Limiter {
    clock: Arc<dyn Clock>,
    /// Held by the one that is next.
    turn: AsyncMutex<()>,
    freed: Event,
    state: Mutex<State>,
}

/// What a request's end says about the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answered.
    Answered,
    /// It cannot keep up: slow-down, a server error, no answer.
    Pressure,
}

/// The right to one request. Dropped without [`Permit::end`] where its caller gave the request up.
pub(super) struct Permit<'a> {
    limiter: &'a Limiter,
    number: u64,
    since: Instant,
    sign: Option<Sign>,
}

#[derive(Debug)]
struct State {
    window: usize,
    under_way: usize,
    /// Successes since the window last changed.
    successes: usize,
    /// Requests admitted so far.
    admitted: u64,
    /// What `admitted` was when the window was last halved: those up to there met the same pressure.
    halved_at: u64,
}

impl Limiter {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State { window: WINDOW_LIMIT, under_way: 0, successes: 0, admitted: 0, halved_at: 0 };
        Self { clock, turn: AsyncMutex::new(()), freed: Event::new(), state: Mutex::new(state) }
    }

    /// Waits until a request may be sent.
    pub(super) async fn admit(&self) -> Permit<'_> {
        let _turn = self.turn.lock().await;
        loop {
            // Listens before it looks, so that what is freed in between is not missed.
            listener!(self.freed => freed);
            if let Some(number) = self.state().admit() {
                return Permit { limiter: self, number, since: self.clock.instant(), sign: None };
            }
            freed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// Ends the request, and says what was learnt of the store.
    pub(super) fn end(mut self, sign: Sign) {
        self.sign = Some(sign);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let sign = self.sign.or_else(|| {
            let is_slow = self.limiter.clock.instant().since(self.since) >= SLOW_ANSWER;
            is_slow.then_some(Sign::Pressure)
        });
        self.limiter.state().end(self.number, sign);
        self.limiter.freed.notify(1);
    }
}

impl State {
    fn admit(&mut self) -> Option<u64> {
        if self.under_way >= self.window {
            return None;
        }
        self.under_way += 1;
        self.admitted += 1;
        Some(self.admitted)
    }

    fn end(&mut self, number: u64, sign: Option<Sign>) {
        self.under_way -= 1;
        match sign {
            Some(Sign::Pressure) if number > self.halved_at => {
                self.window = (self.window / 2).max(1);
                self.successes = 0;
                self.halved_at = self.admitted;
            }
            Some(Sign::Answered) => {
                self.successes += 1;
                if self.successes >= self.window {
                    self.window = (self.window + 1).min(WINDOW_LIMIT);
                    self.successes = 0;
                }
            }
            Some(Sign::Pressure) | None => {}
        }
    }
}

#[cfg(test)]
mod tests;
