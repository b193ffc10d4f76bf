//! Taking over the live entries of a dead or released log.
//!
//! The steps are numbered as in the design; each is argued against a crash of the adopter right after it.
//!
//! 1. *Read the chain of owners.* Nothing was written.
//! 2. *Claim: create the next link.* The claim names an incarnation whose heartbeat stands; when that stops, the claim is
//!    a dead owner's, and another node goes on from here.
//! 3. *Seal the logs of earlier owners.* An earlier owner may have written its Adopt and died before anybody could see it;
//!    sealing first makes sure that it can write it no more, and then it is there to be found or it is not. Then its log
//!    is adopted instead, with these entries in it.
//! 4. *Seal and read the log.* A sealed log cannot grow. The next adopter finds seals and reads the same.
//! 5. *Look at the chain again.* Whoever claimed after us has sealed our log by now, or will before it reads this one.
//! 6. *Write Adopt into our own log.* This create is the transfer: before it the entries are in the old log, after it in ours, and
//!    whoever comes after us finds it in step 3.
//! 7. *Close.* Logs whose entries came to this one, then this one; then its signs of life. Until that is done others
//!    find the chain with our claim at its end and leave it alone while we live; and we, when we come back to it, write no
//!    second Adopt, which would bring back what we have done with meanwhile, and do not give up. Nor do we end our own log before:
//!    when it has been collected, nobody would find the Adopt in it, and the old log would be adopted once more.

use std::collections::BTreeSet;
use std::time::Duration;

use super::command::Refusal;
use super::ownership::{self, Link, Owners, OwnersError, link};
use super::spool::Spool;
use crate::model::{Event, Incarnation};
use crate::platform::StoreError;
use crate::state::layout;
use crate::state::log::{Record, ScanError, Scanned, Seal, read_log};
use crate::state::owner::Claim;
use crate::state::requests::Requests;

/// An owner that is not done after this long gives up, so that another node can try.
const PATIENCE: Duration = Duration::from_mins(10);
/// How long an owner that gave up leaves the log to others.
const BACK_OFF: Duration = Duration::from_mins(1);
/// Logs that were adopted by adopters of a log are followed this deep.
const DEPTH: usize = 16;
/// Times that a log which is compacted meanwhile is read anew.
const READS: usize = 5;

/// How an adoption ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// The log's entries, so many, are ours.
    Done {
        /// The log that was adopted in the end.
        log: Incarnation,
        /// How many entries.
        entries: usize,
    },
    /// The log had been closed before; only its signs of life were left.
    Closed,
    /// Somebody else is about it, or has to be.
    Left(String),
}

/// Why an adoption stopped halfway. It is taken up again later, under the same claim.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum AdoptionError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Scan(#[from] ScanError),
    #[error(transparent)]
    Queue(#[from] Refusal),
    #[error(transparent)]
    Owners(#[from] OwnersError),
    #[error("too many logs that adopted each other")]
    TooDeep,
    #[error("its checkpoints are newer than what was read, again and again")]
    Moving,
    /// After the log had been claimed, so that its writer may be fenced already: somebody has to go on with it.
    #[error("broke off: {0}")]
    BrokenOff(Box<AdoptionError>),
}

impl AdoptionError {
    /// Nobody knows whether a claim stands that was not answered, and others would leave the log to this node.
    fn of_claim(error: StoreError) -> Self {
        match error {
            StoreError::Unknown(_) => Self::from(error).broken_off(),
            error => error.into(),
        }
    }

    fn broken_off(self) -> Self {
        match self {
            Self::BrokenOff(_) => self,
            error => Self::BrokenOff(Box::new(error)),
        }
    }
}

/// Adopts logs into the log of this node.
#[derive(Debug)]
pub struct Adopter<'a> {
    /// The store.
    pub requests: &'a Requests,
    /// This node's queue.
    pub spool: &'a Spool,
    /// Logs that are dead or released, as far as this node knows.
    pub dead: &'a BTreeSet<Incarnation>,
}

