//! A chain: a sequence of numbered, create-only commits that any node may append to, with snapshots.
//!
//! `c/<n>` holds commit n, `snap/<n>` the state after it. Whoever appends reads up to the tip, decides on that state
//! what to write, and creates the next number; when another was faster, it reads that commit and decides anew. So no
//! lease is needed, and what was decided always fits the state that it is applied to.
//!
//! **Against writing into the past.** Commits that a snapshot covers are deleted a day after it ([`super::collect`]). A node that
//! slept for longer on an old tip could create a number again that had been there before, and what it wrote would vanish. Three
//! rules prevent that: a state may be probed from only within [`PROBE_RIGHT`] of having been confirmed, which holds for each probe
//! of several in a row; a create whose success comes later than [`APPEND_RIGHT`] after the tip was read counts as unanswered; and
//! whatever is unanswered is looked up by its nonce in the state as reloaded before it is tried again, which keeps nonces for
//! [`MEMORY`]. A confirmation counts from when the request was sent: a node that is suspended amid one has an old one.
//!
//! So a number that was probed and not found had not been collected: when the tip was confirmed, an hour before at most, it was not
//! there; the snapshot that covers it is younger than that; and nothing goes sooner than a day after the snapshot.
//!
//! **What is gone.** Whoever reads a chain may find that what was listed has been collected since, and starts over (`loading`). What is
//! still missing then is no tip but an obstacle: to write at a hole would be to write into the past.
//!
//! **Crashes.** A commit is one object: it is there or it is not. A snapshot is created after the commits that it covers and
//! nothing depends on its being there; a crash before, amid or after it loses time, not data.

mod loading;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(in crate::state) use loading::Found;

use super::StateError;
use super::frame::{self, Data};
use super::layout;
use super::requests::{Created, Requests};
use crate::model::{Nonce, UtcTime};
use crate::platform::{Instant, StoreError};

/// How old a confirmation of the tip may be for the next number still to be probed.
pub const PROBE_RIGHT: Duration = Duration::from_hours(1);
/// How long after the tip was read a create may succeed and be believed.
pub const APPEND_RIGHT: Duration = Duration::from_secs(20);
/// How long nonces, and whatever else protects from doing things twice, are remembered.
pub const MEMORY: Duration = Duration::from_hours(30 * 24);
/// How old a confirmation may be for the next append to go without a probe.
const FRESH: Duration = Duration::from_secs(2);
/// Commits after which a snapshot is due.
const SNAPSHOT_COMMITS: u64 = 64;
/// Times that an append is tried again after losing a race.
const RACES: usize = 100;

/// What a chain's commits amount to.
pub trait State: Clone + Default + fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// One change. Several of them make a commit.
    type Op: Clone + fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// Applies one change. Must depend on nothing but its arguments: every node replays the same.
    fn apply(&mut self, op: &Self::Op, at: &Position);
    /// Figures that each commit carries for readers that want no more.
    fn summary(&self) -> serde_json::Value;
    /// Roughly what it takes in memory, in octets: found without a walk through all of it.
    fn octets(&self) -> usize;
}

/// Where in a chain a change stands.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    /// Number of the commit; the first is 1.
    pub commit: u64,
    /// When it was made, by its writer's clock, but never before an earlier one.
    pub time: UtcTime,
    /// Where the data area begins in the commit's object.
    pub data_at: u64,
}

/// What an append writes: changes, and the data that they refer to by extents in its data area.
#[derive(Clone, Debug)]
pub struct Draft<Op> {
    /// Nothing is written where there are none.
    pub ops: Vec<Op>,
    /// Message content.
    pub data: Data,
}

/// `c/<n>`
#[derive(Serialize, Deserialize)]
struct Commit<Op> {
    nonce: Nonce,
    n: u64,
    at: UtcTime,
    /// [`State::summary`] of the state that the commit was made on: with the changes below, what a reader of the tip wants to know.
    before: serde_json::Value,
    ops: Vec<Op>,
}

