//! All sections, and all settings in them.

use super::keys::{self, Key};
use super::{auth, dmarc_reports, door, forwarding, signing, verification};

/// Sections in the order in which they are shown.
pub(super) const SECTIONS: [&str; 18] = [
    "",
    "store",
    "dns",
    "relay",
    "queue",
    "smtp",
    "pop3",
    "auth",
    "tls",
    "policy",
    "limits",
    "replies",
    "verification",
    "signing",
    "forwarding",
    "dmarc_reports",
    "shutdown",
    "log",
];

/// All settings.
pub(super) fn keys() -> impl Iterator<Item = &'static Key> {
    let keys = keys::KEYS.iter().chain(auth::KEYS).chain(door::KEYS).chain(verification::KEYS);
    keys.chain(signing::KEYS).chain(forwarding::KEYS).chain(dmarc_reports::KEYS)
}
