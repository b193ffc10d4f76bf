//! One job, and how it is woken.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Wake;

use fulmar_core::platform::Job;

use super::executor::lock;

/// One process on a simulated host. No number is used twice in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Process(pub(super) usize);

impl Process {
    /// The world outside all hosts: the test itself, the store, clients. It never ends.
    pub(super) const WORLD: Self = Self(0);
}

/// Jobs that can go on. Apart from everything else, so that waking one never has to wait.
pub(super) type Ready = Arc<Mutex<Vec<Arc<Task>>>>;

/// A job that has begun.
pub(super) struct Task {
    pub(super) number: u64,
    pub(super) process: Process,
    /// Where it is found among all.
    pub(super) slot: usize,
    /// None while it makes a step, and once it has ended.
    job: Mutex<Option<Job>>,
    /// Whether it is among those that can go on, or held back with its process.
    is_queued: AtomicBool,
    ready: Ready,
}

impl Task {
    pub(super) fn new(
        number: u64,
        process: Process,
        slot: usize,
        job: Option<Job>,
        ready: &Ready,
    ) -> Arc<Self> {
        let (job, ready) = (Mutex::new(job), ready.clone());
        Arc::new(Self { number, process, slot, job, is_queued: AtomicBool::new(false), ready })
    }

    pub(super) fn take(&self) -> Option<Job> {
        lock(&self.job).take()
    }

    pub(super) fn put_back(&self, job: Job) {
        *lock(&self.job) = Some(job);
    }

    /// From now on it can be woken again.
    pub(super) fn leave_queue(&self) {
        self.is_queued.store(false, Ordering::Relaxed);
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::Relaxed) {
            let ready = self.ready.clone();
            lock(&ready).push(self);
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::Relaxed) {
            lock(&self.ready).push(self.clone());
        }
    }
}