/// `snap/<n>`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "S: State")]
struct Replayed<S> {
    /// The last commit in it.
    tip: u64,
    /// The latest time in it.
    time: UtcTime,
    nonces: BTreeMap<Nonce, UtcTime>,
    state: S,
}

/// A snapshot, as it is written.
#[derive(Serialize)]
#[serde(bound = "S: State")]
struct SnapshotOf<'a, S> {
    nonce: Nonce,
    replayed: &'a Replayed<S>,
}

/// A chain as this node knows it.
#[derive(Debug)]
pub struct Chain<S> {
    folder: String,
    replayed: Replayed<S>,
    snapshot: u64,
    /// When the request was sent that showed the tip to be the tip; nothing as long as the chain has not been read.
    confirmed: Option<Instant>,
    /// What stands after the tip and cannot be replayed; makes the chain read-only.
    obstacle: Option<(String, String)>,
}

impl<S: State> Chain<S> {
    /// A chain in this folder, of which nothing has been read yet.
    pub fn new(folder: String) -> Self {
        Self { folder, replayed: Replayed::default(), snapshot: 0, confirmed: None, obstacle: None }
    }

    /// The state after the last commit that is known.
    pub fn state(&self) -> &S {
        &self.replayed.state
    }

    /// Number of the last commit that is known; 0 where there is none.
    pub fn tip(&self) -> u64 {
        self.replayed.tip
    }

    /// How long ago the tip was last known to be the tip.
    pub fn age(&self, now: Instant) -> Duration {
        self.confirmed.map_or(Duration::MAX, |confirmed| now.since(confirmed))
    }

    /// The object that makes the chain read-only and why, where there is one.
    pub fn obstacle(&self) -> Option<(&str, &str)> {
        self.obstacle.as_ref().map(|(key, reason)| (key.as_str(), reason.as_str()))
    }

    /// Fails where the chain has an obstacle: what is not found in its state may stand behind it.
    pub fn whole(&self) -> Result<(), StateError> {
        match self.obstacle.clone() {
            Some((key, reason)) => Err(StateError::Damaged { key, reason }),
            None => Ok(()),
        }
    }

    /// Reads on to the tip. One request where nothing was written meanwhile. What could not be read last time is read
    /// again: an operator may have mended it.
    pub async fn refresh(&mut self, requests: &Requests) -> Result<(), StateError> {
        loop {
            let asked = requests.platform().clock.instant();
            // Where there is an obstacle, what is not found need not be the tip.
            if self.age(asked) > PROBE_RIGHT || self.obstacle.is_some() {
                return self.load(requests).await;
            }
            match requests.find(&self.commit_key(self.tip() + 1)).await? {
                Some(object) => {
                    if !self.replay(&object.bytes, &mut |_| ()) {
                        return Ok(());
                    }
                }
                None => {
                    self.confirmed = Some(asked);
                    return Ok(());
                }
            }
        }
    }

