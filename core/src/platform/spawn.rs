//! Concurrent jobs.

use std::sync::Arc;

use futures::channel::oneshot;
use futures::future::BoxFuture;

/// A job that runs by itself.
pub type Job = BoxFuture<'static, ()>;

/// Starts jobs. A job runs until it is done; there is no way to cancel one but to end the runtime.
pub trait Spawn: Send + Sync {
    /// Runs a job beside the others. It must not block its thread.
    fn spawn(&self, job: Job);
    /// Runs work that blocks a thread (password hashes, signatures, files) away from the jobs' threads.
    fn blocking(&self, work: Box<dyn FnOnce() + Send>);
}

impl dyn Spawn {
    /// Runs blocking work and waits for its result; nothing if the work panicked or the runtime is ending.
    pub async fn unblock<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, result) = oneshot::channel();
        self.blocking(Box::new(move || {
            // The caller may be gone; its loss.
            let _ = done.send(work());
        }));
        result.await.ok()
    }
}
