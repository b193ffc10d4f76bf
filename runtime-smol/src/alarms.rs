//! Whoever sleeps, and the thread that wakes them.
//!
//! async-io has timers of its own, but tells its reactor of each: a write to an eventfd, and a thread that returns from `epoll_wait`
//! to find that nothing is due for minutes. Nearly all of the engine's timers are deadlines that never come. Here such a one costs
//! an insertion into a map and a removal; the thread is told only of what is due before the next thing that it waits for anyhow.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use fulmar_core::platform::Instant;

use crate::boot_clock::now;

/// The longest that the thread waits. Its wait stands still while the machine is suspended, so a sleep may end this much late after
/// it resumes.
const NAP: Duration = Duration::from_mins(1);

/// Those of the whole process.
static ALARMS: Alarms = Alarms { sleepers: Mutex::new(Sleepers::NONE), earlier: Condvar::new() };

struct Alarms {
    sleepers: Mutex<Sleepers>,
    /// Notified when something is due before the thread would look again.
    earlier: Condvar,
}

/// No waker is dropped with this locked: it may be the last that holds a job, which may hold a [`Sleep`].
struct Sleepers {
    /// By when they are due; the number tells those apart that are due at the same time.
    by_due: BTreeMap<(Instant, u64), Waker>,
    count: u64,
    /// When the thread looks again.
    next_look: Instant,
    has_thread: bool,
}

/// Ends at its instant.
pub(crate) struct Sleep {
    due: Instant,
    /// By which it is found, once it has waited.
    number: Option<u64>,
}

impl Sleep {
    /// Ends at `due`, or at once where that has passed.
    pub(crate) fn new(due: Instant) -> Self {
        Self { due, number: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if now() >= self.due {
            return Poll::Ready(());
        }
        let mut sleepers = ALARMS.sleepers();
        let number = *self.number.get_or_insert_with(|| sleepers.draw());
        let former = sleepers.by_due.insert((self.due, number), context.waker().clone());
        sleepers.start();
        if self.due < sleepers.next_look {
            sleepers.next_look = self.due;
            ALARMS.earlier.notify_one();
        }
        drop(sleepers);
        drop(former);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = ALARMS.sleepers().by_due.remove(&(self.due, number));
            drop(waker);
        }
    }
}

impl Alarms {
    fn sleepers(&self) -> MutexGuard<'_, Sleepers> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sleepers {
    const NONE: Self = Self {
        by_due: BTreeMap::new(),
        count: 0,
        next_look: Instant::from_origin(Duration::ZERO),
        has_thread: false,
    };

    fn draw(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// Starts the thread, if it does not run yet.
    fn start(&mut self) {
        if !self.has_thread {
            let thread = thread::Builder::new().name("fulmar-alarms".to_owned()).spawn(wake_sleepers);
            // Where the system gives no thread now, the next sleep asks again.
            self.has_thread = thread.is_ok();
        }
    }
}

/// The thread's life.
fn wake_sleepers() {
    let mut sleepers = ALARMS.sleepers();
    loop {
        let now = now();
        let mut due = Vec::new();
        while let Some(first) = sleepers.by_due.first_entry().filter(|first| first.key().0 <= now) {
            due.push(first.remove());
        }
        let next = sleepers.by_due.first_key_value().map_or(now + NAP, |((next, _), _)| *next);
        sleepers.next_look = next.min(now + NAP);
        if !due.is_empty() {
            drop(sleepers);
            due.into_iter().for_each(Waker::wake);
            sleepers = ALARMS.sleepers();
        }
        let wait = sleepers.next_look.since(self::now());
        if !wait.is_zero() {
            (sleepers, _) =
                ALARMS.earlier.wait_timeout(sleepers, wait).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::future::{join_all, select};

    use super::*;

    #[test]
    fn every_sleeper_wakes_none_before_its_instant_and_one_that_left_is_forgotten() {
        let began = now();
        let after = |milliseconds| began + Duration::from_millis(milliseconds);
        let sleeps = [30, 10, 20, 10].map(|milliseconds| async move {
            Sleep::new(after(milliseconds)).await;
            assert!(now() >= after(milliseconds));
        });
        let long = Sleep::new(after(3_600_000));
        smol::block_on(async {
            select(long, join_all(sleeps)).await;
        });
        assert!(!ALARMS.sleepers().by_due.keys().any(|(due, _)| *due == after(3_600_000)));
    }
}
