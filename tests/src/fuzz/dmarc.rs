//! DMARC (RFC 9989): the author of a message, policy records and the tree walk, through whole checks.

use fulmar_core::authn::dmarc::{
    Alignment, Destination, Evidence, FailureOptions, IDENTIFIER_LIMIT, Policy, Record, Verdict,
    author_domain, check,
};
use fulmar_core::model::Domain;
use fulmar_core::model::verdict::{DkimResult, DmarcResult, SpfResult};

use super::names::{Names, done};
use super::written::check_method;

/// Queries for one domain (RFC 9989 §4.10).
const WALK: usize = 8;
/// A domain that is nobody's.
const OTHER: &str = "other.invalid";

/// A message: a line that is the body of From, one `result domain` of SPF, one with as many of signatures as there are, and then a zone. No
/// second author hides behind the first; so many questions are asked and no more; nothing passes without evidence that is aligned; a record
/// means the same with other blanks, and when it is written down again.
pub fn dmarc(octets: &[u8]) {
    let mut lines = octets.splitn(4, |octet| *octet == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (from, spf, dkim, zone) = (line(), line(), line(), line());
    check_author(from);
    let input = Input { from, spf: spf_evidence(spf), dkim: dkim_evidence(dkim) };
    let verdict = input.check(zone);
    assert_eq!(input.check(zone), verdict, "not the same twice");
    assert_eq!(input.check(&respaced(zone)), verdict, "blanks");
    input.check_verdict(&verdict);
    if let Some(published) = &verdict.published {
        check_record(&published.record);
    }
}

fn author(parts: &[&[u8]]) -> Option<Domain> {
    author_domain(&[b"Subject: x\r\nFrom:", &parts.concat()[..], b"\r\n\r\n"].concat()).ok()
}

fn check_author(from: &[u8]) {
    let Some(domain) = author(&[from]) else { return };
    assert!(!domain.is_literal());
    let alone = format!(" \"b@{OTHER}\" (c@{OTHER}) <a@{domain}>");
    assert_eq!(author(&[alone.as_bytes()]).as_ref(), Some(&domain));
    if domain.as_str() != OTHER {
        let second = format!("<b@{OTHER}>");
        assert_eq!(author(&[from, b",", second.as_bytes()]), None, "a second author");
        assert_eq!(author(&[second.as_bytes(), b",", from]), None, "a first author");
    }
    assert_eq!(author(&[from, b"\r\nfrom :", from]), None, "a second field");
}

struct Input<'a> {
    from: &'a [u8],
    spf: Option<(SpfResult, Domain)>,
    dkim: Vec<(DkimResult, Domain)>,
}

impl Input<'_> {
    fn check(&self, zone: &[u8]) -> Verdict {
        let names = Names::parse(zone);
        let header = [b"From:", self.from, b"\r\n\r\n"].concat();
        let spf = self.spf.as_ref().map(|(result, domain)| (*result, domain));
        let verdict = done(check(&header, &Evidence { spf, dkim: &self.dkim }, &names));
        // The author's domain, whether it exists, and each domain that something was found of.
        let most = WALK + 1 + WALK * (1 + IDENTIFIER_LIMIT);
        assert!(names.asked() <= most, "{} questions", names.asked());
        verdict
    }

    fn check_verdict(&self, verdict: &Verdict) {
        check_method(&verdict.to_method());
        let is_judged = matches!(verdict.result, DmarcResult::Pass | DmarcResult::Fail);
        assert!(!is_judged || verdict.published.is_some() && verdict.author_domain.is_some());
        assert_eq!(verdict.result == DmarcResult::Pass, verdict.is_spf_aligned || verdict.is_dkim_aligned);
        assert_eq!(verdict.result == DmarcResult::PermError, verdict.no_author_domain.is_some());
        if verdict.disposition != Policy::None {
            assert_eq!(verdict.result, DmarcResult::Fail);
            assert!(verdict.published.as_ref().is_some_and(|found| verdict.disposition <= found.policy));
        }
        let (Some(author), Some(published)) = (&verdict.author_domain, &verdict.published) else { return };
        let Record { adkim, aspf, .. } = &published.record;
        if verdict.is_spf_aligned {
            let is_evidence = |(result, domain): &(SpfResult, Domain)| {
                *result == SpfResult::Pass && may_align(author, domain, *aspf)
            };
            assert!(self.spf.as_ref().is_some_and(is_evidence), "SPF of nobody");
        }
        if verdict.is_dkim_aligned {
            let mut found = self.dkim.iter().take(IDENTIFIER_LIMIT);
            let is_evidence = found
                .any(|(result, domain)| *result == DkimResult::Pass && may_align(author, domain, *adkim));
            assert!(is_evidence, "a signature of nobody");
        }
    }
}

