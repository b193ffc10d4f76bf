//! Records as they stand in the DNS (RFC 7208 §4.5, §4.6.1, §12).

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::macros::{DomainSpec, MacroString};
use crate::model::verdict::SpfResult;

/// Octets of a record that are read. Senders are to stay below 512 (RFC 7208 §3.4); a TXT record may have 64 KiB. Beyond: a syntax error.
pub const RECORD_LIMIT: usize = 16 << 10;
/// Octets of a term that an error repeats.
const SHOWN: usize = 80;

/// `record = version terms *SP`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) directives: Vec<Directive>,
    pub(super) redirect: Option<DomainSpec>,
    pub(super) explanation: Option<DomainSpec>,
}

/// `directive = [ qualifier ] mechanism`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive {
    /// What it comes to where the mechanism matches.
    pub(super) result: SpfResult,
    pub(super) mechanism: Mechanism,
    /// As it was written.
    pub(super) text: Box<str>,
}

/// `mechanism = ( all / include / a / mx / ptr / ip4 / ip6 / exists )`. Without a domain-spec: the domain that is being checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    All,
    Include(DomainSpec),
    A(Option<DomainSpec>, Prefixes),
    Mx(Option<DomainSpec>, Prefixes),
    Ptr(Option<DomainSpec>),
    Ip4(Ipv4Net),
    Ip6(Ipv6Net),
    Exists(DomainSpec),
}

/// `dual-cidr-length`: how many bits of an address count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefixes {
    pub(super) v4: u8,
    pub(super) v6: u8,
}

/// Whether a TXT record is meant for us: `version` ends with a blank, or with the record (RFC 7208 §4.5).
pub(super) fn is_spf(text: &[u8]) -> bool {
    let (version, rest) = text.split_at(text.len().min(VERSION.len()));
    version.eq_ignore_ascii_case(VERSION) && matches!(rest.first(), None | Some(b' '))
}

const VERSION: &[u8] = b"v=spf1";

impl Record {
    /// Reads a record for which [`is_spf`] holds. An error anywhere is one of the whole record (RFC 7208 §4.6); it comes in words.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        if text.len() > RECORD_LIMIT {
            return Err(format!("its record is longer than {RECORD_LIMIT} octets"));
        }
        let is_visible = |b: &u8| matches!(b, b' '..=b'~');
        let text = str::from_utf8(text).ok().filter(|text| text.as_bytes().iter().all(is_visible));
        let text = text.ok_or("its record is not in ASCII, or has control characters")?;
        let mut record = Self::default();
        for term in text[VERSION.len()..].split(' ').filter(|term| !term.is_empty()) {
            record.push(term).map_err(|why| format!("{:?}: {why}", &term[..term.len().min(SHOWN)]))?;
        }
        Ok(record)
    }

    /// A term is a modifier where `=` follows its name, and a directive otherwise (RFC 7208 §4.6.1).
    fn push(&mut self, term: &str) -> Result<(), &'static str> {
        match term.find([':', '/', '=']) {
            Some(at) if term[at..].starts_with('=') => self.modifier(&term[..at], &term[at + 1..]),
            _ => {
                self.directives.push(Directive::parse(term)?);
                Ok(())
            }
        }
    }

    /// `modifier = redirect / explanation / unknown-modifier`
    fn modifier(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        let slot = if name.eq_ignore_ascii_case("redirect") {
            &mut self.redirect
        } else if name.eq_ignore_ascii_case("exp") {
            &mut self.explanation
        } else if is_modifier_name(name) {
            return MacroString::parse(value).map(|_| ());
        } else {
            return Err("not the name of a modifier");
        };
        // RFC 7208 §6: these two must not appear more than once.
        if slot.replace(DomainSpec::parse(value)?).is_some() {
            return Err("a modifier that stands there twice");
        }
        Ok(())
    }
}

/// `name = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." )`
fn is_modifier_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

impl Directive {
    fn parse(term: &str) -> Result<Self, &'static str> {
        let (result, rest) = match term.as_bytes().first() {
            Some(b'+') => (SpfResult::Pass, &term[1..]),
            Some(b'-') => (SpfResult::Fail, &term[1..]),
            Some(b'~') => (SpfResult::SoftFail, &term[1..]),
            Some(b'?') => (SpfResult::Neutral, &term[1..]),
            _ => (SpfResult::Pass, term),
        };
        Ok(Self { result, mechanism: Mechanism::parse(rest)?, text: term.into() })
    }
}

