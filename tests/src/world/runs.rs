//! Many seeds, on all cores.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Doors, Fault, Profile, Tally, Verdict, run};

/// Which seeds to run, and how.
#[derive(Clone, Debug)]
pub struct Runs {
    /// The kind of scenario.
    pub profile: &'static Profile,
    /// The first seed.
    pub from: u64,
    /// How many.
    pub count: u64,
    /// What may go wrong; anything where there is none.
    pub faults: Option<BTreeSet<Fault>>,
    /// Put in front of every node's doors.
    pub doors: Doors,
    /// Threads.
    pub jobs: usize,
    /// Whether to go no further once a seed has failed.
    pub stops_at_failure: bool,
}

/// A seed that failed, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// Each violation in words, or what the run panicked with.
    pub reasons: Vec<String>,
}

/// What came of all of them.
#[derive(Debug, Default)]
pub struct Summary {
    /// What happened.
    pub tally: Tally,
    /// The seeds that failed, in order.
    pub failures: Vec<Failure>,
    /// How long it took.
    pub took: Duration,
}

impl Runs {
    /// Runs them. A seed that panics counts as failed, and the others go on.
    pub fn run(&self) -> Summary {
        let began = Instant::now();
        let next = AtomicU64::new(self.from);
        let summary = Mutex::<Summary>::default();
        let (next, shared) = (&next, &summary);
        thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(move || self.work(next, shared));
            }
        });
        let mut summary = summary.into_inner().unwrap_or_default();
        summary.failures.sort();
        summary.took = began.elapsed();
        summary
    }

    fn work(&self, next: &AtomicU64, shared: &Mutex<Summary>) {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.from.saturating_add(self.count) {
                break;
            }
            let one = || run(seed, self.profile, self.faults.as_ref(), self.doors, false);
            let reasons = match catch_unwind(AssertUnwindSafe(one)) {
                Ok(verdict) => {
                    tally.add(&verdict);
                    reasons(&verdict)
                }
                Err(panic) => vec![format!("the run panicked: {}", words(&*panic))],
            };
            if !reasons.is_empty() {
                if self.stops_at_failure {
                    next.store(u64::MAX / 2, Ordering::Relaxed);
                }
                lock(shared).failures.push(Failure { seed, reasons });
            }
        }
        lock(shared).tally.merge(&tally);
    }
}

/// What is wrong with a run, in words.
pub fn reasons(verdict: &Verdict) -> Vec<String> {
    verdict.violations.iter().map(ToString::to_string).collect()
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
