//! What stands for something else in a record or an explanation (RFC 7208 §7).

use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;

use super::{Client, Sender};
use crate::model::DnsName;
use crate::model::dns_name::NAME_LIMIT;

/// Octets that one domain-spec may expand to before it is cut to a name. Beyond: a name that does not exist.
const EXPANSION_LIMIT: usize = 64 << 10;
/// `delimiter`
const DELIMITERS: &str = ".-+,/_=";

/// `macro-string = *( macro-expand / macro-literal )`, with blanks in between where it is an `explain-string`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MacroString(Box<[Piece]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    /// What `%%`, `%_` or `%-` stands for.
    Escape(&'static str),
    Macro(Macro),
}

/// `"%{" macro-letter transformers *delimiter "}"`
#[derive(Clone, Debug, PartialEq, Eq)]
struct Macro {
    /// In lower case.
    letter: char,
    /// Written in upper case: what is not unreserved in a URI is escaped (RFC 7208 §7.3).
    is_escaped: bool,
    /// How many parts are kept, counted from the right. None: all.
    parts: Option<usize>,
    is_reversed: bool,
    /// Where the value is split; dots come in their place.
    delimiters: Box<str>,
}

/// What the letters stand for.
pub(super) struct Values<'a> {
    pub(super) client: &'a Client<'a>,
    pub(super) sender: &'a Sender<'a>,
    /// `<domain>`
    pub(super) domain: &'a DnsName,
    /// The client's name, where a macro asks for it and there is one.
    pub(super) validated: Option<&'a DnsName>,
}

impl MacroString {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, more) = rest.split_at(rest.find('%').unwrap_or(rest.len()));
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.into()));
            }
            let Some(expand) = more.strip_prefix('%') else { break };
            let (piece, after) = macro_expand(expand)?;
            pieces.push(piece);
            rest = after;
        }
        Ok(Self(pieces.into()))
    }

    /// Whether the client's validated name is asked for, which costs queries.
    pub(super) fn asks_for_client_name(&self) -> bool {
        self.has_letter("p")
    }

    fn has_letter(&self, letters: &str) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Macro(one) if letters.contains(one.letter)))
    }

    /// What it comes to; nothing where that is longer than `limit` octets.
    pub(super) fn expand(&self, values: &Values<'_>, limit: usize) -> Option<String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Escape(escape) => text.push_str(escape),
                Piece::Macro(one) => one.expand(values, &mut text),
            }
            if text.len() > limit {
                return None;
            }
        }
        Some(text)
    }
}

/// `macro-expand`, the percent sign already taken, and what follows it.
fn macro_expand(text: &str) -> Result<(Piece, &str), &'static str> {
    if let Some(inner) = text.strip_prefix('{') {
        let (inner, rest) = inner.split_once('}').ok_or("a macro that is not closed")?;
        return Ok((Piece::Macro(Macro::parse(inner)?), rest));
    }
    for (sign, escape) in [('%', "%"), ('_', " "), ('-', "%20")] {
        if let Some(rest) = text.strip_prefix(sign) {
            return Ok((Piece::Escape(escape), rest));
        }
    }
    Err("a percent sign that begins no macro")
}

impl Macro {
    fn parse(inner: &str) -> Result<Self, &'static str> {
        let letter =
            inner.chars().next().filter(|letter| "slodiphcrtv".contains(letter.to_ascii_lowercase()));
        let letter = letter.ok_or("no macro of that letter")?;
        let digits_end = inner[1..].find(|c: char| !c.is_ascii_digit()).map_or(inner.len(), |at| at + 1);
        let parts = match &inner[1..digits_end] {
            "" => None,
            // RFC 7208 §7.3: zero is an error. A number that is too large keeps everything.
            digits if digits.bytes().all(|b| b == b'0') => return Err("a macro that keeps no part"),
            digits => Some(digits.parse().unwrap_or(usize::MAX)),
        };
        let rest = &inner[digits_end..];
        let delimiters = rest.strip_prefix(['r', 'R']);
        let is_reversed = delimiters.is_some();
        let delimiters = delimiters.unwrap_or(rest);
        if !delimiters.chars().all(|c| DELIMITERS.contains(c)) {
            return Err("a macro with something that is no delimiter");
        }
        Ok(Self {
            letter: letter.to_ascii_lowercase(),
            is_escaped: letter.is_ascii_uppercase(),
            parts,
            is_reversed,
            delimiters: if delimiters.is_empty() { "." } else { delimiters }.into(),
        })
    }

    fn expand(&self, values: &Values<'_>, text: &mut String) {
        let value = values.of(self.letter);
        let mut parts: Vec<&str> = value.split(|c: char| self.delimiters.contains(c)).collect();
        if self.is_reversed {
            parts.reverse();
        }
        let kept = self.parts.unwrap_or(usize::MAX).min(parts.len());
        let transformed = parts[parts.len() - kept..].join(".");
        if self.is_escaped { escape(&transformed, text) } else { text.push_str(&transformed) }
    }
}

/// Everything but `unreserved` of RFC 3986 §2.3, percent-encoded.
fn escape(value: &str, text: &mut String) {
    for octet in value.bytes() {
        match octet {
            b'-' | b'.' | b'_' | b'~' => text.push(octet.into()),
            _ if octet.is_ascii_alphanumeric() => text.push(octet.into()),
            // Writing to a string cannot fail.
            _ => drop(write!(text, "%{octet:02X}")),
        }
    }
}

