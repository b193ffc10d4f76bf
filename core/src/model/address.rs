//! Mailbox addresses (RFC 5321 §4.1.2, RFC 6531 §3.3). Parsed once; a value of these types is always well-formed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// Octets in a local-part (RFC 5321 §4.5.3.1.1 asks for at least 64; many senders use more, and none need more).
pub const LOCAL_PART_LIMIT: usize = 128;
/// Octets in a domain (RFC 5321 §4.5.3.1.2).
pub const DOMAIN_LIMIT: usize = 255;
/// Octets in one label of a domain (RFC 1035 §2.3.4).
const LABEL_LIMIT: usize = 63;

/// Why a text is not an address or a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum AddressError {
    #[error("no @ between local-part and domain")]
    NoAt,
    #[error("empty local-part")]
    EmptyLocalPart,
    #[error("local-part longer than {LOCAL_PART_LIMIT} octets")]
    LongLocalPart,
    #[error("a character that a local-part cannot hold unquoted")]
    BadLocalPart,
    #[error("a quoted local-part that is not closed or holds control characters")]
    BadQuotedString,
    #[error("empty domain")]
    EmptyDomain,
    #[error("domain longer than {DOMAIN_LIMIT} octets")]
    LongDomain,
    #[error(
        "a label of the domain is empty, longer than {LABEL_LIMIT} octets, or begins or ends with a hyphen"
    )]
    BadLabel,
    #[error("a character that a domain cannot hold")]
    BadDomainCharacter,
    #[error("an international domain that IDNA does not allow")]
    BadInternationalDomain,
    #[error("an address literal that is neither [IPv4] nor [IPv6:...]")]
    BadLiteral,
}

/// A domain in lower case without a final dot, or an address literal in brackets (RFC 5321 §4.1.2, §4.1.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(Box<str>);

impl Domain {
    /// Parses `Domain / address-literal`. Underscores are let through: real hosts use them in EHLO and MX names.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if let Some(literal) = text.strip_prefix('[') {
            return Self::parse_literal(literal);
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(AddressError::EmptyDomain);
        }
        if text.len() > DOMAIN_LIMIT {
            return Err(AddressError::LongDomain);
        }
        for label in text.split('.') {
            if label.is_empty() || label.len() > LABEL_LIMIT || label.starts_with('-') || label.ends_with('-')
            {
                return Err(AddressError::BadLabel);
            }
            if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                return Err(AddressError::BadDomainCharacter);
            }
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// Parses what may hold U-labels (RFC 6531 §3.3); kept are A-labels, as DNS and hosts without SMTPUTF8 want them (RFC 5891 §4.4).
    pub fn parse_utf8(text: &str) -> Result<Self, AddressError> {
        if text.is_ascii() {
            return Self::parse(text);
        }
        let ascii = idna::domain_to_ascii_strict(text).map_err(|_| AddressError::BadInternationalDomain)?;
        Self::parse(&ascii)
    }

    /// `IPv4-address-literal / IPv6-address-literal`, the opening bracket already taken.
    fn parse_literal(literal: &str) -> Result<Self, AddressError> {
        let inner = literal.strip_suffix(']').ok_or(AddressError::BadLiteral)?;
        if let Ok(v4) = inner.parse::<Ipv4Addr>() {
            return Ok(Self(format!("[{v4}]").into()));
        }
        let is_v6 = inner.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case("IPv6:"));
        let v6 = if is_v6 { inner[5..].parse::<Ipv6Addr>().ok() } else { None };
        v6.map(|v6| Self(format!("[IPv6:{v6}]").into())).ok_or(AddressError::BadLiteral)
    }

    /// The text as it goes on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is an address literal such as `[192.0.2.1]`.
    pub fn is_literal(&self) -> bool {
        self.0.starts_with('[')
    }

    /// The address in an address literal.
    pub fn literal(&self) -> Option<IpAddr> {
        let inner = self.0.strip_prefix('[')?.strip_suffix(']')?;
        inner.strip_prefix("IPv6:").unwrap_or(inner).parse().ok()
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Domain {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse_utf8(text)
    }
}

impl TryFrom<String> for Domain {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse_utf8(&text)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0.into()
    }
}

/// `local-part@domain` (RFC 5321 §4.1.2, `Mailbox`). The local-part is kept as sent, unquoted; it may hold UTF-8 (RFC 6531 §3.3). The
/// domain is in lower case, in A-labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    local_part: Box<str>,
    domain: Domain,
}

