//! `live/<inc>.beat` and `live/<inc>.free`: that a log is being written, and that one was released.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::frame::{self, Data, Encoded};
use crate::model::{Domain, Incarnation, UtcTime};
use crate::platform::ProcessIdentity;

/// Seconds between heartbeats of a node that holds entries.
pub const HOLDING_INTERVAL: u64 = 10;
/// Seconds between heartbeats of a node that holds none.
pub const IDLE_INTERVAL: u64 = 60;

/// Octets that a heartbeat which announces [`IDLE_INTERVAL`] has at least, and any other has not: so a listing alone tells how soon the
/// next one is to be expected, without a request for each node.
const IDLE_SIZE: usize = 2_048;
static PADDING: [u8; IDLE_SIZE] = [0; IDLE_SIZE];

/// Seconds that a heartbeat of so many octets announces.
pub fn announced(size: u64) -> u64 {
    if size >= IDLE_SIZE as u64 { IDLE_INTERVAL } else { HOLDING_INTERVAL }
}

/// A heartbeat. Overwritten in place by its own node only; never the same twice, so that its ETag changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beat {
    /// Whose.
    pub inc: Incarnation,
    /// Grows by one with every heartbeat.
    pub seq: u64,
    /// Seconds within which the next one will come.
    pub interval: u64,
    /// When the earliest entry is due.
    pub next_due: Option<UtcTime>,
    /// Messages that are queued.
    #[serde(default)]
    pub queued: u64,
    /// What the node calls itself.
    pub hostname: Domain,
    /// The process, so that its successor on the same machine can tell that it is gone.
    pub process: ProcessIdentity,
}

/// A release: the writer ended gracefully and left entries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// The log.
    pub inc: Incarnation,
    /// When the earliest entry is due.
    pub next_due: Option<UtcTime>,
    /// Messages that are queued.
    #[serde(default)]
    pub queued: u64,
}

impl Beat {
    /// The object. That of an idle node is padded.
    pub fn encode(&self) -> Encoded {
        let mut data = Data::default();
        if self.interval >= IDLE_INTERVAL {
            let padding = Bytes::from_static(&PADDING);
            let crc = crc32fast::hash(&padding);
            data.push(&[padding], crc);
        }
        frame::encode(self, data)
    }
}

impl Release {
    /// The object.
    pub fn encode(&self) -> Encoded {
        frame::encode(self, Data::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_and_a_release_decode_to_what_was_encoded() {
        let inc = Incarnation::draw(UtcTime(5), [1; 10]);
        let hostname = Domain::parse("mx.test").unwrap();
        let process =
            ProcessIdentity { boot: "b".into(), pid_namespace: "pid:[1]".into(), pid: 7, started: 9 };
        for interval in [HOLDING_INTERVAL, IDLE_INTERVAL] {
            let (hostname, process) = (hostname.clone(), process.clone());
            let beat =
                Beat { inc, seq: 3, interval, next_due: Some(UtcTime(9)), queued: 4, hostname, process };
            let octets = beat.encode().payload.to_bytes();
            assert_eq!(frame::decode::<Beat>(&octets).unwrap().header, beat);
            assert_eq!(announced(octets.len() as u64), interval);
        }
        let release = Release { inc, next_due: None, queued: 2 };
        assert_eq!(frame::decode::<Release>(&release.encode().payload.to_bytes()).unwrap().header, release);
    }
}
