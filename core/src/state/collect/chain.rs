//! Collection in the folder of one chain: an account or a domain.
//!
//! Everything is measured against **the base**: the newest snapshot that is as old as the grace, at least, and that can be read and says
//! what its name says. Before anything goes on its strength it has been read.
//!
//! | object | goes when |
//! |---|---|
//! | commit up to the base | no message of the base's state, nor of the tip's, lies in it |
//! | snapshot before the base | at once |
//! | body | neither the base's state nor any commit since names it, and its newest piece is as old as the grace |
//!
//! Without a base nothing goes but, where there is no snapshot at all, bodies that no commit names.
//!
//! *Commits and snapshots.* Whoever reads the chain begins at the base or later, and a message that was expunged after the base was
//! written stays, so that a session which reads a mailbox as it was does so for a day. What is gone from the base's state never
//! comes back. Nobody mistakes the number of a commit that has gone for a free one: whoever may still write was shown the tip less
//! than an hour ago, and the base stood for longer than that then ([`chain`](crate::state::chain)). A reader that began before may find that
//! what it was about to read has gone; it starts over and finds the base.
//!
//! *Bodies* are uploaded first and named by a commit after. A node names what it began to upload [`NAMING_RIGHT`](super::NAMING_RIGHT) ago at
//! most: when it decides on the commit. But it may be suspended between that and the commit's create, which then succeeds after
//! days if nobody has taken its number. Therefore a commit of our own, **the fence**, is appended before bodies go. Let it be
//! number f. What another decided to create at a number up to f is there before it, and in the state that the fence was decided on;
//! or it never will be. What it creates at a higher number it decided on in view of the fence, which came a day after
//! the upload: too late to name it. A fence that stands without the deletion that it was for is nothing but a commit.
//!
//! *Snapshots are made* where commits that no snapshot covers are older than the grace and something waits for one. So an account that is
//! left alone comes to one snapshot, the commits of its messages, and their bodies.
//!
//! *Crashes.* Each step leaves what the table above allows: the next sweep goes on.
//!
//! *Damage.* A chain that cannot be read to its tip is left as it is, for whoever can mend it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Clearing, Fate, Halt, Held, Holding, Numbered, is_aged};
use crate::model::{BodyId, Event, UtcTime};
use crate::platform::Listed;
use crate::state::StateError;
use crate::state::chain::{Chain, Draft, Found};
use crate::state::frame::Data;
use crate::state::layout::{self, ChainKey};
use crate::state::requests::Requests;

/// Times that a chain which is collected meanwhile is read anew.
const READS: usize = 5;

/// The objects of one chain, as listed.
#[derive(Clone, Debug, Default)]
pub struct ChainFolder {
    /// Its key, with the final `/`.
    pub name: String,
    /// In the order of their numbers.
    pub commits: Vec<Numbered>,
    /// In the order of their numbers.
    pub snapshots: Vec<Numbered>,
    /// The pieces of each body.
    pub bodies: BTreeMap<BodyId, Vec<Numbered>>,
    /// When anything was written there last.
    pub newest: UtcTime,
}

/// A chain that was read, to judge its folder by.
#[derive(Debug)]
pub struct Examined<S: Holding> {
    /// At its tip.
    pub chain: Chain<S>,
    /// Why nothing may be collected: an object, and what is wrong with it.
    pub obstacle: Option<(String, String)>,
    base: Option<u64>,
    newest_snapshot: u64,
    /// What the base's state needs.
    then: Held,
    /// The bodies named since the base.
    since: BTreeSet<BodyId>,
    /// What the tip's state needs.
    tip: Held,
    now: UtcTime,
}

impl ChainFolder {
    /// An empty folder.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Takes in an object below the folder; one that does not belong there only counts as a change. Stores list the numbers of one kind in order.
    pub fn add(&mut self, object: &Listed) {
        self.newest = self.newest.max(object.modified);
        let numbered = |number| Numbered::new(number, object);
        match object.key.strip_prefix(&self.name).and_then(layout::parse_chain) {
            Some(ChainKey::Commit(number)) => self.commits.push(numbered(number)),
            Some(ChainKey::Snapshot(number)) => self.snapshots.push(numbered(number)),
            Some(ChainKey::Piece(body, piece)) => self.bodies.entry(body).or_default().push(numbered(piece)),
            None => {}
        }
    }