impl Address {
    /// Parses `Local-part "@" ( Domain / address-literal )` in ASCII: what a client without SMTPUTF8 may say.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local_part, rest) = split(text)?;
        if !local_part.is_ascii() {
            return Err(AddressError::BadLocalPart);
        }
        Self::with_local_part(&local_part, Domain::parse(rest)?)
    }

    /// Parses the same with the UTF-8 that RFC 6531 §3.3 adds.
    pub fn parse_utf8(text: &str) -> Result<Self, AddressError> {
        let (local_part, rest) = split(text)?;
        Self::with_local_part(&local_part, Domain::parse_utf8(rest)?)
    }

    /// The address of a local-part as [`Address::local_part`] gives it: without quotes.
    pub fn with_local_part(local_part: &str, domain: Domain) -> Result<Self, AddressError> {
        if local_part.is_empty() {
            return Err(AddressError::EmptyLocalPart);
        }
        if local_part.len() > LOCAL_PART_LIMIT {
            return Err(AddressError::LongLocalPart);
        }
        if !local_part.chars().all(is_visible) {
            return Err(AddressError::BadQuotedString);
        }
        Ok(Self { local_part: local_part.into(), domain })
    }

    /// An address of `postmaster` at this domain (RFC 5321 §4.5.1).
    pub fn postmaster(domain: Domain) -> Self {
        Self { local_part: "postmaster".into(), domain }
    }

    /// The local-part without quotes, in the case in which it was sent.
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// The domain, in lower case.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether a host without SMTPUTF8 can be told it.
    pub fn is_ascii(&self) -> bool {
        self.local_part.is_ascii()
    }

    /// Whether the local-part is `postmaster` in any case (RFC 5321 §2.3.5).
    pub fn is_postmaster(&self) -> bool {
        self.local_part.eq_ignore_ascii_case("postmaster")
    }

    /// The address under which a local account or alias is kept: everything in lower case, and composed where characters can be (NFC,
    /// RFC 6530 §10.1). Only for domains that are ours: the case of a foreign local-part belongs to its host (RFC 5321 §2.4).
    pub fn normalized(&self) -> Self {
        let local_part: Box<str> = if self.is_ascii() {
            self.local_part.to_ascii_lowercase().into()
        } else {
            self.local_part.to_lowercase().nfc().collect::<String>().into()
        };
        Self { local_part, domain: self.domain.clone() }
    }
}

/// The local-part, unquoted, and what follows its `@`.
fn split(text: &str) -> Result<(String, &str), AddressError> {
    match text.strip_prefix('"') {
        Some(quoted) => parse_quoted_string(quoted),
        None => {
            let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
            Ok((parse_dot_string(local)?, domain))
        }
    }
}

/// What a local-part may hold, quoted or not: printable ASCII, and beyond it what shows. Controls, and marks that only change how others
/// look (zero width, direction), would let two addresses look alike (RFC 6530 §13).
fn is_visible(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '\u{0}'..='\u{9f}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => false,
        '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}' => false,
        _ => true,
    }
}

/// `Dot-string = Atom *("." Atom)`. Misplaced dots are let through: real addresses have them.
fn parse_dot_string(text: &str) -> Result<String, AddressError> {
    if text.is_empty() {
        return Err(AddressError::EmptyLocalPart);
    }
    if !text.chars().all(|c| is_atext(c) || c == '.') {
        return Err(AddressError::BadLocalPart);
    }
    Ok(text.to_owned())
}

/// `Quoted-string = DQUOTE *QcontentSMTP DQUOTE`, the opening quote already taken; gives what follows the `@`.
fn parse_quoted_string(text: &str) -> Result<(String, &str), AddressError> {
    let mut content = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let domain = text[at + 1..].strip_prefix('@').ok_or(AddressError::NoAt)?;
                if content.is_empty() {
                    return Err(AddressError::EmptyLocalPart);
                }
                return Ok((content, domain));
            }
            '\\' => match chars.next() {
                Some((_, quoted)) if is_visible(quoted) => content.push(quoted),
                _ => return Err(AddressError::BadQuotedString),
            },
            _ if is_visible(c) => content.push(c),
            _ => return Err(AddressError::BadQuotedString),
        }
    }
    Err(AddressError::BadQuotedString)
}

