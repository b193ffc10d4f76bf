//! Mailbox addresses (RFC 5321 §4.1.2). Parsed once; a value of these types is always well-formed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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
        Self::parse(text)
    }
}

impl TryFrom<String> for Domain {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0.into()
    }
}

/// `local-part@domain` (RFC 5321 §4.1.2, `Mailbox`). The local-part is kept as sent, unquoted; the domain in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    local_part: Box<str>,
    domain: Domain,
}

impl Address {
    /// Parses `Local-part "@" ( Domain / address-literal )`.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local_part, rest) = match text.strip_prefix('"') {
            Some(quoted) => parse_quoted_string(quoted)?,
            None => {
                let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
                (parse_dot_string(local)?, domain)
            }
        };
        Self::with_local_part(&local_part, Domain::parse(rest)?)
    }

    /// The address of a local-part as [`Address::local_part`] gives it: without quotes.
    pub fn with_local_part(local_part: &str, domain: Domain) -> Result<Self, AddressError> {
        if local_part.is_empty() {
            return Err(AddressError::EmptyLocalPart);
        }
        if local_part.len() > LOCAL_PART_LIMIT {
            return Err(AddressError::LongLocalPart);
        }
        if !local_part.bytes().all(|b| matches!(b, b' '..=b'~')) {
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

    /// Whether the local-part is `postmaster` in any case (RFC 5321 §2.3.5).
    pub fn is_postmaster(&self) -> bool {
        self.local_part.eq_ignore_ascii_case("postmaster")
    }

    /// The address under which a local account or alias is kept: everything in lower case. Only for domains that are
    /// ours: the case of a foreign local-part belongs to its host (RFC 5321 §2.4).
    pub fn normalized(&self) -> Self {
        Self { local_part: self.local_part.to_ascii_lowercase().into(), domain: self.domain.clone() }
    }
}

/// `Dot-string = Atom *("." Atom)`. Misplaced dots are let through: real addresses have them.
fn parse_dot_string(text: &str) -> Result<String, AddressError> {
    if text.is_empty() {
        return Err(AddressError::EmptyLocalPart);
    }
    if !text.bytes().all(|b| is_atext(b) || b == b'.') {
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
                Some((_, quoted @ ' '..='~')) => content.push(quoted),
                _ => return Err(AddressError::BadQuotedString),
            },
            ' '..='~' => content.push(c),
            _ => return Err(AddressError::BadQuotedString),
        }
    }
    Err(AddressError::BadQuotedString)
}

/// `atext` of RFC 5322 §3.2.3.
fn is_atext(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.local_part.bytes().all(|b| is_atext(b) || b == b'.') {
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
        Self::parse(text)
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
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

    proptest! {
        #[test]
        fn what_is_displayed_parses_to_the_same(local in "[ -~]{1,64}", domain in "[a-z]{1,10}(\\.[a-z]{1,10}){0,3}") {
            let address = Address { local_part: local.into(), domain: Domain::parse(&domain).unwrap() };
            prop_assert_eq!(Address::parse(&address.to_string()).unwrap(), address);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,80}") {
            let _ = Address::parse(&text);
        }
    }
}
