//! `spool/pickup/<hash>/<epoch>`: who has taken an object of `pickup/`. Create-only; the last one counts.

use std::fmt;

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use serde::{Deserialize, Serialize};

use super::frame::{self, Data, Encoded};
use super::layout;
use crate::model::id::ENTROPY_OCTETS;
use crate::model::{Incarnation, Nonce, QueueId, UtcTime};
use crate::platform::Listed;

/// Names what lies under a key at a time: another object under the same key has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PickupHash([u8; SHA256_OUTPUT_LEN]);

impl PickupHash {
    /// Of an object as it was listed. All nodes see the same.
    pub fn of(listed: &Listed) -> Self {
        // Neither a key nor an ETag holds a NUL.
        let named = format!("{}\0{}\0{}", listed.key, listed.etag, listed.modified.0);
        let mut hash = [0; SHA256_OUTPUT_LEN];
        hash.copy_from_slice(digest(&SHA256, named.as_bytes()).as_ref());
        Self(hash)
    }

    /// The queue id under which whoever takes the object accepts it. `modified` is when the object was written.
    pub fn queue_id(&self, modified: UtcTime) -> QueueId {
        let mut entropy = [0; ENTROPY_OCTETS];
        entropy.copy_from_slice(&self.0[..ENTROPY_OCTETS]);
        QueueId::draw(modified, entropy)
    }

    /// The folder of the claims on the object, with its final `/`.
    pub fn chain(&self) -> String {
        format!("{}{self}/", layout::PICKUP_CHAINS)
    }

    /// The key of one claim.
    pub fn link(&self, epoch: u64) -> String {
        layout::numbered(&self.chain(), epoch)
    }
}

impl fmt::Display for PickupHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&layout::hex(&self.0))
    }
}

/// One link in the chain of claims on an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Whose link this is.
    pub nonce: Nonce,
    /// The object's key.
    pub key: String,
    /// When it was made, by its maker's clock.
    pub at: UtcTime,
    /// What it says.
    pub claim: PickupClaim,
}

/// What a link says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PickupClaim {
    /// Only the log of this incarnation may accept the object.
    By(Incarnation),
    /// The last owner has not accepted it and will not; it is anybody's.
    GivenUp,
    /// It will never be sent, for this reason.
    Refused(String),
    /// It was accepted as this message, and could not be removed.
    Accepted(QueueId),
}

impl Link {
    /// The object.
    pub fn encode(&self) -> Encoded {
        frame::encode(self, Data::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(key: &str, etag: &str, modified: u64) -> Listed {
        Listed { key: key.into(), size: 1, etag: etag.into(), modified: UtcTime(modified) }
    }

    #[test]
    fn whatever_differs_in_key_etag_or_time_has_another_hash_and_another_queue_id() {
        let objects = [("pickup/a.eml", "e", 1), ("pickup/b.eml", "e", 1), ("pickup/a.eml", "f", 1)];
        let objects = objects.into_iter().chain([("pickup/a.eml", "e", 2), ("pickup/a.eml", "", 1)]);
        let hashes: Vec<PickupHash> =
            objects.map(|(key, etag, modified)| PickupHash::of(&listed(key, etag, modified))).collect();
        let ids = hashes.iter().map(|hash| hash.queue_id(UtcTime(7)));
        assert_eq!(ids.collect::<std::collections::BTreeSet<_>>().len(), hashes.len());
        assert_eq!(PickupHash::of(&listed("pickup/a.eml", "e", 1)), hashes[0]);
        assert_eq!(hashes[0].queue_id(UtcTime(7)).drawn_at(), UtcTime(7));
    }

    #[test]
    fn claims_lie_in_a_folder_of_their_own_that_is_no_log() {
        let hash = PickupHash::of(&listed("pickup/a.eml", "e", 1));
        let key = hash.link(2);
        assert!(key.starts_with(&hash.chain()) && hash.chain().starts_with(layout::PICKUP_CHAINS));
        assert_eq!((layout::number(&key), layout::parse_spool(&key)), (Some(2), None));
    }

    #[test]
    fn a_link_decodes_to_what_was_encoded() {
        let nonce = Nonce::draw(UtcTime(5), [1; 10]);
        for claim in [
            PickupClaim::By(Incarnation::draw(UtcTime(1), [2; 10])),
            PickupClaim::GivenUp,
            PickupClaim::Refused("no recipient".into()),
            PickupClaim::Accepted(QueueId::draw(UtcTime(1), [3; 10])),
        ] {
            let link = Link { nonce, key: "pickup/a.eml".into(), at: UtcTime(6), claim };
            assert_eq!(frame::decode::<Link>(&link.encode().payload.to_bytes()).unwrap().header, link);
        }
    }
}