/// Whatever organizations there may be, their domains have the last label in common.
fn may_align(author: &Domain, domain: &Domain, alignment: Alignment) -> bool {
    let last = |domain: &Domain| domain.as_str().rsplit('.').next().map(str::to_owned);
    match alignment {
        Alignment::Strict => author == domain,
        Alignment::Relaxed => last(author) == last(domain),
    }
}

fn spf_evidence(line: &[u8]) -> Option<(SpfResult, Domain)> {
    let (result, domain) = str::from_utf8(line).ok()?.split_once(' ')?;
    let result = match result {
        "pass" => SpfResult::Pass,
        "temperror" => SpfResult::TempError,
        _ => SpfResult::Fail,
    };
    Some((result, Domain::parse(domain).ok()?))
}

fn dkim_evidence(line: &[u8]) -> Vec<(DkimResult, Domain)> {
    let text = String::from_utf8_lossy(line);
    let words: Vec<&str> = text.split(' ').collect();
    let evidence = |pair: &[&str]| {
        let [result, domain] = pair else { return None };
        let result = match *result {
            "pass" => DkimResult::Pass,
            "temperror" => DkimResult::TempError,
            _ => DkimResult::Fail,
        };
        Some((result, Domain::parse(domain).ok()?))
    };
    words.chunks(2).filter_map(evidence).collect()
}

/// The same zone with blanks around semicolons, which policy records may have (RFC 9989 §4.8). In other records it changes nothing that counts.
fn respaced(zone: &[u8]) -> Vec<u8> {
    let respace = |line: &[u8]| -> Vec<u8> {
        let mut words = line.splitn(3, |octet| *octet == b' ');
        let (Some(owner), Some(b"TXT"), Some(text)) = (words.next(), words.next(), words.next()) else {
            return line.to_vec();
        };
        let tags: Vec<&[u8]> = text.split(|octet| *octet == b';').collect();
        [owner, b" TXT ", &tags.join(&b" ;\t"[..])].concat()
    };
    zone.split(|octet| *octet == b'\n').map(respace).collect::<Vec<_>>().join(&b'\n')
}

/// What a record says, it says when written down.
fn check_record(record: &Record) {
    let zone = format!("_dmarc.x.test TXT {}", shown(record));
    let input = Input { from: b" a@x.test", spf: None, dkim: Vec::new() };
    let verdict = input.check(zone.as_bytes());
    let again = &verdict.published.as_ref().expect("it is a policy").record;
    let said = |record: &Record| {
        let Record { p, sp, np, adkim, aspf, is_testing, rua, ruf, fo, .. } = record.clone();
        ((p, sp, np), (adkim, aspf, is_testing), (rua, ruf, fo))
    };
    assert_eq!(said(again), said(record), "{zone}");
}

fn shown(record: &Record) -> String {
    let mut text = format!("v=DMARC1;p={}", record.p);
    for (name, policy) in [("sp", record.sp), ("np", record.np)] {
        policy.iter().for_each(|policy| text.push_str(&format!(";{name}={policy}")));
    }
    for (name, alignment) in [("adkim", record.adkim), ("aspf", record.aspf)] {
        let letter = if alignment == Alignment::Strict { "s" } else { "r" };
        text.push_str(&format!(";{name}={letter}"));
    }
    text.push_str(if record.is_testing { ";t=y" } else { ";t=n" });
    let FailureOptions { when_all_fail, when_any_fails, on_dkim, on_spf } = record.fo;
    let options = [("0", when_all_fail), ("1", when_any_fails), ("d", on_dkim), ("s", on_spf)];
    let wanted: Vec<&str> =
        options.iter().filter(|(_, is_wanted)| *is_wanted).map(|(name, _)| *name).collect();
    text.push_str(&format!(";fo={}", wanted.join(":")));
    for (name, destinations) in [("rua", &record.rua), ("ruf", &record.ruf)] {
        let uri = |Destination { address, size_limit }: &Destination| {
            let limit = size_limit.map(|limit| format!("!{limit}"));
            format!("mailto:{}{}", escaped(&address.to_string()), limit.unwrap_or_default())
        };
        let uris: Vec<String> = destinations.iter().map(uri).collect();
        text.push_str(&format!(";{name}={}", uris.join(",")));
    }
    text
}

/// Everything that may mean something in a URI, percent-encoded (RFC 3986 §2.1).
fn escaped(text: &str) -> String {
    let escape = |octet: u8| match octet {
        b'@' | b'.' | b'-' => char::from(octet).to_string(),
        _ if octet.is_ascii_alphanumeric() => char::from(octet).to_string(),
        _ => format!("%{octet:02X}"),
    };
    text.bytes().map(escape).collect()
}
