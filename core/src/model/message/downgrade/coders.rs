//! Content-Transfer-Encodings, as octets stream by (RFC 2045 §6.7, §6.8).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Characters in a line of quoted-printable without the one that says that it goes on (RFC 2045 §6.7).
const COLUMNS: usize = 75;
/// Octets that make a line of base64 of 76 characters (RFC 2045 §6.8).
const OCTETS_A_LINE: usize = 57;

/// An encoder, and the line end that may belong to the boundary that follows rather than to the content.
#[derive(Debug)]
pub(super) struct Coder {
    code: Code,
    held: &'static [u8],
}

#[derive(Debug)]
enum Code {
    QuotedPrintable(QuotedPrintable),
    Base64(Base64),
}

impl Coder {
    pub(super) fn quoted_printable() -> Self {
        Self { code: Code::QuotedPrintable(QuotedPrintable::default()), held: b"" }
    }

    pub(super) fn base64() -> Self {
        Self { code: Code::Base64(Base64::default()), held: b"" }
    }

    /// Encodes whole lines, or pieces of long ones that do not end amid a CRLF.
    pub(super) fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        if octets.is_empty() {
            return;
        }
        self.write(self.held, out);
        let (content, held) = match octets.strip_suffix(b"\r\n") {
            Some(content) => (content, &b"\r\n"[..]),
            None => (octets, &b""[..]),
        };
        self.write(content, out);
        self.held = held;
    }

    /// Appends the end, and a line end.
    pub(super) fn finish(mut self, is_end_of_message: bool, out: &mut Vec<u8>) {
        if is_end_of_message {
            self.write(self.held, out);
        }
        match self.code {
            Code::QuotedPrintable(code) => code.finish(out),
            Code::Base64(code) => code.finish(out),
        }
        if !(is_end_of_message && out.ends_with(b"\r\n")) {
            out.extend_from_slice(b"\r\n");
        }
    }

    fn write(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        match &mut self.code {
            Code::QuotedPrintable(code) => code.push(octets, out),
            Code::Base64(code) => code.push(octets, out),
        }
    }
}

/// Lines stay lines; a CR or LF that is not part of a CRLF is an octet like others.
#[derive(Debug, Default)]
struct QuotedPrintable {
    column: usize,
    /// Whether the line goes on one before it.
    is_continued: bool,
    /// A blank that is the last of its line if no other octet comes: then it must be encoded.
    blank: Option<u8>,
    is_after_cr: bool,
}

impl QuotedPrintable {
    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        for octet in octets {
            if std::mem::take(&mut self.is_after_cr) {
                if *octet == b'\n' {
                    self.end_line(out);
                    continue;
                }
                self.encoded(b'\r', out);
            }
            match octet {
                b'\r' => self.is_after_cr = true,
                b' ' | b'\t' => {
                    self.let_go(out);
                    self.blank = Some(*octet);
                }
                b'=' => self.encoded(*octet, out),
                b'!'..=b'~' => self.literal(*octet, out),
                _ => self.encoded(*octet, out),
            }
        }
    }

    fn finish(mut self, out: &mut Vec<u8>) {
        if self.is_after_cr {
            self.encoded(b'\r', out);
        }
        self.encode_blank(out);
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        self.encode_blank(out);
        out.extend_from_slice(b"\r\n");
        (self.column, self.is_continued) = (0, false);
    }

    fn encode_blank(&mut self, out: &mut Vec<u8>) {
        if let Some(blank) = self.blank.take() {
            self.encoded(blank, out);
        }
    }

    /// The blank is not the last of its line.
    fn let_go(&mut self, out: &mut Vec<u8>) {
        if let Some(blank) = self.blank.take() {
            self.make_room(1, out);
            out.push(blank);
        }
    }

    fn literal(&mut self, octet: u8, out: &mut Vec<u8>) {
        self.let_go(out);
        self.make_room(1, out);
        if octet == b'-' && self.is_continued && self.column == 1 {
            // At the start of a line of ours it could look like a boundary.
            out.extend_from_slice(b"=2D");
            self.column += 2;
        } else {
            out.push(octet);
        }
    }

    fn encoded(&mut self, octet: u8, out: &mut Vec<u8>) {
        self.let_go(out);
        self.make_room(3, out);
        out.extend_from_slice(format!("={octet:02X}").as_bytes());
    }

    /// For so many characters more.
    fn make_room(&mut self, characters: usize, out: &mut Vec<u8>) {
        if self.column + characters > COLUMNS {
            out.extend_from_slice(b"=\r\n");
            (self.column, self.is_continued) = (0, true);
        }
        self.column += characters;
    }
}

#[derive(Debug, Default)]
struct Base64 {
    /// Less than a line.
    rest: Vec<u8>,
    is_begun: bool,
}

impl Base64 {
    fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        self.rest.extend_from_slice(octets);
        let whole = self.rest.len() / OCTETS_A_LINE * OCTETS_A_LINE;
        for line in self.rest[..whole].chunks(OCTETS_A_LINE) {
            write_line(line, &mut self.is_begun, out);
        }
        self.rest.drain(..whole);
    }

    fn finish(mut self, out: &mut Vec<u8>) {
        if !self.rest.is_empty() {
            write_line(&self.rest, &mut self.is_begun, out);
        }
    }
}

/// Lines are parted by CRLF, so that what follows decides whether there is one more.
fn write_line(line: &[u8], is_begun: &mut bool, out: &mut Vec<u8>) {
    if std::mem::replace(is_begun, true) {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(STANDARD.encode(line).as_bytes());
}
