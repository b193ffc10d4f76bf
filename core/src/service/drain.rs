//! Works the queue for a while without serving anybody: adopts what has no living owner, delivers what is due, takes what lies in `pickup/`,
//! and carries out orders.
//!
//! A released log is left alone until it is due, so that a queue whose next attempt is hours away costs one small request a run and not its
//! contents. Logs that may be dying are waited for: a heartbeat that announces 10 s and has not been seen to change shows nothing yet, and
//! counts as dead only after standing still for 30 s. Idle heartbeats are not waited for: they hold nothing.
//!
//! Where the queue is worked by nothing but drains, they are also who sweeps the store once a day: the first that comes to its end with
//! [`SWEEP_TIME`] left.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::Context;
use super::maintenance::{ReadBeat, Released, Seen, Watch, read_beat};
use super::pickup::Pickup;
use super::sweep::sweep_if_due;
use crate::model::{Incarnation, UtcTime};
use crate::platform::{Host, Instant, StoreError};
use crate::queue::Current;
use crate::state::layout;
use crate::state::now::store_now;
use crate::state::requests::Purpose;
use crate::state::sweep_mark::day;

/// Pause between rounds while there is something to wait for.
const WATCHING: Duration = Duration::from_secs(10);
/// Pause between rounds while only time has to pass.
const IDLE: Duration = Duration::from_mins(1);
/// Between two looks at what this node is attempting.
const LOOK: Duration = Duration::from_millis(200);
/// How long logs that may be dying, and objects of `pickup/` that somebody else has taken or that could not be, are waited for since one was last
/// adopted. It takes 30 s to see one dead.
const DYING_PATIENCE: Duration = Duration::from_mins(1);
/// What a drain has to have left to begin a sweep.
const SWEEP_TIME: Duration = Duration::from_mins(5);
/// How long a store that is away is asked for where there is no deadline.
const OUTAGE_PATIENCE: Duration = Duration::from_mins(1);

/// When to end.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// At the latest, by the node's clock.
    pub until: Option<Instant>,
    /// Only when nothing is queued anywhere, be it due or not.
    pub until_empty: bool,
}

/// What there is in the queue, in logs of all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// Messages.
    pub messages: u64,
    /// When the first recipient is due.
    pub next_due: Option<UtcTime>,
}

impl Remains {
    fn add(&mut self, messages: u64, next_due: Option<UtcTime>) {
        // What a damaged heartbeat says must not end the drain.
        self.messages = self.messages.saturating_add(messages);
        self.next_due = self.next_due.into_iter().chain(next_due).min();
    }
}

/// See the module.
#[derive(Debug)]
pub struct Drain {
    context: Arc<Context>,
    limits: Limits,
    watch: Watch,
    pickup: Pickup,
    /// What the last round has shown; nothing before the first one that succeeded.
    seen: Option<Seen>,
    /// Since when logs that may be dying are waited for.
    doubting_since: Option<Instant>,
    failing_since: Option<Instant>,
    /// Whether everything that is due, as far as can be known now, has been done.
    is_done: bool,
}

/// What follows from a round.
enum Next {
    End,
    /// Another round after this pause.
    Again(Duration),
}

impl Drain {
    /// A drain of this node's, which has no other [`Watch`] or [`Pickup`].
    pub fn new(context: Arc<Context>, host: Host, limits: Limits) -> Self {
        Self {
            watch: Watch::new(context.clone(), host),
            pickup: Pickup::new(context.clone()),
            context,
            limits,
            seen: None,
            doubting_since: None,
            failing_since: None,
            is_done: false,
        }
    }

    /// Works until nothing is left to be done now, or until the limits say so. Whether everything that was due has been done.
    pub async fn run(&mut self) -> bool {
        let clock = self.context.requests.platform().clock.clone();
        match self.limits.until {
            Some(until) => drop(clock.before(until, self.work()).await),
            None => self.work().await,
        }
        self.is_done
    }

    /// What is queued, in this node's log and in those of others. Fails where the store cannot be asked.
    pub async fn remains(&self) -> Result<Remains, StoreError> {
        let mut remains = Remains::default();
        if let Some(Current { entries, next_due, .. }) = self.context.spool.current().await {
            remains.add(entries as u64, next_due);
        }
        let seen =
            self.seen.clone().ok_or_else(|| StoreError::Unavailable("it was never listed".to_owned()))?;
        remains.add(seen.waiting_messages, seen.next_due);
        if seen.others > 0 {
            let others = self.others().await?;
            remains.add(others.messages, others.next_due);
        }
        Ok(remains)
    }

