//! Addresses in a header field (RFC 5322 §3.4), for whoever makes an envelope out of a header.
//!
//! Strict where it matters: a list that cannot be read to its end gives no address at all, since sending to half of it would be worse than
//! not sending. Display names, comments, groups and source routes (RFC 5322 §4.4) are passed over.

use crate::model::{Address, AddressError};

/// Why a list of addresses cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum AddressListError {
    #[error("{0:?}: {1}")]
    Address(String, AddressError),
    #[error("a comment, quoted string or angle bracket that is not closed")]
    Unclosed,
    #[error("{0:?} where it makes no sense")]
    Misplaced(char),
    #[error("{0:?}: two words that are not one address")]
    Words(String),
    #[error("octets that are no text")]
    NotText,
}

/// `address-list = (address *("," address)) / obs-addr-list`. An empty list is none: groups may be empty, and commas double.
pub fn parse_address_list(body: &[u8]) -> Result<Vec<Address>, AddressListError> {
    let text = std::str::from_utf8(body).map_err(|_| AddressListError::NotText)?;
    let mut list = List { found: Vec::new(), spec: Spec::default(), is_group: false };
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match next {
            ' ' | '\t' | '\r' | '\n' => list.spec.gap = true,
            '(' => {
                skip_comment(&mut rest)?;
                list.spec.gap = true;
            }
            '"' => list.spec.word(&quoted(&mut rest)?),
            '<' => list.angle(&mut rest)?,
            ',' => list.end_mailbox()?,
            ':' if !list.is_group && !list.spec.in_angle => {
                list.is_group = true;
                list.spec = Spec::default();
            }
            ';' if list.is_group => {
                list.end_mailbox()?;
                list.is_group = false;
            }
            '>' | ')' | ':' | ';' => return Err(AddressListError::Misplaced(next)),
            other => list.spec.character(other),
        }
    }
    list.end_mailbox()?;
    Ok(list.found)
}

struct List {
    found: Vec<Address>,
    spec: Spec,
    is_group: bool,
}

/// An address as far as it has been read, or a display name.
#[derive(Default)]
struct Spec {
    text: String,
    /// White space or a comment has come since.
    gap: bool,
    /// Two words stand side by side: this can only be a display name.
    is_phrase: bool,
    /// The address stood in angle brackets; nothing but comments may follow.
    in_angle: bool,
}

impl Spec {
    fn character(&mut self, next: char) {
        let joins = |c: char| matches!(c, '.' | '@');
        if self.gap && !joins(next) && !self.text.is_empty() && !self.text.ends_with(joins) {
            self.is_phrase = true;
        }
        self.gap = false;
        self.text.push(next);
    }

    fn word(&mut self, word: &str) {
        self.character('"');
        self.text.push_str(word);
    }
}

impl List {
    /// `angle-addr = "<" [obs-route] addr-spec ">"`, the bracket already taken. What stood before it is a display name.
    fn angle(&mut self, rest: &mut std::str::Chars<'_>) -> Result<(), AddressListError> {
        if self.spec.in_angle {
            return Err(AddressListError::Misplaced('<'));
        }
        let mut spec = Spec::default();
        loop {
            match rest.next().ok_or(AddressListError::Unclosed)? {
                '>' => break,
                ' ' | '\t' | '\r' | '\n' => spec.gap = true,
                '(' => {
                    skip_comment(rest)?;
                    spec.gap = true;
                }
                '"' => spec.word(&quoted(rest)?),
                // A source route ends here. An IPv6 literal has colons, too, but stands behind a local-part.
                ':' if spec.text.starts_with('@') => spec = Spec::default(),
                ',' if spec.text.starts_with('@') => spec.text.truncate(1),
                next @ ('<' | ',' | ';') => return Err(AddressListError::Misplaced(next)),
                next => spec.character(next),
            }
        }
        spec.in_angle = true;
        self.spec = spec;
        self.push()
    }

    fn end_mailbox(&mut self) -> Result<(), AddressListError> {
        if !self.spec.text.is_empty() {
            // Nothing may stand behind an angle bracket.
            self.spec.is_phrase |= self.spec.in_angle;
            self.push()?;
        }
        self.spec = Spec::default();
        Ok(())
    }

