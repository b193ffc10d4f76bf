//! The domain that a message says it is from (RFC 9989 §5.3.1).
//!
//! Readers show the From field, so a field that one program reads so and another otherwise is a way around DMARC. What stands there is read
//! leniently where that cannot change who the author is: any octets in display names and comments, commas in unquoted names, groups. Whatever
//! could be a second author counts as one, and more than one domain is refused.

use crate::authn::property::behind_comment;
use crate::model::Domain;
use crate::model::message::fields;

/// Why there is not one author's domain. In words, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum NoAuthorDomain {
    #[error("no From field")]
    NoField,
    #[error("several From fields")]
    SeveralFields,
    #[error("authors of several domains in the From field")]
    SeveralDomains,
    #[error("no domain in the From field")]
    NoDomain,
    #[error("a From field that cannot be read")]
    Unreadable,
}

/// The one domain of all addresses in the one From field of a header block, as A-labels.
pub fn author_domain(header: &[u8]) -> Result<Domain, NoAuthorDomain> {
    let mut from = fields(header).filter(|field| field.name.eq_ignore_ascii_case(b"from"));
    match (from.next(), from.next()) {
        (None, _) => Err(NoAuthorDomain::NoField),
        (Some(field), None) => domain_of(field.body),
        (Some(_), Some(_)) => Err(NoAuthorDomain::SeveralFields),
    }
}

/// Reads the body of From to its end in one pass, and holds no more than one mailbox of it.
fn domain_of(body: &[u8]) -> Result<Domain, NoAuthorDomain> {
    let mut domain = None;
    let mut text = Text::default();
    let mut is_in_angle = false;
    let mut rest = body;
    while let Some((octet, after)) = rest.split_first() {
        rest = after;
        match octet {
            b' ' | b'\t' | b'\r' | b'\n' => text.has_gap = true,
            b'(' => {
                rest = behind_comment(rest).ok_or(NoAuthorDomain::Unreadable)?;
                text.has_gap = true;
            }
            b'"' => {
                rest = behind_quoted_string(rest)?;
                text.push(b'"');
            }
            b'[' if text.octets.ends_with(b"@") => {
                let end = rest.iter().position(|b| *b == b']').ok_or(NoAuthorDomain::Unreadable)?;
                text.octets.push(b'[');
                text.octets.extend_from_slice(&rest[..=end]);
                rest = &rest[end + 1..];
            }
            b'<' | b';' if is_in_angle => return Err(NoAuthorDomain::Unreadable),
            b'<' => {
                // What stood before it is a name, whatever it looks like.
                text = Text::default();
                is_in_angle = true;
            }
            // A list of relays before the address (RFC 5322 §4.4).
            b',' | b':' if is_in_angle && text.octets.starts_with(b"@") => text = Text::default(),
            b'>' if is_in_angle => {
                take_author(&mut text, &mut domain)?;
                is_in_angle = false;
            }
            // The end of a mailbox, or of the name of a group, which holds no address where it is one.
            b',' | b';' | b':' => take_author(&mut text, &mut domain)?,
            other => text.push(*other),
        }
    }
    if is_in_angle {
        return Err(NoAuthorDomain::Unreadable);
    }
    take_author(&mut text, &mut domain)?;
    domain.ok_or(NoAuthorDomain::NoDomain)
}

/// An address as far as it has been read, or a name.
#[derive(Default)]
struct Text {
    octets: Vec<u8>,
    /// White space or a comment has come since.
    has_gap: bool,
    /// Two words stand side by side.
    is_phrase: bool,
}

impl Text {
    fn push(&mut self, octet: u8) {
        let joins = |b: &u8| matches!(b, b'.' | b'@');
        if self.has_gap && !joins(&octet) && self.octets.last().is_some_and(|last| !joins(last)) {
            self.is_phrase = true;
        }
        self.has_gap = false;
        self.octets.push(octet);
    }
}

/// Takes a mailbox. Words without an `@` are none: a comma in a name that was not quoted parts them from the rest.
fn take_author(text: &mut Text, known: &mut Option<Domain>) -> Result<(), NoAuthorDomain> {
    let Text { octets, is_phrase, .. } = std::mem::take(text);
    let Some(at) = octets.iter().rposition(|b| *b == b'@') else { return Ok(()) };
    let domain = str::from_utf8(&octets[at + 1..]).ok().and_then(|domain| Domain::parse_utf8(domain).ok());
    let domain = domain.filter(|_| !is_phrase).ok_or(NoAuthorDomain::Unreadable)?;
    if domain.is_literal() {
        return Err(NoAuthorDomain::NoDomain);
    }
    if known.as_ref().is_some_and(|known| *known != domain) {
        return Err(NoAuthorDomain::SeveralDomains);
    }
    *known = Some(domain);
    Ok(())
}