impl Values<'_> {
    /// What a letter stands for (RFC 7208 §7.2).
    fn of(&self, letter: char) -> Cow<'_, str> {
        let address = self.client.address.to_canonical();
        match letter {
            's' => format!("{}@{}", self.sender.local_part(), self.sender.domain).into(),
            'l' => self.sender.local_part().into(),
            'o' => self.sender.domain.into(),
            'd' => self.domain.as_str().into(),
            'i' => dotted(address).into(),
            'p' => self.validated.map_or("unknown", DnsName::as_str).into(),
            'v' if address.is_ipv4() => "in-addr".into(),
            'v' => "ip6".into(),
            'h' => self.client.helo.into(),
            'c' => address.to_string().into(),
            'r' => self.client.receiver.as_str().into(),
            // `t`, the last of those that parsing lets through: seconds since 1970.
            _ => (self.client.now.0 / 1000).to_string().into(),
        }
    }
}

/// An IPv4 address as usual; an IPv6 address as nibbles with dots between them (RFC 7208 §7.3).
fn dotted(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().map(|octet| format!("{:X}.{:X}", octet >> 4, octet & 15));
            nibbles.join(".")
        }
    }
}

/// `domain-spec = macro-string domain-end`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DomainSpec(MacroString);

impl DomainSpec {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let spec = MacroString::parse(text)?;
        // RFC 7208 §7.2: these are for explanations only.
        if spec.has_letter("crt") {
            return Err("a macro that only explanations may hold");
        }
        match spec.0.last() {
            None => Err("an empty name"),
            Some(Piece::Literal(end)) if !ends_in_toplabel(end) => {
                Err("a name that ends in no top-level domain")
            }
            Some(_) => Ok(Self(spec)),
        }
    }

    pub(super) fn asks_for_client_name(&self) -> bool {
        self.0.asks_for_client_name()
    }

    /// The name that is meant. Of one that is too long labels are cut off at the left (RFC 7208 §7.3). None where the DNS cannot hold it:
    /// no question can be asked, and no address, exchange or policy is there (RFC 7208 §4.8 leaves open what follows).
    pub(super) fn expand(&self, values: &Values<'_>) -> Option<DnsName> {
        let text = self.0.expand(values, EXPANSION_LIMIT)?;
        let mut name = text.strip_suffix('.').unwrap_or(&text);
        while name.len() > NAME_LIMIT {
            name = name.split_once('.')?.1;
        }
        DnsName::parse(name).ok()
    }
}

/// `"." toplabel [ "." ]` at the end. A toplabel has letters, digits and hyphens, neither begins nor ends with a hyphen, and is not all digits.
fn ends_in_toplabel(literal: &str) -> bool {
    let literal = literal.strip_suffix('.').unwrap_or(literal);
    let Some((_, label)) = literal.rsplit_once('.') else { return false };
    let is_of_label = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    !label.is_empty()
        && label.bytes().all(is_of_label)
        && !label.bytes().all(|b| b.is_ascii_digit())
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::spf::Identity;
    use crate::model::{Domain, UtcTime};

    fn expand(text: &str, local_part: &str, address: &str) -> Option<String> {
        let receiver = Domain::parse("mx.example.org").unwrap();
        let client = Client {
            address: address.parse().unwrap(),
            helo: "mail.example.net",
            receiver: &receiver,
            now: UtcTime(1_500),
        };
        let sender = Sender { identity: Identity::MailFrom, local_part, domain: "email.example.com" };
        let domain = DnsName::parse("policy.example.com").unwrap();
        let values = Values { client: &client, sender: &sender, domain: &domain, validated: None };
        MacroString::parse(text).unwrap().expand(&values, 200)
    }

    #[test]
    fn macros_expand_as_in_the_examples_of_the_rfc() {
        // RFC 7208 §7.4, but that the policy's domain is another than the sender's.
        for (text, expected) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d}", "policy.example.com"),
            ("%{o4}", "email.example.com"),
            ("%{o2}", "example.com"),
            ("%{o1}", "com"),
            ("%{or}", "com.example.email"),
            ("%{o2r}", "example.email"),
            ("%{l}", "strong-bad"),
            ("%{l-}", "strong.bad"),
            ("%{lr}", "strong-bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{d99999999999999999999}", "policy.example.com"),
            ("%{c} %{r} %{t} %{h} %{p}", "192.0.2.3 mx.example.org 1 mail.example.net unknown"),
            ("a%%b%_c%-d", "a%b c%20d"),
            ("%{S}", "strong-bad%40email.example.com"),
        ] {
            assert_eq!(expand(text, "strong-bad", "192.0.2.3").as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn addresses_of_ipv6_are_nibbles_unless_they_hold_one_of_ipv4() {
        for (address, expected) in [
            (
                "2001:db8::cb01",
                "ip6 2001:db8::cb01 1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2",
            ),
            ("::ffff:192.0.2.3", "in-addr 192.0.2.3 3.2.0.192"),
        ] {
            assert_eq!(expand("%{v} %{c} %{ir}", "x", address).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_missing_hostile_or_too_long_stays_harmless() {
        assert_eq!(expand("%{l}", "", "192.0.2.3").as_deref(), Some("postmaster"));
        assert_eq!(expand("%{L}", "a\u{e9}\"%", "192.0.2.3").as_deref(), Some("a%C3%A9%22%25"));
        assert_eq!(expand("%{h}%{h}%{h}%{h}%{h}%{h}%{h}%{h}%{h}%{h}%{h}%{h}%{h}", "", "192.0.2.3"), None);
    }
}
