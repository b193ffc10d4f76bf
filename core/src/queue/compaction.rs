//! Compaction: what the owner of a log no longer needs of it, and of the folders that it has adopted.
//!
//! | what goes | when |
//! |---|---|
//! | a segment of the open log | a checkpoint that covers it has stood for the grace, and no live entry has content in it |
//! | a checkpoint | a later one has stood for the grace |
//! | a large body in the log's folder | no live entry names it, and its last piece was written before the grace |
//! | survivors of a segment that is under a tenth live | they are written anew into the open log when an hour later that is still so |
//! | an adopted folder | no live entry has content in it: its chain of owners gets its last link, `Ended`; the daily sweep deletes it later |
//!
//! **Why nothing reachable is deleted.** Content never comes to lie in a segment after that was written, so an entry that is not live when
//! the entries are looked at never will be; one that is accepted later lies under a later number. What is live is taken from what is
//! durable: outcomes count when their segment stands. Whoever adopts this log meanwhile begins from a checkpoint no older than
//! the one that has stood for the grace, which with everything after it is left as it is.
//!
//! **Crashes.** Deletions half done are completed by the next round, of this node or of whoever owns the log then. A survivor lies in two
//! segments until its new place is durable; the old one is needed no more after that, and whoever is reading from it is done with it by
//! the end of the grace. `Ended` says what stays true, whoever says it; but not before every log that was adopted here is closed, since until
//! then others look for the Adopt in earlier owners' logs.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;

use super::command::{Holdings, Refusal, Rewritten};
use super::ownership::{self, Link, OwnersError, link};
use super::spool::Spool;
use crate::model::{BodyId, Event, Incarnation, QueueId, UtcTime};
use crate::platform::{Listed, StoreError};
use crate::state::content::read_part;
use crate::state::log::{Body, Content, Entry, Live, Part};
use crate::state::owner::Claim;
use crate::state::requests::Requests;
use crate::state::{GRACE, StateError, layout};

/// A segment is nearly dead when less than one in so many of its octets is of live entries.
const NEARLY_DEAD: u64 = 10;
/// Messages that one round writes anew, at most.
const REWRITES: usize = 1_000;
/// Octets that one round writes anew, at most, unless a single message has more.
const REWRITTEN_OCTETS: u64 = 64 << 20;
/// Octets after which what was read is written.
const WRITTEN_TOGETHER: u64 = 4 << 20;
/// Objects that one request deletes, at most.
const DELETED_TOGETHER: usize = 1_000;
/// Adopted folders that one round looks at, at most.
const FOLDERS: usize = 200;

/// Why a round stopped halfway.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum CompactionError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Owners(#[from] OwnersError),
    #[error(transparent)]
    Content(#[from] StateError),
    #[error(transparent)]
    Queue(#[from] Refusal),
}

/// What one round has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Objects deleted.
    pub deleted: usize,
    /// Messages written anew.
    pub rewritten: usize,
    /// Adopted folders in which nothing lives any more.
    pub ended: usize,
}

/// Compacts one log again and again; remembers which segments were nearly dead the last time.
#[derive(Debug, Default)]
pub struct Compaction {
    /// Adopted logs that are known to be closed.
    closed: BTreeSet<Incarnation>,
    nearly_dead: BTreeSet<(Incarnation, u64)>,
}

