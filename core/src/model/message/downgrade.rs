//! Content for hosts that do not take all octets: what is 8-bit or binary is encoded, part by part (RFC 6152 §3, RFC 3030 §3).
//!
//! Leaf parts that need it get another Content-Transfer-Encoding: quoted-printable where they are text, else base64. Multiparts and messages
//! within the message may not be encoded as a whole (RFC 2045 §6.4), so their parts are. What is signed is never altered (RFC 1847 §2.1), and
//! a message in which it would have to be is [`Unconvertible`]. Header fields stay as they are, but for the encoding's own.
//!
//! Content streams through: what is held is one header block of a part, one line of at most [`LINE_LIMIT`] octets, and of a part whose label
//! does not say whether it must be encoded [`LOOK_AHEAD`] octets.

mod coders;
mod labels;
#[cfg(test)]
mod tests;

use std::mem;

use memchr::memchr;

use self::coders::Coder;
use self::labels::{Encoding, Kind, Labels};
use super::header::{field_name, is_continuation};
use crate::model::BodyType;

/// Octets of a line that are looked at together; boundaries are shorter (RFC 2046 §5.1.1).
const LINE_LIMIT: usize = 8 << 10;
/// Octets of the header block of a part.
const HEADER_LIMIT: usize = 256 << 10;
/// Octets of a part that are held until one is seen that must be encoded. A longer part is encoded to be safe.
const LOOK_AHEAD: usize = 64 << 10;
/// Multiparts and messages within each other that are looked into.
const DEPTH_LIMIT: usize = 32;
/// Octets in a line, its CRLF not counted (RFC 5322 §2.1.1).
const LONGEST_LINE: usize = 998;

/// The message cannot be sent without octets that the host does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its structure does not let it be converted")]
pub struct Unconvertible;

/// What kind of octets were seen.
#[derive(Clone, Copy, Debug)]
pub struct Survey {
    is_ascii: bool,
    /// Whether all CR and LF are parts of CRLF, no line is too long, and there is no NUL.
    is_lines: bool,
    column: usize,
    is_after_cr: bool,
}

impl Default for Survey {
    fn default() -> Self {
        Self { is_ascii: true, is_lines: true, column: 0, is_after_cr: false }
    }
}

impl Survey {
    /// Looks at the next octets.
    pub fn advance(&mut self, octets: &[u8]) {
        self.is_ascii &= octets.is_ascii();
        if !self.is_lines {
            return;
        }
        for octet in octets {
            let is_after_cr = mem::replace(&mut self.is_after_cr, *octet == b'\r');
            self.is_lines &= is_after_cr == (*octet == b'\n') && *octet != 0;
            self.column = match octet {
                b'\n' => 0,
                b'\r' => self.column,
                _ => self.column + 1,
            };
            self.is_lines &= self.column <= LONGEST_LINE;
        }
    }

    /// The least that a host must take for these octets, where a label says that they are of this kind. Lines are believed to be lines where
    /// the label says so: the server that took them has seen to it.
    pub fn least(&self, labelled: BodyType) -> BodyType {
        let is_lines = labelled != BodyType::BinaryMime || (self.is_lines && !self.is_after_cr);
        match (is_lines, self.is_ascii) {
            (true, true) => BodyType::SevenBit,
            (true, false) => BodyType::EightBitMime,
            (false, _) => BodyType::BinaryMime,
        }
    }
}

/// A message on its way through.
#[derive(Debug)]
pub struct Downgrade {
    /// What the host takes: not [`BodyType::BinaryMime`].
    to: BodyType,
    /// The line so far.
    line: Vec<u8>,
    /// Whether the next octets begin a line.
    is_line_start: bool,
    multiparts: Vec<Multipart>,
    /// Messages within the message that are being looked into.
    messages: usize,
    place: Place,
}

#[derive(Debug)]
struct Multipart {
    boundary: Vec<u8>,
    is_digest: bool,
    /// See [`Downgrade::messages`], outside of its parts.
    messages: usize,
}

