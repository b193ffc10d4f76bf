//! Reading a whole log: the latest checkpoint, then every segment after it.
//!
//! Reading alone (`queue list`) never writes. Whoever adopts the log brings a [`Seal`]: the first missing number is sealed, and the next
//! `WINDOW - 1` numbers are sealed or read as well, because the writer may have had that many under way. A number that
//! turns out to be taken by the writer after all is no hole, and the search goes on behind it.

use std::collections::BTreeMap;

use futures::future::FutureExt;
use futures::stream::{self, StreamExt};

use super::{Checkpoint, Live, Record, Segment, WINDOW};
use crate::model::{Event, Incarnation, Nonce};
use crate::platform::StoreError;
use crate::state::frame::{Data, FrameError};
use crate::state::layout;
use crate::state::requests::{Created, Requests};

/// Segments fetched at a time: a thousand of them in two seconds from a store that answers in 50 ms.
const READ_AHEAD: usize = 32;
/// Octets of a segment that are read at first: the records of some hundred messages. Their content is not needed.
const HEAD_OCTETS: u64 = 256 << 10;

/// By whose right a log is sealed while it is read.
#[derive(Clone, Copy, Debug)]
pub struct Seal {
    /// The adopter.
    pub by: Incarnation,
    /// Its link in the log's chain of owners.
    pub epoch: u64,
}

/// What a log holds.
#[derive(Clone, Debug)]
pub struct Scanned {
    /// Its live entries.
    pub live: Live,
    /// The number that the checkpoint covers up to, with which the reading began; 0 without one.
    pub from: u64,
    /// The first number without a segment, or the one after the writer's closing record.
    pub end: u64,
}

/// Why a log could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ScanError {
    /// The store could not be asked. To be tried again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A segment was listed and then gone: the log was compacted meanwhile. To be read again from the start.
    #[error("{0} was compacted meanwhile")]
    Moved(String),
    /// Written by a newer version, which must be left to finish with it.
    #[error("{key}: {error}")]
    Newer {
        /// The object.
        key: String,
        /// What it says.
        error: FrameError,
    },
}

/// What was found at a number.
enum Found {
    Segment(Segment),
    /// Nothing, or a seal, which counts as nothing.
    Hole,
    Damaged(String),
}

impl Found {
    /// Applies what was found; false where it is a hole.
    fn take(self, live: &mut Live) -> bool {
        match self {
            Self::Segment(segment) => segment.records.iter().for_each(|record| live.apply(record)),
            Self::Hole => return false,
            Self::Damaged(key) => {
                live.damaged.insert(key);
            }
        }
        true
    }
}

/// Reads a log. Objects in it that are damaged are reported, listed in [`Live::damaged`], and passed over. So is a segment that is
/// missing though others stand further on than the writer could have come without it.
pub async fn read_log(
    requests: &Requests,
    log: Incarnation,
    seal: Option<Seal>,
) -> Result<Scanned, ScanError> {
    let (mut live, from) = latest_checkpoint(requests, log).await?;
    let after = from.checked_sub(1).map(|covered| layout::segment(log, covered));
    let listed = requests.list(&layout::log(log), after.as_deref()).await?;
    let sizes = listed.iter().filter_map(|object| Some((layout::number(&object.key)?, object.size)));
    let sizes: BTreeMap<u64, u64> = sizes.filter(|(number, _)| *number >= from).collect();
    let reads = sizes.iter().map(|(number, size)| read_segment(requests, log, *number, Some(*size)).boxed());
    let mut ahead = stream::iter(reads.collect::<Vec<_>>()).buffered(READ_AHEAD);

    let mut number = from;
    let mut hole = None;
    while hole.is_none_or(|hole| number < hole + WINDOW) {
        let listed = if sizes.contains_key(&number) { ahead.next().await } else { None };
        let found = match (listed, seal) {
            (Some(found), _) => found?,
            (None, Some(seal)) => seal_or_read(requests, log, number, seal).await?,
            (None, None) => Found::Hole,
        };
        if !found.take(&mut live) {
            hole = hole.or(Some(number));
        }
        number += 1;
        // The writer closes only what it knows to be complete, and writes nothing after that.
        if live.closed && hole.is_none() {
            break;
        }
    }
    let Some(hole) = hole else { return Ok(Scanned { live, from, end: number }) };
    while let Some(found) = ahead.next().await {
        let key = layout::segment(log, hole);
        if found?.take(&mut live) && live.damaged.insert(key.clone()) {
            let reason = "it is missing, though later segments are there".to_owned();
            requests.journal().report(&Event::ObjectDamaged { key, reason });
        }
    }
    Ok(Scanned { live, from, end: hole })
}

