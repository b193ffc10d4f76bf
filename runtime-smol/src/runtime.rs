//! Threads and jobs.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use fulmar_core::platform::{Job, Spawn};
use smol::Executor;
use smol::channel::{Receiver, Sender, bounded};
use smol::lock::{Semaphore, SemaphoreGuardArc};

use crate::relief::{self, Pace, Paced};

/// Pieces of blocking work that run at once, and so the most threads that there are for them, besides the workers and
/// async-io's one. A thread ends when it has been idle for half a second. Beyond: work waits its turn.
pub const BLOCKING_THREADS: usize = 32;

/// An executor and the worker threads that run its jobs. Dropping it ends the threads and drops the jobs where they
/// stand; blocking work that has begun goes on to its end.
pub struct SmolRuntime {
    executor: Arc<Executor<'static>>,
    blocking: Arc<Semaphore>,
    pace: Arc<Pace>,
    workers: Vec<JoinHandle<()>>,
    relief: Option<JoinHandle<()>>,
    stop: Option<Sender<()>>,
}

impl SmolRuntime {
    /// Starts this many worker threads; fails where the system gives no more threads.
    pub fn new(threads: usize) -> io::Result<Self> {
        let (stop, stopped) = bounded(1);
        let threads = threads.max(1);
        let mut runtime = Self {
            executor: Arc::default(),
            blocking: Arc::new(Semaphore::new(BLOCKING_THREADS)),
            pace: Arc::new(Pace::new(threads)),
            workers: Vec::new(),
            relief: None,
            stop: Some(stop),
        };
        runtime.relief =
            Some(relief::start(runtime.executor.clone(), runtime.pace.clone(), stopped.clone())?);
        for number in 0..threads {
            let (executor, stopped) = (runtime.executor.clone(), stopped.clone());
            let worker = thread::Builder::new().name(format!("fulmar-{number}"));
            runtime.workers.push(worker.spawn(move || work(&executor, &stopped))?);
        }
        Ok(runtime)
    }

    /// One worker thread less than the machine runs at once, but at least one: the last processor is for the system's part, and for the threads that
    /// wait for the disk. Where all are taken, each event has workers woken on processors that others were using: on two processors, one
    /// worker takes a quarter more mail than two, with a quarter less processor time (`benches/RESULTS.md`).
    pub fn default_threads() -> usize {
        thread::available_parallelism().map_or(1, |threads| threads.get().saturating_sub(1).max(1))
    }

    /// Runs a future on this thread until it is done. Jobs go on running beside it, on the workers.
    pub fn block_on<T>(&self, main: impl Future<Output = T>) -> T {
        smol::block_on(main)
    }

    /// The door through which the engine starts jobs. It does not keep the runtime alive: jobs given to it after the
    /// runtime's end are dropped.
    pub fn spawn(&self) -> Arc<dyn Spawn> {
        Arc::new(SmolSpawn {
            executor: Arc::downgrade(&self.executor),
            blocking: self.blocking.clone(),
            pace: self.pace.clone(),
        })
    }
}

impl Drop for SmolRuntime {
    fn drop(&mut self) {
        // Closes the channel, which the workers wait on.
        self.stop = None;
        if let Some(relief) = &self.relief {
            relief.thread().unpark();
        }
        for worker in self.workers.drain(..).chain(self.relief.take()) {
            // A worker catches panics, so that there is none to learn of here.
            let _ = worker.join();
        }
    }
}

impl fmt::Debug for SmolRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmolRuntime").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}

/// A worker's life.
fn work(executor: &Executor<'static>, stopped: &Receiver<()>) {
    // A panicking job unwinds into the worker that runs it, and must not take it along.
    while catch_unwind(AssertUnwindSafe(|| smol::block_on(executor.run(stopped.recv())))).is_err() {}
}

struct SmolSpawn {
    executor: Weak<Executor<'static>>,
    blocking: Arc<Semaphore>,
    pace: Arc<Pace>,
}

