//! Collection in the spool: the folders of logs that ended.
//!
//! A folder is **dead** when no live entry of any log has content in it, nor will one have. The last link of its chain of owners tells
//! (`own/`, see [`owner`](crate::state::owner)):
//!
//! | last link | the folder |
//! |---|---|
//! | `Ended` | is dead |
//! | `Closed`, into no log | is dead: nothing lived in the log when it ended |
//! | `Closed`, into a log | is dead once that log, or the one that it was closed into in its turn, was closed into no log |
//! | anything else, or none | lives, or is to be adopted |
//!
//! That the folder of the log in between has `Ended` says nothing about this one: entries that went through that log may
//! have their content here. Each folder that is named by an open log waits for a word of that log's owner about itself. A link to a log of
//! which nothing is there is reported, and the folder left alone.
//!
//! Dead folders go a day after the newest link on which that rests. First segments and bodies, then checkpoints and seals; `own/` goes when
//! a later sweep finds nothing else in the folder, two days after its last link, and no other folder's link leads to it.
//!
//! *Late adopters.* Whoever would adopt a log reads `own/` first and once more before it takes anything over, and finds that it is closed;
//! with `own/` gone it finds nothing to adopt: hence the order. What it may leave there (a claim, seals) is
//! a folder with no sign of life, which is adopted and closed like any other.
//!
//! *Late writers.* A create in a log counts within an hour of the one before ([`queue`](crate::queue)); seals go a day later.
//!
//! *Late uploads.* A body is named by a segment of the log whose folder it lies in, and by no other, so it cannot be named any more once the log is sealed.
//!
//! *Crashes.* Whatever part of a folder was deleted, `own/` is the last to go and says that the rest may go.
//!
//! *Damage.* A folder with a link, segment or checkpoint that cannot be read is left as it is, for whoever can mend it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::de::IgnoredAny;

use super::{Clearing, Fate, GRACE, Halt, Numbered, read_head};
use crate::model::{Event, Incarnation, UtcTime};
use crate::platform::Listed;
use crate::state::StateError;
use crate::state::frame;
use crate::state::layout::{self, LiveKey, SpoolKey};
use crate::state::log::{Record, SegmentHead};
use crate::state::owner::{Claim, Owner};
use crate::state::requests::Requests;

/// How long nothing is written to a log before it counts as one that nobody looks after: longer than the right to write it lasts.
pub const UNATTENDED: Duration = Duration::from_hours(2);
/// How long after its last link `own/` itself goes.
const OWN_GRACE: Duration = Duration::from_hours(48);

/// The folder of one log, as listed.
#[derive(Clone, Debug, Default)]
pub struct SpoolFolder {
    /// By epoch.
    pub owners: Vec<Numbered>,
    /// Objects in `own/`, and octets in them.
    pub own: (u64, u64),
    /// Objects elsewhere in the folder, and octets in them.
    pub content: (u64, u64),
    /// When anything was written there last.
    pub newest: UtcTime,
}

/// What the chain of owners of a log says of its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It has not ended.
    Open,
    /// It ended.
    Closed {
        /// Where its entries went.
        into: Option<Incarnation>,
        /// When that was said.
        closed: UtcTime,
        /// When it was said that nothing has content in its folder any more.
        ended: Option<UtcTime>,
    },
    /// Nobody can say. Holds the object and what is wrong with it.
    Unreadable(String, String),
}

/// All logs' folders, and what is known of their ends. Holds some hundred octets for each.
#[derive(Debug, Default)]
pub struct Survey {
    /// By log.
    pub folders: BTreeMap<Incarnation, SpoolFolder>,
    /// By log.
    pub ends: BTreeMap<Incarnation, End>,
    /// Logs with a sign of life.
    pub live: BTreeSet<Incarnation>,
}

/// What is to become of a log's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Its log, or one that holds entries out of it, is open.
    Lives,
    /// It is dead, and says since when.
    Dead(UtcTime),
    /// The link leads to this log, of which nothing is there.
    Astray(Incarnation),
    /// Its chain of owners, or one that the links lead to, cannot be read.
    Unreadable(String, String),
}

