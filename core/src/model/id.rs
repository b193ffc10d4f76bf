//! Identities that are never reused. All but nonces are ULIDs, which sort by the time at which they were drawn. They are held as octets:
//! an integer of 16 would have to lie at a multiple of 16, and millions are held.

use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

use super::UtcTime;

/// Octets of entropy that an identity takes.
pub const ENTROPY_OCTETS: usize = 10;
/// Octets of an identity.
pub const IDENTITY_OCTETS: usize = 16;

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; IDENTITY_OCTETS]);

        impl $name {
            /// Draws an identity from a time and fresh entropy.
            pub fn draw(now: UtcTime, entropy: [u8; ENTROPY_OCTETS]) -> Self {
                let mut random = [0; 16];
                random[6..].copy_from_slice(&entropy);
                Self(Ulid::from_parts(now.0, u128::from_be_bytes(random)).to_bytes())
            }

            /// The octets, which sort as the identities do.
            pub fn to_octets(self) -> [u8; IDENTITY_OCTETS] {
                self.0
            }

            /// The identity that has these octets.
            pub fn from_octets(octets: [u8; IDENTITY_OCTETS]) -> Self {
                Self(octets)
            }

            /// When it was drawn, by the clock of the node that drew it.
            pub fn drawn_at(self) -> UtcTime {
                UtcTime(self.ulid().timestamp_ms())
            }

            fn ulid(self) -> Ulid {
                Ulid::from_bytes(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.ulid().array_to_str(&mut [0; ulid::ULID_LEN]))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ulid::DecodeError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ulid::from_string(text).map(|ulid| Self(ulid.to_bytes()))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.ulid().array_to_str(&mut [0; ulid::ULID_LEN]))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

identity! {
    /// Under which a node accepts mail: names one log in the spool. A node may have several in its life.
    Incarnation
}
identity! {
    /// Names one accepted message, for ever. It stands in the final reply to DATA, in Received and in every event.
    QueueId
}
identity! {
    /// Names the folder of one large body.
    BodyId
}
identity! {
    /// Tells the writer of an object from every other: a create that meets its own nonce has succeeded before.
    Nonce
}

impl QueueId {
    /// The identity of a report about this message: whoever makes a report with the same salt gives it the same identity, so
    /// that a report that was made twice is delivered once.
    pub fn derived(self, salt: u32) -> Self {
        let named = [&self.0[..], &salt.to_be_bytes()].concat();
        let mut entropy = [0; ENTROPY_OCTETS];
        entropy.copy_from_slice(&digest(&SHA256, &named).as_ref()[..ENTROPY_OCTETS]);
        Self::draw(self.drawn_at(), entropy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_text_and_json_and_keeps_its_time() {
        let id = QueueId::draw(UtcTime(1_795_306_347_500), [0xab; ENTROPY_OCTETS]);
        assert_eq!(id.to_string().parse::<QueueId>().unwrap(), id);
        assert_eq!(serde_json::from_str::<QueueId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        assert_eq!(QueueId::from_octets(id.to_octets()), id);
        assert_eq!(id.drawn_at(), UtcTime(1_795_306_347_500));
        assert!("not a ulid".parse::<QueueId>().is_err());
    }

    #[test]
    fn a_derived_identity_is_another_one_for_each_salt_and_always_the_same() {
        let id = QueueId::draw(UtcTime(1_795_306_347_500), [7; ENTROPY_OCTETS]);
        assert_eq!(id.derived(0), id.derived(0));
        let all =
            std::collections::BTreeSet::from([id, id.derived(0), id.derived(1), id.derived(0).derived(0)]);
        assert_eq!(all.len(), 4);
        assert!(all.iter().all(|derived| derived.drawn_at() == id.drawn_at()));
    }
}
