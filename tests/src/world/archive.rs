//! Everything that was ever seen in the bucket. Objects that are never written twice are kept when the bucket has let go of them, so that what was
//! true of the queue and of the mailboxes at any time can still be told, and what was deleted be judged.
//!
//! Reads the layout, the frame and the records, which are what nodes of different versions agree on; replays them by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fulmar_core::model::{Address, Incarnation, Nonce, QueueId, UtcTime};
use fulmar_core::state::account::{Account, Op};
use fulmar_core::state::chain::{Position, State};
use fulmar_core::state::frame;
use fulmar_core::state::layout;
use fulmar_core::state::log::{Attempt, Body, Entry, Recipient, Record, Segment};
use fulmar_core::state::owner::Owner;
use serde::Deserialize;

/// Octets up to which an object is compared when it is seen again; longer ones are pieces of bodies, whose sums readers check.
const COMPARED_OCTETS: usize = 256 << 10;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    /// Objects that are there, by key.
    pub present: Objects,
    /// The queue's logs.
    pub logs: BTreeMap<Incarnation, Log>,
    /// Commits of each account, by the account's folder.
    pub accounts: BTreeMap<String, BTreeMap<u64, Commit>>,
    /// Objects that are written once and were found to have changed.
    pub rewritten: Vec<(Duration, String)>,
    /// Objects that were there and are no more, each with when that was noticed and when it had been written, by the bucket's clock.
    pub removed: Vec<(Duration, String, UtcTime)>,
    /// Objects of ours that cannot be read as what they should be.
    pub unreadable: Vec<(String, String)>,
}

/// The octets of each object, and when it was written by the bucket's clock.
pub type Objects = BTreeMap<String, (Bytes, UtcTime)>;

/// A recipient that is not done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The message.
    pub queue_id: QueueId,
    /// Who.
    pub recipient: Address,
    /// The log that holds it.
    pub log: Incarnation,
    /// When it is to be attempted.
    pub next: UtcTime,
    /// Attempts so far.
    pub attempts: u32,
}

/// One incarnation's log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Segments and seals.
    pub segments: BTreeMap<u64, Segment>,
    /// Its chain of owners.
    pub owners: BTreeMap<u64, Owner>,
    /// Checkpoints, by the number that they cover up to.
    pub checkpoints: Vec<u64>,
}

/// A commit of an account, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
pub struct Commit {
    /// Whose object this is.
    pub nonce: Nonce,
    /// Its number.
    pub n: u64,
    /// When it was made.
    pub at: UtcTime,
    /// What it changes.
    pub ops: Vec<Op>,
    /// Where the data area begins.
    #[serde(skip)]
    pub data_at: u64,
}

impl Archive {
    /// Takes in the bucket as it is now.
    pub fn observe(&mut self, now: Duration, objects: Objects) {
        let before = std::mem::take(&mut self.present);
        for (key, (bytes, _)) in &objects {
            match before.get(key) {
                Some((known, _)) if is_written_once(key) && !is_same(known, bytes) => {
                    self.rewritten.push((now, key.clone()));
                    self.see(key, bytes);
                }
                Some(_) => {}
                None => self.see(key, bytes),
            }
        }
        for (key, (_, modified)) in before {
            if !objects.contains_key(&key) {
                self.removed.push((now, key, modified));
            }
        }
        self.present = objects;
    }

    fn see(&mut self, key: &str, bytes: &Bytes) {
        if let Err(reason) = self.read(key, bytes) {
            self.unreadable.push((key.to_owned(), reason));
        }
    }

    fn read(&mut self, key: &str, bytes: &Bytes) -> Result<(), String> {
        let Some(number) = layout::number(key) else { return Ok(()) };
        let mut folders = key.rsplit('/').skip(1);
        let folder = folders.next().unwrap_or_default();
        if let Some(incarnation) = layout::parse_spool(key) {
            let log = self.logs.entry(incarnation).or_default();
            match folder {
                "log" => {
                    let segment = Segment::decode(bytes).map_err(|error| error.to_string())?;
                    log.segments.insert(number, segment);
                }
                "own" => {
                    let owner = frame::decode::<Owner>(bytes).map_err(|error| error.to_string())?.header;
                    log.owners.insert(number, owner);
                }
                "ck" => log.checkpoints.push(number),
                _ => {}
            }
        } else if let ("c", Some(account)) = (folder, layout::folder(layout::ACCOUNTS, key)) {
            let frame = frame::decode::<Commit>(bytes).map_err(|error| error.to_string())?;
            let commit = Commit { data_at: frame.data_at, ..frame.header };
            self.accounts.entry(account.to_owned()).or_default().insert(number, commit);
        }
        Ok(())
    }

    /// Every record of every log, with its log and number.
    pub fn records(&self) -> impl Iterator<Item = (Incarnation, u64, &Record)> {
        let segments = self
            .logs
            .iter()
            .flat_map(|(log, found)| found.segments.iter().map(|(number, segment)| (*log, *number, segment)));
        segments.flat_map(|(log, number, segment)| {
            segment.records.iter().map(move |record| (log, number, record))
        })
    }

    /// What every message was accepted as, reports included.
    pub fn accepted(&self) -> BTreeMap<QueueId, &Entry> {
        let entries = self.records().filter_map(|(.., record)| match record {
            Record::Accept(entry) => Some((entry.envelope.id, entry)),
            _ => None,
        });
        entries.collect()
    }

