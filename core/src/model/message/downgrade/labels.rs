//! What a part's header block says of it (RFC 2045 §5, §6), and the block with another encoding.

use super::super::header::{field_body, field_name, is_continuation};
use crate::model::BodyType;

/// A part's header block, and what matters of it.
#[derive(Debug)]
pub(super) struct Labels {
    header: Vec<u8>,
    /// Whether it is that of a message, which says MIME-Version (RFC 2045 §4).
    is_message: bool,
    has_type: bool,
    pub(super) kind: Kind,
    pub(super) encoding: Encoding,
}

/// What a part is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Multipart {
        boundary: Vec<u8>,
        is_digest: bool,
    },
    /// A message within the message.
    Message,
    /// Not to be altered: signed, or without a structure that is understood.
    Fixed,
    Leaf {
        is_text: bool,
    },
}

/// A Content-Transfer-Encoding (RFC 2045 §6.1), those that are none first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Encoding {
    SevenBit,
    EightBit,
    Binary,
    QuotedPrintable,
    Base64,
}

impl Encoding {
    /// Whether the octets are ASCII in lines, whatever they stand for.
    pub(super) fn is_encoded(self) -> bool {
        matches!(self, Self::QuotedPrintable | Self::Base64)
    }

    /// The label of octets that are not encoded.
    pub(super) fn identity(body: BodyType) -> Self {
        match body {
            BodyType::SevenBit => Self::SevenBit,
            BodyType::EightBitMime => Self::EightBit,
            BodyType::BinaryMime => Self::Binary,
        }
    }

    /// What octets under this label may be.
    pub(super) fn body_type(self) -> BodyType {
        match self {
            Self::Binary => BodyType::BinaryMime,
            _ => BodyType::EightBitMime,
        }
    }

    fn parse(text: &[u8]) -> Self {
        let word = text.split(|b| matches!(b, b' ' | b'\t' | b';' | b'(')).next().unwrap_or_default();
        match word.to_ascii_lowercase().as_slice() {
            b"base64" => Self::Base64,
            b"quoted-printable" => Self::QuotedPrintable,
            b"8bit" => Self::EightBit,
            b"binary" => Self::Binary,
            // What is not known is taken for what it looks like.
            _ => Self::SevenBit,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::SevenBit => "7bit",
            Self::EightBit => "8bit",
            Self::Binary => "binary",
            Self::QuotedPrintable => "quoted-printable",
            Self::Base64 => "base64",
        }
    }
}

impl Labels {
    /// Reads a header block that ends with an empty line.
    pub(super) fn of(header: Vec<u8>, is_message: bool, is_in_digest: bool) -> Self {
        let content_type = field_body(&header, "Content-Type");
        let encoding = field_body(&header, "Content-Transfer-Encoding");
        let encoding = encoding.map_or(Encoding::SevenBit, |text| Encoding::parse(&text));
        let kind = match &content_type {
            Some(text) => Kind::of(text),
            // RFC 2046 §5.1.5.
            None if is_in_digest => Kind::Message,
            None => Kind::Leaf { is_text: true },
        };
        Self { header, is_message, has_type: content_type.is_some() || is_in_digest, kind, encoding }
    }

    /// Appends the block, with another encoding where one is given.
    pub(super) fn write(&self, encoding: Option<Encoding>, out: &mut Vec<u8>) {
        let Some(encoding) = encoding else { return out.extend_from_slice(&self.header) };
        let mut is_left_out = false;
        let mut has_version = false;
        for line in self.header.split_inclusive(|b| *b == b'\n') {
            if matches!(line, b"\r\n" | b"\n") {
                break;
            }
            if !is_continuation(line) {
                let name = field_name(line).unwrap_or_default();
                is_left_out = name.eq_ignore_ascii_case(b"Content-Transfer-Encoding");
                has_version |= name.eq_ignore_ascii_case(b"MIME-Version");
            }
            if !is_left_out {
                out.extend_from_slice(line);
            }
        }
        if self.is_message && !has_version {
            out.extend_from_slice(b"MIME-Version: 1.0\r\n");
        }
        if !self.has_type && encoding.is_encoded() {
            // Nobody says what the octets mean (RFC 1428 §3).
            out.extend_from_slice(b"Content-Type: text/plain; charset=unknown-8bit\r\n");
        }
        out.extend_from_slice(format!("Content-Transfer-Encoding: {}\r\n\r\n", encoding.name()).as_bytes());
    }
}

impl Kind {
    /// By the body of a Content-Type field (RFC 2045 §5.1).
    fn of(text: &[u8]) -> Self {
        let name = text.split(|b| *b == b';').next().unwrap_or_default();
        let name: Vec<u8> =
            name.iter().filter(|b| !b.is_ascii_whitespace()).map(u8::to_ascii_lowercase).collect();
        let is_multipart = name.starts_with(b"multipart/");
        match (name.as_slice(), is_multipart) {
            // RFC 1847 §2.1.
            (b"multipart/signed", _) => Self::Fixed,
            (name, true) => match parameter(text, b"boundary") {
                Some(boundary) if !boundary.is_empty() => {
                    Self::Multipart { boundary, is_digest: name == b"multipart/digest" }
                }
                _ => Self::Fixed,
            },
            (b"message/rfc822" | b"message/global" | b"message/news", _) => Self::Message,
            // They may not be encoded (RFC 2046 §5.2.2, §5.2.3; RFC 3464 §2.1).
            (b"message/partial" | b"message/external-body" | b"message/delivery-status", _) => Self::Fixed,
            (name, _) => {
                let is_text = name.starts_with(b"text/") || name.starts_with(b"message/");
                Self::Leaf { is_text: is_text || !name.contains(&b'/') }
            }
        }
    }
}

/// `parameter = attribute "=" value`, the value a token or a quoted string (RFC 2045 §5.1).
fn parameter(text: &[u8], wanted: &[u8]) -> Option<Vec<u8>> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let mut parts = text.split(|b| {
        let is_end = *b == b';' && !is_quoted;
        is_quoted ^= *b == b'"' && !is_escaped;
        is_escaped = is_quoted && *b == b'\\' && !is_escaped;
        is_end
    });
    parts.find_map(|part| {
        let (name, value) = part.split_at(part.iter().position(|b| *b == b'=')?);
        if !name.trim_ascii().eq_ignore_ascii_case(wanted) {
            return None;
        }
        let value = value[1..].trim_ascii();
        Some(match value.strip_prefix(b"\"") {
            Some(quoted) => unquoted(quoted),
            None => value.split(|b| matches!(b, b' ' | b'\t' | b'(')).next().unwrap_or_default().to_vec(),
        })
    })
}

/// A quoted string behind its opening quote.
fn unquoted(text: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    let mut octets = text.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b'"' => break,
            b'\\' => value.extend(octets.next()),
            _ => value.push(*octet),
        }
    }
    value
}