    fn push(&mut self) -> Result<(), AddressListError> {
        let Spec { text, is_phrase, .. } = &mut self.spec;
        let text = std::mem::take(text);
        if *is_phrase {
            return Err(AddressListError::Words(text));
        }
        let address = Address::parse(&text).map_err(|error| AddressListError::Address(text, error))?;
        self.found.push(address);
        Ok(())
    }
}

/// `comment = "(" *([FWS] ccontent) [FWS] ")"`, the parenthesis already taken. They nest.
fn skip_comment(rest: &mut std::str::Chars<'_>) -> Result<(), AddressListError> {
    let mut depth = 1usize;
    while depth > 0 {
        match rest.next().ok_or(AddressListError::Unclosed)? {
            '(' => depth += 1,
            ')' => depth -= 1,
            '\\' => drop(rest.next()),
            _ => {}
        }
    }
    Ok(())
}

/// `quoted-string`, the opening quote already taken; as it was written, with the closing one. Line ends in it belong to folding.
fn quoted(rest: &mut std::str::Chars<'_>) -> Result<String, AddressListError> {
    let mut word = String::new();
    loop {
        match rest.next().ok_or(AddressListError::Unclosed)? {
            '\r' | '\n' => {}
            '\\' => {
                word.push('\\');
                word.push(rest.next().ok_or(AddressListError::Unclosed)?);
            }
            next => {
                word.push(next);
                if next == '"' {
                    return Ok(word);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_found_among_names_comments_groups_and_routes() {
        for (body, expected) in [
            ("a@x.test", &["a@x.test"][..]),
            (" a@x.test,\r\n\tb@y.test\r\n", &["a@x.test", "b@y.test"]),
            ("<a@x.test>", &["a@x.test"]),
            ("Ann Example <a@x.test>, \"B, <Bob>\" <b@y.test>", &["a@x.test", "b@y.test"]),
            ("Ann O. \"X\" Y <a@x.test> (home, sweet (home))", &["a@x.test"]),
            ("team: a@x.test, Bob <b@y.test>;, c@z.test", &["a@x.test", "b@y.test", "c@z.test"]),
            ("undisclosed recipients:;", &[]),
            ("", &[]),
            (", a@x.test,,", &["a@x.test"]),
            ("<@relay.test,@other.test:a@x.test>", &["a@x.test"]),
            ("a (comment) @ x . test", &["a@x.test"]),
            ("\"two words\"@x.test", &["\"two words\"@x.test"]),
            ("<\"a\\\"b\"@x.test>", &["\"a\\\"b\"@x.test"]),
            ("J\u{f6}rg <j@x.test>", &["j@x.test"]),
            ("<a@[192.0.2.1]>, b@[192.0.2.2]", &["a@[192.0.2.1]", "b@[192.0.2.2]"]),
            ("<a@[IPv6:2001:db8::1]>", &["a@[IPv6:2001:db8::1]"]),
        ] {
            let found = parse_address_list(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"));
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{body}");
        }
    }

    #[test]
    fn a_list_that_cannot_be_read_to_its_end_gives_nothing() {
        for body in [
            "a",
            "a@x.test b@y.test",
            "a@x.test, Ann Example",
            "ab c@x.test",
            "a@x.test, <b@y.test",
            "a@x.test (home",
            "\"a@x.test",
            "a@x.test>",
            "a@x.test;",
            "<a@x.test> b@y.test",
            "<a@x.test> <b@y.test>",
            "<>",
            "g: h: a@x.test;;",
            "<a@x.test, b@y.test>",
        ] {
            assert!(parse_address_list(body.as_bytes()).is_err(), "{body}");
        }
        assert_eq!(parse_address_list(b"\xff@x.test"), Err(AddressListError::NotText));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_displayed_is_found_again(text in "[ -~\r\n\t\u{e9}]{0,60}") {
            if let Ok(found) = parse_address_list(text.as_bytes()) {
                let shown: Vec<String> = found.iter().map(|address| format!("<{address}>")).collect();
                prop_assert_eq!(parse_address_list(shown.join(", ").as_bytes()), Ok(found));
            }
        }
    }
}
