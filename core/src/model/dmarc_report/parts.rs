//! The parts of a message that a stranger wrote (RFC 2045, RFC 2046), as far as attachments are looked for, with bounds on all that it can make us hold.
//!
//! A parser of whole messages keeps something for each part, and descends into messages within messages as deep as their author likes. Here no more than
//! [`PARTS`] are looked at, [`DEPTH_LIMIT`] deep, and a message within the message is none of them: what is in that was sent to somebody else.

use std::borrow::Cow;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{MessageParser, MimeHeaders};

use crate::model::message::fields;

/// Parts that are looked at, multiparts included.
const PARTS: usize = 50;
/// Multiparts within each other that are looked into.
const DEPTH_LIMIT: usize = 4;
/// Octets of a header block. A part with a longer one is passed over.
const HEADER_LIMIT: usize = 256 << 10;
const PREFIX: &[u8] = b"Content-";

/// A part without parts of its own.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// What stands behind the slash of its type, in lower case.
    pub(super) subtype: String,
    /// The name of the file, in lower case; empty where it has none.
    pub(super) name: String,
    /// Content-Transfer-Encoding, in lower case.
    encoding: String,
    body: &'a [u8],
}

impl<'a> Part<'a> {
    /// What it carries, decoded (RFC 2045 §6).
    ///
    /// # Errors
    /// The encoding is broken.
    pub(super) fn content(&self) -> Result<Cow<'a, [u8]>, String> {
        let decoded = match self.encoding.as_str() {
            "base64" => base64_decode(self.body),
            "quoted-printable" => quoted_printable_decode(self.body),
            _ => return Ok(Cow::Borrowed(self.body)),
        };
        decoded.map(Cow::Owned).ok_or_else(|| format!("an attachment whose {} is broken", self.encoding))
    }
}

/// The parts of a message that have none of their own, in order.
pub(super) fn parts(message: &[u8]) -> Vec<Part<'_>> {
    let mut found = Vec::new();
    let mut waiting = vec![(message, 0)];
    for _ in 0..PARTS {
        let Some((octets, depth)) = waiting.pop() else { break };
        let (header, body) = halves(octets);
        // Nothing else of a block is read, since nothing else is asked for.
        let wanted = fields(header).filter(|field| {
            field.name.get(..PREFIX.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX))
        });
        let mut labels: Vec<u8> = wanted.flat_map(|field| field.octets).copied().collect();
        labels.extend_from_slice(b"\r\n");
        if labels.len() > HEADER_LIMIT {
            continue;
        }
        // Nothing where there are none.
        let labels = MessageParser::new().with_mime_headers().parse_headers(&labels);
        let labels = labels.as_ref();
        let kind = labels.and_then(|labels| labels.content_type());
        let boundary = kind.filter(|kind| kind.ctype().eq_ignore_ascii_case("multipart"));
        match boundary.and_then(|kind| kind.attribute("boundary")) {
            Some(boundary) if depth < DEPTH_LIMIT => {
                let inner = divided(body, boundary.as_bytes());
                waiting.extend(inner.into_iter().rev().map(|part| (part, depth + 1)));
            }
            _ => found.push(Part {
                subtype: lower(kind.and_then(|kind| kind.subtype())),
                name: lower(labels.and_then(|labels| labels.attachment_name())),
                encoding: lower(labels.and_then(|labels| labels.content_transfer_encoding())),
                body,
            }),
        }
    }
    found
}

fn lower(text: Option<&str>) -> String {
    text.unwrap_or_default().trim().to_ascii_lowercase()
}

/// The header block of a part, without the empty line at its end, and what follows that.
fn halves(octets: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0;
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        if matches!(line, b"\r\n" | b"\n") {
            return (&octets[..end], &octets[end + line.len()..]);
        }
        end += line.len();
    }
    (octets, &[])
}

/// What stands between the boundaries of a multipart (RFC 2046 §5.1.1). The last part may be cut off.
fn divided<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let (mut at, mut begin) = (0, None);
    for line in body.split_inclusive(|octet| *octet == b'\n') {
        let line_at = at;
        at += line.len();
        let rest = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary));
        let is_last = match rest.map(<[u8]>::trim_ascii_end) {
            Some(b"") => false,
            Some(b"--") => true,
            _ => continue,
        };
        // The line end before a boundary belongs to that.
        parts.extend(begin.map(|begin| {
            let part = &body[begin..line_at];
            let part = part.strip_suffix(b"\n").unwrap_or(part);
            part.strip_suffix(b"\r").unwrap_or(part)
        }));
        begin = (!is_last && parts.len() < PARTS).then_some(at);
        if begin.is_none() {
            break;
        }
    }
    parts.extend(begin.map(|begin| &body[begin..]));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and contents of all parts.
    fn check(message: &str, expected: &[(&str, &str)]) {
        let found: Vec<_> = parts(message.as_bytes())
            .iter()
            .map(|part| {
                (part.name.clone(), String::from_utf8_lossy(&part.content().unwrap_or_default()).into_owned())
            })
            .collect();
        let found: Vec<_> = found.iter().map(|(name, content)| (name.as_str(), content.as_str())).collect();
        assert_eq!(found, expected, "{message:.200}");
    }

    #[test]
    fn parts_are_found_with_their_names_and_decoded() {
        let nested = "From: a@x.test\r\nContent-Type: multipart/mixed;\r\n boundary=\"a b\"\r\n\r\npreamble\r\n\
                      --a b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\nplain\r\n--c \r\n\
                      content-type: TEXT/XML; name=R.xml\r\ncontent-transfer-encoding: Quoted-Printable\r\n\r\n=3Ca/=\r\n>\r\n--c--\r\n\
                      --a b\nContent-Disposition: attachment;\n filename*=utf-8''r%21.gz\nContent-Transfer-Encoding: base64\n\naGVs\nbG8=\n\
                      --a b--\r\nepilogue\r\n";
        check(nested, &[("", "plain"), ("r.xml", "<a/>"), ("r!.gz", "hello")]);
        check("Subject: x\r\n\r\nhello\r\n", &[("", "hello\r\n")]);
        check("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ncut off", &[("", "cut off")]);
        check("Content-Type: text/xml; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n!", &[("a", "")]);
        check(
            "Content-Type: message/rfc822\r\n\r\nContent-Type: text/xml; name=a\r\n\r\nx",
            &[("", "Content-Type: text/xml; name=a\r\n\r\nx")],
        );
        check("", &[("", "")]);
    }

    #[test]
    fn no_message_makes_more_of_itself_than_the_bounds() {
        let many =
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned() + &"--b\r\n\r\n".repeat(1 << 20);
        assert_eq!(parts(many.as_bytes()).len(), PARTS - 1);
        let deep: String = (0..100_000)
            .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"))
            .collect();
        assert_eq!(parts(deep.as_bytes()).len(), 1);
        // A parser that descends into each of these has no end of its stack left to come back on.
        let messages = "Content-Type: message/rfc822\r\n\r\n".repeat(500_000);
        assert_eq!(parts(messages.as_bytes()).len(), 1);
        let labels = "Content-Type: text/xml; name=a\r\n".repeat(500_000);
        assert_eq!(parts(labels.as_bytes()).len(), 0);
    }
}
