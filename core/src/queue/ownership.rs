//! A log's chain of owners, read and added to.

use std::collections::BTreeMap;

use futures::future::try_join_all;

use crate::model::{Incarnation, Nonce};
use crate::platform::StoreError;
use crate::state::frame::{self, FrameError};
use crate::state::layout;
use crate::state::owner::{Claim, Owner};
use crate::state::requests::{Created, Requests};

/// Links by epoch.
pub(super) type Owners = BTreeMap<u64, Owner>;

/// Why a chain of owners could not be read.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum OwnersError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could name anybody, also one who has written an Adopt.
    #[error("{0}: {1}")]
    Unreadable(String, FrameError),
}

/// What a new link is to say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    claim: Claim,
    into: Option<Incarnation>,
}

impl Link {
    pub(super) fn new(claim: Claim) -> Self {
        Self { claim, into: None }
    }

    /// The log's entries live in `into`, or did.
    pub(super) fn closed(into: Incarnation) -> Self {
        Self { claim: Claim::Closed, into: Some(into) }
    }
}

/// Reads the whole chain.
pub(super) async fn read(requests: &Requests, log: Incarnation) -> Result<Owners, OwnersError> {
    let mut owners = Owners::new();
    for object in requests.list(&layout::owners(log), None).await? {
        let Some(epoch) = layout::number(&object.key) else { continue };
        let octets = requests.get(&object.key, None).await?.bytes;
        match frame::decode::<Owner>(&octets) {
            Ok(frame) => owners.insert(epoch, frame.header),
            Err(error) => return Err(OwnersError::Unreadable(object.key, error)),
        };
    }
    Ok(owners)
}

/// Creates a link; false where another node was faster.
pub(super) async fn link(
    requests: &Requests,
    of: Incarnation,
    epoch: u64,
    link: Link,
) -> Result<bool, StoreError> {
    let (at, entropy) = requests.platform().draw();
    let nonce = Nonce::draw(at, entropy);
    let Link { claim, into } = link;
    let object = Owner { nonce, of, at, claim, into }.encode();
    let created = requests.create(&layout::owner(of, epoch), &object.payload, nonce).await?;
    Ok(matches!(created, Created::Ours))
}

/// Times that closing a chain is tried against others who add to it.
const CLOSES: usize = 5;

/// Chains that are closed at a time.
const CLOSED_TOGETHER: usize = 16;

/// Closes the chain of a log whose entries live in `into`, or did, and then removes its signs of life.
pub(super) async fn close(
    requests: &Requests,
    log: Incarnation,
    into: Incarnation,
) -> Result<(), OwnersError> {
    for _ in 0..CLOSES {
        let owners = read(requests, log).await?;
        let last = owners.last_key_value();
        let next = last.map_or(0, |(epoch, _)| *epoch) + 1;
        // Whoever adopts has claimed: a chain that is not there any more has been closed and collected.
        if last.is_none_or(|(_, owner)| owner.claim.is_closing())
            || link(requests, log, next, Link::closed(into)).await?
        {
            return Ok(forget_live(requests, log).await?);
        }
    }
    Err(StoreError::Unavailable(format!("{log}: others keep adding to its chain of owners")).into())
}

/// Closes the chains of logs whose entries live in `into`, or did.
pub(super) async fn close_all(
    requests: &Requests,
    logs: &[Incarnation],
    into: Incarnation,
) -> Result<(), OwnersError> {
    for logs in logs.chunks(CLOSED_TOGETHER) {
        try_join_all(logs.iter().map(|log| close(requests, *log, into))).await?;
    }
    Ok(())
}

/// Removes a log's signs of life.
pub(super) async fn forget_live(requests: &Requests, log: Incarnation) -> Result<(), StoreError> {
    requests.delete(&[layout::beat(log), layout::free(log)]).await
}
