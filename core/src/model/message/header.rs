//! Finds the end of a header block while the content streams by, and counts fields in it.

use memchr::memchr;

/// What is known of the header block so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderSplit {
    /// More content is needed.
    Unfinished,
    /// The first this many octets of the content are the header block; the rest is body. The empty line that parts
    /// them (RFC 5322 §2.1) counts to the header block. Where a line comes that is no field, the block ends before it; a first line that
    /// begins with a blank goes on no field of this block, though it would go on one that is put in front.
    At(usize),
}

/// Looks for the end of the header block, line by line, and never at an octet twice.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeaderScan {
    /// Start of the first line that has not been judged.
    line: usize,
    /// No line end lies before this.
    searched: usize,
}

impl HeaderScan {
    /// Judges all complete lines of `content`, which holds everything from the start of the message.
    pub fn advance(&mut self, content: &[u8]) -> HeaderSplit {
        while let Some(end) = memchr(b'\n', &content[self.searched..]) {
            let next = self.searched + end + 1;
            let line = &content[self.line..next];
            if line == b"\r\n" || line == b"\n" {
                return HeaderSplit::At(next);
            }
            if !self.is_of_field(line) {
                return HeaderSplit::At(self.line);
            }
            (self.line, self.searched) = (next, next);
        }
        self.searched = content.len();
        HeaderSplit::Unfinished
    }

    /// The split once the content has ended: all of it is header, or the unfinished last line is not a field.
    pub fn finish(self, content: &[u8]) -> usize {
        let last = &content[self.line..];
        if last.is_empty() || self.is_of_field(last) { content.len() } else { self.line }
    }

    fn is_of_field(self, line: &[u8]) -> bool {
        field_name(line).is_some() || (self.line > 0 && is_continuation(line))
    }
}

/// How many fields of this name (in any case) a header block has.
pub fn field_count(header: &[u8], name: &str) -> usize {
    let is_field = |line: &[u8]| field_name(line).is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()));
    header.split_inclusive(|b| *b == b'\n').filter(|line| is_field(line)).count()
}

/// One field of a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Without the colon; as it was written.
    pub name: &'a [u8],
    /// Behind the colon, still folded, with the final line end.
    pub body: &'a [u8],
    /// All of it, as it stands in the block.
    pub octets: &'a [u8],
}

/// The fields of a header block, in order. The empty line at its end is none of them.
pub fn fields(header: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = header;
    std::iter::from_fn(move || {
        let name = field_name(rest.split_inclusive(|b| *b == b'\n').next()?)?;
        let lines = rest.split_inclusive(|b| *b == b'\n').enumerate();
        let len = lines.take_while(|(n, line)| *n == 0 || is_continuation(line)).map(|(_, line)| line.len());
        let (octets, others) = rest.split_at(len.sum());
        rest = others;
        Some(Field { name, body: &octets[memchr(b':', octets)? + 1..], octets })
    })
}

/// A header block without some of its fields.
pub fn without_fields(header: &[u8], is_out: impl Fn(&Field<'_>) -> bool) -> Vec<u8> {
    let mut kept = Vec::with_capacity(header.len());
    let mut rest = header;
    for field in fields(header) {
        if !is_out(&field) {
            kept.extend_from_slice(field.octets);
        }
        rest = &rest[field.octets.len()..];
    }
    kept.extend_from_slice(rest);
    kept
}

/// What the first field of this name (in any case) holds, unfolded (RFC 5322 §2.2.3) and without blanks at its ends.
pub(super) fn field_body(header: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut lines = header.split_inclusive(|b| *b == b'\n');
    let is_field = |line: &&[u8]| field_name(line).is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()));
    let first = lines.find(is_field)?;
    let mut body = first[memchr(b':', first)? + 1..].to_vec();
    lines.take_while(|line| is_continuation(line)).for_each(|line| body.extend_from_slice(line));
    body.retain(|b| !matches!(b, b'\r' | b'\n'));
    Some(body.trim_ascii().to_vec())
}

