//! Values in Authentication-Results fields (RFC 8601 §2.2). Most of them come from the sender, so none may end the field or begin another result.

/// Octets of a value that are written. Beyond: it ends there.
const VALUE_LIMIT: usize = 320;

/// `pvalue`: as it is where it is an atom, an address or a domain, otherwise as a quoted string in printable ASCII.
pub(super) fn pvalue(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.@".contains(c);
    if !text.is_empty() && text.len() <= VALUE_LIMIT && text.chars().all(is_plain) {
        return text.to_owned();
    }
    quoted_string(text)
}

/// `quoted-string` (RFC 5322 §3.2.4) of what can be shown in it; `?` stands for what cannot.
pub(super) fn quoted_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars().take(VALUE_LIMIT) {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}

/// What may stand in a comment (RFC 5322 §3.2.2), without what would close it or nest another.
pub(super) fn comment(text: &str) -> String {
    let shown = |c: char| if matches!(c, ' '..='~') && !"()\\".contains(c) { c } else { '?' };
    text.chars().take(VALUE_LIMIT).map(shown).collect()
}

/// What follows a comment whose parenthesis has been taken; nothing where it does not end. They nest (RFC 5322 §3.2.2).
pub(super) fn behind_comment(text: &[u8]) -> Option<&[u8]> {
    let mut depth = 1_usize;
    let mut octets = text.iter().enumerate();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'\\' => drop(octets.next()),
            _ => {}
        }
        if depth == 0 {
            return Some(&text[at + 1..]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_leaves_its_place() {
        for (text, value) in [
            ("a.b@example.org", "a.b@example.org"),
            ("", "\"\""),
            ("two words@x.test", "\"two words@x.test\""),
            ("a\"; dkim=pass\\", "\"a\\\"; dkim=pass\\\\\""),
            ("x\r\nSubject: y", "\"x??Subject: y\""),
            ("j\u{f6}rg@x.test", "\"j?rg@x.test\""),
            ("[192.0.2.1]", "\"[192.0.2.1]\""),
        ] {
            assert_eq!(pvalue(text), value, "{text:?}");
        }
        assert_eq!(pvalue(&"x".repeat(10_000)).len(), VALUE_LIMIT + 2);
        assert_eq!(comment("a) spf=pass (\r\n\\"), "a? spf=pass ????");
    }
}
