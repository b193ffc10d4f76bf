//! The audit of the whole store, both ways: what is there and nothing needs, and what is needed and not there.
//!
//! One walk through everything in the order of the listing; one folder of a chain is in memory at a time, and some hundred octets for each
//! log. Nodes may run meanwhile: what they have written or deleted since it was listed is looked at again before it is called missing.
//! What is called unreachable is what the daily sweep goes by (`state::collect`). What a log that is open has in its folder and needs no more is its
//! owner's to delete, and counts as needed here.

mod chains;
mod logs;

use std::collections::BTreeMap;

use futures::future::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::de::IgnoredAny;

use super::{Admin, AdminError};
use crate::model::{Incarnation, UtcTime};
use crate::platform::Listed;
use crate::state::StateError;
use crate::state::account::Account;
use crate::state::collect::chain::ChainFolder;
use crate::state::collect::spool::SpoolFolder;
use crate::state::collect::{Clearing, Fate, Halt, Pace, Tally, read_head, strays};
use crate::state::domain::LocalDomain;
use crate::state::frame::FrameError;
use crate::state::layout::{self, ChainKey, SpoolKey};
use crate::state::now::store_now;
use crate::state::requests::RequestCounts;

/// Objects whose headers are read at a time.
const READ_AT_ONCE: usize = 16;
/// Objects that wait for that.
const UNREAD: usize = 256;

/// What is wrong with objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing needs them; they may go now, and a repair deletes them.
    Unreachable,
    /// Nothing needs them, or soon nothing will; they go later.
    Waiting,
    /// Something refers to it and it is not there.
    Dangling,
    /// It is not what its name says, or of a version that this program does not know.
    Damaged,
    /// Nobody knows the name.
    Foreign,
}

/// Objects that something is wrong with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What.
    pub finding: Finding,
    /// The object, or the folder that they lie in, which then ends in `/`.
    pub key: String,
    /// How many.
    pub objects: u64,
    /// Octets in them.
    pub octets: u64,
    /// Why, in words.
    pub reason: String,
}

/// Objects, and octets in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub objects: u64,
    /// In all of them.
    pub octets: u64,
}

/// The whole of an audit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Everything that is there.
    pub total: Amount,
    /// [`Finding::Unreachable`].
    pub unreachable: Amount,
    /// [`Finding::Waiting`].
    pub waiting: Amount,
    /// [`Finding::Dangling`].
    pub dangling: Amount,
    /// [`Finding::Damaged`].
    pub damaged: Amount,
    /// [`Finding::Foreign`].
    pub foreign: Amount,
    /// What a repair has deleted.
    pub deleted: Amount,
    /// Accounts with unreachable bodies: a repair writes one commit in each before it deletes.
    pub fences: u64,
    /// Requests that the audit took, repair included.
    pub requests: RequestCounts,
}

impl Audit {
    /// Whether nothing is missing and nothing damaged.
    pub fn is_sound(&self) -> bool {
        self.dangling.objects == 0 && self.damaged.objects == 0
    }
}

impl Admin {
    /// Audits the whole store, shows each finding to `look` as it comes, and deletes what is unreachable where it is told to `repair`.
    pub async fn fsck(
        &self,
        repair: bool,
        look: &mut (dyn FnMut(&Found) + Send),
    ) -> Result<Audit, AdminError> {
        let before = self.requests.meter().counts();
        let now = store_now(&self.requests).await?;
        let clearing = Clearing::new(&self.requests, Pace::unhurried(self.platform.clock.clone()));
        let mut auditor =
            Auditor { clearing, now, repair, look, audit: Audit::default(), unread: Vec::new() };
        let audited = auditor.run().await;
        let (mut audit, Tally { deleted, octets, .. }) = (auditor.audit, auditor.clearing.tally);
        audited.map_err(|halt| match halt {
            Halt::State(error) => AdminError::from(error),
            Halt::Stopped => StateError::Unavailable(halt.to_string()).into(),
        })?;
        audit.deleted = Amount { objects: deleted, octets };
        audit.requests = self.requests.meter().counts().since(&before);
        Ok(audit)
    }
}

struct Auditor<'a> {
    clearing: Clearing<'a>,
    now: UtcTime,
    repair: bool,
    look: &'a mut (dyn FnMut(&Found) + Send),
    audit: Audit,
    /// Objects whose headers are to be read.
    unread: Vec<Listed>,
}

/// What the walk is amid.
#[derive(Default)]
struct Amid {
    chain: ChainFolder,
    pickup: Vec<Listed>,
    logs: BTreeMap<Incarnation, SpoolFolder>,
}