/// What follows a quoted string whose first quote has been taken (RFC 5322 §3.2.4).
fn behind_quoted_string(text: &[u8]) -> Result<&[u8], NoAuthorDomain> {
    let mut octets = text.iter().enumerate();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'"' => return Ok(&text[at + 1..]),
            b'\\' => drop(octets.next()),
            _ => {}
        }
    }
    Err(NoAuthorDomain::Unreadable)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(body: &[u8]) -> Result<String, NoAuthorDomain> {
        let header = [b"Subject: x\r\nFrom:", body, b"\r\nTo: b@y.test\r\n\r\n"].concat();
        author_domain(&header).map(|domain| domain.to_string())
    }

    #[test]
    fn one_domain_is_found_whatever_stands_around_it() {
        for body in [
            " a@x.test",
            "a@X.Test.",
            " <a@x.test>",
            " Ann Example <a@x.test>",
            " \"a@y.test\" <a@x.test>",
            " b@y.test <a@x.test>",
            " Doe, Ann <a@x.test>",
            " \"Doe, \\\"Ann\" <a@x.test>",
            " a@x.test (of b@y.test (\\) <c@z.test>))",
            "\r\n Ann\r\n\t<a@x.test>\r\n (home)",
            " Ann <a@x.test>, Bob <b@X.test>",
            " team: a@x.test, b@x.test;",
            " <@relay.test,@other.test:a@x.test>",
            " a @ x . test",
            " \"two words\"@x.test",
            " =?utf-8?Q?a=40y.test=2C?= <a@x.test>",
            " J\u{f6}rg [list] <a@x.test>",
            " <MAILER-DAEMON>, <a@x.test>",
            " \"b@y.test\"@x.test",
        ] {
            assert_eq!(of(body.as_bytes()).as_deref(), Ok("x.test"), "{body}");
        }
        assert_eq!(of(b" J\xf6rg <a@x.test>").as_deref(), Ok("x.test"));
        assert_eq!(of(" a@b\u{fc}cher.example".as_bytes()).as_deref(), Ok("xn--bcher-kva.example"));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        use NoAuthorDomain as No;
        for (body, why) in [
            (" a@x.test, b@y.test", No::SeveralDomains),
            (" <a@x.test> <b@y.test>", No::SeveralDomains),
            (" <a@x.test> b@y.test", No::SeveralDomains),
            (" <a@x.test, b@y.test>", No::SeveralDomains),
            (" a@x.test: b@y.test;", No::SeveralDomains),
            (" <a@x.test <b@y.test>", No::Unreadable),
            (" <a@x.test", No::Unreadable),
            (" a@x.test b@y.test", No::Unreadable),
            (" a@x.test (b@y.test", No::Unreadable),
            (" \"a@x.test", No::Unreadable),
            (" <a@x.test\0>", No::Unreadable),
            (" a@-", No::Unreadable),
            (" a@", No::Unreadable),
            (" a@[192.0.2.1]", No::NoDomain),
            (" <>", No::NoDomain),
            ("", No::NoDomain),
            (" undisclosed:;", No::NoDomain),
            (" Ann", No::NoDomain),
        ] {
            assert_eq!(of(body.as_bytes()), Err(why), "{body}");
        }
        assert_eq!(of(b" <a@\xff.test>"), Err(No::Unreadable));
    }

    #[test]
    fn one_field_is_needed() {
        let twice = b"From: a@x.test\r\nFROM : a@x.test\r\n\r\n";
        assert_eq!(author_domain(twice), Err(NoAuthorDomain::SeveralFields));
        for none in
            [&b"Sender: a@x.test\r\n\r\n"[..], b"X-From: a@x.test\r\n", b"", b"\r\nFrom: a@x.test\r\n"]
        {
            assert_eq!(author_domain(none), Err(NoAuthorDomain::NoField));
        }
    }

    #[test]
    fn a_field_of_100_kib_is_read_to_its_end() {
        let many = " Ann <a@x.test>,".repeat(100 << 6);
        assert_eq!(of(many.as_bytes()).as_deref(), Ok("x.test"));
        assert_eq!(of(format!("{many} b@y.test").as_bytes()), Err(NoAuthorDomain::SeveralDomains));
        for (hostile, why) in [
            ("(".repeat(100 << 10), NoAuthorDomain::Unreadable),
            ("<".repeat(100 << 10), NoAuthorDomain::Unreadable),
            ("a".repeat(100 << 10), NoAuthorDomain::NoDomain),
            (format!("a@{}", "x.".repeat(50 << 10)), NoAuthorDomain::Unreadable),
            (":;,".repeat(30 << 10), NoAuthorDomain::NoDomain),
        ] {
            assert_eq!(of(hostile.as_bytes()), Err(why), "{hostile:.20}");
        }
    }

    proptest! {
        #[test]
        fn no_field_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..80), text in "[a@x.<>()\",;: \\[\\]\\\\]{0,40}") {
            let _ = domain_of(&body);
            let _ = domain_of(text.as_bytes());
        }
    }
}