    /// Appends what `decide` makes of the state at the tip; it is asked anew whenever another node was faster. Gives the number of the commit, or
    /// that of the tip where there was nothing to write.
    pub async fn append(
        &mut self,
        requests: &Requests,
        mut decide: impl FnMut(&S) -> Draft<S::Op> + Send,
    ) -> Result<u64, StateError> {
        let clock = requests.platform().clock.clone();
        let (now, entropy) = requests.platform().draw();
        let nonce = Nonce::draw(now, entropy);
        let until = clock.instant() + requests.deadline();
        if self.age(clock.instant()) > FRESH {
            self.refresh(requests).await?;
        }
        for race in 0..RACES {
            if self.replayed.nonces.contains_key(&nonce) {
                return Ok(self.tip());
            }
            // What is unanswered now may still happen. Whoever tries again decides on the state that it finds then.
            if race > 0 && clock.instant() >= until {
                return Err(StateError::Unavailable(format!(
                    "{}: no commit got through in time",
                    self.folder
                )));
            }
            self.whole()?;
            let draft = decide(self.state());
            if draft.ops.is_empty() {
                return Ok(self.tip());
            }
            let number = self.tip() + 1;
            // Not the time of this try: what is sent to the same number again must be the same octets.
            let at = now.max(self.replayed.time);
            let commit = Commit { nonce, n: number, at, before: self.state().summary(), ops: draft.ops };
            let object = frame::encode(&commit, draft.data);
            let sent = clock.instant();
            match requests.create(&self.commit_key(number), &object.payload, nonce).await {
                Ok(Created::Ours) if self.age(clock.instant()) <= APPEND_RIGHT => {
                    self.replayed.apply(nonce, number, at, object.data_at, &commit.ops);
                    self.confirmed = Some(sent);
                    return Ok(number);
                }
                Ok(Created::Foreign) => self.refresh(requests).await?,
                Ok(Created::Ours) | Err(StoreError::Unknown(_)) => self.load(requests).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(StateError::Unavailable(format!("{}: lost {RACES} races in a row", self.folder)))
    }

    /// Writes a snapshot where one is due. Not needed for anything but speed, so its failure is only reported.
    pub async fn snapshot_if_due(&mut self, requests: &Requests) {
        if self.tip() >= self.snapshot + SNAPSHOT_COMMITS {
            let _ = self.write_snapshot(requests).await;
        }
    }

    /// Writes a snapshot of the tip.
    pub(super) async fn write_snapshot(&mut self, requests: &Requests) -> Result<(), StoreError> {
        let (now, entropy) = requests.platform().draw();
        let nonce = Nonce::draw(now, entropy);
        let object = frame::encode(&SnapshotOf { nonce, replayed: &self.replayed }, Data::default());
        // Foreign: another node has written one of the same commits, which is as good.
        requests.create(&self.snapshot_key(self.tip()), &object.payload, nonce).await?;
        self.snapshot = self.tip();
        Ok(())
    }

    /// Applies the next commit, and shows each of its changes to `look`; false where it cannot be read, which is then the obstacle.
    fn replay(&mut self, octets: &[u8], look: &mut (dyn FnMut(&S::Op) + Send)) -> bool {
        let number = self.tip() + 1;
        let reason = match frame::decode::<Commit<S::Op>>(octets) {
            Ok(frame) if frame.header.n == number => {
                let Commit { nonce, at, ops, .. } = frame.header;
                ops.iter().for_each(look);
                self.replayed.apply(nonce, number, at, frame.data_at, &ops);
                return true;
            }
            Ok(frame) => format!("it says that it is commit {}", frame.header.n),
            Err(error) => error.to_string(),
        };
        self.obstacle = Some((self.commit_key(number), reason));
        false
    }

    fn commit_key(&self, number: u64) -> String {
        layout::numbered(&layout::commits(&self.folder), number)
    }

    fn snapshot_key(&self, number: u64) -> String {
        layout::numbered(&layout::snapshots(&self.folder), number)
    }
}

impl<S: State> Replayed<S> {
    fn apply(&mut self, nonce: Nonce, number: u64, at: UtcTime, data_at: u64, ops: &[S::Op]) {
        self.tip = number;
        self.time = self.time.max(at);
        self.nonces.insert(nonce, self.time);
        let horizon = UtcTime(self.time.0.saturating_sub(MEMORY.as_millis() as u64));
        while let Some(oldest) = self.nonces.first_entry()
            && *oldest.get() < horizon
        {
            oldest.remove();
        }
        let position = Position { commit: number, time: self.time, data_at };
        ops.iter().for_each(|op| self.state.apply(op, &position));
    }
}

impl<S: State> Default for Replayed<S> {
    fn default() -> Self {
        Self { tip: 0, time: UtcTime(0), nonces: BTreeMap::new(), state: S::default() }
    }
}