impl Auditor<'_> {
    async fn run(&mut self) -> Result<(), Halt> {
        let mut amid = Amid::default();
        let mut walk = self.clearing.walk("");
        while let Some(object) = walk.next().await? {
            self.audit.total.objects += 1;
            self.audit.total.octets += object.size;
            self.take(&mut amid, object).await?;
        }
        self.end_chain(&mut amid, "").await?;
        self.end_pickup(&mut amid, "").await?;
        self.read_heads(0).await?;
        self.logs(amid.logs).await
    }

    async fn take(&mut self, amid: &mut Amid, object: Listed) -> Result<(), Halt> {
        let root = object.key.split_inclusive('/').next().unwrap_or_default().to_owned();
        let is_framed = match root.as_str() {
            layout::ACCOUNTS | layout::DOMAINS => match layout::folder(&root, &object.key) {
                Some(folder) => {
                    self.end_chain(amid, folder).await?;
                    amid.chain.add(&object);
                    let kind = object.key.strip_prefix(folder).and_then(layout::parse_chain);
                    kind.map(|kind| !matches!(kind, ChainKey::Piece(..)))
                }
                None => None,
            },
            layout::SPOOL if object.key.starts_with(layout::PICKUP_CHAINS) => {
                let folder = layout::folder(&root, &object.key).unwrap_or_default();
                self.end_pickup(amid, folder).await?;
                amid.pickup.push(object.clone());
                Some(true)
            }
            layout::SPOOL => layout::parse_spool(&object.key).and_then(|log| {
                let kind = object.key.strip_prefix(&layout::spool(log)).and_then(layout::parse_spool_object);
                amid.logs.entry(log).or_default().add(kind, &object);
                kind.map(|kind| !matches!(kind, SpoolKey::Piece(..)))
            }),
            layout::LIVE => layout::parse_live(&object.key).map(|_| true),
            layout::CHECKS | layout::PROBES | layout::SWEEPS => return self.stray(object).await,
            layout::REPORTS if layout::parse_report(&object.key).is_some() => {
                return self.stray(object).await;
            }
            layout::REPORTS if layout::parse_received_report(&object.key).is_some() => {
                return self.stray(object).await;
            }
            layout::FORMAT => Some(true),
            // Neither begins with a frame, and both are others' to remove.
            layout::PICKUP | layout::EVENTS => Some(false),
            layout::CERTIFICATES => layout::parse_certificate(&object.key).map(|_| false),
            _ => None,
        };
        match is_framed {
            Some(true) => {
                self.unread.push(object);
                self.read_heads(UNREAD).await?;
            }
            Some(false) => {}
            None => self.found(Finding::Foreign, &object.key, object.size, "nobody knows the name"),
        }
        Ok(())
    }

    /// A folder of another chain begins, or the walk ends.
    async fn end_chain(&mut self, amid: &mut Amid, next: &str) -> Result<(), Halt> {
        if amid.chain.name == next {
            return Ok(());
        }
        let chain = std::mem::replace(&mut amid.chain, ChainFolder::new(next));
        match () {
            () if chain.name.starts_with(layout::ACCOUNTS) => self.chain::<Account>(&chain).await,
            () if chain.name.starts_with(layout::DOMAINS) => self.chain::<LocalDomain>(&chain).await,
            () => Ok(()),
        }
    }

    /// Another pickup's chain begins, or the walk ends.
    async fn end_pickup(&mut self, amid: &mut Amid, next: &str) -> Result<(), Halt> {
        if amid.pickup.last().is_none_or(|last| layout::folder(layout::SPOOL, &last.key) == Some(next)) {
            return Ok(());
        }
        let chain = std::mem::take(&mut amid.pickup);
        if strays::is_pickup_over(&self.clearing, &chain, self.now).await? {
            for link in &chain {
                self.found(Finding::Unreachable, &link.key, link.size, "the object that it is about is gone");
            }
            self.delete(chain).await?;
        }
        Ok(())
    }

    async fn stray(&mut self, object: Listed) -> Result<(), Halt> {
        if strays::is_stray(&object, self.now) {
            self.found(Finding::Unreachable, &object.key, object.size, "it is out of date");
            self.delete(vec![object]).await?;
        }
        Ok(())
    }

    async fn delete(&mut self, objects: Vec<Listed>) -> Result<(), Halt> {
        if !self.repair {
            return Ok(());
        }
        let objects = objects.into_iter().map(|object| (object.key, object.size)).collect();
        self.clearing.delete(objects).await
    }

    /// Reads the headers of the objects that wait for it, where more than so many do.
    async fn read_heads(&mut self, waiting: usize) -> Result<(), Halt> {
        if self.unread.len() <= waiting {
            return Ok(());
        }
        let requests = self.clearing.requests;
        let read = |object: Listed| {
            async move {
                let read = read_head::<IgnoredAny>(requests, &object).await;
                read.map(|read| (object, read))
            }
            .boxed()
        };
        let reads: Vec<_> = std::mem::take(&mut self.unread).into_iter().map(read).collect();
        let read: Vec<(Listed, Option<Result<IgnoredAny, FrameError>>)> =
            stream::iter(reads).buffered(READ_AT_ONCE).try_collect().await?;
        for (object, read) in read {
            if let Some(Err(error)) = read {
                self.found(Finding::Damaged, &object.key, object.size, &error.to_string());
            }
        }
        Ok(())
    }

    fn found(&mut self, finding: Finding, key: &str, octets: u64, reason: &str) {
        self.found_some(finding, key, Amount { objects: 1, octets }, reason);
    }

    fn found_some(&mut self, finding: Finding, key: &str, amount: Amount, reason: &str) {
        let total = match finding {
            Finding::Unreachable => &mut self.audit.unreachable,
            Finding::Waiting => &mut self.audit.waiting,
            Finding::Dangling => &mut self.audit.dangling,
            Finding::Damaged => &mut self.audit.damaged,
            Finding::Foreign => &mut self.audit.foreign,
        };
        total.objects += amount.objects;
        total.octets += amount.octets;
        let (key, reason) = (key.to_owned(), reason.to_owned());
        (self.look)(&Found { finding, key, objects: amount.objects, octets: amount.octets, reason });
    }

    /// Reports what becomes of objects, where they are not needed.
    fn judged(&mut self, fate: Fate, key: &str, amount: Amount) {
        match fate {
            Fate::Needed => {}
            Fate::Later(reason) => self.found_some(Finding::Waiting, key, amount, reason),
            Fate::Now(reason) => self.found_some(Finding::Unreachable, key, amount, reason),
        }
    }

    /// Whether an object of at least so many octets is there.
    async fn is_there(&self, key: &str, octets: u64) -> Result<bool, Halt> {
        let listed = self.clearing.requests.head(key).await?;
        Ok(listed.is_some_and(|listed| listed.size >= octets))
    }
}