/// Creates a seal at a number, or reads what the writer has put there before.
async fn seal_or_read(
    requests: &Requests,
    log: Incarnation,
    number: u64,
    seal: Seal,
) -> Result<Found, ScanError> {
    let (now, entropy) = requests.platform().draw();
    let nonce = Nonce::draw(now, entropy);
    let records = vec![Record::Seal { by: seal.by, epoch: seal.epoch }];
    let object = Segment { inc: log, seq: number, nonce, at: now, records }.encode(Data::default());
    match requests.create(&layout::segment(log, number), &object.payload, nonce).await? {
        Created::Ours => Ok(Found::Hole),
        Created::Foreign => read_segment(requests, log, number, None).await,
    }
}

/// Reads a segment, of which a listing may have told the size, by one request or two.
async fn read_segment(
    requests: &Requests,
    log: Incarnation,
    number: u64,
    size: Option<u64>,
) -> Result<Found, ScanError> {
    let key = layout::segment(log, number);
    let failed = |error| match error {
        StoreError::NotFound => ScanError::Moved(key.clone()),
        error => error.into(),
    };
    let is_small = size.is_some_and(|size| size <= HEAD_OCTETS);
    let head = requests.get(&key, (!is_small).then_some(0..HEAD_OCTETS)).await.map_err(failed)?;
    let have = head.bytes.len() as u64;
    let segment = match Segment::decode(&head.bytes) {
        Err(FrameError::Damaged(_)) if have < head.size => {
            let rest = requests.get(&key, Some(have..head.size)).await.map_err(failed)?;
            Segment::decode(&[head.bytes, rest.bytes].concat())
        }
        segment => segment,
    };
    let reason = match segment {
        Ok(segment) if segment.inc != log || segment.seq != number => {
            format!("it says that it is number {} of {}", segment.seq, segment.inc)
        }
        Ok(segment) if matches!(segment.records[..], [Record::Seal { .. }]) => return Ok(Found::Hole),
        Ok(segment) => return Ok(Found::Segment(segment)),
        Err(error @ FrameError::Version { .. }) => return Err(ScanError::Newer { key, error }),
        Err(error) => error.to_string(),
    };
    requests.journal().report(&Event::ObjectDamaged { key: key.clone(), reason });
    Ok(Found::Damaged(key))
}

/// The state that the latest readable checkpoint holds, and the number that it covers up to. What an older one covers
/// stays for a day, so falling back on it is safe for so long.
async fn latest_checkpoint(requests: &Requests, log: Incarnation) -> Result<(Live, u64), ScanError> {
    let mut listed = requests.list(&layout::checkpoints(log), None).await?;
    listed.sort_by(|a, b| b.key.cmp(&a.key));
    for object in listed {
        // A request that names the octets is given time for them.
        let whole = (object.size > 0).then_some(0..object.size);
        let octets = requests.get(&object.key, whole).await?.bytes;
        let reason = match Checkpoint::decode(&octets) {
            Ok(checkpoint) if checkpoint.inc == log => return Ok((checkpoint.live, checkpoint.covers)),
            Ok(checkpoint) => format!("it says that it belongs to {}", checkpoint.inc),
            Err(error @ FrameError::Version { .. }) => {
                return Err(ScanError::Newer { key: object.key, error });
            }
            Err(error) => error.to_string(),
        };
        requests.journal().report(&Event::ObjectDamaged { key: object.key, reason });
    }
    Ok((Live::default(), 0))
}
