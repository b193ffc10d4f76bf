//! How a log ends: retired when nothing hangs on it, closed or released when the node is told to end.

use std::time::Duration;

use super::{Closing, Done, Manager};
use crate::model::Incarnation;
use crate::queue::open_log::{Pending, RIGHT};
use crate::queue::ownership::{self, Link, OwnersError, link};
use crate::state::beat::Release;
use crate::state::layout;
use crate::state::log::Record;
use crate::state::owner::Claim;
use crate::state::requests::{Purpose, Requests};

/// An idle log is ended when its right has got this old; the next message begins another.
const RETIREMENT: Duration = Duration::from_mins(50);

impl Manager {
    /// A right that has run out fences the log; one that is about to, while nothing hangs on the log, ends it quietly.
    pub(super) fn check_right(&mut self) {
        let now = self.now();
        let Some(log) = &self.log else { return };
        let age = log.right.elapsed(now);
        // Whoever slept for longer than that has nothing to end any more: the log may have been adopted and collected meanwhile.
        if age > RIGHT {
            self.fence("an hour has passed since the last successful write");
        } else if age > RETIREMENT && !self.is_holding() && !self.pulse.is_under_way() && !self.is_ending() {
            if log.live.observations.is_empty() {
                self.end();
            } else {
                // That it is filed will stand in a segment, which makes the right new.
                self.file(true);
            }
        }
    }

    /// Whether the open log is being ended.
    pub(super) fn is_ending(&self) -> bool {
        self.log.as_ref().is_some_and(|log| self.ending.contains(&log.incarnation))
    }

    /// Ends the log, once it was asked to and nothing is under way any more.
    pub(super) fn close(&mut self) {
        let now = self.instant();
        let (Some(closing), Some(log)) = (&self.closing, &self.log) else { return };
        let is_busy = !self.pending.is_empty() || !log.under_way.is_empty() || log.has_vacancy();
        let is_attempting = self.is_attempting() && now < closing.attempts_until;
        if is_busy || is_attempting || self.is_observing() || self.pulse.is_under_way() || self.is_ending() {
            return;
        }
        // Rows that could not be filed are left to whoever adopts the log.
        if log.live.is_done_with() || log.live.closed {
            self.end();
        } else if !closing.said {
            self.closing = self.closing.take().map(|closing| Closing { said: true, ..closing });
            self.push(Pending::Note(Record::Close {}));
            self.flush();
        }
    }

    /// Closes the open log, which nothing is left in, or releases it, when its Close record stands. While it is being done the log is neither
    /// written nor forgotten.
    pub(super) fn end(&mut self) {
        let Some(log) = &self.log else { return };
        let incarnation = log.incarnation;
        let released = log.live.closed.then(|| Release {
            inc: incarnation,
            // From the entries: what has been handed out and was not answered is in no schedule.
            next_due: log.live.entries.iter().filter_map(|entry| entry.next_due()).min(),
            queued: log.live.entries.len() as u64,
        });
        let is_unwritten = log.is_unwritten();
        let adopted: Vec<Incarnation> = log.live.folders.iter().copied().collect();
        let requests = self.requests.of(Purpose::Heartbeat);
        self.ending.insert(incarnation);
        if released.is_none() && self.closing.is_none() {
            // Retired: the next message begins another log.
            self.log = None;
        }
        self.jobs.push(Box::pin(async move {
            let said = match released {
                Some(release) => {
                    let payload = release.encode().payload;
                    requests.put(&layout::free(incarnation), &payload).await.map_err(OwnersError::from)
                }
                // Whoever takes its heartbeat for dead finds nothing, and closes that.
                None if is_unwritten => Ok(()),
                None => close(&requests, incarnation, &adopted).await,
            };
            // If that failed, the heartbeat stays: it stands still, and the others find the log as they would after a crash.
            if said.is_ok() {
                let _ = requests.delete(&[layout::beat(incarnation)]).await;
            }
            Done::Ended { incarnation }
        }));
    }

    /// Whether the manager has done what it was told to do last.
    pub(super) fn is_closed(&mut self) -> bool {
        if self.closing.is_none() || self.log.is_some() || !self.ending.is_empty() {
            return false;
        }
        if let Some(closing) = self.closing.take() {
            // The caller may have stopped waiting.
            let _ = closing.done.send(());
        }
        true
    }
}

/// Ends the log's chain of owners: nobody is to adopt it. Before that, those of the logs that it adopted: when this one has been collected
/// nobody would find their Adopt any more.
async fn close(requests: &Requests, log: Incarnation, adopted: &[Incarnation]) -> Result<(), OwnersError> {
    ownership::close_all(requests, adopted, log).await?;
    link(requests, log, 1, Link::new(Claim::Closed)).await?;
    Ok(())
}
