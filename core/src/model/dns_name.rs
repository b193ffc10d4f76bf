//! Names in the DNS, of which those of hosts and mail domains are but a part.

use std::fmt;

use super::Domain;

/// Octets of a name, dots between its labels included (RFC 1035 §2.3.4: 255 with the length of each label and the root's).
pub const NAME_LIMIT: usize = 253;
/// Octets of one label (RFC 1035 §2.3.4).
const LABEL_LIMIT: usize = 63;

/// The text is no name that the DNS could hold, or that we would ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a name in the DNS")]
pub struct NotADnsName;

/// A name that can be asked for: labels of printable ASCII, in lower case, without a final dot.
///
/// Wider than [`Domain`], since a label may hold any octets (RFC 2181 §11): those that an SPF macro expands to have slashes, blanks or percent
/// signs (RFC 7208 §7.3). What follows from mail's own syntax stays a [`Domain`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(Box<str>);

impl DnsName {
    /// Parses labels with dots between them; one final dot is left out. There are no escapes: a backslash is a character of its label.
    pub fn parse(text: &str) -> Result<Self, NotADnsName> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| (1..=LABEL_LIMIT).contains(&label.len());
        let is_printable = text.bytes().all(|b| matches!(b, b' '..=b'~'));
        if text.len() > NAME_LIMIT || !is_printable || !text.split('.').all(is_label) {
            return Err(NotADnsName);
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// The name that has these labels, as they came from the wire; none where one of them holds a dot or is not printable.
    pub fn from_labels<'a>(labels: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let shown = |label| str::from_utf8(label).ok().filter(|label| !label.contains('.'));
        let labels: Option<Vec<&str>> = labels.map(shown).collect();
        Self::parse(&labels?.join(".")).ok()
    }

    /// The labels with dots between them.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The labels, from the left.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether it is `ancestor`, or lies below it.
    pub fn is_within(&self, ancestor: &Self) -> bool {
        let above = self.0.strip_suffix(&*ancestor.0);
        above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    }
}

/// An address literal, or a domain of more than [`NAME_LIMIT`] octets, becomes a name that does not exist.
impl From<&Domain> for DnsName {
    fn from(domain: &Domain) -> Self {
        Self(domain.as_str().into())
    }
}

impl From<Domain> for DnsName {
    fn from(domain: Domain) -> Self {
        Self::from(&domain)
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_what_no_host_is_called() {
        for (text, name) in [
            ("Example.ORG.", "example.org"),
            ("foo:bar/baz.example.com", "foo:bar/baz.example.com"),
            ("a%b  c%20d.test", "a%b  c%20d.test"),
            ("-a-.test", "-a-.test"),
            ("x", "x"),
        ] {
            assert_eq!(DnsName::parse(text).unwrap().as_str(), name, "{text}");
        }
    }

    #[test]
    fn what_the_dns_cannot_hold_is_no_name() {
        let long_label = format!("{}.test", "x".repeat(64));
        let long_name = ["x".repeat(49).as_str(); 6].join(".");
        for text in ["", ".", "a..b", ".a", "a..", "a\u{e9}.test", "a\0b", &long_label, &long_name] {
            assert_eq!(DnsName::parse(text), Err(NotADnsName), "{text:?}");
        }
        assert_eq!(DnsName::parse(&long_name[..NAME_LIMIT]).unwrap().as_str().len(), NAME_LIMIT);
    }

    #[test]
    fn labels_from_the_wire_keep_their_bounds() {
        let name = |labels: &[&[u8]]| DnsName::from_labels(labels.iter().copied());
        assert_eq!(name(&[b"A b", b"test"]).unwrap().as_str(), "a b.test");
        for labels in [&[&b"a.b"[..], b"test"][..], &[b"\xff", b"test"], &[b"", b"test"], &[]] {
            assert_eq!(name(labels), None, "{labels:?}");
        }
    }

    #[test]
    fn a_name_lies_within_itself_and_what_is_above_it() {
        let name = |text| DnsName::parse(text).unwrap();
        for (below, above, expected) in [
            ("a.example.com", "example.com", true),
            ("example.com", "example.com", true),
            ("badexample.com", "example.com", false),
            ("com", "example.com", false),
        ] {
            assert_eq!(name(below).is_within(&name(above)), expected, "{below} {above}");
        }
    }
}