impl Compaction {
    /// One round, to be called every hour. Asks the store for nothing where there is nothing to be rid of.
    pub async fn round(&mut self, requests: &Requests, spool: &Spool) -> Result<Compacted, CompactionError> {
        let Some(Holdings { incarnation: log, live, store_now }) = spool.holdings().await? else {
            return Ok(Compacted::default());
        };
        let is_idle = live.entries.is_empty() && live.folders.is_empty();
        let Some(store_now) = store_now.filter(|_| !is_idle) else { return Ok(Compacted::default()) };
        let uses = Uses::of(&live);
        let mut sizes = BTreeMap::new();
        let before = UtcTime(store_now.0.saturating_sub(GRACE.as_millis() as u64));
        let mut compacted = Compacted {
            deleted: delete_unused(requests, log, &uses, before, &mut sizes).await?,
            ..Compacted::default()
        };
        let mut folders: Vec<Incarnation> = live.folders.iter().copied().collect();
        self.closed.retain(|log| live.folders.contains(log));
        let unclosed: Vec<_> = live.folders.difference(&self.closed).copied().collect();
        ownership::close_all(requests, &unclosed, log).await?;
        self.closed.extend(unclosed);
        // Those that can be given up at once first.
        folders.sort_by_key(|folder| uses.folders.contains(folder));
        for folder in folders.into_iter().take(FOLDERS) {
            if uses.folders.contains(&folder) {
                let listed = requests.list(&layout::log(folder), None).await?;
                sizes.extend(numbered(&listed).map(|(number, object)| ((folder, number), object.size)));
            } else if end(requests, folder).await? {
                spool.forget(log, folder).await?;
                compacted.ended += 1;
            }
        }
        let nearly_dead = uses.nearly_dead(&sizes);
        let still: Vec<_> = nearly_dead.intersection(&self.nearly_dead).copied().collect();
        self.nearly_dead = nearly_dead;
        compacted.rewritten = rewrite(requests, spool, log, &live, &uses, &still).await?;
        if compacted != Compacted::default() {
            let Compacted { deleted, rewritten, ended } = compacted;
            requests.journal().report(&Event::Compacted { incarnation: log, deleted, rewritten, ended });
        }
        Ok(compacted)
    }
}

/// Where the content of live entries lies.
#[derive(Debug, Default)]
struct Uses {
    /// Live octets in each segment, and whose they are.
    segments: BTreeMap<(Incarnation, u64), (u64, Vec<QueueId>)>,
    bodies: BTreeSet<(Incarnation, BodyId)>,
    folders: BTreeSet<Incarnation>,
}

impl Uses {
    fn of(live: &Live) -> Self {
        let mut uses = Self::default();
        for Entry { envelope, .. } in live.entries.iter() {
            let inline = match &envelope.content.body {
                Body::Inline(part) => Some(part),
                Body::Pieces(pieces) => {
                    uses.bodies.insert((pieces.inc, pieces.body));
                    uses.folders.insert(pieces.inc);
                    None
                }
            };
            for part in [&envelope.content.header].into_iter().chain(inline) {
                let (octets, ids) = uses.segments.entry((part.inc, part.seq)).or_default();
                *octets += part.extent.len;
                ids.push(envelope.id);
                uses.folders.insert(part.inc);
            }
        }
        uses
    }

    /// Those of the segments of known size that are nearly dead.
    fn nearly_dead(&self, sizes: &BTreeMap<(Incarnation, u64), u64>) -> BTreeSet<(Incarnation, u64)> {
        let is_nearly_dead = |segment: &(Incarnation, u64), octets: u64| {
            sizes.get(segment).is_some_and(|size| octets.saturating_mul(NEARLY_DEAD) < *size)
        };
        let segments = self.segments.iter();
        segments
            .filter(|(segment, (octets, _))| is_nearly_dead(segment, *octets))
            .map(|(at, _)| *at)
            .collect()
    }
}

fn numbered(listed: &[Listed]) -> impl Iterator<Item = (u64, &Listed)> {
    listed.iter().filter_map(|object| Some((layout::number(&object.key)?, object)))
}

/// Deletes what the open log has and needs no more. Gives how many objects, and the sizes of the segments that a checkpoint covers.
async fn delete_unused(
    requests: &Requests,
    log: Incarnation,
    uses: &Uses,
    before: UtcTime,
    sizes: &mut BTreeMap<(Incarnation, u64), u64>,
) -> Result<usize, StoreError> {
    let checkpoints = requests.list(&layout::checkpoints(log), None).await?;
    let covered = numbered(&checkpoints).map(|(number, _)| number).max().unwrap_or(0);
    let stood = numbered(&checkpoints).filter(|(_, object)| object.modified <= before);
    let stood = stood.map(|(number, _)| number).max().unwrap_or(0);
    let mut unused = Vec::new();
    if covered > 0 {
        let segments = requests.list(&layout::log(log), None).await?;
        for (number, object) in numbered(&segments).filter(|(number, _)| *number < covered) {
            if number < stood && !uses.segments.contains_key(&(log, number)) {
                unused.push(object.key.clone());
            } else {
                sizes.insert((log, number), object.size);
            }
        }
    }
    // Checkpoints after the segments that only they cover.
    unused.extend(
        numbered(&checkpoints).filter(|(number, _)| *number < stood).map(|(_, object)| object.key.clone()),
    );
    let bodies = requests.list(&layout::spool_bodies(log), None).await?;
    unused.extend(unused_bodies(log, &bodies, uses, before));
    for keys in unused.chunks(DELETED_TOGETHER) {
        requests.delete(keys).await?;
    }
    Ok(unused.len())
}

