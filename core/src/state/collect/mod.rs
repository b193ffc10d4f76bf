//! Collection of garbage (rank 4): which objects nothing will ever need again, and how they go.
//!
//! Deleting anything reachable loses mail, so that each rule is argued where it stands: chains in `chain`, logs in `spool`, the rest in
//! `strays`. What they have in common:
//!
//! - **One clock.** Ages are differences of dates that the store gave, against the store's *now*: the date of an object written just before.
//!   No node's clock is compared with them. A copy must be dated by when it was made; every store sees to that.
//! - **Grace.** Nothing goes that became unnecessary less than [`GRACE`] ago: sessions read on, and nodes that know only an old state have
//!   lost their rights by then, which last an hour.
//! - **A deletion may come late.** Whoever deletes may have been suspended since it looked. So what is deleted is only ever what cannot
//!   become necessary again, whatever others do meanwhile: numbers are never used twice, identities never drawn twice, and a
//!   body that no commit names is barred from being named before it goes.
//! - **A deletion may come in part.** What is deleted together does not need one another, so that any part of it may stay behind, to be
//!   deleted by the next sweep.
//! - **Twice.** Two may collect at once: each decides by itself on what cannot become necessary again.

pub mod chain;
mod clearing;
mod held;
pub mod spool;
pub mod strays;

use std::time::Duration;

use serde::de::DeserializeOwned;

pub use clearing::{Clearing, Halt, Pace, Tally, Walk};
pub use held::{Held, Holding};

use super::frame::{self, FrameError};
use super::requests::Requests;
use crate::model::UtcTime;
use crate::platform::{Listed, StoreError};

/// Octets in which most headers end.
const HEAD_OCTETS: u64 = 64 << 10;

pub use super::GRACE;
/// How long after the upload of a body began a commit may be decided on that names it.
pub const NAMING_RIGHT: Duration = Duration::from_hours(1);

/// A numbered object, without its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Numbered {
    /// As in its key.
    pub number: u64,
    /// Octets.
    pub size: u64,
    /// When it was written, by the store's clock.
    pub modified: UtcTime,
}

impl Numbered {
    /// A listed object of this number.
    pub fn new(number: u64, listed: &Listed) -> Self {
        Self { number, size: listed.size, modified: listed.modified }
    }
}

/// What is to become of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Something needs it.
    Needed,
    /// Nothing needs it, and it goes when the grace is over. Says why.
    Later(&'static str),
    /// Nothing needs it and it may go. Says why.
    Now(&'static str),
}

/// Whether the grace of what was written then is over.
pub fn is_aged(modified: UtcTime, now: UtcTime) -> bool {
    now.since(modified) >= GRACE
}

/// Reads the header of an object, without its data where it has much. Nothing where the object has gone since it was listed.
pub async fn read_head<H: DeserializeOwned>(
    requests: &Requests,
    object: &Listed,
) -> Result<Option<Result<H, FrameError>>, StoreError> {
    let mut decoded = Err(FrameError::Damaged("it is empty".to_owned()));
    for octets in [object.size.min(HEAD_OCTETS), object.size] {
        if octets == 0 || decoded.is_ok() {
            break;
        }
        decoded = match requests.get(&object.key, Some(0..octets)).await {
            Ok(found) => frame::decode::<H>(&found.bytes).map(|frame| frame.header),
            Err(StoreError::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        if octets == object.size {
            break;
        }
    }
    Ok(Some(decoded))
}