/// Where the next octets belong.
#[derive(Debug)]
enum Place {
    /// To the header block of a part, or of a message.
    Header { octets: Vec<u8>, is_message: bool, is_in_digest: bool },
    /// To a part that goes as it is.
    Plain,
    /// Before the first part of a multipart, or behind the last one: nobody reads it (RFC 2046 §5.1.1).
    Ignored,
    /// To a part of which is not known yet whether it is to be encoded.
    Undecided { labels: Labels, survey: Survey, octets: Vec<u8> },
    /// To a part that is encoded.
    Encoded(Coder),
}

impl Place {
    fn header(is_message: bool, is_in_digest: bool) -> Self {
        Self::Header { octets: Vec::new(), is_message, is_in_digest }
    }
}

impl Downgrade {
    /// For a host that takes content of this kind, but nothing beyond it.
    pub fn new(to: BodyType) -> Self {
        Self {
            to,
            line: Vec::new(),
            is_line_start: true,
            multiparts: Vec::new(),
            messages: 0,
            place: Place::header(true, false),
        }
    }

    /// Takes the next octets of content, header block first, and appends what is to be sent.
    pub fn push(&mut self, mut octets: &[u8], out: &mut Vec<u8>) -> Result<(), Unconvertible> {
        while !octets.is_empty() {
            let end = memchr(b'\n', octets).map(|end| end + 1);
            let room = LINE_LIMIT.saturating_sub(self.line.len()).max(1);
            let (taken, rest) = octets.split_at(end.unwrap_or(octets.len()).min(room));
            octets = rest;
            self.line.extend_from_slice(taken);
            // A CR stays with the LF that may follow.
            if taken.ends_with(b"\n") || (self.line.len() >= LINE_LIMIT && !taken.ends_with(b"\r")) {
                let line = mem::take(&mut self.line);
                self.take_line(&line, out)?;
            }
        }
        Ok(())
    }