impl SpoolFolder {
    /// Takes in an object of the folder.
    pub fn add(&mut self, kind: Option<SpoolKey>, object: &Listed) {
        self.newest = self.newest.max(object.modified);
        match kind {
            Some(SpoolKey::Owner(epoch)) => {
                self.owners.push(Numbered::new(epoch, object));
                self.own = (self.own.0 + 1, self.own.1 + object.size);
            }
            _ => self.content = (self.content.0 + 1, self.content.1 + object.size),
        }
    }

    /// Whether there is anything but `own/`.
    fn has_more(&self) -> bool {
        self.content.0 > 0
    }
}

impl Survey {
    /// Reads the ends of the logs in these folders, and which logs show signs of life.
    pub async fn read(
        folders: BTreeMap<Incarnation, SpoolFolder>,
        clearing: &Clearing<'_>,
    ) -> Result<Self, Halt> {
        let mut survey = Self { folders, ..Self::default() };
        for (log, folder) in &survey.folders {
            clearing.pace.turn().await?;
            survey.ends.insert(*log, read_end(clearing.requests, *log, &folder.owners).await?);
        }
        // Listed after the folders: a log that has begun since is not among them.
        for object in clearing.requests.list(layout::LIVE, None).await? {
            if let Some(LiveKey::Beat(log) | LiveKey::Free(log)) = layout::parse_live(&object.key) {
                survey.live.insert(log);
            }
        }
        Ok(survey)
    }

    /// Logs that have neither ended nor a sign of life, and to which nothing has been written for long enough.
    pub fn unattended(&self, now: UtcTime) -> Vec<Incarnation> {
        let is_unattended = |(log, folder): &(&Incarnation, &SpoolFolder)| {
            self.ends.get(log) == Some(&End::Open)
                && !self.live.contains(log)
                && now.since(folder.newest) >= UNATTENDED
        };
        self.folders.iter().filter(is_unattended).map(|(log, _)| *log).collect()
    }

    /// What the links say of a folder.
    pub fn judge(&self, log: Incarnation) -> Judgement {
        let Some(End::Closed { into, closed, ended }) = self.ends.get(&log) else {
            return self.unended(log);
        };
        if let Some(ended) = ended {
            return Judgement::Dead(*ended);
        }
        let (mut next, mut newest) = (*into, *closed);
        // Links lead from one log to another, never round: more steps than there are logs were no answer.
        for _ in 0..=self.ends.len() {
            let Some(log) = next else { return Judgement::Dead(newest) };
            let Some(End::Closed { into, closed, .. }) = self.ends.get(&log) else {
                return self.unended(log);
            };
            (next, newest) = (*into, newest.max(*closed));
        }
        Judgement::Lives
    }

    fn unended(&self, log: Incarnation) -> Judgement {
        match self.ends.get(&log) {
            // A log without a folder has not written anything yet, or all of it was deleted.
            None if !self.live.contains(&log) => Judgement::Astray(log),
            Some(End::Unreadable(key, reason)) => Judgement::Unreadable(key.clone(), reason.clone()),
            _ => Judgement::Lives,
        }
    }

    /// What is to become of everything in a folder but its chain of owners.
    pub fn of_content(&self, log: Incarnation, now: UtcTime) -> Fate {
        match self.judge(log) {
            // Its signs of life go first.
            Judgement::Dead(_) if self.live.contains(&log) => {
                Fate::Later("its log ended, and is still in live/")
            }
            Judgement::Dead(since) if now.since(since) >= GRACE => {
                Fate::Now("its log ended and no entry has content in it")
            }
            Judgement::Dead(_) => Fate::Later("its log ended less than a day ago"),
            _ => Fate::Needed,
        }
    }

    /// What is to become of a folder's chain of owners.
    pub fn of_owners(&self, log: Incarnation, now: UtcTime) -> Fate {
        let Some(folder) = self.folders.get(&log) else { return Fate::Needed };
        let is_over = |since| now.since(since) >= GRACE && now.since(folder.newest) >= OWN_GRACE;
        match self.judge(log) {
            Judgement::Dead(since) if !folder.has_more() && is_over(since) && !self.live.contains(&log) => {
                if self.is_led_to(log) {
                    Fate::Later("another log's chain of owners leads to it")
                } else {
                    Fate::Now("nothing else is left of its log")
                }
            }
            Judgement::Dead(_) => Fate::Later("it goes a day after the rest of its log"),
            _ => Fate::Needed,
        }
    }

