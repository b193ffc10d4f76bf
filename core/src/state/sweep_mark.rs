//! `gc/<day>`: that somebody collects garbage on this day, and what came of it.
//!
//! Whoever creates it sweeps; once done, it alone writes it again, with what it has found.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::frame::{self, Data, Encoded};
use super::layout;
use super::requests::Requests;
use crate::model::{Event, Nonce, UtcTime};
use crate::platform::StoreError;

/// One day.
pub const DAY: Duration = Duration::from_hours(24);
/// How long marks stay.
pub const KEPT: Duration = Duration::from_hours(9 * 24);

/// A day on which somebody sweeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepMark {
    /// Whose object this is.
    pub nonce: Nonce,
    /// The day, as in the key.
    pub day: u64,
    /// When it began, by its sweeper's clock.
    pub at: UtcTime,
    /// What it did, once it came to its end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub done: Option<Done>,
}

/// What a sweep did that came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Objects listed.
    pub objects: u64,
    /// Objects deleted.
    pub deleted: u64,
    /// Octets in them.
    pub octets: u64,
}

impl SweepMark {
    /// The object.
    pub fn encode(&self) -> Encoded {
        frame::encode(self, Data::default())
    }
}

/// The day of a time: the first begins with 1970.
pub fn day(of: UtcTime) -> u64 {
    of.0 / DAY.as_millis() as u64
}

/// Whether a sweep that began within so many days before this day came to its end.
pub async fn was_done_within(requests: &Requests, days: u64, before: u64) -> Result<bool, StoreError> {
    let listed = requests.list(layout::SWEEPS, None).await?;
    let marks = listed.iter().filter_map(|object| Some((layout::number(&object.key)?, &object.key)));
    for (_, key) in marks.filter(|(day, _)| *day < before && before - *day <= days) {
        let Some(object) = requests.find(key).await? else { continue };
        match frame::decode::<SweepMark>(&object.bytes) {
            Ok(frame) if frame.header.done.is_some() => return Ok(true),
            Ok(_) => {}
            Err(error) => {
                let reason = error.to_string();
                requests.journal().report(&Event::ObjectDamaged { key: key.clone(), reason });
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_decodes_to_what_was_encoded() {
        let nonce = Nonce::draw(UtcTime(5), [1; 10]);
        for done in [None, Some(Done { objects: 3, deleted: 2, octets: 1 })] {
            let mark = SweepMark { nonce, day: 20_779, at: UtcTime(7), done };
            let octets = mark.encode().payload.to_bytes();
            assert_eq!(frame::decode::<SweepMark>(&octets).unwrap().header, mark);
        }
    }

    #[test]
    fn a_day_ends_when_the_next_begins() {
        assert_eq!((day(UtcTime(86_399_999)), day(UtcTime(86_400_000))), (0, 1));
    }
}
