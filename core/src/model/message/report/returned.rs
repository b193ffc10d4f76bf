//! The part of a report that gives the message back (RFC 6522 §3).

use bytes::Bytes;
use mail_builder::headers::content_type::ContentType;
use mail_builder::mime::MimePart;

use super::unencoded;

/// Octets of the original header block that are returned.
pub(super) const HEADER_LIMIT: usize = 32 << 10;
/// Octets in a line, its CRLF not counted (RFC 5322 §2.1.1).
pub(super) const LINE_LIMIT: usize = 998;

/// What is returned of a message.
#[derive(Clone, Copy, Debug)]
pub enum Returned<'a> {
    /// It is lost.
    Nothing,
    /// Its header block.
    Header(&'a [u8]),
    /// All of it: header block and body, in lines that end with CRLF.
    Whole(&'a [u8], &'a [Bytes]),
}

impl<'a> Returned<'a> {
    /// The header block.
    pub(super) fn header(&self) -> Option<&'a [u8]> {
        match self {
            Self::Nothing => None,
            Self::Header(header) | Self::Whole(header, _) => Some(header),
        }
    }

    /// Whether it takes nothing but ASCII to return it; a header block alone is encoded where it has more.
    pub(super) fn is_ascii(&self) -> bool {
        match self {
            Self::Nothing | Self::Header(_) => true,
            Self::Whole(header, body) => header.is_ascii() && body.iter().all(|part| part.is_ascii()),
        }
    }

    /// The part, if there is one.
    pub(super) fn part(&self, is_utf8: bool) -> Option<Part> {
        match self {
            Self::Nothing => None,
            Self::Header(header) => Some(Part::header(header, is_utf8)),
            Self::Whole(header, body) => {
                let octets =
                    [header].into_iter().map(|part| &part[..]).chain(body.iter().map(|part| &part[..]));
                let octets = octets.collect::<Vec<_>>().concat();
                // RFC 6533 §5.3: with UTF-8 in its header it is no message/rfc822.
                let name = if header.is_ascii() { "message/rfc822" } else { "message/global" };
                Some(Part { name, octets, is_cut: false, is_whole: true, may_go_as_it_is: true })
            }
        }
    }
}

/// The part before it is written.
pub(super) struct Part {
    name: &'static str,
    octets: Vec<u8>,
    /// Whether something of the header block is left out.
    pub(super) is_cut: bool,
    /// Whether it is the whole message.
    pub(super) is_whole: bool,
    may_go_as_it_is: bool,
}

impl Part {
    /// A header block as it is returned (RFC 6522 §4): without the line that ends it, every line ended by CRLF, and no control characters that
    /// could be taken for line ends.
    pub(super) fn header(header: &[u8], is_utf8: bool) -> Self {
        let mut octets = Vec::new();
        let (mut is_cut, mut is_short) = (false, true);
        for line in header.split_inclusive(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            if octets.len() + line.len() + 2 > HEADER_LIMIT {
                is_cut = true;
                break;
            }
            is_short &= line.len() <= LINE_LIMIT;
            let is_harmless = |b: u8| b == b'\t' || !b.is_ascii_control();
            octets.extend(line.iter().map(|b| if is_harmless(*b) { *b } else { b'?' }));
            octets.extend_from_slice(b"\r\n");
        }
        let is_global = is_utf8 && !octets.is_ascii() && str::from_utf8(&octets).is_ok();
        // RFC 6533 §5.2.
        let name = if is_global { "message/global-headers" } else { "text/rfc822-headers" };
        let may_go_as_it_is = is_short && (is_global || octets.is_ascii());
        Self { name, octets, is_cut, is_whole: false, may_go_as_it_is }
    }

    pub(super) fn into_mime(self) -> MimePart<'static> {
        let content_type = ContentType::new(self.name);
        match self.may_go_as_it_is {
            true => unencoded(content_type, self.octets),
            // Left to choose, the builder encodes it: quoted-printable, or base64 where that is shorter.
            false => MimePart::new(content_type, self.octets),
        }
    }
}