/// Keys of large bodies that no live entry names and nobody is writing any more.
fn unused_bodies(log: Incarnation, listed: &[Listed], uses: &Uses, before: UtcTime) -> Vec<String> {
    let body_of = |object: &Listed| layout::parse_spool_body(&object.key);
    let mut written = BTreeMap::<BodyId, UtcTime>::new();
    for object in listed {
        if let Some(body) = body_of(object) {
            let latest = written.entry(body).or_insert(object.modified);
            *latest = object.modified.max(*latest);
        }
    }
    let is_unused = |body: BodyId| {
        !uses.bodies.contains(&(log, body)) && written.get(&body).is_some_and(|at| *at <= before)
    };
    listed.iter().filter(|object| body_of(object).is_some_and(is_unused)).map(|o| o.key.clone()).collect()
}

/// Says in the chain of owners of an adopted folder that nothing lives in it; whether that stands, or the folder has gone.
async fn end(requests: &Requests, folder: Incarnation) -> Result<bool, OwnersError> {
    let owners = ownership::read(requests, folder).await?;
    match owners.last_key_value() {
        None => Ok(true),
        Some((_, last)) if last.claim == Claim::Ended => Ok(true),
        Some((epoch, last)) if last.claim == Claim::Closed => {
            Ok(link(requests, folder, epoch + 1, Link::new(Claim::Ended)).await?)
        }
        // Its adoption is not complete yet.
        Some(_) => Ok(false),
    }
}

/// Writes what lives in these segments anew. Gives how many messages.
async fn rewrite(
    requests: &Requests,
    spool: &Spool,
    log: Incarnation,
    live: &Live,
    uses: &Uses,
    segments: &[(Incarnation, u64)],
) -> Result<usize, CompactionError> {
    let of_segments = segments.iter().filter_map(|segment| uses.segments.get(segment));
    let ids: BTreeSet<QueueId> = of_segments.flat_map(|(_, ids)| ids).copied().collect();
    let (mut written, mut octets, mut read) = (0, 0, Vec::new());
    let mut read_octets = 0;
    for entry in ids.into_iter().filter_map(|id| live.entries.get(id)).take(REWRITES) {
        if octets >= REWRITTEN_OCTETS {
            break;
        }
        let (rewritten, len) = read_content(requests, &entry).await?;
        read.push(rewritten);
        octets += len;
        read_octets += len;
        if read_octets >= WRITTEN_TOGETHER {
            written += write(spool, log, &mut read).await?;
            read_octets = 0;
        }
    }
    Ok(written + write(spool, log, &mut read).await?)
}

/// What of a message lies in segments, and how many octets that is.
async fn read_content(requests: &Requests, entry: &Entry) -> Result<(Rewritten, u64), StateError> {
    let Content { header, body } = &entry.envelope.content;
    let read =
        async |part: &Part| read_part(requests, &layout::segment(part.inc, part.seq), &part.extent).await;
    let header_octets = read(header).await?;
    let (body, body_len) = match body {
        Body::Inline(part) => (Some((read(part).await?, part.extent.crc)), part.extent.len),
        Body::Pieces(_) => (None, 0),
    };
    let len = header.extent.len + body_len;
    Ok((Rewritten { id: entry.envelope.id, header: (header_octets, header.extent.crc), body }, len))
}

/// Writes what was read, together. Gives how many messages.
async fn write(spool: &Spool, log: Incarnation, read: &mut Vec<Rewritten>) -> Result<usize, Refusal> {
    let written = read.len();
    try_join_all(read.drain(..).map(|rewritten| spool.rewrite(log, rewritten))).await?;
    Ok(written)
}
