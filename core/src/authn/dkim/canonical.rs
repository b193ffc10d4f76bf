//! What of a header field is signed (RFC 6376 §3.4.1, §3.4.2).

/// How much a message may be altered on its way without breaking the signature (RFC 6376 §3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Canonicalization {
    /// Next to nothing.
    Simple,
    /// White space, and the case of field names.
    Relaxed,
}

impl Canonicalization {
    /// `sig-c-tag-alg = "simple" / "relaxed"`
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            _ if text.eq_ignore_ascii_case("simple") => Some(Self::Simple),
            _ if text.eq_ignore_ascii_case("relaxed") => Some(Self::Relaxed),
            _ => None,
        }
    }

    /// Appends a field, given as it stands in the header block, with the one CRLF that ends it.
    pub(in crate::authn) fn append_field(self, field: &[u8], out: &mut Vec<u8>) {
        let field = field.strip_suffix(b"\r\n").or_else(|| field.strip_suffix(b"\n")).unwrap_or(field);
        match self {
            Self::Simple => out.extend_from_slice(field),
            Self::Relaxed => append_relaxed(field, out),
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the field of the signature itself, from which the signature's own value has been taken out, and which no CRLF ends
    /// (RFC 6376 §3.7).
    pub(in crate::authn) fn append_own_field(self, field: &[u8], out: &mut Vec<u8>) {
        self.append_field(field, out);
        out.truncate(out.len() - 2);
    }
}

/// The name in lower case; the body on one line, each run of blanks one space, none at the ends. Only a whole CRLF is a line end: a CR or LF
/// of its own is content.
fn append_relaxed(field: &[u8], out: &mut Vec<u8>) {
    let colon = memchr::memchr(b':', field).unwrap_or(field.len());
    let (name, body) = field.split_at(colon);
    out.extend(name.trim_ascii_end().to_ascii_lowercase());
    out.push(b':');
    let start = out.len();
    let mut has_blank = false;
    let mut rest = body.get(1..).unwrap_or_default();
    while let Some((first, others)) = rest.split_first() {
        match first {
            b' ' | b'\t' => (has_blank, rest) = (true, others),
            b'\r' if others.starts_with(b"\n") => rest = &others[1..],
            _ => {
                if std::mem::take(&mut has_blank) && out.len() > start {
                    out.push(b' ');
                }
                let ends = |b: &u8| matches!(b, b' ' | b'\t' | b'\r');
                let end = others.iter().position(ends).map_or(rest.len(), |end| end + 1);
                out.extend_from_slice(&rest[..end]);
                rest = &rest[end..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_signed_in_the_form_that_was_asked_for() {
        for (field, simple, relaxed) in [
            // The example of RFC 6376 §3.4.5.
            ("A: X\r\n", "A: X\r\n", "a:X\r\n"),
            ("B : Y\t\r\n\tZ  \r\n", "B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n"),
            ("Subject:\r\n\r\n", "Subject:\r\n\r\n", "subject:\r\n"),
            ("S:  \r\n  a\tb\r\n   \r\n", "S:  \r\n  a\tb\r\n   \r\n", "s:a b\r\n"),
            ("Old: a\rb \r c\nd", "Old: a\rb \r c\nd\r\n", "old:a\rb \r c\nd\r\n"),
            ("X:y", "X:y\r\n", "x:y\r\n"),
            ("X:y\r", "X:y\r\r\n", "x:y\r\r\n"),
            ("X:y\n", "X:y\r\n", "x:y\r\n"),
            ("X:", "X:\r\n", "x:\r\n"),
        ] {
            for (form, expected) in [(Canonicalization::Simple, simple), (Canonicalization::Relaxed, relaxed)]
            {
                let mut out = Vec::new();
                form.append_field(field.as_bytes(), &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), expected, "{form:?} {field:?}");
            }
        }
    }
}