    /// Deletes what may go, and makes a snapshot where something waits for one.
    pub async fn collect<S: Holding>(&self, clearing: &mut Clearing<'_>, now: UtcTime) -> Result<(), Halt> {
        if !self.may_hold_garbage(now) {
            return Ok(());
        }
        clearing.pace.turn().await?;
        let requests = clearing.requests;
        let left = |key, reason| requests.journal().report(&Event::ObjectDamaged { key, reason });
        let mut examined = match self.examine::<S>(requests, now).await {
            Ok(Examined { obstacle: Some((key, reason)), .. }) | Err(StateError::Damaged { key, reason }) => {
                left(key, reason);
                return Ok(());
            }
            Ok(examined) => examined,
            Err(error) => return Err(error.into()),
        };
        let has_fenced = self.clear(clearing, &mut examined).await?;
        if has_fenced || self.wants_snapshot(&examined) {
            examined.chain.write_snapshot(requests).await?;
        }
        Ok(())
    }

    /// Deletes what may go; gives whether a fence was needed for that.
    pub async fn clear<S: Holding>(
        &self,
        clearing: &mut Clearing<'_>,
        examined: &mut Examined<S>,
    ) -> Result<bool, Halt> {
        clearing.delete(self.superseded(examined)).await?;
        self.clear_bodies(clearing, examined).await
    }

    /// Reads the chain from the base to its tip.
    pub async fn examine<S: Holding>(
        &self,
        requests: &Requests,
        now: UtcTime,
    ) -> Result<Examined<S>, StateError> {
        let mut reads = 1;
        loop {
            let (mut chain, base, unread) = self.base::<S>(requests, now).await?;
            let then = chain.state().held();
            let mut since = BTreeSet::new();
            let is_complete = chain.read_on(requests, &mut |op| since.extend(S::named(op))).await?;
            if !is_complete && reads < READS {
                reads += 1;
                continue;
            }
            let obstacle = chain.obstacle().map(|(key, reason)| (key.to_owned(), reason.to_owned()));
            // Where the commits do not lead up to a snapshot that cannot be read, they may have been collected on its strength.
            let short = unread.filter(|(number, ..)| *number > chain.tip());
            let obstacle = obstacle.or(short.map(|(_, key, reason)| (key, reason)));
            let newest_snapshot = self.snapshots.last().map_or(0, |snapshot| snapshot.number);
            let tip = chain.state().held();
            return Ok(Examined { chain, obstacle, base, newest_snapshot, then, since, tip, now });
        }
    }

    /// The chain at its base; where there is none, at its oldest snapshot or, without any, at its beginning. And the newest of the snapshots
    /// that might have been the base but cannot be read, with what is wrong with it.
    async fn base<S: Holding>(
        &self,
        requests: &Requests,
        now: UtcTime,
    ) -> Result<(Chain<S>, Option<u64>, Option<(u64, String, String)>), StateError> {
        let is_aged = |snapshot: &&Numbered| is_aged(snapshot.modified, now);
        let (aged, young): (Vec<&Numbered>, Vec<&Numbered>) = self.snapshots.iter().partition(is_aged);
        let mut unread = None;
        for snapshot in aged.into_iter().rev().chain(young) {
            let number = snapshot.number;
            match Chain::at_snapshot(requests, &self.name, number).await? {
                Found::Chain(chain) => {
                    let base = is_aged(&snapshot).then_some(number);
                    return Ok((chain, base, unread));
                }
                Found::Damaged(reason) => {
                    let key = layout::numbered(&layout::snapshots(&self.name), number);
                    unread.get_or_insert((number, key, reason));
                }
                // Somebody else has collected it since it was listed.
                Found::Gone => {}
            }
        }
        Ok((Chain::new(self.name.clone()), None, unread))
    }

    /// Whether there is anything to be looked into, as far as the listing shows.
    fn may_hold_garbage(&self, now: UtcTime) -> bool {
        let aged = |object: &Numbered| is_aged(object.modified, now);
        let newest = self.snapshots.last().map_or(0, |snapshot| snapshot.number);
        let base = self.snapshots.iter().rev().find(|snapshot| aged(snapshot)).map_or(0, |base| base.number);
        self.commits.iter().any(|commit| commit.number <= base || (commit.number > newest && aged(commit)))
            || self.snapshots.iter().any(|snapshot| snapshot.number < base)
            || self.bodies.values().any(|pieces| pieces.iter().all(aged))
    }

    /// Commits and snapshots that may go.
    fn superseded<S: Holding>(&self, examined: &Examined<S>) -> Vec<(String, u64)> {
        let commits = self.commits.iter().filter(|commit| examined.of_commit(commit).may_go());
        let commits = commits.map(|commit| (layout::commits(&self.name), commit));
        let snapshots = self.snapshots.iter().filter(|snapshot| examined.of_snapshot(snapshot).may_go());
        let snapshots = snapshots.map(|snapshot| (layout::snapshots(&self.name), snapshot));
        let key =
            |(folder, object): (String, &Numbered)| (layout::numbered(&folder, object.number), object.size);
        commits.chain(snapshots).map(key).collect()
    }

