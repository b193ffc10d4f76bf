//! Once a day somebody looks through the whole store for what nothing needs any more (`state::collect`), and for logs that nobody
//! looks after.
//!
//! Whoever creates the day's mark sweeps. If it dies or fails amid that, what it has not come to waits for the next day: each
//! deletion stands for itself. The sweep goes folder by folder with a pause before each page and each folder, so that it takes the
//! store's attention from nobody, and holds one page and one folder in memory.
//!
//! Accounts and domains in which nothing was written for [`UNCHANGED`] are passed over where a sweep came to its end within
//! [`SWEPT_DAYS`]. What that sweep left for later, in any folder, was waiting for an object of less than the grace to get
//! older; so in that folder something was written a day before that sweep or later, which is not so long ago.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_channel::Receiver;

use super::Context;
use crate::model::{Event, Incarnation, Nonce, UtcTime};
use crate::platform::StoreError;
use crate::state::StateError;
use crate::state::account::Account;
use crate::state::collect::chain::ChainFolder;
use crate::state::collect::spool::{SpoolFolder, Survey};
use crate::state::collect::{Clearing, Halt, Holding, Pace, Tally, strays};
use crate::state::domain::LocalDomain;
use crate::state::layout;
use crate::state::requests::{Created, Purpose};
use crate::state::sweep_mark::{Done, SweepMark, day, was_done_within};

/// Pause before each page of a listing, each folder that is looked into, and each request that deletes.
const PAUSE: Duration = Duration::from_millis(100);
/// Accounts and domains in which nothing was written for so long are passed over.
const UNCHANGED: Duration = Duration::from_hours(8 * 24);
/// Days within which the last complete sweep must have begun for that.
const SWEPT_DAYS: u64 = 6;
/// Folders that the store could not be asked about, after which a sweep ends.
const FAILURES: usize = 10;

/// What a sweep found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Logs that neither ended nor show a sign of life, and to which nothing has been written for two hours: they count as dead.
    pub unattended: Vec<Incarnation>,
    /// What was seen and deleted.
    pub tally: Tally,
    /// Whether it came to its end.
    pub is_complete: bool,
}

/// Sweeps if nobody has begun to on this day. `store_now` is the date that the store gave to an object of this node's just now. Sends no
/// request where this node knows that somebody has begun; then, and where another node was faster, nothing was swept. Ends early when
/// the node shuts down, or the store is away.
pub async fn sweep_if_due(
    context: &Context,
    store_now: UtcTime,
    shutdown: &Receiver<Infallible>,
) -> Result<Swept, StoreError> {
    let today = day(store_now);
    if context.swept.load(Ordering::Relaxed) >= today {
        return Ok(Swept::default());
    }
    let requests = &context.requests.of(Purpose::Maintain);
    let (at, entropy) = requests.platform().draw();
    let mut mark = SweepMark { nonce: Nonce::draw(at, entropy), day: today, at, done: None };
    let created = requests.create(&layout::sweep(today), &mark.encode().payload, mark.nonce).await?;
    context.swept.fetch_max(today, Ordering::Relaxed);
    if matches!(created, Created::Foreign) {
        return Ok(Swept::default());
    }
    let pace = Pace::new(requests.platform().clock.clone(), PAUSE, shutdown.clone());
    let mut sweep = Sweep { clearing: Clearing::new(requests, pace), now: store_now, failures: 0 };
    let mut swept = Swept::default();
    let ended = sweep.run(&mut swept.unattended).await;
    swept.tally = sweep.clearing.tally;
    swept.is_complete = ended.is_ok() && sweep.failures == 0;
    let Tally { objects, deleted, octets } = swept.tally;
    let (unattended, complete) = (swept.unattended.len(), swept.is_complete);
    context.journal.report(&Event::Swept { day: today, objects, deleted, octets, unattended, complete });
    if let Err(Halt::State(error)) = ended {
        let doing = "sweeping the store".to_owned();
        context.journal.report(&Event::Trouble { doing, error: error.to_string() });
    }
    if swept.is_complete {
        mark.done = Some(Done { objects, deleted, octets });
        requests.put(&layout::sweep(today), &mark.encode().payload).await?;
    }
    Ok(swept)
}

/// A sweep under way.
struct Sweep<'a> {
    clearing: Clearing<'a>,
    now: UtcTime,
    failures: usize,
}

impl Sweep<'_> {
    async fn run(&mut self, unattended: &mut Vec<Incarnation>) -> Result<(), Halt> {
        // Logs first: mail may be waiting in them.
        let survey = Survey::read(self.spool_folders().await?, &self.clearing).await?;
        *unattended = survey.unattended(self.now);
        survey.collect(&mut self.clearing, self.now).await?;
        strays::collect_pickups(&mut self.clearing, self.now).await?;
        strays::collect(&mut self.clearing, self.now).await?;
        let today = day(self.now);
        let since = match was_done_within(self.clearing.requests, SWEPT_DAYS, today).await? {
            true => UtcTime(self.now.0.saturating_sub(UNCHANGED.as_millis() as u64)),
            false => UtcTime(0),
        };
        self.chains::<Account>(layout::ACCOUNTS, since).await?;
        self.chains::<LocalDomain>(layout::DOMAINS, since).await
    }

    /// The folders of all logs.
    async fn spool_folders(&mut self) -> Result<BTreeMap<Incarnation, SpoolFolder>, Halt> {
        let mut folders: BTreeMap<Incarnation, SpoolFolder> = BTreeMap::new();
        let mut walk = self.clearing.walk(layout::SPOOL);
        while let Some(object) = walk.next().await? {
            let Some(log) = layout::parse_spool(&object.key) else { continue };
            self.clearing.tally.objects += 1;
            let rest = object.key.strip_prefix(&layout::spool(log));
            folders.entry(log).or_default().add(rest.and_then(layout::parse_spool_object), &object);
        }
        Ok(folders)
    }

    /// Goes through the folders of chains below a root, in the order in which the store lists them.
    async fn chains<S: Holding>(&mut self, root: &str, since: UtcTime) -> Result<(), Halt> {
        let mut walk = self.clearing.walk(root);
        let mut folder = ChainFolder::default();
        while let Some(object) = walk.next().await? {
            self.clearing.tally.objects += 1;
            let Some(name) = layout::folder(root, &object.key) else { continue };
            if name != folder.name {
                let last = std::mem::replace(&mut folder, ChainFolder::new(name));
                self.chain::<S>(&last, since).await?;
            }
            folder.add(&object);
        }
        self.chain::<S>(&folder, since).await
    }

    async fn chain<S: Holding>(&mut self, folder: &ChainFolder, since: UtcTime) -> Result<(), Halt> {
        if folder.newest < since {
            return Ok(());
        }
        match folder.collect::<S>(&mut self.clearing, self.now).await {
            // What it was about has been reported.
            Err(Halt::State(StateError::Damaged { .. })) => Ok(()),
            Err(Halt::State(error)) if self.failures < FAILURES => {
                self.failures += 1;
                let doing = format!("collecting {}", folder.name);
                self.clearing.requests.journal().report(&Event::Trouble { doing, error: error.to_string() });
                Ok(())
            }
            ended => ended,
        }
    }
}