pub(super) fn is_continuation(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// `field-name ":"`, with the blanks before the colon that RFC 5322 §4.5.8 asks to tolerate.
pub(super) fn field_name(line: &[u8]) -> Option<&[u8]> {
    let name = line[..memchr(b':', line)?].trim_ascii_end();
    let printable = !name.is_empty() && name.iter().all(|b| matches!(b, b'!'..=b'~'));
    printable.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(content: &[u8], step: usize) -> usize {
        let mut scan = HeaderScan::default();
        let mut seen = 0;
        while seen < content.len() {
            seen = (seen + step).min(content.len());
            if let HeaderSplit::At(at) = scan.advance(&content[..seen]) {
                return at;
            }
        }
        scan.finish(content)
    }

    #[test]
    fn the_block_ends_at_the_empty_line_or_before_what_is_no_field() {
        for (content, header) in [
            ("A: 1\r\nB: 2\r\n\r\nbody", "A: 1\r\nB: 2\r\n\r\n"),
            ("A: 1\r\n folded\r\n\r\n", "A: 1\r\n folded\r\n\r\n"),
            ("A: 1\r\nno field\r\n\r\n", "A: 1\r\n"),
            ("\r\nbody", "\r\n"),
            ("just text\r\n", ""),
            (" folded\r\nA: 1\r\n\r\n", ""),
            ("\tA: 1", ""),
            ("A: 1\r\n", "A: 1\r\n"),
            ("A: 1", "A: 1"),
            ("A: 1\r\nB", "A: 1\r\n"),
            ("Subject : spaced\r\n\r\n", "Subject : spaced\r\n\r\n"),
            ("", ""),
        ] {
            for step in [1, 2, 3, 7, 1000] {
                assert_eq!(split(content.as_bytes(), step), header.len(), "{content:?} in steps of {step}");
            }
        }
    }

    #[test]
    fn fields_are_counted_by_name_and_not_in_continuations() {
        let header = b"Received: a\r\n Received: b\r\nreceived: c\r\nReceived-SPF: d\r\n";
        assert_eq!(field_count(header, "Received"), 2);
    }

    #[test]
    fn fields_are_told_apart_with_their_continuations() {
        let header = b"A : 1\r\n\t2\r\nB:\r\n\r\n";
        let found: Vec<_> = fields(header).map(|f| (f.name, f.body, f.octets)).collect();
        let expected: [(&[u8], &[u8], &[u8]); 2] =
            [(b"A", b" 1\r\n\t2\r\n", b"A : 1\r\n\t2\r\n"), (b"B", b"\r\n", b"B:\r\n")];
        assert_eq!(found, expected);
        assert_eq!(
            fields(b"").count() + fields(b"\r\n").count() + fields(b"no field\r\nA: 1\r\n").count(),
            0
        );
    }

    #[test]
    fn fields_are_taken_out_with_their_continuations() {
        let header = b"A: 1\r\nB: 2\r\n\t3\r\nA: 4\r\n 5\r\n\r\n";
        assert_eq!(without_fields(header, |field| field.name == b"A"), b"B: 2\r\n\t3\r\n\r\n");
        assert_eq!(
            without_fields(header, |field| field.body.starts_with(b" 4")),
            b"A: 1\r\nB: 2\r\n\t3\r\n\r\n"
        );
        assert_eq!(without_fields(b"A: 1\r\nno field\r\nA: 2\r\n", |_| true), b"no field\r\nA: 2\r\n");
    }

    #[test]
    fn the_first_field_of_a_name_is_unfolded() {
        let header = b"X: 0\r\nA: 1\r\n\t2 \r\nA: 3\r\nLast:\r\n 4";
        for (name, body) in [("a", Some("1\t2")), ("last", Some("4")), ("none", None)] {
            assert_eq!(field_body(header, name), body.map(|text| text.as_bytes().to_vec()), "{name}");
        }
    }
}