impl Spawn for SmolSpawn {
    fn spawn(&self, job: Job) {
        if let Some(executor) = self.executor.upgrade() {
            executor.spawn(Paced { job, pace: self.pace.clone() }).detach();
        }
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        // After the runtime's end nothing runs.
        if self.executor.strong_count() == 0 {
            return;
        }
        // smol's own pool would grow to 500 threads before it made work wait.
        if let Some(slot) = self.blocking.try_acquire_arc() {
            return hand_over(work, slot);
        }
        let blocking = self.blocking.clone();
        self.spawn(Box::pin(async move { hand_over(work, blocking.acquire_arc().await) }));
    }
}

/// Gives work to the threads that may block, with its permission to run.
fn hand_over(work: Box<dyn FnOnce() + Send>, slot: SemaphoreGuardArc) {
    let work = move || {
        work();
        drop(slot);
    };
    smol::unblock(work).detach();
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn jobs_go_on_after_one_that_panics() {
        let runtime = SmolRuntime::new(1).unwrap();
        let (done, is_done) = bounded(1);
        runtime.spawn().spawn(Box::pin(async { panic!("a job that fails, on purpose") }));
        runtime.spawn().spawn(Box::pin(async move { done.send(()).await.unwrap() }));
        runtime.block_on(is_done.recv()).unwrap();
    }

    #[test]
    fn a_job_that_holds_up_all_workers_does_not_hold_up_the_others() {
        for threads in [1, 3] {
            let runtime = SmolRuntime::new(threads).unwrap();
            let all_begun = Arc::new(Barrier::new(threads + 1));
            let (done, is_done) = bounded(threads);
            for _ in 0..threads {
                let (all_begun, done) = (all_begun.clone(), done.clone());
                runtime.spawn().spawn(Box::pin(async move {
                    all_begun.wait();
                    done.send(()).await.unwrap();
                }));
            }
            // By a worker this is reached only after the barrier, which nobody passes before it is reached.
            runtime.spawn().spawn(Box::pin(async move {
                all_begun.wait();
            }));
            for _ in 0..threads {
                runtime.block_on(is_done.recv()).unwrap();
            }
        }
    }

    #[test]
    fn an_idle_runtime_has_no_thread_that_looks_around() {
        let runtime = SmolRuntime::new(1).unwrap();
        for round in 0..3 {
            let (done, is_done) = bounded(1);
            runtime.spawn().spawn(Box::pin(async move { done.send(round).await.unwrap() }));
            assert_eq!(runtime.block_on(is_done.recv()), Ok(round));
            while runtime.pace.is_watched() {
                thread::yield_now();
            }
        }
    }

    #[test]
    fn blocking_work_gives_its_result_and_a_panic_gives_none() {
        let runtime = SmolRuntime::new(1).unwrap();
        let spawn = runtime.spawn();
        assert_eq!(runtime.block_on(spawn.unblock(|| 7)), Some(7));
        let failed = spawn.unblock(|| -> u8 { panic!("work that fails, on purpose") });
        assert_eq!(runtime.block_on(failed), None);
        assert_eq!(runtime.block_on(spawn.unblock(|| 8)), Some(8));
    }

    #[test]
    fn blocking_work_runs_side_by_side_up_to_the_limit() {
        let runtime = SmolRuntime::new(1).unwrap();
        let spawn = runtime.spawn();
        let all_here = Arc::new(Barrier::new(BLOCKING_THREADS));
        let waits = (0..BLOCKING_THREADS * 3).map(|_| {
            let all_here = all_here.clone();
            spawn.unblock(move || all_here.wait().is_leader())
        });
        let leaders = runtime.block_on(futures::future::join_all(waits));
        assert_eq!(leaders.iter().filter(|is_leader| **is_leader == Some(true)).count(), 3);
    }

    #[test]
    fn the_end_of_the_runtime_drops_its_jobs() {
        let runtime = SmolRuntime::new(2).unwrap();
        let spawn = runtime.spawn();
        let (held, dropped) = bounded::<()>(1);
        let inside = spawn.clone();
        spawn.spawn(Box::pin(async move {
            // A job usually holds the door that it came through.
            let _held = (held, inside);
            futures::future::pending::<()>().await;
        }));
        drop(runtime);
        assert!(smol::block_on(dropped.recv()).is_err());
    }
}
