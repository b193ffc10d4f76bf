//! A message on its way into the transport form of multi-line responses (RFC 1939 §3).

use memchr::memchr;

/// Puts content into its transport form, in pieces of any length: a dot before every line that begins with one, CRLF at the
/// end of the last line, then a line with a dot alone.
#[derive(Debug)]
pub(super) struct Encoder {
    /// Lines of the body that are still wanted; all where absent.
    lines_wanted: Option<u64>,
    is_in_header: bool,
    is_at_line_start: bool,
    /// Whether the line so far holds nothing but its end.
    is_blank: bool,
    last_octet: u8,
    ends_with_crlf: bool,
    is_complete: bool,
}

impl Encoder {
    /// For a whole message, or for its header block with so many lines of its body (RFC 1939 §7, TOP).
    pub(super) fn new(body_lines: Option<u64>) -> Self {
        Self {
            lines_wanted: body_lines,
            is_in_header: true,
            is_at_line_start: true,
            is_blank: true,
            last_octet: 0,
            ends_with_crlf: true,
            is_complete: false,
        }
    }

    /// Whether no more content is wanted, or there is none.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether this is for a whole message.
    pub(super) fn is_of_whole_message(&self) -> bool {
        self.lines_wanted.is_none()
    }

    /// There is no more content.
    pub(super) fn complete(&mut self) {
        self.is_complete = true;
    }

    /// Appends the next octets of the content.
    pub(super) fn encode(&mut self, mut content: &[u8], out: &mut Vec<u8>) {
        while !content.is_empty() && !self.is_complete {
            let end = memchr(b'\n', content).map_or(content.len(), |at| at + 1);
            let (octets, rest) = content.split_at(end);
            content = rest;
            // After any LF: some clients take a bare one for the end of a line, and what a message holds must not pass for
            // the end of the response.
            if self.is_at_line_start && octets[0] == b'.' {
                out.push(b'.');
            }
            out.extend_from_slice(octets);
            self.is_blank &= octets.iter().all(|octet| matches!(octet, b'\r' | b'\n'));
            self.is_at_line_start = octets.ends_with(b"\n");
            self.ends_with_crlf = match octets {
                [b'\n'] => self.last_octet == b'\r',
                octets => octets.ends_with(b"\r\n"),
            };
            self.last_octet = octets[octets.len() - 1];
            if self.is_at_line_start {
                self.end_line();
            }
        }
    }

    /// Appends what remains to be said when all content is out.
    pub(super) fn finish(&self, out: &mut Vec<u8>) {
        if !self.ends_with_crlf {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }

    fn end_line(&mut self) {
        if self.is_in_header {
            self.is_in_header = !self.is_blank;
        } else if let Some(lines) = &mut self.lines_wanted {
            *lines -= 1;
        }
        self.is_complete = !self.is_in_header && self.lines_wanted == Some(0);
        self.is_blank = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(content: &[u8], body_lines: Option<u64>, chunk: usize) -> Vec<u8> {
        let (mut encoder, mut out) = (Encoder::new(body_lines), Vec::new());
        content.chunks(chunk).for_each(|octets| encoder.encode(octets, &mut out));
        encoder.finish(&mut out);
        out
    }

    #[test]
    fn content_is_cut_stuffed_and_ended() {
        for (content, body_lines, expected) in [
            ("", None, ".\r\n"),
            ("A: b\r\n\r\n.\r\n..c\r\nd.\r\n", None, "A: b\r\n\r\n..\r\n...c\r\nd.\r\n.\r\n"),
            ("A: b", None, "A: b\r\n.\r\n"),
            ("A: b\r\n\r\nc\r", None, "A: b\r\n\r\nc\r\r\n.\r\n"),
            ("A: b\r\n\r\nc\n.\n", None, "A: b\r\n\r\nc\n..\n\r\n.\r\n"),
            ("A: b\r\n\r\nc\r\nd\r\n", Some(0), "A: b\r\n\r\n.\r\n"),
            ("A: b\r\n\r\nc\r\nd\r\n", Some(1), "A: b\r\n\r\nc\r\n.\r\n"),
            ("A: b\r\n\r\n\r\n.\r\nd\r\n", Some(2), "A: b\r\n\r\n\r\n..\r\n.\r\n"),
            ("A: b\r\n\r\nc", Some(9), "A: b\r\n\r\nc\r\n.\r\n"),
            ("A: b\r\n", Some(0), "A: b\r\n.\r\n"),
            ("\r\nc\r\n", Some(0), "\r\n.\r\n"),
        ] {
            for chunk in [1, 2, 3, 100] {
                let got = String::from_utf8(encoded(content.as_bytes(), body_lines, chunk)).unwrap();
                assert_eq!(got, expected, "{content:?} {body_lines:?} in chunks of {chunk}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_a_client_decodes_is_what_was_sent(
            lines in prop::collection::vec("[.a]{0,4}", 0..20),
            chunk in 1usize..20,
        ) {
            let content: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let wire = String::from_utf8(encoded(content.as_bytes(), None, chunk)).unwrap();
            let decoded: Vec<&str> = wire
                .split_terminator("\r\n")
                .take_while(|line| *line != ".")
                .map(|line| line.strip_prefix('.').unwrap_or(line))
                .collect();
            prop_assert_eq!(decoded, lines);
            prop_assert!(wire.ends_with(".\r\n"));
        }
    }
}
