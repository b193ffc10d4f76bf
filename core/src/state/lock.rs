//! `live/<ulid>.lock`: whom a node has locked out, for the others to know. It lies in the folder that every node lists anyhow, and is read
//! when its ETag is new.
//!
//! Each process writes one such object, under an identity drawn with the first lock, and nobody else writes it. What it says counts from
//! when it is read, so no two clocks are compared, and a lock holds a little longer elsewhere than where it began. A node that dies
//! leaves it behind: whoever sees it a day old deletes it ([`LIFE`]). It is an advice and nothing more: lost, or read late, it lets an
//! attacker guess a few times more.

use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::frame::{self, Data, Encoded};
use crate::model::Nonce;

/// How long an object that nobody writes any more is kept.
pub const LIFE: Duration = Duration::from_hours(24);
/// Locks in one object, at most: the latest.
pub const LOCKS: usize = 1_000;
/// Octets of the hash that stands for a name.
pub const NAME_OCTETS: usize = 16;

/// Who is locked out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// An address; of IPv6, a /64.
    Address(#[serde(with = "as_text")] IpNet),
    /// A network.
    Network(#[serde(with = "as_text")] IpNet),
    /// A name, by its hash: it is what somebody typed.
    Name([u8; NAME_OCTETS]),
}

/// One lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Who.
    pub subject: Subject,
    /// For how many seconds from when this was written.
    pub seconds: u64,
}

/// The object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locks {
    /// Names it.
    pub nonce: Nonce,
    /// Grows by one with every version, so that the ETag changes.
    pub seq: u64,
    /// All that hold.
    pub locks: Vec<Lock>,
}

impl Locks {
    /// The object.
    pub fn encode(&self) -> Encoded {
        frame::encode(self, Data::default())
    }
}

/// A network as it is usually written.
mod as_text {
    use ipnet::IpNet;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(network: &IpNet, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(network)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpNet, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UtcTime;

    #[test]
    fn locks_decode_to_what_was_encoded() {
        let subjects = [
            Subject::Address("192.0.2.1/32".parse().unwrap()),
            Subject::Network("2001:db8::/48".parse().unwrap()),
            Subject::Name([7; NAME_OCTETS]),
        ];
        let locks = subjects.into_iter().map(|subject| Lock { subject, seconds: 900 }).collect();
        let locks = Locks { nonce: Nonce::draw(UtcTime(5), [1; 10]), seq: 3, locks };
        assert_eq!(frame::decode::<Locks>(&locks.encode().payload.to_bytes()).unwrap().header, locks);
    }
}
