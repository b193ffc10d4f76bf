//! Replies out of a stream of octets (RFC 5321 §4.2.1).
//!
//! The form is read strictly, since whatever breaks it may have shifted replies against commands. Two things are let through:
//! lines longer than RFC 5321 §4.5.3.1.5 allows, up to a bound, and text beyond ASCII, for servers explain themselves in their
//! users' language.

use memchr::memchr;

use crate::model::reply::REPLY_LINE_LIMIT;
use crate::model::{EnhancedStatus, Reply};

/// Octets that a reply line may have with its CRLF: several times the standard's 512, for servers in the field do exceed it.
pub const LONGEST_LINE: usize = 8 * REPLY_LINE_LIMIT;
/// Lines that a reply may have; the longest replies to EHLO have about thirty.
pub const MOST_LINES: usize = 128;
/// Octets of text that a reply may have.
pub const LONGEST_TEXT: usize = 32 << 10;

/// Why what a server sent cannot be understood. Nothing that follows can be trusted, so the session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A line that is not `Reply-code ("-" / SP) textstring`.
    #[error("a line that is not a reply")]
    NotAReply,
    /// A line that ends with a bare LF (RFC 5321 §2.3.8).
    #[error("a reply line that ends with a bare LF")]
    BareLf,
    /// A line beyond [`LONGEST_LINE`].
    #[error("a reply line over {LONGEST_LINE} octets")]
    LongLine,
    /// More lines than [`MOST_LINES`], or more text than [`LONGEST_TEXT`].
    #[error("a reply over {MOST_LINES} lines or {LONGEST_TEXT} octets")]
    LongReply,
    /// The lines of one reply bear different codes.
    #[error("a reply whose lines bear different codes")]
    MixedCodes,
    /// A positive reply of a kind that the command cannot have.
    #[error("a reply of {0} where that cannot be")]
    Unexpected(u16),
    /// A reply to no command.
    #[error("a reply of {0} to no command")]
    Unasked(u16),
    /// Octets in the clear behind the reply that invited TLS: somebody may have put them there, to be taken for what the
    /// server says under its protection (CVE-2011-0411).
    #[error("octets in the clear before TLS began")]
    InputBeforeTls,
}

/// Collects one reply at a time, within limits.
#[derive(Debug, Default)]
pub(super) struct ReplyReader {
    /// The current line so far.
    line: Vec<u8>,
    /// The lines before it.
    code: Option<u16>,
    lines: usize,
    text: String,
}

impl ReplyReader {
    /// Takes octets from the front of `input`, up to and with the end of the next reply. Nothing where there is none yet.
    pub(super) fn take(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, ProtocolError> {
        while !input.is_empty() {
            let end = memchr(b'\n', input);
            let (octets, rest) = input.split_at(end.map_or(input.len(), |end| end + 1));
            *input = rest;
            if self.line.len() + octets.len() > LONGEST_LINE {
                return Err(ProtocolError::LongLine);
            }
            self.line.extend_from_slice(octets);
            if end.is_some() && self.finish_line()? {
                return Ok(Some(self.finish_reply()));
            }
        }
        Ok(None)
    }

    /// Whether a part of a reply has come.
    pub(super) fn is_amid_reply(&self) -> bool {
        self.lines > 0 || !self.line.is_empty()
    }

    /// `Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF`. Says whether this line was
    /// the last one.
    fn finish_line(&mut self) -> Result<bool, ProtocolError> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r\n").ok_or(ProtocolError::BareLf)?;
        let (code, rest) = reply_code(line).ok_or(ProtocolError::NotAReply)?;
        let (is_last, text) = match rest.split_first() {
            None => (true, rest),
            Some((b' ', text)) => (true, text),
            Some((b'-', text)) => (false, text),
            Some(_) => return Err(ProtocolError::NotAReply),
        };
        if *self.code.get_or_insert(code) != code {
            return Err(ProtocolError::MixedCodes);
        }
        self.lines += 1;
        if self.lines > 1 {
            self.text.push('\n');
        }
        let text = String::from_utf8_lossy(text);
        self.text.extend(text.chars().map(|c| if c.is_control() { '?' } else { c }));
        if self.lines > MOST_LINES || self.text.len() > LONGEST_TEXT {
            return Err(ProtocolError::LongReply);
        }
        Ok(is_last)
    }

    fn finish_reply(&mut self) -> Reply {
        let Self { code, text, .. } = std::mem::take(self);
        // Set by the line that ended the reply.
        let code = code.unwrap_or_default();
        match without_status(code, &text) {
            Some((status, text)) => Reply { code, enhanced_status: Some(status), text: text.into() },
            None => Reply::bare(code, text),
        }
    }
}

