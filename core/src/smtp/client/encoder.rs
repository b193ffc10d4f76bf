//! Content into its transport form: with a final dot (RFC 5321 §4.5.2), or in chunks (RFC 3030 §2).

use memchr::memchr2;

const CR: u8 = b'\r';
const LF: u8 = b'\n';

/// Puts content into its transport form, piece by piece.
#[derive(Debug)]
pub(super) enum Encoder {
    /// How it is cut into pieces makes no difference to what comes out.
    Dotted(Dotted),
    /// Each piece is a chunk, and each chunk has a reply: so many are awaited.
    Chunked(usize),
}

impl Encoder {
    /// At the start of content that goes by DATA.
    pub(super) fn dotted() -> Self {
        Self::Dotted(Dotted::new())
    }

    /// At the start of content that goes by BDAT.
    pub(super) fn chunked() -> Self {
        Self::Chunked(0)
    }

    /// Appends the next octets of content to `out`.
    pub(super) fn encode(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        match self {
            Self::Dotted(dotted) => return dotted.encode(content, out),
            Self::Chunked(_) if content.is_empty() => {}
            Self::Chunked(awaited) => {
                out.extend_from_slice(format!("BDAT {}\r\n", content.len()).as_bytes());
                out.extend_from_slice(content);
                *awaited += 1;
            }
        }
        Ok(())
    }

    /// Appends the end.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        match self {
            Self::Dotted(dotted) => dotted.finish(out),
            Self::Chunked(_) => {
                out.extend_from_slice(b"BDAT 0 LAST\r\n");
                Ok(())
            }
        }
    }

    /// Replies that are to come, beside the last one.
    pub(super) fn chunks_awaited(&self) -> usize {
        match self {
            Self::Dotted(_) => 0,
            Self::Chunked(awaited) => *awaited,
        }
    }

    /// Whether replies are to come beside the last one.
    pub(super) fn awaits_chunks(&self) -> bool {
        self.chunks_awaited() > 0
    }

    /// A chunk before the last one was taken.
    pub(super) fn chunk_answered(&mut self) {
        if let Self::Chunked(awaited) = self {
            *awaited = awaited.saturating_sub(1);
        }
    }
}

/// Lines with dots in front of those that begin with one.
#[derive(Debug)]
pub(super) struct Dotted {
    place: Place,
}

/// The content holds a CR or LF that is not part of a CRLF. Such octets may not be sent (RFC 5321 §2.3.8): a server that
/// takes them for line ends may see the end of content elsewhere than we do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BareLineEnd;

/// What the last octet leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    LineStart,
    InLine,
    Cr,
}

impl Dotted {
    fn new() -> Self {
        Self { place: Place::LineStart }
    }

    /// A run without a dot to be stuffed is copied at once.
    fn encode(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        let mut uncopied = 0;
        let mut at = 0;
        while let Some(&octet) = content.get(at) {
            match (self.place, octet) {
                (Place::Cr, LF) => {
                    self.place = Place::LineStart;
                    at += 1;
                }
                (Place::Cr, _) | (_, LF) => return Err(BareLineEnd),
                (_, CR) => {
                    self.place = Place::Cr;
                    at += 1;
                }
                (Place::LineStart | Place::InLine, _) => {
                    if self.place == Place::LineStart && octet == b'.' {
                        out.extend_from_slice(&content[uncopied..at]);
                        out.push(b'.');
                        uncopied = at;
                    }
                    self.place = Place::InLine;
                    at += memchr2(CR, LF, &content[at..]).unwrap_or(content.len() - at);
                }
            }
        }
        out.extend_from_slice(&content[uncopied..]);
        Ok(())
    }

    /// A CRLF where the last line has none, and the final dot.
    fn finish(&self, out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        match self.place {
            Place::LineStart => {}
            Place::InLine => out.extend_from_slice(b"\r\n"),
            Place::Cr => return Err(BareLineEnd),
        }
        out.extend_from_slice(b".\r\n");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(content: &[u8], piece: usize) -> Result<Vec<u8>, BareLineEnd> {
        let mut encoder = Encoder::dotted();
        let mut out = Vec::new();
        for piece in content.chunks(piece) {
            encoder.encode(piece, &mut out)?;
        }
        encoder.finish(&mut out)?;
        Ok(out)
    }

    fn check(content: &str, expected: Result<&str, BareLineEnd>) {
        let expected = expected.map(|wire| wire.as_bytes().to_vec());
        for piece in [1, 2, 3, 1000] {
            assert_eq!(encode(content.as_bytes(), piece), expected, "{content:?} in pieces of {piece}");
        }
    }

    #[test]
    fn dots_at_the_start_of_lines_are_doubled_and_the_end_is_put_behind() {
        for (content, wire) in [
            ("", ".\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("..a.\r\n.\r\nb.c\r\n", "...a.\r\n..\r\nb.c\r\n.\r\n"),
            ("\r\n\r\n.", "\r\n\r\n..\r\n.\r\n"),
            ("no end", "no end\r\n.\r\n"),
        ] {
            check(content, Ok(wire));
        }
    }

    #[test]
    fn a_bare_cr_or_lf_is_not_sent() {
        for content in ["a\nb\r\n", "a\rb\r\n", "\n", "\r", "a\r\r\n", "a\r\n\n.\r\n", "a\r"] {
            check(content, Err(BareLineEnd));
        }
    }
}