/// `atext` of RFC 5322 §3.2.3 and RFC 6532 §3.2.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && is_visible(c))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.local_part.chars().all(|c| is_atext(c) || c == '.') {
            return write!(f, "{}@{}", self.local_part, self.domain);
        }
        f.write_str("\"")?;
        for c in self.local_part.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse_utf8(text)
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse_utf8(&text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn well_formed_addresses_keep_their_meaning() {
        for (text, local, domain) in [
            ("alice@Example.ORG", "alice", "example.org"),
            ("A.b+c@x.test.", "A.b+c", "x.test"),
            ("\"two words\"@x.test", "two words", "x.test"),
            ("\"a\\\"b@c\"@x.test", "a\"b@c", "x.test"),
            ("u@[192.0.2.1]", "u", "[192.0.2.1]"),
            ("u@[IPv6:2001:DB8::1]", "u", "[IPv6:2001:db8::1]"),
            ("o'brien@under_score.test", "o'brien", "under_score.test"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.local_part(), address.domain().as_str()), (local, domain), "{text}");
        }
    }

    #[test]
    fn the_address_in_a_literal_is_known() {
        for (text, address) in [
            ("[192.0.2.1]", Some("192.0.2.1")),
            ("[ipv6:2001:DB8::1]", Some("2001:db8::1")),
            ("[IPv6:::ffff:192.0.2.1]", Some("::ffff:192.0.2.1")),
            ("192.0.2.1", None),
            ("x.test", None),
        ] {
            let expected = address.map(|address| address.parse::<IpAddr>().unwrap());
            assert_eq!(Domain::parse(text).unwrap().literal(), expected, "{text}");
        }
    }

    #[test]
    fn malformed_addresses_say_what_is_wrong() {
        use AddressError as E;
        for (text, error) in [
            ("", E::NoAt),
            ("alice", E::NoAt),
            ("@x.test", E::EmptyLocalPart),
            ("\"\"@x.test", E::EmptyLocalPart),
            ("a b@x.test", E::BadLocalPart),
            ("a\u{e9}@x.test", E::BadLocalPart),
            ("a@", E::EmptyDomain),
            ("a@-x.test", E::BadLabel),
            ("a@x..test", E::BadLabel),
            ("a@x y", E::BadDomainCharacter),
            ("a@[300.1.1.1]", E::BadLiteral),
            ("a@[::1]", E::BadLiteral),
            ("\"a@x.test", E::BadQuotedString),
            ("\"a\r\n\"@x.test", E::BadQuotedString),
        ] {
            assert_eq!(Address::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn international_addresses_are_kept_in_one_form() {
        for (text, local, domain) in [
            ("j\u{f6}rg@b\u{fc}cher.example", "j\u{f6}rg", "xn--bcher-kva.example"),
            ("\u{7528}\u{6237}@\u{4f8b}\u{3002}\u{6d4b}\u{8bd5}", "\u{7528}\u{6237}", "xn--fsq.xn--0zwm56d"),
            ("\"\u{e9} \u{e8}\"@x.test", "\u{e9} \u{e8}", "x.test"),
        ] {
            let address = Address::parse_utf8(text).unwrap();
            assert_eq!((address.local_part(), address.domain().as_str()), (local, domain), "{text}");
            assert_eq!(Address::parse_utf8(&address.to_string()).unwrap(), address, "{text}");
        }
        let decomposed = Address::parse_utf8("Jo\u{308}rg@x.test").unwrap();
        assert_eq!(decomposed.normalized(), Address::parse_utf8("j\u{f6}rg@x.test").unwrap());
    }

    #[test]
    fn what_only_looks_like_another_address_is_none() {
        use AddressError as E;
        for (text, error) in [
            ("al\u{200b}ice@x.test", E::BadLocalPart),
            ("\u{202e}ecila@x.test", E::BadLocalPart),
            ("a\u{85}b@x.test", E::BadLocalPart),
            ("\"a\u{feff}\"@x.test", E::BadQuotedString),
            ("a@-\u{e9}.test", E::BadInternationalDomain),
        ] {
            assert_eq!(Address::parse_utf8(text), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_displayed_parses_to_the_same(local in "[ -~]{1,64}", domain in "[a-z]{1,10}(\\.[a-z]{1,10}){0,3}") {
            let address = Address { local_part: local.into(), domain: Domain::parse(&domain).unwrap() };
            prop_assert_eq!(Address::parse(&address.to_string()).unwrap(), address);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,80}") {
            let _ = (Address::parse(&text), Address::parse_utf8(&text), Domain::parse_utf8(&text));
        }
    }
}
