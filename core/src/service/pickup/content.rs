//! Reads an object of `pickup/` as a message: a range at a time, with CRLF at the end of every line, its header block taken apart from its body.

use bytes::Bytes;

use super::envelope::{self, Envelope};
use crate::model::message::{HeaderScan, HeaderSplit};
use crate::platform::{Listed, StoreError};
use crate::state::requests::Requests;

/// Octets that are read at a time; an object that has no more takes one request.
const READ: u64 = 1 << 20;

/// Why an object does not become a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// As it is, it never will.
    Unsendable(String),
    /// It is gone, or another one lies under its name.
    Replaced,
    /// It may later.
    Later(String),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::Replaced,
            error => Self::Later(error.to_string()),
        }
    }
}

/// An object that is being read.
pub(super) struct Reader<'a> {
    requests: &'a Requests,
    listed: &'a Listed,
    at: u64,
    lines: Lines,
    is_ended: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(requests: &'a Requests, listed: &'a Listed) -> Self {
        Self { requests, listed, at: 0, lines: Lines::default(), is_ended: false }
    }

    /// The next octets of the message; none at its end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        if self.is_ended {
            return Ok(None);
        }
        let mut out = Vec::new();
        if self.at < self.listed.size {
            let octets = self.read().await?;
            self.lines.push(&octets, &mut out)?;
        }
        if self.at >= self.listed.size {
            self.lines.finish(&mut out)?;
            self.is_ended = true;
        }
        Ok(Some(out))
    }

    async fn read(&mut self) -> Result<Bytes, Fault> {
        let end = (self.at + READ).min(self.listed.size);
        let object = self.requests.get(&self.listed.key, Some(self.at..end)).await?;
        let found = Listed {
            key: self.listed.key.clone(),
            size: object.size,
            etag: object.etag,
            modified: object.modified,
        };
        // A store that gives less than it was asked for has not given this object.
        if !is_same(self.listed, &found) || object.bytes.len() as u64 != end - self.at {
            return Err(Fault::Replaced);
        }
        self.at = end;
        Ok(object.bytes)
    }

    /// The envelope and the header block that is to be sent, and what has been read of the body. At most `limit` octets of header block.
    pub(super) async fn header(&mut self, limit: usize) -> Result<(Envelope, Vec<u8>), Fault> {
        let (mut scan, mut content) = (HeaderScan::default(), Vec::new());
        let end = loop {
            match self.next().await? {
                Some(octets) => content.extend_from_slice(&octets),
                None => break scan.finish(&content),
            }
            match scan.advance(&content) {
                HeaderSplit::At(end) => break end,
                HeaderSplit::Unfinished if content.len() > limit => break content.len(),
                HeaderSplit::Unfinished => {}
            }
        };
        let body = content.split_off(end);
        if content.len() > limit {
            return Err(Fault::Unsendable(format!("its header block has more than {limit} octets")));
        }
        let is_whole = body.is_empty() || content == b"\r\n" || content.ends_with(b"\r\n\r\n");
        if content.is_empty() || !is_whole {
            // What comes behind may have been meant as fields, Bcc among them.
            return Err(Fault::Unsendable(
                "it is no message: its header holds a line that is no field".to_owned(),
            ));
        }
        let envelope = envelope::read(&content).map_err(|error| Fault::Unsendable(error.to_string()))?;
        Ok((envelope, body))
    }
}

/// Whether two looks have seen one object. Listings may tell milliseconds, and whoever reads an object only seconds.
pub(super) fn is_same(one: &Listed, other: &Listed) -> bool {
    let etag = |listed: &Listed| listed.etag.trim_matches('"').to_owned();
    one.size == other.size && etag(one) == etag(other) && one.modified.0 / 1_000 == other.modified.0 / 1_000
}

/// Gives every line its CRLF (RFC 5322 §2.3), whether it had one or a bare LF.
#[derive(Default)]
struct Lines {
    /// A CR has come and what follows it has not.
    has_cr: bool,
    /// A line has begun.
    is_open: bool,
}

impl Lines {
    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        out.reserve(octets.len() + octets.len() / 32);
        for line in octets.split_inclusive(|b| *b == b'\n') {
            let (text, is_ended) = match line.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (line, false),
            };
            if self.has_cr && !text.is_empty() {
                return Err(bare_cr());
            }
            let (text, has_cr) = match text.strip_suffix(b"\r") {
                Some(text) => (text, true),
                None => (text, self.has_cr),
            };
            if memchr::memchr(b'\r', text).is_some() {
                return Err(bare_cr());
            }
            out.extend_from_slice(text);
            self.is_open |= !text.is_empty();
            self.has_cr = has_cr;
            if is_ended {
                out.extend_from_slice(b"\r\n");
                (self.has_cr, self.is_open) = (false, false);
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.has_cr {
            return Err(bare_cr());
        }
        if self.is_open {
            out.extend_from_slice(b"\r\n");
        }
        Ok(())
    }
}

/// RFC 5322 §2.3.
fn bare_cr() -> Fault {
    Fault::Unsendable("it holds a CR that no LF follows".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UtcTime;

    fn convert(text: &[u8], step: usize) -> Result<Vec<u8>, Fault> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for part in text.chunks(step) {
            lines.push(part, &mut out)?;
        }
        lines.finish(&mut out)?;
        Ok(out)
    }

    #[test]
    fn lines_end_with_crlf_however_the_octets_are_cut() {
        for (text, expected) in [
            ("", Some("")),
            ("A: b\n\nc\n", Some("A: b\r\n\r\nc\r\n")),
            ("A: b\r\n\r\nc\r\n", Some("A: b\r\n\r\nc\r\n")),
            ("A: b\r\n\nc", Some("A: b\r\n\r\nc\r\n")),
            ("\r\n\r\n", Some("\r\n\r\n")),
            ("a\rb\n", None),
            ("a\r\r\n", None),
            ("a\r", None),
            ("\r", None),
        ] {
            for step in [1, 2, 3, 100] {
                let found = convert(text.as_bytes(), step).ok();
                assert_eq!(found, expected.map(|text| text.as_bytes().to_vec()), "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn an_object_is_the_same_where_key_size_etag_and_second_are() {
        let object = |size, etag: &str, modified| Listed {
            key: "pickup/a.eml".into(),
            size,
            etag: etag.into(),
            modified: UtcTime(modified),
        };
        let one = object(5, "\"e\"", 1_999);
        for (other, expected) in [
            (object(5, "e", 1_000), true),
            (object(5, "\"e\"", 2_000), false),
            (object(5, "\"f\"", 1_999), false),
            (object(6, "\"e\"", 1_999), false),
        ] {
            assert_eq!(is_same(&one, &other), expected, "{other:?}");
        }
    }
}
