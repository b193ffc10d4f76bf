//! The chain of claims on an object, and what became of claims whose owners are gone.

use futures::stream::{self, StreamExt};

use crate::model::{Incarnation, Nonce, QueueId, UtcTime};
use crate::platform::{Listed, StoreError};
use crate::state::frame::{self, FrameError};
use crate::state::layout;
use crate::state::log::{Record, Segment};
use crate::state::owner::Owner;
use crate::state::pickup::{Link, PickupClaim, PickupHash};
use crate::state::requests::{Created, Requests};
use std::time::Duration;

/// Segments of an owner's log that are read at a time.
const READ_AHEAD: usize = 4;
/// By how much the store's own clocks may differ: an owner's segments that are older than its claim by more do not hold the message.
const STORE_SKEW: Duration = Duration::from_mins(5);

/// The end of a chain.
#[derive(Debug)]
pub(super) struct End {
    /// 0 where there is no link.
    pub(super) epoch: u64,
    /// None where there is no link.
    pub(super) claim: Option<PickupClaim>,
    /// When it was written, by the store's clock.
    pub(super) written: UtcTime,
}

/// Why the end of a chain cannot be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChainError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could be anybody's claim.
    #[error("{0}: {1}")]
    Unreadable(String, FrameError),
}

/// Reads the end of a chain. Only the last link counts: who made it had made sure that none of those before it can be acted on any more.
pub(super) async fn end(requests: &Requests, hash: &PickupHash) -> Result<End, ChainError> {
    let listed = requests.list(&hash.chain(), None).await?;
    let numbered = listed.iter().filter_map(|object| Some((layout::number(&object.key)?, object)));
    let Some((epoch, last)) = numbered.max_by_key(|(epoch, _)| *epoch) else {
        return Ok(End { epoch: 0, claim: None, written: UtcTime(0) });
    };
    let octets = requests.get(&last.key, None).await?.bytes;
    let link = frame::decode::<Link>(&octets)
        .map_err(|error| ChainError::Unreadable(last.key.clone(), error))?
        .header;
    Ok(End { epoch, claim: Some(link.claim), written: last.modified })
}

/// Creates a link; false where somebody else was faster.
pub(super) async fn link(
    requests: &Requests,
    of: &Listed,
    epoch: u64,
    claim: PickupClaim,
) -> Result<bool, StoreError> {
    let (at, entropy) = requests.platform().draw();
    let nonce = Nonce::draw(at, entropy);
    let object = Link { nonce, key: of.key.clone(), at, claim }.encode();
    let key = PickupHash::of(of).link(epoch);
    Ok(matches!(requests.create(&key, &object.payload, nonce).await?, Created::Ours))
}

/// What is known of an owner's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It holds the message.
    Accepted,
    /// It does not, and never will.
    Never,
    /// It may still come to hold it.
    Open,
}

/// What became of a claim that was written at `claimed`, by the store's clock. `is_ours` where the owner is, or was, an incarnation of
/// this node, which looks into its own log though it goes on.
pub(super) async fn fate(
    requests: &Requests,
    owner: Incarnation,
    claimed: UtcTime,
    id: QueueId,
    is_ours: bool,
) -> Result<Fate, StoreError> {
    // Asked before the log is read: what is complete then stays so.
    let may_grow = may_grow(requests, owner).await?;
    if may_grow && !is_ours {
        return Ok(Fate::Open);
    }
    Ok(match (holds(requests, owner, claimed, id).await?, may_grow) {
        (Some(true), _) => Fate::Accepted,
        (Some(false), false) => Fate::Never,
        (Some(false), true) | (None, _) => Fate::Open,
    })
}

/// Whether a log may still be written: not where it was released or closed, by its writer or by whoever adopted and sealed it. A log of
/// which nothing at all is left has been closed for a day.
async fn may_grow(requests: &Requests, log: Incarnation) -> Result<bool, StoreError> {
    if requests.find(&layout::beat(log)).await?.is_some() {
        return Ok(true);
    }
    if requests.find(&layout::free(log)).await?.is_some() {
        return Ok(false);
    }
    let owners = requests.list(&layout::owners(log), None).await?;
    let Some(last) = owners.iter().max_by_key(|object| layout::number(&object.key)) else {
        return Ok(!requests.list(&layout::log(log), None).await?.is_empty());
    };
    let Some(object) = requests.find(&last.key).await? else { return Ok(true) };
    Ok(!frame::decode::<Owner>(&object.bytes).is_ok_and(|frame| frame.header.claim.is_closing()))
}

/// Whether the segments of a log since then hold the message, delivered or not; none where one is of a version that this program does not
/// know. A damaged one holds nothing that is in the queue.
async fn holds(
    requests: &Requests,
    log: Incarnation,
    since: UtcTime,
    id: QueueId,
) -> Result<Option<bool>, StoreError> {
    let listed = requests.list(&layout::log(log), None).await?;
    let recent = listed.into_iter().filter(|object| object.modified.after(STORE_SKEW) >= since);
    let mut segments = stream::iter(recent.map(|object| async move { requests.find(&object.key).await }))
        .buffered(READ_AHEAD);
    let mut is_known = true;
    while let Some(found) = segments.next().await {
        let Some(object) = found? else { continue };
        match Segment::decode(&object.bytes) {
            Ok(segment) if accepts(&segment, id) => return Ok(Some(true)),
            Ok(_) | Err(FrameError::Damaged(_)) => {}
            Err(FrameError::Version { .. }) => is_known = false,
        }
    }
    Ok(is_known.then_some(false))
}

fn accepts(segment: &Segment, id: QueueId) -> bool {
    segment.records.iter().any(|record| matches!(record, Record::Accept(entry) if entry.envelope.id == id))
}