    fn is_led_to(&self, log: Incarnation) -> bool {
        let leads = |end: &End| matches!(end, End::Closed { into: Some(into), .. } if *into == log);
        self.ends.values().any(leads)
    }

    /// Deletes what may go.
    pub async fn collect(&self, clearing: &mut Clearing<'_>, now: UtcTime) -> Result<(), Halt> {
        for (log, folder) in &self.folders {
            match self.judge(*log) {
                // Where the closing is older, the listing has not merely come to the other folder too early.
                Judgement::Astray(into) if now.since(folder.newest) >= GRACE => {
                    let doing = format!("collecting {}", layout::spool(*log));
                    let error = format!("its entries went to {into}, of which nothing is there");
                    clearing.requests.journal().report(&Event::Trouble { doing, error });
                }
                Judgement::Unreadable(key, reason) => {
                    clearing.requests.journal().report(&Event::ObjectDamaged { key, reason });
                }
                Judgement::Dead(_) if folder.has_more() => {
                    if matches!(self.of_content(*log, now), Fate::Now(_)) {
                        collect_content(clearing, *log).await?;
                    }
                }
                Judgement::Dead(_) if matches!(self.of_owners(*log, now), Fate::Now(_)) => {
                    let own = |link: &Numbered| (layout::owner(*log, link.number), link.size);
                    clearing.delete(folder.owners.iter().map(own).collect()).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads a chain of owners from its end, as far back as the closing link.
async fn read_end(requests: &Requests, log: Incarnation, owners: &[Numbered]) -> Result<End, StateError> {
    let mut ended = None;
    for link in owners.iter().rev() {
        let key = layout::owner(log, link.number);
        let Some(object) = requests.find(&key).await? else { return Ok(End::Open) };
        let owner = match frame::decode::<Owner>(&object.bytes) {
            Ok(frame) if frame.header.of == log => frame.header,
            Ok(frame) => {
                return Ok(End::Unreadable(key, format!("it says that it belongs to {}", frame.header.of)));
            }
            Err(error) => return Ok(End::Unreadable(key, error.to_string())),
        };
        match owner.claim {
            Claim::Ended => ended = ended.or(Some(link.modified)),
            Claim::Closed => return Ok(End::Closed { into: owner.into, closed: link.modified, ended }),
            Claim::By(_) | Claim::GivenUp => break,
        }
    }
    Ok(End::Open)
}

/// Deletes everything of a dead log but its chain of owners, unless something of it cannot be read.
async fn collect_content(clearing: &mut Clearing<'_>, log: Incarnation) -> Result<(), Halt> {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    let mut walk = clearing.walk(&layout::spool(log));
    while let Some(object) = walk.next().await? {
        let rest = object.key.strip_prefix(&layout::spool(log));
        let damage = match rest.and_then(layout::parse_spool_object) {
            Some(SpoolKey::Segment(_)) => match read_head::<SegmentHead>(clearing.requests, &object).await? {
                Some(Ok(segment)) if is_seal(&segment) => Ok(&mut last),
                Some(Err(error)) => Err(error),
                _ => Ok(&mut first),
            },
            // What a checkpoint holds is not asked.
            Some(SpoolKey::Checkpoint(_)) => match read_head::<IgnoredAny>(clearing.requests, &object).await?
            {
                Some(Err(error)) => Err(error),
                _ => Ok(&mut last),
            },
            Some(SpoolKey::Piece(..)) => Ok(&mut first),
            Some(SpoolKey::Owner(_)) | None => continue,
        };
        match damage {
            Ok(objects) => objects.push((object.key, object.size)),
            Err(error) => {
                let (key, reason) = (object.key, error.to_string());
                clearing.requests.journal().report(&Event::ObjectDamaged { key, reason });
                return Ok(());
            }
        }
    }
    clearing.delete(first).await?;
    clearing.delete(last).await
}

fn is_seal(segment: &SegmentHead) -> bool {
    matches!(segment.records[..], [Record::Seal { .. }])
}
