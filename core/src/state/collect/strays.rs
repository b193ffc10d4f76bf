//! Collection of what belongs to no account, domain or log: traces of tests of the store, old verdicts on it, marks of sweeps, what went into
//! reports that are long sent, and the ownership chains of objects in `pickup/` that have been sent.
//!
//! None of it is needed by anything that is kept. What a running test of the store has written is younger than the grace. The chain of
//! a pickup says who may send it, and that it was sent, for as long as the object itself is there: it goes when
//! that has gone, after two days in which nobody added to it. A name that is in use again has a chain of its own.

use std::time::Duration;

use serde::Deserialize;

use super::{Clearing, GRACE, Halt, read_head};
use crate::model::{Event, UtcTime};
use crate::platform::Listed;
use crate::state::layout;
use crate::state::probe;
use crate::state::reports;
use crate::state::sweep_mark;

/// How long after its last link the chain of a pickup stays.
const PICKUP_GRACE: Duration = Duration::from_hours(48);

/// What is asked of the link of a pickup's chain.
#[derive(Deserialize)]
struct PickupLink {
    /// Of the object in `pickup/`.
    key: String,
}

/// Deletes what may go.
pub async fn collect(clearing: &mut Clearing<'_>, now: UtcTime) -> Result<(), Halt> {
    for root in [layout::CHECKS, layout::PROBES, layout::SWEEPS, layout::REPORTS] {
        let mut doomed = Vec::new();
        let mut walk = clearing.walk(root);
        while let Some(object) = walk.next().await? {
            clearing.tally.objects += 1;
            if is_stray(&object, now) {
                doomed.push((object.key, object.size));
            }
        }
        clearing.delete(doomed).await?;
    }
    Ok(())
}

/// Deletes the chains of pickups that are gone.
pub async fn collect_pickups(clearing: &mut Clearing<'_>, now: UtcTime) -> Result<(), Halt> {
    let mut walk = clearing.walk(layout::PICKUP_CHAINS);
    let mut chain: Vec<Listed> = Vec::new();
    loop {
        let next = walk.next().await?;
        let is_same = match (&next, chain.last()) {
            (Some(next), Some(last)) => pickup(&next.key) == pickup(&last.key),
            _ => next.is_some(),
        };
        if !is_same && is_pickup_over(clearing, &chain, now).await? {
            clearing.delete(chain.iter().map(|link| (link.key.clone(), link.size)).collect()).await?;
        }
        if !is_same {
            chain.clear();
        }
        let Some(next) = next else { return Ok(()) };
        clearing.tally.objects += 1;
        chain.push(next);
    }
}

/// The folder of the chain that a link belongs to.
fn pickup(key: &str) -> Option<&str> {
    layout::folder(layout::SPOOL, key)
}

/// Whether nobody has added to a chain for long enough, and its pickup is gone.
pub async fn is_pickup_over(clearing: &Clearing<'_>, chain: &[Listed], now: UtcTime) -> Result<bool, Halt> {
    let Some(last) = chain.iter().max_by_key(|link| &link.key) else { return Ok(false) };
    if chain.iter().any(|link| now.since(link.modified) < PICKUP_GRACE) {
        return Ok(false);
    }
    match read_head::<PickupLink>(clearing.requests, last).await? {
        None => Ok(false),
        Some(Ok(link)) => Ok(clearing.requests.head(&link.key).await?.is_none()),
        Some(Err(error)) => {
            let (key, reason) = (last.key.clone(), error.to_string());
            clearing.requests.journal().report(&Event::ObjectDamaged { key, reason });
            Ok(false)
        }
    }
}

/// Whether an object below one of these folders may go.
pub fn is_stray(object: &Listed, now: UtcTime) -> bool {
    let age = now.since(object.modified);
    match &object.key {
        key if key.starts_with(layout::CHECKS) => age >= GRACE,
        // A verdict that stands is younger, whichever clock it is measured by.
        key if key.starts_with(layout::PROBES) => age >= probe::KEPT + GRACE,
        key if key.starts_with(layout::SWEEPS) => age >= sweep_mark::KEPT,
        key if key.starts_with(layout::DMARC_REPORTS) => age >= reports::KEPT,
        key if key.starts_with(layout::RECEIVED_REPORTS) => age >= reports::RECEIVED_KEPT,
        _ => false,
    }
}
