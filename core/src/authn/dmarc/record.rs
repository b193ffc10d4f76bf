//! Policy records as they stand in the DNS (RFC 9989 §4.7, §4.8).
//!
//! Read by code of our own: whether an invalid `p`, `sp` or `np` leaves a policy of `none` or none at all hangs on `rua` (RFC 9989 §4.10.1),
//! while the record still counts in the tree walk. What it holds of memory is bounded whatever the length of the text.

use crate::model::Address;
use crate::model::dmarc_policy::{Alignment, Policy};

/// Addresses of one kind of report that are kept. Beyond: they are left out.
const DESTINATION_LIMIT: usize = 10;

/// Where reports go (RFC 9989 §4.7, `rua`, `ruf`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// That of a `mailto` URI.
    pub address: Address,
    /// Octets of the largest message that it takes (RFC 7489 §6.2); none where any may come. RFC 9989 §4.7 has no such limit any more, and
    /// records still say it.
    pub size_limit: Option<u64>,
}

impl Destination {
    /// Whether a message of so many octets may be sent there: encoded as it goes out (RFC 7489 §7.2.1).
    pub fn takes(&self, octets: usize) -> bool {
        self.size_limit.is_none_or(|limit| u64::try_from(octets).is_ok_and(|octets| octets <= limit))
    }
}

/// Whether a domain is a public suffix (RFC 9989 §4.7, `psd`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PublicSuffix {
    #[default]
    Unknown,
    Yes,
    /// It is an organizational domain.
    No,
}

/// When a report of one message's failure is wanted (RFC 9989 §4.7, `fo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureOptions {
    /// `0`: no method gives an aligned pass.
    pub when_all_fail: bool,
    /// `1`: some method gives no aligned pass.
    pub when_any_fails: bool,
    /// `d`: a signature does not verify.
    pub on_dkim: bool,
    /// `s`: SPF fails.
    pub on_spf: bool,
}

/// A policy record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Of the domain itself, and of those below it where the other two are absent.
    pub p: Policy,
    /// Of domains below it that exist.
    pub sp: Option<Policy>,
    /// Of domains below it that do not exist.
    pub np: Option<Policy>,
    /// For signatures.
    pub adkim: Alignment,
    /// For SPF.
    pub aspf: Alignment,
    /// `t=y`: policies are to be applied one level lower.
    pub is_testing: bool,
    /// Where aggregate reports go: the `mailto` destinations.
    pub rua: Vec<Destination>,
    /// Where reports of single failures go: the `mailto` destinations.
    pub ruf: Vec<Destination>,
    /// When these are wanted.
    pub fo: FailureOptions,
    pub(super) psd: PublicSuffix,
    /// Whether there is a policy in it at all (RFC 9989 §4.10.1).
    pub(super) is_applicable: bool,
}

impl Record {
    /// Whether it is that of a public suffix (`psd=y`), below which others are.
    pub fn is_of_public_suffix(&self) -> bool {
        self.psd == PublicSuffix::Yes
    }

    /// Reads one TXT record; none where it is no policy record. Tags that are unknown, repeated or malformed are as if they were not there
    /// (RFC 9989 §4.7), so `pct`, `rf` and `ri` (RFC 7489 §6.3) are.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut tags = text.split(|b| *b == b';');
        let (name, version) = tag(tags.next()?)?;
        if !name.eq_ignore_ascii_case("v") || version != "DMARC1" {
            return None;
        }
        let mut values: [Option<&str>; NAMES.len()] = [None; NAMES.len()];
        for (name, value) in tags.filter_map(tag) {
            if let Some(at) = NAMES.iter().position(|known| name.eq_ignore_ascii_case(known)) {
                values[at].get_or_insert(value);
            }
        }
        let [p, sp, np, adkim, aspf, psd, t, rua, ruf, fo] = values;
        let (rua, has_uri) = rua.map_or((Vec::new(), false), destinations);
        // Of these three, one that cannot be read makes the policy unknown.
        let [p, sp, np] = [p, sp, np].map(|value| value.map(Policy::parse));
        let is_readable = matches!(p, Some(Some(_))) && sp != Some(None) && np != Some(None);
        let policy = |value: Option<Option<Policy>>| value.flatten().filter(|_| is_readable);
        Some(Self {
            p: policy(p).unwrap_or_default(),
            sp: policy(sp),
            np: policy(np),
            adkim: alignment(adkim),
            aspf: alignment(aspf),
            is_testing: t.is_some_and(|t| t.eq_ignore_ascii_case("y")),
            rua,
            ruf: ruf.map_or(Vec::new(), |ruf| destinations(ruf).0),
            fo: failure_options(fo),
            psd: match psd {
                Some("y" | "Y") => PublicSuffix::Yes,
                Some("n" | "N") => PublicSuffix::No,
                _ => PublicSuffix::Unknown,
            },
            is_applicable: is_readable || has_uri,
        })
    }
}