    async fn work(&mut self) {
        let clock = self.context.requests.platform().clock.clone();
        loop {
            self.is_done = false;
            let pause = match self.round().await {
                Ok(Next::End) if self.sweep().await => LOOK,
                Ok(Next::End) => return,
                Ok(Next::Again(pause)) => {
                    self.failing_since = None;
                    pause
                }
                Err(_) => {
                    // It has been reported.
                    let now = clock.instant();
                    let since = *self.failing_since.get_or_insert(now);
                    if self.limits.until.is_none() && now.since(since) >= OUTAGE_PATIENCE {
                        return;
                    }
                    LOOK
                }
            };
            clock.sleep(pause).await;
        }
    }

    async fn round(&mut self) -> Result<Next, StoreError> {
        let clock = self.context.requests.platform().clock.clone();
        let seen = self.watch.round(Released::WhenDue).await?;
        let has_adopted = self.seen.as_ref().is_some_and(|before| before.doubtful > seen.doubtful);
        let (doubtful, others) = (seen.doubtful, seen.others);
        self.seen = Some(seen);
        let taken = self.pickup.round().await?;
        let is_busy = self.attempt(clock.instant() + WATCHING).await;
        if taken > 0 || is_busy || self.pickup.has_more() {
            return Ok(Next::Again(Duration::ZERO));
        }
        if doubtful > 0 || self.pickup.is_waiting() {
            let now = clock.instant();
            let since = match self.doubting_since {
                Some(since) if !has_adopted => since,
                _ => *self.doubting_since.insert(now),
            };
            if self.limits.until_empty || now.since(since) < DYING_PATIENCE {
                return Ok(Next::Again(WATCHING));
            }
            return Ok(Next::End);
        }
        self.doubting_since = None;
        self.is_done = true;
        if !self.limits.until_empty {
            return Ok(Next::End);
        }
        let remains = self.remains().await?;
        if remains.messages == 0 {
            return Ok(Next::End);
        }
        let longest = if others > 0 { WATCHING } else { IDLE };
        let due = remains.next_due.map_or(longest, |due| due.since(clock.utc()));
        Ok(Next::Again(due.clamp(LOOK, longest)))
    }

    /// Sweeps the store if that is due. Whether logs were found that are to be adopted.
    async fn sweep(&mut self) -> bool {
        let now = self.context.requests.platform().clock.instant();
        if self.limits.until.is_some_and(|until| until.since(now) < SWEEP_TIME) {
            return false;
        }
        // What goes wrong with it has been reported, and leaves nothing undone that was due.
        let unattended = self.unattended().await.unwrap_or_default();
        unattended.iter().for_each(|log| self.watch.add_unattended(*log));
        !unattended.is_empty()
    }

    async fn unattended(&self) -> Result<Vec<Incarnation>, StoreError> {
        let requests = &self.context.requests;
        // A request for what is so nearly always.
        let today = day(requests.platform().clock.utc());
        if requests.head(&layout::sweep(today)).await?.is_some() {
            return Ok(Vec::new());
        }
        let store_now = store_now(requests).await?;
        let (_open, shutdown) = async_channel::bounded::<Infallible>(1);
        Ok(sweep_if_due(&self.context, store_now, &shutdown).await?.unattended)
    }

    /// Waits until nothing of this node's is due or under way; until then at the latest. Whether something still is.
    async fn attempt(&self, until: Instant) -> bool {
        let clock = &self.context.requests.platform().clock;
        loop {
            let is_busy = self.context.spool.current().await.is_some_and(|current| current.is_busy);
            if !is_busy || clock.instant() >= until {
                return is_busy;
            }
            clock.sleep(LOOK).await;
        }
    }

    /// What heartbeats of others tell.
    async fn others(&self) -> Result<Remains, StoreError> {
        let requests = &self.context.requests.of(Purpose::Watch);
        let ours = self.context.spool.current().await.map(|current| current.incarnation);
        let mut remains = Remains::default();
        for object in requests.list(layout::LIVE, None).await? {
            if let Some(layout::LiveKey::Beat(log)) = layout::parse_live(&object.key)
                && Some(log) != ours
                && let Some(ReadBeat { beat: Ok(beat), .. }) = read_beat(requests, log).await?
            {
                remains.add(beat.queued, beat.next_due);
            }
        }
        Ok(remains)
    }
}