impl Adopter<'_> {
    /// Adopts a log that is dead, released, or found with no sign of life.
    pub async fn adopt(&self, log: Incarnation) -> Result<Adoption, AdoptionError> {
        let mut log = log;
        let mut outer = Vec::new();
        for _ in 0..DEPTH {
            let step = match self.claim(log).await {
                // The outer ones are claimed already.
                Err(error) if !outer.is_empty() => return Err(error.broken_off()),
                Err(error) => return Err(error),
                Ok(Claimed::Not(adoption)) => Step::Done(adoption),
                Ok(Claimed::Ours(claim)) => {
                    self.take_over(log, claim).await.map_err(AdoptionError::broken_off)?
                }
            };
            match step {
                Step::Instead(owner) => {
                    outer.push(log);
                    log = owner;
                }
                Step::Done(Adoption::Closed) => {
                    // Its owner ended without having closed what it had adopted.
                    let closed = ownership::close_all(self.requests, &outer, log).await;
                    closed.map_err(|error| AdoptionError::from(error).broken_off())?;
                    return Ok(Adoption::Closed);
                }
                Step::Done(adoption) => return Ok(adoption),
            }
        }
        Err(AdoptionError::TooDeep.broken_off())
    }

    /// Steps 1 and 2.
    async fn claim(&self, log: Incarnation) -> Result<Claimed, AdoptionError> {
        let owners = ownership::read(self.requests, log).await?;
        let last = owners.last_key_value().map(|(epoch, owner)| (*epoch, owner.claim, owner.at));
        if last.is_some_and(|(_, claim, _)| claim.is_closing()) {
            ownership::forget_live(self.requests, log).await?;
            return Ok(Claimed::Not(Adoption::Closed));
        }
        let me = self.spool.stand().await?;
        let now = self.requests.platform().clock.utc();
        let is_taken = self.spool.has_adopted(me, log).await?;
        let epoch = match last {
            Some((epoch, Claim::By(owner), at)) if owner == me => {
                if !is_taken && now.since(at) > PATIENCE {
                    link(self.requests, log, epoch + 1, Link::new(Claim::GivenUp)).await?;
                    return Ok(Claimed::Not(Adoption::Left("given up after ten minutes".to_owned())));
                }
                epoch
            }
            Some((_, Claim::By(owner), _)) if self.lives(owner).await? => {
                return Ok(Claimed::Not(Adoption::Left(format!("{owner} is adopting it"))));
            }
            Some((epoch, Claim::GivenUp, at))
                if now.since(at) < BACK_OFF
                    && owners.get(&(epoch - 1)).is_some_and(|owner| owner.claim == Claim::By(me)) =>
            {
                return Ok(Claimed::Not(Adoption::Left("left to another node".to_owned())));
            }
            last => {
                let epoch = last.map_or(0, |(epoch, ..)| epoch) + 1;
                let claimed = link(self.requests, log, epoch, Link::new(Claim::By(me))).await;
                if !claimed.map_err(AdoptionError::of_claim)? {
                    return Ok(Claimed::Not(Adoption::Left("another node was faster".to_owned())));
                }
                epoch
            }
        };
        Ok(Claimed::Ours(OurClaim { me, epoch, owners, is_taken }))
    }

    /// Steps 3 to 7.
    async fn take_over(&self, log: Incarnation, claim: OurClaim) -> Result<Step, AdoptionError> {
        let OurClaim { me, epoch, owners, is_taken } = claim;
        let seal = Seal { by: me, epoch };
        if let Some(owner) = self.seal_earlier_owners(log, &owners, seal).await? {
            return Ok(Step::Instead(owner));
        }
        let scanned = self.seal_and_read(log, seal).await?;
        let now = ownership::read(self.requests, log).await?;
        if now.last_key_value().is_none_or(|(last, owner)| *last != epoch || owner.claim != Claim::By(me)) {
            return Ok(Step::Done(Adoption::Left("another node has claimed it since".to_owned())));
        }
        let entries = if is_taken { 0 } else { self.take(log, epoch, me, &scanned).await? };
        // Those that it had adopted first, however long ago: whoever adopted them may have died before it closed them.
        let adopted: Vec<Incarnation> = scanned.live.folders.iter().copied().collect();
        ownership::close_all(self.requests, &adopted, me).await?;
        ownership::close(self.requests, log, me).await?;
        self.spool.settled(me, log).await?;
        Ok(Step::Done(Adoption::Done { log, entries }))
    }

    /// Whether an owner is at work. It may have begun since this node looked last.
    async fn lives(&self, owner: Incarnation) -> Result<bool, StoreError> {
        Ok(!self.dead.contains(&owner) && self.requests.find(&layout::beat(owner)).await?.is_some())
    }

    /// Step 3. Gives the earlier owner in whose log an Adopt of this one stands, if there is one.
    async fn seal_earlier_owners(
        &self,
        log: Incarnation,
        owners: &Owners,
        seal: Seal,
    ) -> Result<Option<Incarnation>, AdoptionError> {
        for (epoch, owner) in owners.iter().rev() {
            let Claim::By(by) = owner.claim else { continue };
            let gave_up = owners.get(&(epoch + 1)).is_some_and(|next| next.claim == Claim::GivenUp);
            if by == seal.by || gave_up {
                continue;
            }
            // Whatever its heartbeat says: it may have stopped long enough to be passed over, and come back.
            if read_log(self.requests, by, Some(seal)).await?.live.adopted.contains_key(&log) {
                return Ok(Some(by));
            }
        }
        Ok(None)
    }

    /// Step 4.
    async fn seal_and_read(&self, log: Incarnation, seal: Seal) -> Result<Scanned, AdoptionError> {
        let (mut moved, mut seen) = (None, None);
        for _ in 0..READS {
            match read_log(self.requests, log, Some(seal)).await {
                Err(error @ ScanError::Moved(_)) => moved = Some(error.into()),
                Err(error) => return Err(error.into()),
                Ok(scanned) => {
                    let latest = self.latest_checkpoint(log).await?;
                    if latest <= Some(scanned.end) || latest == seen {
                        return Ok(scanned);
                    }
                    // Its writer had it under way, and it may cover what looked like a hole. One that was there before cannot be read.
                    seen = latest;
                }
            }
        }
        Err(moved.unwrap_or(AdoptionError::Moving))
    }

    async fn latest_checkpoint(&self, log: Incarnation) -> Result<Option<u64>, StoreError> {
        let listed = self.requests.list(&layout::checkpoints(log), None).await?;
        Ok(listed.iter().filter_map(|object| layout::number(&object.key)).max())
    }

    /// Step 6.
    async fn take(
        &self,
        log: Incarnation,
        epoch: u64,
        me: Incarnation,
        scanned: &Scanned,
    ) -> Result<usize, AdoptionError> {
        let live = &scanned.live;
        let record = Record::Adopt {
            of: log,
            epoch,
            folders: live.folders.iter().copied().collect(),
            damaged: live.damaged.iter().cloned().collect(),
            entries: live.entries.clone(),
            observed: live.observations.to_batches(),
        };
        self.spool.adopt(me, record).await?;
        let entries = live.entries.len();
        self.requests.journal().report(&Event::Adopted { from: log, into: me, entries });
        Ok(entries)
    }
}

enum Claimed {
    Not(Adoption),
    Ours(OurClaim),
}

struct OurClaim {
    me: Incarnation,
    epoch: u64,
    /// As they were before it.
    owners: Owners,
    /// Whether an Adopt of the log stands in ours.
    is_taken: bool,
}

enum Step {
    Done(Adoption),
    Instead(Incarnation),
}