/// `Reply-code = %x32-35 %x30-35 %x30-39` (RFC 5321 §4.2), but with any second digit, since servers in the field use others and
/// the first one decides (RFC 5321 §4.3.2). Gives what follows, too.
fn reply_code(line: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = line.split_first_chunk::<3>()?;
    let is_code = (b'2'..=b'5').contains(&digits[0]) && digits.iter().all(u8::is_ascii_digit);
    is_code.then(|| (digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')), rest))
}

/// Takes the enhanced status off a text all of whose lines begin with the same (RFC 2034 §4).
fn without_status(code: u16, text: &str) -> Option<(EnhancedStatus, String)> {
    let (first, _) = status_code(code, text.split('\n').next()?)?;
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let (status, line) = status_code(code, line)?;
        if status != first {
            return None;
        }
        lines.push(line);
    }
    Some((first, lines.join("\n")))
}

/// `status-code = class "." subject "." detail`, where `class` is the first digit of the reply's code, `subject` and `detail`
/// `1*3digit` (RFC 3463 §2). Gives what follows, too.
pub fn status_code(code: u16, line: &str) -> Option<(EnhancedStatus, &str)> {
    let (status, text) = line.split_once(' ').unwrap_or((line, ""));
    let mut parts = status.splitn(3, '.').map(|part| {
        let is_number = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if is_number { part.parse::<u16>().ok() } else { None }
    });
    let (class, subject, detail) = (parts.next()??, parts.next()??, parts.next()??);
    let has_status = matches!(class, 2 | 4 | 5) && class == code / 100;
    has_status.then_some((EnhancedStatus(u8::try_from(class).ok()?, subject, detail), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &[u8], chunk: usize) -> Result<Option<Reply>, ProtocolError> {
        let mut reader = ReplyReader::default();
        for mut piece in wire.chunks(chunk) {
            if let Some(reply) = reader.take(&mut piece)? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    fn check(wire: &[u8], expected: &Result<Option<Reply>, ProtocolError>) {
        for chunk in [1, 2, 3, usize::MAX] {
            assert_eq!(&read(wire, chunk), expected, "{:?}", String::from_utf8_lossy(wire));
        }
    }

    #[test]
    fn replies_are_read_as_servers_write_them() {
        for (wire, reply) in [
            (&b"250 ok\r\n"[..], Reply::bare(250, "ok")),
            (b"250\r\n", Reply::bare(250, "")),
            (b"250-\r\n250-b c\r\n250\r\n", Reply::bare(250, "\nb c\n")),
            (b"571 no\r\n", Reply::bare(571, "no")),
            (b"550 5.1.1 no such user\r\n", Reply::new(550, (5, 1, 1), "no such user")),
            (b"550 5.1.1\r\n", Reply::new(550, (5, 1, 1), "")),
            (b"450-4.7.25 a\r\n450 4.7.25 b\r\n", Reply::new(450, (4, 7, 25), "a\nb")),
            (b"550-5.1.1 a\r\n550 b\r\n", Reply::bare(550, "5.1.1 a\nb")),
            (b"550-5.1.1 a\r\n550 5.1.2 b\r\n", Reply::bare(550, "5.1.1 a\n5.1.2 b")),
            (b"550 4.1.1 class\r\n", Reply::bare(550, "4.1.1 class")),
            (b"550 5.1.1000 x\r\n", Reply::bare(550, "5.1.1000 x")),
            (b"354 3.0.0 no such class\r\n", Reply::bare(354, "3.0.0 no such class")),
            (b"550 gr\xc3\xbc\xc3\x9fe \xff\0\r.\r\n", Reply::bare(550, "grüße \u{fffd}??.")),
        ] {
            check(wire, &Ok(Some(reply)));
        }
        check(b"250 ok\r", &Ok(None));
        check(b"250-ok\r\n250-ok\r\n", &Ok(None));
    }

    #[test]
    fn what_is_wrong_with_a_reply_is_named() {
        use ProtocolError as E;
        let long_line = [&b"250 "[..], &[b'x'; LONGEST_LINE]].concat();
        let long_text = [&b"250-"[..], &[b'x'; 4000], b"\r\n"].concat().repeat(10);
        for (wire, error) in [
            (&b"\r\n"[..], E::NotAReply),
            (b"25\r\n", E::NotAReply),
            (b"HTTP/1.1 200 OK\r\n", E::NotAReply),
            (b"150 wait\r\n", E::NotAReply),
            (b"650 what\r\n", E::NotAReply),
            (b"2500 ok\r\n", E::NotAReply),
            (b"250+ok\r\n", E::NotAReply),
            (b" 250 ok\r\n", E::NotAReply),
            (b"\x15\x03\x01\x00\x02\x02\r\n", E::NotAReply),
            (b"250 ok\n", E::BareLf),
            (b"250-a\r\n251 b\r\n", E::MixedCodes),
            (&long_line, E::LongLine),
            (&b"250-x\r\n".repeat(MOST_LINES + 1), E::LongReply),
            (&long_text, E::LongReply),
        ] {
            check(wire, &Err(error));
        }
    }

    #[test]
    fn bounds_are_inclusive() {
        let line = [&b"250 "[..], &vec![b'x'; LONGEST_LINE - 6], b"\r\n"].concat();
        let lines = [&b"250-x\r\n".repeat(MOST_LINES - 1)[..], b"250 x\r\n"].concat();
        for wire in [line, lines] {
            assert!(matches!(read(&wire, usize::MAX), Ok(Some(_))));
        }
    }
}
