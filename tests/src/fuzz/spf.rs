//! SPF (RFC 7208): records and macros, through whole checks.

use std::net::IpAddr;

use fulmar_core::authn::spf::{Client, Identity, Limits, Sender, Verdict, check_host};
use fulmar_core::model::verdict::SpfResult;
use fulmar_core::model::{Domain, UtcTime};

use super::names::{Names, done};
use super::written::{check_field, check_method};

/// Terms that a check may have that is to show what the limit cuts off.
const MANY_TERMS: usize = 40;
/// Octets that an explanation may have.
const EXPLANATION_LIMIT: usize = 800;

/// A check: a line `address helo sender`, where a sender that is `-` stands for the name in HELO, and then a zone. Whatever the zone says, so many
/// questions are asked and no more; more terms than may be, or more names in vain, come to permerror and nothing else; blanks and the case of
/// the version mean nothing; and what is written of it leaves no place that it has.
pub fn spf(octets: &[u8]) {
    let mut parts = octets.splitn(2, |octet| *octet == b'\n');
    let first = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let zone = parts.next().unwrap_or_default();
    let mut words = first.split(' ');
    let (Some(address), Some(helo), Some(sender)) = (words.next(), words.next(), words.next()) else {
        return;
    };
    let Ok(address) = address.parse() else { return };
    let case = Case { address, helo, sender, receiver: Domain::parse("mx.test").expect("a domain") };
    let verdict = case.check(zone, Limits::default());
    assert_eq!(case.check(zone, Limits::default()), verdict, "not the same twice");
    // A policy may be its own explanation, which is shown as it is.
    let unexplained = |verdict: Verdict| Verdict { explanation: None, ..verdict };
    let respaced = case.check(&respaced(zone), Limits::default());
    assert_eq!(unexplained(respaced), unexplained(verdict.clone()), "blanks");
    case.check_limits(zone, &verdict);
    case.check_words(&verdict);
}

struct Case<'a> {
    address: IpAddr,
    helo: &'a str,
    sender: &'a str,
    receiver: Domain,
}

impl Case<'_> {
    fn client(&self) -> Client<'_> {
        let Self { address, helo, receiver, .. } = self;
        Client { address: *address, helo, receiver, now: UtcTime(1_795_333_000_000) }
    }

    fn sender(&self) -> Sender<'_> {
        let (local_part, domain) = self.sender.rsplit_once('@').unwrap_or(("", self.sender));
        match self.sender {
            "-" => Sender::of_helo(self.helo),
            _ => Sender { identity: Identity::MailFrom, local_part, domain },
        }
    }

    fn check(&self, zone: &[u8], limits: Limits) -> Verdict {
        let names = Names::parse(zone);
        let verdict = done(check_host(&self.client(), &self.sender(), limits, &names));
        // The policy; for each term an answer and the addresses of the names in it; the client's names, and an explanation.
        let most = 1 + limits.terms * (1 + limits.names) + (1 + limits.names) + 1;
        assert!(names.asked() <= most, "{} questions", names.asked());
        assert!(verdict.lookups <= limits.terms, "{} terms", verdict.lookups);
        verdict
    }

    /// Where a check with wider limits goes further, the one that counts ends with permerror; elsewhere they are the same.
    fn check_limits(&self, zone: &[u8], verdict: &Verdict) {
        let limits = Limits::default();
        let wide = self.check(zone, Limits { terms: MANY_TERMS, ..limits });
        if wide.lookups > limits.terms {
            assert_eq!(verdict.result, SpfResult::PermError, "{} terms", wide.lookups);
        } else {
            assert_eq!(*verdict, wide);
        }
        let in_vain = self.check(zone, Limits { voids: MANY_TERMS, ..limits });
        assert!(*verdict == in_vain || verdict.result == SpfResult::PermError, "{verdict:?}, {in_vain:?}");
    }

    fn check_words(&self, verdict: &Verdict) {
        check_field(&verdict.to_received_spf(&self.client()));
        check_method(&verdict.to_method());
        let is_told = matches!(verdict.result, SpfResult::None | SpfResult::TempError | SpfResult::PermError);
        assert_eq!(verdict.problem.is_some(), is_told);
        if let Some(explanation) = &verdict.explanation {
            assert_eq!(verdict.result, SpfResult::Fail);
            let is_shown = explanation.bytes().all(|b| matches!(b, b' '..=b'~'));
            assert!(is_shown && explanation.len() <= EXPLANATION_LIMIT);
        }
    }
}

/// The same zone; in each policy twice as many blanks, and its version in another case.
fn respaced(zone: &[u8]) -> Vec<u8> {
    const VERSION: &[u8] = b"v=spf1";
    let respace = |line: &[u8]| -> Vec<u8> {
        let mut words = line.splitn(3, |octet| *octet == b' ');
        let (Some(owner), Some(b"TXT"), Some(text)) = (words.next(), words.next(), words.next()) else {
            return line.to_vec();
        };
        let (version, terms) = text.split_at(text.len().min(VERSION.len()));
        if !version.eq_ignore_ascii_case(VERSION) || !matches!(terms.first(), None | Some(b' ')) {
            return line.to_vec();
        }
        let terms =
            terms.iter().flat_map(|octet| std::iter::repeat_n(*octet, 1 + usize::from(*octet == b' ')));
        [owner, b" TXT V=sPF1", &terms.collect::<Vec<u8>>()].concat()
    };
    zone.split(|octet| *octet == b'\n').map(respace).collect::<Vec<_>>().join(&b'\n')
}
