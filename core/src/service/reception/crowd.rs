//! Whether the processor keeps up with all the sessions that there are.
//!
//! Each step of each session waits for its turn among all jobs that could go on. That wait is measured by taking it: a job that has
//! something to do lets all others go first, once. It counts whatever keeps the processor busy, deliveries too, and it costs nothing as long as
//! there is no crowd: a lone client is never refused because the machine stood still for a moment.

use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::task::Poll;

use crate::service::Context;

/// Whether jobs come to their turn in time, or there is no crowd.
pub(crate) async fn keeps_up(context: &Context) -> bool {
    let limits = &context.config.smtp;
    if context.sessions.load(Ordering::Relaxed) <= limits.crowd {
        return true;
    }
    let clock = &context.requests.platform().clock;
    let began = clock.instant();
    let mut has_waited = false;
    poll_fn(|task| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    clock.instant().since(began) <= limits.turn
}
