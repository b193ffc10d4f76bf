//! A node that comes to work the queue, serves nobody, and goes.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::{Either, select};
use futures::pin_mut;

use super::{Engine, StartError};
use crate::config::Config;
use crate::model::UtcTime;
use crate::model::event::Journal;
use crate::platform::{Host, Platform};
use crate::service::drain::{Drain, Limits};

/// How long what is left may take to be released, and attempts under way to end.
const GRACE: Duration = Duration::from_secs(5);
/// The part of the time until the deadline that is kept for that, at most.
const GRACE_SHARE: u32 = 4;

/// How long a node works the queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct DrainSettings {
    /// At most so long, its end included.
    pub deadline: Option<Duration>,
    /// Until nothing is queued anywhere, be it due or not.
    pub until_empty: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Recipients that were delivered to.
    pub delivered: u64,
    /// Attempts after which a recipient is to be tried again.
    pub deferred: u64,
    /// Messages that are queued still, in logs of all nodes; none where the store could not be asked.
    pub remaining: Option<u64>,
    /// When the first of their recipients is due.
    pub next_due: Option<UtcTime>,
    /// Whether everything has been done that was due.
    pub is_done: bool,
}

impl Engine {
    /// Adopts what has no living owner, delivers what is due, takes what lies in `pickup/` and carries out orders; then releases what is left
    /// and ends. It ends early, as gracefully, when `stop` does.
    pub async fn drain(
        config: Config,
        platform: Platform,
        host: Host,
        journal: Journal,
        settings: DrainSettings,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<DrainReport, StartError> {
        let clock = platform.clock.clone();
        let end = settings.deadline.map(|deadline| clock.instant() + deadline);
        let grace = settings.deadline.map_or(GRACE, |deadline| GRACE.min(deadline / GRACE_SHARE));
        let until = end.map(|end| end - grace);
        let starting = Self::visit(config, platform, host.clone(), journal);
        let started = match until {
            Some(until) => clock.before(until, starting).await,
            None => Some(starting.await),
        };
        let Some(engine) = started.transpose()? else {
            return Ok(DrainReport {
                delivered: 0,
                deferred: 0,
                remaining: None,
                next_due: None,
                is_done: false,
            });
        };
        let limits = Limits { until, until_empty: settings.until_empty };
        let mut drain = Drain::new(engine.shared.context.clone(), host, limits);
        let is_done = {
            let working = drain.run();
            pin_mut!(working, stop);
            match select(working, stop).await {
                Either::Left((is_done, _)) => is_done,
                Either::Right(_) => false,
            }
        };
        let ending = async {
            let remains = drain.remains().await.ok();
            engine.shutdown(grace).await;
            remains
        };
        let remains = match end {
            // What is not released by then is adopted like that of a dead node.
            Some(end) => clock.before(end, ending).await.flatten(),
            None => ending.await,
        };
        let counters = &engine.shared.counters;
        Ok(DrainReport {
            delivered: counters.delivered.load(Ordering::Relaxed),
            deferred: counters.deferred.load(Ordering::Relaxed),
            remaining: remains.map(|remains| remains.messages),
            next_due: remains.and_then(|remains| remains.next_due),
            is_done,
        })
    }
}