impl Mechanism {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (name, rest) = text.split_at(text.find([':', '/']).unwrap_or(text.len()));
        let argument = rest.strip_prefix(':');
        let needed = argument.ok_or("a colon and a value are missing");
        match name.to_ascii_lowercase().as_str() {
            "all" if rest.is_empty() => Ok(Self::All),
            "include" => Ok(Self::Include(DomainSpec::parse(needed?)?)),
            "exists" => Ok(Self::Exists(DomainSpec::parse(needed?)?)),
            "a" => with_prefixes(rest).map(|(target, prefixes)| Self::A(target, prefixes)),
            "mx" => with_prefixes(rest).map(|(target, prefixes)| Self::Mx(target, prefixes)),
            "ptr" => optional_domain_spec(rest).map(Self::Ptr),
            "ip4" => {
                let (network, length) = network(needed?);
                let address: Ipv4Addr = network.parse().map_err(|_| "not an IPv4 address")?;
                let length = prefix_length(length, 32)?;
                Ipv4Net::new(address, length).map(Self::Ip4).map_err(|_| BAD_LENGTH)
            }
            "ip6" => {
                let (network, length) = network(needed?);
                let address: Ipv6Addr = network.parse().map_err(|_| "not an IPv6 address")?;
                let length = prefix_length(length, 128)?;
                Ipv6Net::new(address, length).map(Self::Ip6).map_err(|_| BAD_LENGTH)
            }
            _ => Err("no mechanism of that name, or none that takes this"),
        }
    }
}

/// `[ ":" domain-spec ]`
fn optional_domain_spec(text: &str) -> Result<Option<DomainSpec>, &'static str> {
    match text.strip_prefix(':') {
        Some(spec) => DomainSpec::parse(spec).map(Some),
        None if text.is_empty() => Ok(None),
        None => Err("takes no prefix length"),
    }
}

/// `[ ":" domain-spec ] [ dual-cidr-length ]`. A domain-spec may hold slashes, but cannot end as a prefix length does: its last label
/// would be all digits.
fn with_prefixes(text: &str) -> Result<(Option<DomainSpec>, Prefixes), &'static str> {
    let without_digits = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let (text, v6) = match without_digits.strip_suffix("//") {
        Some(before) => (before, Some(&text[without_digits.len()..])),
        None => (text, None),
    };
    let without_digits = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let (text, v4) = match without_digits.strip_suffix('/') {
        Some(before) => (before, Some(&text[without_digits.len()..])),
        None => (text, None),
    };
    let prefixes = Prefixes { v4: prefix_length(v4, 32)?, v6: prefix_length(v6, 128)? };
    Ok((optional_domain_spec(text)?, prefixes))
}

/// An address and what follows its slash.
fn network(text: &str) -> (&str, Option<&str>) {
    text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)))
}

const BAD_LENGTH: &str = "not a prefix length";