    /// Appends what is left to be sent.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), Unconvertible> {
        let line = mem::take(&mut self.line);
        if !line.is_empty() {
            self.take_line(&line, out)?;
        }
        self.end_part(true, out);
        Ok(())
    }

    /// A line with its end, or a piece of a long one.
    fn take_line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), Unconvertible> {
        let is_start = mem::replace(&mut self.is_line_start, line.ends_with(b"\r\n"));
        if is_start && let Some((depth, is_last)) = self.boundary(line) {
            self.end_part(false, out);
            out.extend_from_slice(line);
            self.multiparts.truncate(depth + 1);
            let Multipart { is_digest, messages, .. } = self.multiparts[depth];
            self.messages = messages;
            self.place = if is_last { Place::Ignored } else { Place::header(false, is_digest) };
            if is_last {
                self.multiparts.pop();
            }
            return Ok(());
        }
        match &mut self.place {
            Place::Header { octets, .. } => {
                // Here a bare LF ends a line as well: a block without end would take the body along, unconverted.
                let is_start = octets.is_empty() || octets.ends_with(b"\n");
                let is_end = is_start && matches!(line, b"\r\n" | b"\n");
                let is_body = is_start && !is_end && !is_continuation(line) && field_name(line).is_none();
                if octets.len() + line.len() > HEADER_LIMIT {
                    return Err(Unconvertible);
                }
                octets.extend_from_slice(if is_body { b"\r\n" } else { line });
                if is_end || is_body {
                    self.end_header(out);
                }
                if is_body { self.take_content(line, out) } else { Ok(()) }
            }
            _ => self.take_content(line, out),
        }
    }

    /// Which multipart's boundary a line is, and whether the closing one (RFC 2046 §5.1.1).
    fn boundary(&self, line: &[u8]) -> Option<(usize, bool)> {
        let line = line.strip_prefix(b"--")?.trim_ascii_end();
        self.multiparts.iter().enumerate().rev().find_map(|(depth, multipart)| {
            match line.strip_prefix(&multipart.boundary[..])? {
                b"" => Some((depth, false)),
                b"--" => Some((depth, true)),
                _ => None,
            }
        })
    }

    /// The header block of a part is whole: what the part is to become.
    fn end_header(&mut self, out: &mut Vec<u8>) {
        let Place::Header { octets, is_message, is_in_digest } = mem::replace(&mut self.place, Place::Plain)
        else {
            return;
        };
        let labels = Labels::of(octets, is_message, is_in_digest);
        let is_too_deep = self.multiparts.len() + self.messages >= DEPTH_LIMIT;
        match &labels.kind {
            Kind::Multipart { boundary, is_digest } if !is_too_deep => {
                let (boundary, is_digest, messages) = (boundary.clone(), *is_digest, self.messages);
                self.multiparts.push(Multipart { boundary, is_digest, messages });
                self.place = Place::Ignored;
                labels.write(self.contained(&labels), out);
            }
            Kind::Message if !is_too_deep && !labels.encoding.is_encoded() => {
                self.messages += 1;
                self.place = Place::header(true, false);
                labels.write(self.contained(&labels), out);
            }
            Kind::Multipart { .. } | Kind::Message | Kind::Fixed => labels.write(None, out),
            Kind::Leaf { .. } if self.is_taken(labels.encoding) => labels.write(None, out),
            Kind::Leaf { .. } => {
                let (survey, octets) = (Survey::default(), Vec::new());
                self.place = Place::Undecided { labels, survey, octets };
            }
        }
    }

    /// What the label of a part becomes whose own parts are encoded, where it says more than the host takes.
    fn contained(&self, labels: &Labels) -> Option<Encoding> {
        let becomes = Encoding::identity(self.to);
        (!self.is_taken(labels.encoding) && labels.encoding != Encoding::SevenBit).then_some(becomes)
    }

    /// Whether the host takes a leaf part of this label as it is. A part that is said to be 7-bit often is not.
    fn is_taken(&self, encoding: Encoding) -> bool {
        encoding.is_encoded() || (self.to == BodyType::EightBitMime && encoding != Encoding::Binary)
    }

    fn take_content(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<(), Unconvertible> {
        match &mut self.place {
            Place::Header { .. } => {}
            Place::Plain if self.to == BodyType::SevenBit && !line.is_ascii() => return Err(Unconvertible),
            Place::Plain => out.extend_from_slice(line),
            Place::Ignored => {
                let is_taken = |octet: u8| octet.is_ascii() || self.to == BodyType::EightBitMime;
                out.extend(line.iter().map(|octet| if is_taken(*octet) { *octet } else { b'?' }));
            }
            Place::Undecided { survey, octets, labels } => {
                survey.advance(line);
                octets.extend_from_slice(line);
                let is_known = survey.least(labels.encoding.body_type()) > self.to && !survey.is_after_cr;
                if is_known || octets.len() > LOOK_AHEAD {
                    self.encode(out);
                }
            }
            Place::Encoded(coder) => coder.push(line, out),
        }
        Ok(())
    }

    /// The part has to be encoded.
    fn encode(&mut self, out: &mut Vec<u8>) {
        if let Place::Undecided { labels, octets, .. } = mem::replace(&mut self.place, Place::Plain) {
            let is_text = labels.kind == Kind::Leaf { is_text: true };
            let (encoding, mut coder) = match is_text {
                true => (Encoding::QuotedPrintable, Coder::quoted_printable()),
                false => (Encoding::Base64, Coder::base64()),
            };
            labels.write(Some(encoding), out);
            coder.push(&octets, out);
            self.place = Place::Encoded(coder);
        }
    }

    /// The part has ended, at a boundary or with the message. The CRLF before a boundary belongs to that.
    fn end_part(&mut self, is_end_of_message: bool, out: &mut Vec<u8>) {
        if let Place::Undecided { survey, labels, .. } = &self.place
            && survey.least(labels.encoding.body_type()) > self.to
        {
            self.encode(out);
        }
        match mem::replace(&mut self.place, Place::Ignored) {
            Place::Header { octets, .. } => out.extend_from_slice(&octets),
            Place::Plain | Place::Ignored => {}
            Place::Undecided { labels, survey, octets } => {
                let least = Encoding::identity(survey.least(labels.encoding.body_type()));
                let is_said = labels.encoding <= Encoding::identity(self.to);
                labels.write((!is_said).then_some(least), out);
                out.extend_from_slice(&octets);
            }
            Place::Encoded(coder) => coder.finish(is_end_of_message, out),
        }
    }
}