    /// Deletes bodies that may go, behind a fence; gives whether one was needed.
    async fn clear_bodies<S: Holding>(
        &self,
        clearing: &mut Clearing<'_>,
        examined: &mut Examined<S>,
    ) -> Result<bool, Halt> {
        let bodies = self.bodies.iter().filter(|(id, pieces)| examined.of_body(**id, pieces).may_go());
        let mut doomed: BTreeSet<BodyId> = bodies.map(|(id, _)| *id).collect();
        let Some(fence) = S::fence().filter(|_| !doomed.is_empty()) else { return Ok(false) };
        let decide = |state: &S| {
            let held = state.held();
            doomed.retain(|id| !held.bodies.contains(id));
            let ops = if doomed.is_empty() { Vec::new() } else { vec![fence.clone()] };
            Draft { ops, data: Data::default() }
        };
        examined.chain.append(clearing.requests, decide).await?;
        let mut pieces = Vec::new();
        for (id, listed) in self.bodies.iter().filter(|(id, _)| doomed.contains(id)) {
            let folder = layout::chain_body(&self.name, *id);
            pieces.extend(listed.iter().map(|piece| (layout::numbered(&folder, piece.number), piece.size)));
        }
        clearing.delete(pieces).await?;
        Ok(!doomed.is_empty())
    }

    /// Whether commits that no snapshot covers are older than the grace, and something would go if one did.
    fn wants_snapshot<S: Holding>(&self, examined: &Examined<S>) -> bool {
        let is_uncovered = |commit: &&Numbered| {
            commit.number > examined.newest_snapshot && is_aged(commit.modified, examined.now)
        };
        let waits = |commit: &Numbered| {
            !examined.tip.commits.contains(&commit.number) && !examined.of_commit(commit).may_go()
        };
        let is_kept = |id: &BodyId| examined.is_named(*id) && !examined.tip.bodies.contains(id);
        self.commits.iter().any(|commit| is_uncovered(&commit))
            && (self.commits.iter().any(waits) || self.bodies.keys().any(is_kept))
    }
}

impl<S: Holding> Examined<S> {
    /// What becomes of a commit.
    pub fn of_commit(&self, commit: &Numbered) -> Fate {
        let number = commit.number;
        let is_covered = self.base.is_some_and(|base| number <= base);
        match () {
            () if self.obstacle.is_some() || self.tip.commits.contains(&number) => Fate::Needed,
            () if is_covered && self.then.commits.contains(&number) => {
                Fate::Later("its messages were expunged after the last snapshot that is a day old")
            }
            () if is_covered => Fate::Now("a snapshot covers it and no message lies in it"),
            () if number <= self.newest_snapshot => {
                Fate::Later("the snapshot that covers it is less than a day old")
            }
            () => Fate::Needed,
        }
    }

    /// What becomes of a snapshot.
    pub fn of_snapshot(&self, snapshot: &Numbered) -> Fate {
        match self.base {
            Some(base) if self.obstacle.is_none() && snapshot.number < base => {
                Fate::Now("a later snapshot replaces it")
            }
            Some(base)
                if self.obstacle.is_none() && snapshot.number == base && base < self.newest_snapshot =>
            {
                Fate::Later("the snapshot that replaces it is less than a day old")
            }
            _ => Fate::Needed,
        }
    }

    /// What becomes of a body with these pieces.
    pub fn of_body(&self, id: BodyId, pieces: &[Numbered]) -> Fate {
        match () {
            () if self.obstacle.is_some() || self.tip.bodies.contains(&id) => Fate::Needed,
            () if self.is_named(id) => {
                Fate::Later("its message was expunged after the last snapshot that is a day old")
            }
            () if self.base.is_none() && self.newest_snapshot > 0 => {
                Fate::Later("no message names it, but no snapshot is a day old")
            }
            () if pieces.iter().all(|piece| is_aged(piece.modified, self.now)) => {
                Fate::Now("no message names it")
            }
            () => Fate::Later("no message names it, and it is less than a day old"),
        }
    }

    /// Whether the base's state or a commit since names a body.
    fn is_named(&self, id: BodyId) -> bool {
        self.then.bodies.contains(&id) || self.since.contains(&id)
    }
}

impl Fate {
    fn may_go(self) -> bool {
        matches!(self, Self::Now(_))
    }
}