/// The tags that have a meaning, besides `v`.
const NAMES: [&str; 10] = ["p", "sp", "np", "adkim", "aspf", "psd", "t", "rua", "ruf", "fo"];

/// `1*ALPHA equals 1*dmarc-value`
fn tag(text: &[u8]) -> Option<(&str, &str)> {
    let text = str::from_utf8(text).ok()?;
    let (name, value) = text.split_once('=')?;
    let is_value = value.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'));
    is_value.then_some((name.trim_matches([' ', '\t']), value.trim_matches([' ', '\t'])))
}

fn alignment(value: Option<&str>) -> Alignment {
    match value {
        Some("s" | "S") => Alignment::Strict,
        _ => Alignment::Relaxed,
    }
}

/// `dmarc-fo`, any of its letters in any order with colons between them. Without one that is known: `0`.
fn failure_options(value: Option<&str>) -> FailureOptions {
    let has = |option: &str| {
        value.is_some_and(|value| value.split(':').any(|word| word.trim().eq_ignore_ascii_case(option)))
    };
    let [any, dkim, spf] = ["1", "d", "s"].map(has);
    FailureOptions {
        when_all_fail: has("0") || !(any || dkim || spf),
        when_any_fails: any,
        on_dkim: dkim,
        on_spf: spf,
    }
}

/// `dmarc-urilist`: its `mailto` URIs, and whether it has a URI of any kind.
fn destinations(list: &str) -> (Vec<Destination>, bool) {
    let uris = || list.split(',').map(str::trim).filter(|uri| is_uri(uri));
    let mailto = |uri: &str| {
        let (scheme, address) = uri.split_once(':')?;
        let size_limit = address.rsplit_once('!').and_then(|(_, size)| octets(size));
        let address = address.split(['?', '!']).next()?;
        let address = scheme.eq_ignore_ascii_case("mailto").then(|| percent_decoded(address))??;
        Some(Destination { address: Address::parse(&address).ok()?, size_limit })
    };
    (uris().filter_map(mailto).take(DESTINATION_LIMIT).collect(), uris().next().is_some())
}

/// `1*DIGIT [ "k" / "m" / "g" / "t" ]`, in powers of 1,024 (RFC 7489 §6.2, §6.4). None where it is something else, or more than can be counted:
/// a limit that cannot be read is none.
fn octets(size: &str) -> Option<u64> {
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &size[digits.len()..] {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        "t" | "T" => 40,
        _ => return None,
    };
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(1 << shift)
}

/// `scheme ":" hier-part` of RFC 3986 §3, as far as it matters here.
fn is_uri(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    };
    text.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty())
        && text.bytes().all(|b| b.is_ascii_graphic())
}

