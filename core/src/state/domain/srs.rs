//! Secrets by which a domain knows the reverse-paths again that it has rewritten for forwarded mail (`authn::srs`).
//!
//! They stand in the domain's chain, because all nodes must share them and all nodes read it anyway. Whichever node first forwards mail for the
//! domain appends one, and so does one that finds that the last has signed for [`SIGNING_TIME`]; nobody has to ask for either.
//!
//! **Races.** Two nodes that need one at once both draw one; the chain lets one of them have the number, and the other decides anew, finds
//! that there is a secret, and takes that. A node signs only with what it has read in the chain, never with what it has merely drawn.
//!
//! **Crashes.** The secret is one commit: it is there or it is not. A node that dies before nobody has signed with it; one that dies after leaves
//! it to the others. A commit whose answer was lost is found by its nonce, as in every chain.
//!
//! **Late readers.** A node reads the chain some seconds late. With a secret that was replaced meanwhile it may still sign, since that vouches for the
//! day of its end; and before it refuses an address as forged, it reads to the chain's tip, so that it never misses a new secret.
//!
//! A secret is dropped when [`SECRETS`] newer ones have come. By age alone nothing that it signed is good any more by then; an operator may have it
//! so at once, by as many orders, where a secret has leaked.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::model::UtcTime;
use crate::platform::Entropy;

/// How long one secret signs.
pub const SIGNING_TIME: Duration = Duration::from_hours(90 * 24);
/// Secrets that are kept: the one that signs, and those before it.
pub const SECRETS: usize = 3;

/// Octets of chance in one.
const DRAWN: usize = 32;

/// One secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SrsSecret {
    /// Since when it signs; until then the one before it did.
    pub created: UtcTime,
    /// The secret.
    pub secret: SecretText,
}

/// Text that nobody can guess. It does not show in `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// Wraps it.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// A new one, by chance alone.
    pub fn draw(entropy: &dyn Entropy) -> Self {
        let mut octets = [0; DRAWN];
        entropy.fill(&mut octets);
        Self(STANDARD.encode(octets))
    }

    /// The text itself, for whoever signs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
