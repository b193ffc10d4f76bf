//! How signatures are made: `[signing]`.

use std::time::Duration;

use super::keys::{Key, put, string};
use super::value::{duration, show_duration};

/// What a message may be expected to wait on its way at least, and what nobody needs more than.
const VALIDITY: std::ops::RangeInclusive<Duration> = Duration::from_hours(1)..=Duration::from_hours(365 * 24);

/// The settings of this section.
pub(super) const KEYS: &[Key] = &[Key {
    section: "signing",
    name: "validity",
    set: |s, w| put(&mut s.engine.signing.validity, duration(w, VALIDITY).map(Some)),
    show: |s| string(s.engine.signing.validity.map(show_duration)?),
}];
