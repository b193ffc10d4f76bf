//! A thread that stands in for the workers where each of them is held up by a job that computes.
//!
//! Workers are few ([`SmolRuntime::default_threads`](crate::SmolRuntime::default_threads)), often one. What a job computes between two waits holds up
//! all others of its worker: mostly some microseconds, but a mailbox of a hundred thousand messages takes a tenth of a second to be read. So polls are
//! counted, and a thread looks every [`PATIENCE`] whether there was one. If not, and all workers are inside one, it runs jobs itself. With nothing to
//! do it is parked, so that an idle process stays idle.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use fulmar_core::platform::Job;
use smol::channel::Receiver;
use smol::{Executor, Timer, future};

/// How long workers may be held up.
const PATIENCE: Duration = Duration::from_millis(5);
/// How long the thread runs jobs before it looks again whether that is needed.
const TURN: Duration = Duration::from_millis(20);
/// Looks without any poll in between after which the thread parks.
const CALM_LOOKS: u32 = 20;

thread_local! {
    static IS_RELIEF: Cell<bool> = const { Cell::new(false) };
}

/// What the workers are at.
#[derive(Debug)]
pub(crate) struct Pace {
    workers: usize,
    /// Workers inside a job.
    busy: AtomicUsize,
    /// How often a worker began to poll a job.
    polls: AtomicU64,
    /// Whether somebody looks. Whoever finds that nobody does wakes `watcher`.
    is_watched: AtomicBool,
    watcher: OnceLock<Thread>,
}

/// A job whose polls are counted.
pub(crate) struct Paced {
    pub(crate) job: Job,
    pub(crate) pace: Arc<Pace>,
}

impl Pace {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers,
            busy: AtomicUsize::new(0),
            polls: AtomicU64::new(0),
            is_watched: AtomicBool::new(false),
            watcher: OnceLock::new(),
        }
    }

    fn begin(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Ordering::SeqCst);
        self.polls.fetch_add(1, Ordering::SeqCst);
        if !self.is_watched.load(Ordering::SeqCst)
            && !self.is_watched.swap(true, Ordering::SeqCst)
            && let Some(watcher) = self.watcher.get()
        {
            watcher.unpark();
        }
        Busy(self)
    }

    /// Whether the thread looks around now.
    #[cfg(test)]
    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::SeqCst)
    }

    fn polls(&self) -> u64 {
        self.polls.load(Ordering::SeqCst)
    }

    fn is_held_up(&self) -> bool {
        self.busy.load(Ordering::SeqCst) >= self.workers
    }
}

/// A worker inside a job; also when that panics.
struct Busy<'a>(&'a Pace);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Future for Paced {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let _busy = (!IS_RELIEF.get()).then(|| this.pace.begin());
        this.job.as_mut().poll(context)
    }
}

/// Starts the thread. It ends once `stopped` is closed and it has been unparked.
pub(crate) fn start(
    executor: Arc<Executor<'static>>,
    pace: Arc<Pace>,
    stopped: Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    let watched = pace.clone();
    let relief = thread::Builder::new().name("fulmar-relief".to_owned()).spawn(move || {
        IS_RELIEF.set(true);
        while !stopped.is_closed() {
            if watched.is_watched.load(Ordering::SeqCst) {
                watch(&executor, &watched, &stopped);
            } else {
                thread::park();
            }
        }
    })?;
    // Jobs come only after that.
    let _ = pace.watcher.set(relief.thread().clone());
    Ok(relief)
}

/// Looks until nothing has happened for a while.
fn watch(executor: &Executor<'static>, pace: &Pace, stopped: &Receiver<()>) {
    let (mut seen, mut calm) = (pace.polls(), 0);
    while calm < CALM_LOOKS {
        thread::park_timeout(PATIENCE);
        if stopped.is_closed() {
            return;
        }
        let polls = pace.polls();
        if polls != seen {
            (seen, calm) = (polls, 0);
        } else if pace.is_held_up() {
            run_jobs(executor, stopped);
        } else {
            calm += 1;
        }
    }
    pace.is_watched.store(false, Ordering::SeqCst);
    // Whoever began in between found itself watched, and woke nobody.
    if pace.polls() != seen {
        pace.is_watched.store(true, Ordering::SeqCst);
    }
}

fn run_jobs(executor: &Executor<'static>, stopped: &Receiver<()>) {
    let over = async {
        Timer::after(TURN).await;
    };
    let ended = async {
        let _ = stopped.recv().await;
    };
    // A job that panics takes nothing along but its turn.
    let _ = catch_unwind(AssertUnwindSafe(|| smol::block_on(executor.run(future::or(over, ended)))));
}
