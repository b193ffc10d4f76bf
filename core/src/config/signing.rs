//! How signatures are made.

use std::time::Duration;

/// The settings of signatures.
#[derive(Clone, Copy, Debug, Default)]
pub struct SigningSettings {
    /// How long they hold (RFC 6376 §3.5, `x=`); for ever where there is nothing. Mail that waits longer at some host fails there.
    pub validity: Option<Duration>,
}