/// `ip4-cidr-length = "/" ("0" / %x31-39 0*1DIGIT)`, and the same for IPv6, the slash already taken: no leading zeros. All bits count
/// where there is none.
fn prefix_length(digits: Option<&str>, bits: u8) -> Result<u8, &'static str> {
    let Some(digits) = digits else { return Ok(bits) };
    if !digits.bytes().all(|b| b.is_ascii_digit()) || (digits.starts_with('0') && digits != "0") {
        return Err(BAD_LENGTH);
    }
    digits.parse().ok().filter(|length| *length <= bits).ok_or(BAD_LENGTH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Record, String> {
        assert!(is_spf(text.as_bytes()), "{text}");
        Record::parse(text.as_bytes())
    }

    #[test]
    fn a_record_is_told_by_its_version_alone() {
        for (text, expected) in [
            ("v=spf1", true),
            ("V=SpF1 -all", true),
            ("v=spf10", false),
            ("v=spf1\tall", false),
            (" v=spf1", false),
            ("v=spf", false),
            ("", false),
        ] {
            assert_eq!(is_spf(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn terms_keep_their_order_and_their_qualifiers() {
        let record =
            parse("v=spf1  +a:x.test/24//64 exp=e.test -MX ~ip4:192.0.2.0/24 ?all  redirect=r.test x-y=1 ")
                .unwrap();
        let terms: Vec<_> =
            record.directives.iter().map(|directive| (directive.result, &*directive.text)).collect();
        let expected = [
            (SpfResult::Pass, "+a:x.test/24//64"),
            (SpfResult::Fail, "-MX"),
            (SpfResult::SoftFail, "~ip4:192.0.2.0/24"),
            (SpfResult::Neutral, "?all"),
        ];
        assert_eq!(terms, expected);
        assert!(record.redirect.is_some() && record.explanation.is_some());
        let prefixes = |directive: usize| match record.directives[directive].mechanism {
            Mechanism::A(_, prefixes) | Mechanism::Mx(_, prefixes) => (prefixes.v4, prefixes.v6),
            _ => panic!("{directive}"),
        };
        assert_eq!([prefixes(0), prefixes(1)], [(24, 64), (32, 128)]);
    }

    #[test]
    fn an_error_anywhere_is_one_of_the_whole_record() {
        for term in [
            "moo",
            "all.",
            "-all:x",
            "all/8",
            "--all",
            "+-all",
            "-",
            "1up=x",
            "=x",
            "a:",
            "a:museum",
            "a:x.123",
            "a:x.test/33",
            "a:x.test/032",
            "a:x.test//129",
            "a/24/64",
            "a//",
            "a/",
            "mx:",
            "mx/x",
            "ptr:",
            "ptr/0",
            "ip4",
            "ip4:",
            "ip4:1.2.3",
            "ip4:01.2.3.4",
            "ip4:1.2.3.4:25",
            "ip4:1.2.3.4/",
            "ip4:1.2.3.4/033",
            "ip4:1.2.3.4//32",
            "ip4:1.2.3.4/+8",
            "ip6:1.2.3.4",
            "ip6:::1/129",
            "ip6::x",
            "include",
            "include:",
            "include:x.test/24",
            "exists",
            "exists:x.test/8",
            "redirect:x.test",
            "redirect=",
            "exp=",
            "exp=-all",
            "x=%",
            "x=%{y}",
            "x=%{d0}",
            "a:%{c}.test",
            "a:\tx.test",
            "a:\u{e9}.test",
            "a:%{d",
        ] {
            assert!(parse(&format!("v=spf1 ip4:192.0.2.1 {term} -all")).is_err(), "{term}");
        }
        for twice in ["redirect=a.test REDIRECT=a.test", "exp=a.test -all exp=b.test"] {
            assert!(parse(&format!("v=spf1 {twice}")).is_err(), "{twice}");
        }
    }

    #[test]
    fn what_is_rare_is_understood() {
        for term in [
            "a:foo:bar/baz.example.com",
            "a:%{d}/0",
            "a:x.test./24",
            "a:x.xn--zckzah",
            "exists:%{ir}.%{l1r+-}._s.%{d2}",
            "ptr:%{o}",
            "moo.cow-far_out=man:dog/cat",
            "x=",
            "ip6:::1.1.1.1/0",
            "include:a%%b%_c%-.%{h}",
            "a:%{L}.x.test//0",
            "X=%{c}",
        ] {
            assert!(
                parse(&format!("v=spf1 {term}")).is_ok(),
                "{term}: {:?}",
                parse(&format!("v=spf1 {term}"))
            );
        }
    }

    #[test]
    fn a_record_of_64_kib_is_an_error_and_one_at_the_limit_is_not() {
        let of = |terms: usize| format!("v=spf1{}", " ip4:192.0.2.1".repeat(terms)).into_bytes();
        let most = (RECORD_LIMIT - 6) / 14;
        assert_eq!(Record::parse(&of(most)).unwrap().directives.len(), most);
        assert!(Record::parse(&of(most + 1)).is_err());
        assert!(Record::parse(&of((64 << 10) / 14)).is_err());
    }

    proptest! {
        #[test]
        fn no_record_makes_it_panic(terms in "[ -~]{0,80}", octets in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&format!("v=spf1 {terms}"));
            let _ = Record::parse(&[b"v=spf1 ", &octets[..]].concat());
            let _ = parse(&format!("v=spf1 a:%{{{terms}"));
        }
    }
}