    /// The header block of a message as it was accepted, where that is still there.
    pub fn header(&self, entry: &Entry) -> Option<&[u8]> {
        let part = &entry.envelope.content.header;
        let (octets, _) = self.present.get(&layout::segment(part.inc, part.seq))?;
        let start = usize::try_from(part.extent.at).ok()?;
        octets.get(start..start.checked_add(usize::try_from(part.extent.len).ok()?)?)
    }

    /// The attempts that are on record, of each message.
    pub fn attempts(&self) -> BTreeMap<QueueId, Vec<&Attempt>> {
        let mut attempts = BTreeMap::<_, Vec<_>>::new();
        for (.., record) in self.records() {
            if let Record::Attempted { id, outcomes } = record {
                attempts.entry(*id).or_default().extend(outcomes);
            }
        }
        attempts
    }

    /// The logs whose entries have passed into another, each with where its Adopt stands: log, number and epoch.
    pub fn adoptions(&self) -> BTreeMap<Incarnation, Vec<(Incarnation, u64, u64)>> {
        let mut adoptions = BTreeMap::<_, Vec<_>>::new();
        for (log, number, record) in self.records() {
            if let Record::Adopt { of, epoch, .. } = record {
                adoptions.entry(*of).or_default().push((log, number, *epoch));
            }
        }
        adoptions
    }

    /// The entries that live now, in the logs that nobody has adopted.
    pub fn live(&self) -> BTreeMap<Incarnation, BTreeMap<QueueId, Entry>> {
        let adopted = self.adoptions();
        let logs = self.logs.iter().filter(|(log, _)| !adopted.contains_key(log));
        logs.map(|(log, found)| (*log, found.live())).collect()
    }

    /// Who is not done with, in logs that nodes can see by their signs of life. Not what has passed into another log, though the sign may be there
    /// still, or again.
    pub fn waiting(&self) -> Vec<Waiting> {
        let is_seen = |log: Incarnation| {
            [layout::beat(log), layout::free(log)].iter().any(|key| self.present.contains_key(key))
        };
        let live = self.live().into_iter().filter(|(log, _)| is_seen(*log));
        let entries = live.flat_map(|(log, entries)| entries.into_values().map(move |entry| (log, entry)));
        let waiting = entries.flat_map(|(log, entry)| {
            entry.recipients.into_iter().map(move |recipient| Waiting {
                queue_id: entry.envelope.id,
                recipient: recipient.address,
                log,
                next: recipient.next,
                attempts: recipient.attempts,
            })
        });
        waiting.collect()
    }

    /// The account in a folder, as its commits make it, at each commit: `look` is called after each.
    pub fn replay(&self, account: &Address, mut look: impl FnMut(u64, &Account)) -> Account {
        let mut state = Account::default();
        let mut time = UtcTime(0);
        let commits = self.accounts.get(&layout::account(account));
        for (number, commit) in commits.into_iter().flatten() {
            time = time.max(commit.at);
            let position = Position { commit: *number, time, data_at: commit.data_at };
            commit.ops.iter().for_each(|op| state.apply(op, &position));
            look(*number, &state);
        }
        state
    }
}

impl Log {
    /// The entries that its records leave, by their order alone.
    pub fn live(&self) -> BTreeMap<QueueId, Entry> {
        let mut live = BTreeMap::new();
        for record in self.segments.values().flat_map(|segment| &segment.records) {
            match record {
                Record::Accept(entry) => drop(live.insert(entry.envelope.id, entry.clone())),
                Record::Adopt { entries, .. } => {
                    live.extend(entries.iter().map(|entry| (entry.envelope.id, entry)));
                }
                Record::Moved { id, content } => {
                    if let Some(entry) = live.get_mut(id) {
                        Arc::make_mut(&mut entry.envelope).content = content.clone();
                    }
                }
                Record::Attempted { id, outcomes } => {
                    if let Some(entry) = live.get_mut(id) {
                        outcomes.iter().for_each(|attempt| note(&mut entry.recipients, attempt));
                    }
                }
                _ => {}
            }
        }
        live.retain(|_, entry| !entry.recipients.is_empty());
        live
    }

    /// Whether its chain of owners says that nobody is to adopt it any more.
    pub fn is_closed(&self) -> bool {
        self.owners.values().any(|owner| owner.claim.is_closing())
    }
}

fn note(recipients: &mut Vec<Recipient>, attempt: &Attempt) {
    if attempt.outcome.is_final() {
        recipients.retain(|recipient| recipient.to != attempt.to);
    } else if let Some(recipient) = recipients.iter_mut().find(|recipient| recipient.to == attempt.to) {
        recipient.attempts += 1;
        recipient.next = attempt.next;
    }
}

fn is_same(known: &Bytes, bytes: &Bytes) -> bool {
    known.len() == bytes.len()
        && (known.as_ptr() == bytes.as_ptr() || bytes.len() > COMPARED_OCTETS || known == bytes)
}

/// Whether nobody may ever write this key again.
fn is_written_once(key: &str) -> bool {
    [layout::SPOOL, layout::ACCOUNTS, layout::DOMAINS].iter().any(|root| key.starts_with(root))
}

/// The keys of the objects that an entry needs.
pub fn needs(entry: &Entry) -> Vec<String> {
    let content = &entry.envelope.content;
    let mut keys = vec![layout::segment(content.header.inc, content.header.seq)];
    match &content.body {
        Body::Inline(part) => keys.push(layout::segment(part.inc, part.seq)),
        Body::Pieces(pieces) => {
            let key = |index| layout::spool_piece(pieces.inc, pieces.body, index);
            keys.extend((0..pieces.pieces.len()).map(key));
        }
    }
    keys
}
