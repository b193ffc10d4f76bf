//! The frame that every object of ours begins with.
//!
//! ```text
//! offset  octets
//!      0       4  magic "FLMR"
//!      4       2  format version, little-endian
//!      6       2  zero
//!      8       4  length of the header, little-endian
//!     12       4  CRC-32 of octets 0..12 and of the header, little-endian
//!     16       n  header: one JSON object, ended by a line feed
//!   16+n          data: message content, addressed by the header's extents, each with a CRC-32 of its own
//! ```
//!
//! The header is text so that an operator can read any object with `tail -c +17 OBJECT | head -1`.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::Nonce;
use crate::platform::Payload;

const MAGIC: &[u8; 4] = b"FLMR";
/// The version that this code writes, and the only one that it reads.
pub const VERSION: u16 = 1;
/// Octets before the header.
const PREAMBLE: usize = 16;

/// Why octets are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A newer or foreign writer. The object is to be left as it is.
    #[error("format version {found}; this program knows version {VERSION}")]
    Version {
        /// The version that the object names.
        found: u16,
    },
    /// Too short, no magic, wrong checksum, or a header that is not what it should be.
    #[error("damaged: {0}")]
    Damaged(String),
}

/// Octets of an object's data area, or of the whole object where the field that holds it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Offset in octets.
    pub at: u64,
    /// Length in octets.
    pub len: u64,
    /// CRC-32 (IEEE) of the octets.
    pub crc: u32,
}

impl Extent {
    /// The range of octets, to be read.
    pub fn range(&self) -> std::ops::Range<u64> {
        self.at..self.at + self.len
    }

    /// Whether these are the octets that were written.
    pub fn matches(&self, octets: &[u8]) -> bool {
        octets.len() as u64 == self.len && crc32fast::hash(octets) == self.crc
    }
}

/// Data that is being collected for an object.
#[derive(Clone, Debug, Default)]
pub struct Data {
    payload: Payload,
    len: u64,
}

impl Data {
    /// Appends pieces as one extent; `crc` is theirs. The extent counts from the start of the data area.
    pub fn push(&mut self, pieces: &[Bytes], crc: u32) -> Extent {
        let at = self.len;
        for piece in pieces {
            self.len += piece.len() as u64;
            self.payload.push(piece.clone());
        }
        Extent { at, len: self.len - at, crc }
    }

    /// Octets so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// An encoded object, and where its data area begins in it.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The whole object.
    pub payload: Payload,
    /// Offset of the data area.
    pub data_at: u64,
}

/// Puts a header and data into a frame.
pub fn encode<H: Serialize>(header: &H, data: Data) -> Encoded {
    let mut head = Vec::with_capacity(1024);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&[0; PREAMBLE - 6]);
    // Our headers are structs of strings, numbers and lists: there is nothing in them that JSON cannot say.
    let written = serde_json::to_writer(&mut head, header);
    debug_assert!(written.is_ok(), "{written:?}");
    head.push(b'\n');
    let length = u32::try_from(head.len() - PREAMBLE).unwrap_or(u32::MAX);
    head[8..12].copy_from_slice(&length.to_le_bytes());
    let crc = checksum(&head[..12], &head[PREAMBLE..]);
    head[12..16].copy_from_slice(&crc.to_le_bytes());
    let data_at = head.len() as u64;
    let payload = std::iter::once(Bytes::from(head)).chain(data.payload.pieces().iter().cloned()).collect();
    Encoded { payload, data_at }
}

/// A decoded object.
#[derive(Clone, Debug)]
pub struct Frame<H> {
    /// Its header.
    pub header: H,
    /// Offset of the data area.
    pub data_at: u64,
}

/// Reads the frame of an object, of which at least the header must be there.
pub fn decode<H: DeserializeOwned>(octets: &[u8]) -> Result<Frame<H>, FrameError> {
    let damaged = |what: &str| FrameError::Damaged(what.to_owned());
    let preamble = octets.get(..PREAMBLE).ok_or_else(|| damaged("shorter than its preamble"))?;
    if !preamble.starts_with(MAGIC) {
        return Err(damaged("not an object of Fulmar's"));
    }
    let found = u16::from_le_bytes([preamble[4], preamble[5]]);
    if found != VERSION {
        return Err(FrameError::Version { found });
    }
    let field =
        |at: usize| u32::from_le_bytes([preamble[at], preamble[at + 1], preamble[at + 2], preamble[at + 3]]);
    let end = PREAMBLE.saturating_add(field(8) as usize);
    let header = octets.get(PREAMBLE..end).ok_or_else(|| damaged("shorter than its header"))?;
    if checksum(&preamble[..12], header) != field(12) {
        return Err(damaged("wrong checksum"));
    }
    let header = serde_json::from_slice(header).map_err(|e| FrameError::Damaged(format!("header: {e}")))?;
    Ok(Frame { header, data_at: end as u64 })
}

/// The nonce of an object, whatever its kind; nothing where there is none to be read.
pub fn nonce(octets: &[u8]) -> Option<Nonce> {
    #[derive(Deserialize)]
    struct Header {
        nonce: Nonce,
    }
    decode::<Header>(octets).ok().map(|frame| frame.header.nonce)
}

fn checksum(preamble: &[u8], header: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(preamble);
    hasher.update(header);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(header: Vec<String>, data: Vec<u8>) {
            let mut collected = Data::default();
            let data = Bytes::from(data);
            let extent = collected.push(std::slice::from_ref(&data), crc32fast::hash(&data));
            let encoded = encode(&header, collected);
            let octets = encoded.payload.to_bytes();
            let frame = decode::<Vec<String>>(&octets).unwrap();
            prop_assert_eq!(&frame.header, &header);
            prop_assert_eq!(frame.data_at, encoded.data_at);
            let start = (frame.data_at + extent.at) as usize;
            prop_assert!(extent.matches(&octets[start..]));
        }

        #[test]
        fn no_flipped_bit_in_the_head_goes_unseen(header in "[a-z]{0,40}", at in 0usize..16, bit in 0u8..8) {
            let mut octets = encode(&header, Data::default()).payload.to_bytes().to_vec();
            octets[at] ^= 1 << bit;
            prop_assert!(decode::<String>(&octets).is_err());
        }

        #[test]
        fn no_octets_make_the_decoder_panic(octets: Vec<u8>) {
            let _ = decode::<String>(&octets);
        }
    }

    #[test]
    fn an_unknown_version_is_named_together_with_the_known_one() {
        let mut octets = encode(&"x", Data::default()).payload.to_bytes().to_vec();
        octets[4] = 9;
        let error = decode::<String>(&octets).unwrap_err();
        assert_eq!(error.to_string(), "format version 9; this program knows version 1");
    }
}