/// None where a percent sign has no two hexadecimal digits, or they stand for no text (RFC 3986 §2.1).
fn percent_decoded(text: &str) -> Option<String> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let digits = [rest.next()?, rest.next()?].map(|digit| char::from(digit).to_digit(16));
                u8::try_from(digits[0]? << 4 | digits[1]?).ok()?
            }
            _ => octet,
        });
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Option<Record> {
        Record::parse(text.as_bytes())
    }

    #[test]
    fn only_what_begins_with_the_version_is_a_policy_record() {
        for (text, expected) in [
            ("v=DMARC1", true),
            ("v = DMARC1 ; p = none ;", true),
            ("v=DMARC1;p=reject;\u{e9}=x", true),
            ("v=dmarc1; p=none", false),
            ("v=DMARC2; p=none", false),
            ("p=none; v=DMARC1", false),
            ("v=DMARC1 p=none", false),
            ("v=spf1 -all", false),
            ("", false),
        ] {
            assert_eq!(parse(text).is_some(), expected, "{text}");
        }
    }

    #[test]
    fn policies_that_cannot_be_read_leave_none_or_no_policy_at_all() {
        use Policy::{None as N, Quarantine as Q, Reject as R};
        for (tags, p, sp, np, is_applicable) in [
            ("p=reject", R, None, None, true),
            ("P=Reject; SP=none; np=quarantine", R, Some(N), Some(Q), true),
            ("p=quarantine; p=reject", Q, None, None, true),
            ("p=none; pct=0; rf=afrf; ri=x; x=y; junk; =; p", N, None, None, true),
            ("p=block", N, None, None, false),
            ("p=reject; sp=block", N, None, None, false),
            ("p=reject; np=", N, None, None, false),
            ("", N, None, None, false),
            ("p=reject; sp=block; rua=mailto:d@x.test", N, None, None, true),
            ("sp=reject; rua=https://x.test/d", N, None, None, true),
            ("sp=reject; rua=nonsense", N, None, None, false),
        ] {
            let record = parse(&format!("v=DMARC1; {tags}")).unwrap();
            let found = (record.p, record.sp, record.np, record.is_applicable);
            assert_eq!(found, (p, sp, np, is_applicable), "{tags}");
        }
    }

    #[test]
    fn options_have_defaults_where_they_are_absent_or_malformed() {
        let of = |tags: &str| parse(&format!("v=DMARC1; p=none; {tags}")).unwrap();
        let record = of("adkim=s; aspf=S; t=y; psd=n; fo=1:d");
        assert_eq!((record.adkim, record.aspf), (Alignment::Strict, Alignment::Strict));
        assert!(record.is_testing && record.psd == PublicSuffix::No);
        let fo = |all, any, dkim, spf| FailureOptions {
            when_all_fail: all,
            when_any_fails: any,
            on_dkim: dkim,
            on_spf: spf,
        };
        assert_eq!(record.fo, fo(false, true, true, false));
        let plain = of("");
        assert_eq!(of("adkim=x; aspf=; t=maybe; psd=u; fo=z"), plain);
        assert_eq!(
            (plain.adkim, plain.is_testing, plain.fo),
            (Alignment::Relaxed, false, fo(true, false, false, false))
        );
        assert_eq!(of("psd=y").psd, PublicSuffix::Yes);
    }

    #[test]
    fn destinations_are_addresses_and_not_too_many() {
        let of = |list: &str| -> Vec<String> {
            let record = parse(&format!("v=DMARC1; p=none; rua={list}")).unwrap();
            record.rua.iter().map(|found| found.address.to_string()).collect()
        };
        assert_eq!(
            of("mailto:a@x.test!10m , MAILTO:b%2Bc@y.test?subject=x,https://z.test"),
            ["a@x.test", "b+c@y.test"]
        );
        assert_eq!(of("mailto:,mailto:nobody,mailto:a%zz@x.test,:,"), [""; 0]);
        assert_eq!(of(&"mailto:a@x.test,".repeat(5_000)).len(), DESTINATION_LIMIT);
    }

    #[test]
    fn a_destination_may_say_how_large_a_report_it_takes() {
        for (uri, limit) in [
            ("mailto:a@x.test", None),
            ("mailto:a@x.test!0", Some(0)),
            ("mailto:a@x.test!5000", Some(5_000)),
            ("mailto:a@x.test!10k", Some(10 << 10)),
            ("mailto:a@x.test!10M", Some(10 << 20)),
            ("mailto:a@x.test!2g", Some(2 << 30)),
            ("mailto:a@x.test!1t", Some(1 << 40)),
            ("mailto:a@x.test?subject=x!1k", Some(1 << 10)),
            // What is no limit hides no address.
            ("mailto:a@x.test!", None),
            ("mailto:a@x.test!k", None),
            ("mailto:a@x.test!+1k", None),
            ("mailto:a@x.test!10x", None),
            ("mailto:a@x.test!10mb", None),
            ("mailto:a@x.test!20000000t", None),
            ("mailto:a@x.test!99999999999999999999", None),
        ] {
            let record = parse(&format!("v=DMARC1; p=none; ruf={uri}")).unwrap();
            let found: Vec<_> =
                record.ruf.iter().map(|one| (one.address.to_string(), one.size_limit)).collect();
            assert_eq!(found, [("a@x.test".to_owned(), limit)], "{uri}");
        }
        let of = |size_limit| Destination { address: Address::parse("a@x.test").unwrap(), size_limit };
        assert!(of(None).takes(usize::MAX) && of(Some(5)).takes(5) && !of(Some(5)).takes(6));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(tags in "[ -~]{0,80}", octets in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(&format!("v=DMARC1;{tags}"));
            let _ = Record::parse(&[b"v=DMARC1; rua=mailto:", &octets[..]].concat());
        }
    }
}
