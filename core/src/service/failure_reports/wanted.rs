//! Whether the owner of an author's domain wants to be told of a message, and may be.

use crate::authn::dkim::{DkimReport, Flaw, Verified};
use crate::authn::dmarc::{FailureOptions, Published, Verdict};
use crate::model::dmarc_report::is_report;
use crate::model::failure_report::{AuthFailure, FailedSignature, is_automatic};
use crate::model::verdict::{DkimResult, DmarcResult, SpfResult};
use crate::model::{Address, Domain, ReversePath};
use crate::service::dmarc_reports::Seen;

/// The record that asks for reports, unless it is one of a public suffix, which may not (RFC 9991 §2).
pub(super) fn asking<'a>(seen: &Seen<'a>) -> Option<&'a Published> {
    let published = seen.dmarc.published.as_ref()?;
    let record = &published.record;
    (!record.ruf.is_empty() && !record.is_of_public_suffix()).then_some(published)
}

/// Whom a report about this message would be about, if there is anybody: a report is never about another one, nor about what a program sent, which may be
/// an answer to one.
pub(super) fn answerable<'a>(seen: &Seen<'a>) -> Option<&'a Address> {
    match seen.reverse_path {
        ReversePath::Address(address) if !is_automatic(seen.header) && !is_report(seen.header) => {
            Some(address)
        }
        _ => None,
    }
}

/// What there is to report of it, as far as `options` ask for that (RFC 9989 §4.7, `fo`). What could not be looked up has not failed.
pub(super) fn failure(
    options: FailureOptions,
    dmarc: &Verdict,
    dkim: &DkimReport,
    spf: SpfResult,
) -> Option<AuthFailure> {
    let is_undecided = dkim.signatures.iter().any(|one| one.result == DkimResult::TempError);
    let fails_dkim = !dmarc.is_dkim_aligned && !is_undecided;
    let fails_spf = !dmarc.is_spf_aligned && spf != SpfResult::TempError;
    let fails_dmarc = match dmarc.result {
        DmarcResult::Fail => options.when_all_fail || (options.when_any_fails && (fails_dkim || fails_spf)),
        DmarcResult::Pass => options.when_any_fails && (fails_dkim || fails_spf),
        _ => false,
    };
    if fails_dmarc {
        return Some(AuthFailure::Dmarc);
    }
    let flaw = || dkim.signatures.iter().find(|one| is_failed(one))?.flaw.as_ref();
    if options.on_dkim
        && let Some(flaw) = flaw()
    {
        return Some(match flaw {
            Flaw::BodyAltered | Flaw::BodyCut => AuthFailure::BodyHash,
            Flaw::KeyRevoked => AuthFailure::Revoked,
            _ => AuthFailure::Signature,
        });
    }
    (options.on_spf && matches!(spf, SpfResult::Fail | SpfResult::SoftFail)).then_some(AuthFailure::Spf)
}

/// The signature that tells most of what went wrong: one of the author's domain before one of a domain beside it, and that before all others.
pub(super) fn signature(dkim: &DkimReport, author: &Domain) -> Option<FailedSignature> {
    let is_below = |a: &str, b: &str| a.strip_suffix(b).is_some_and(|rest| rest.ends_with('.'));
    let distance = |domain: &Domain| match (domain.as_str(), author.as_str()) {
        (domain, author) if domain == author => 0,
        (domain, author) if is_below(domain, author) || is_below(author, domain) => 1,
        _ => 2,
    };
    let failed = dkim.signatures.iter().filter(|one| is_failed(one)).filter_map(|one| one.claim.as_ref());
    let claim = failed.min_by_key(|claim| distance(&claim.domain))?;
    let (domain, selector) = (claim.domain.clone(), claim.selector.clone());
    Some(FailedSignature { domain, identity: claim.identity.clone(), selector })
}

fn is_failed(one: &Verified) -> bool {
    !matches!(one.result, DkimResult::Pass | DkimResult::TempError | DkimResult::None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::dkim::{Algorithm, Claim};
    use crate::model::dmarc_policy::Policy;

    fn signed(domain: &str, result: DkimResult, flaw: Option<Flaw>) -> Verified {
        let domain = Domain::parse(domain).unwrap();
        let selector = format!("at-{domain}");
        let claim =
            Claim { domain, selector, identity: None, algorithm: Algorithm::Ed25519Sha256, b: String::new() };
        Verified { result, flaw, claim: Some(claim), unsigned_octets: 0, is_testing: false }
    }

    #[test]
    fn a_record_says_what_is_reported() {
        let fo = |letters: &str| FailureOptions {
            when_all_fail: letters.contains('0'),
            when_any_fails: letters.contains('1'),
            on_dkim: letters.contains('d'),
            on_spf: letters.contains('s'),
        };
        let dmarc = |is_dkim_aligned, is_spf_aligned, result| Verdict {
            result,
            author_domain: None,
            no_author_domain: None,
            published: None,
            disposition: Policy::None,
            is_spf_aligned,
            is_dkim_aligned,
            problem: None,
        };
        let dkim = |signatures: &[Verified]| DkimReport { signatures: signatures.to_vec(), unseen: 0 };
        let of = |result, flaw| {
            dkim(&[signed("far.test", DkimResult::Pass, None), signed("far.test", result, Some(flaw))])
        };
        let unsigned = dkim(&[]);
        let altered = of(DkimResult::Fail, Flaw::BodyAltered);
        let cut = of(DkimResult::Fail, Flaw::BodyCut);
        let broken = of(DkimResult::Fail, Flaw::Signature);
        let revoked = of(DkimResult::PermError, Flaw::KeyRevoked);
        let unknown = of(DkimResult::TempError, Flaw::KeyUnavailable("silence".to_owned()));
        let neither = dmarc(false, false, DmarcResult::Fail);
        let both = dmarc(true, true, DmarcResult::Pass);
        let (by_dkim, by_spf) =
            (dmarc(true, false, DmarcResult::Pass), dmarc(false, true, DmarcResult::Pass));
        let open = dmarc(false, false, DmarcResult::TempError);
        use AuthFailure as A;
        use SpfResult as S;
        for (options, dmarc, dkim, spf, expected) in [
            ("0", &neither, &unsigned, S::Fail, Some(A::Dmarc)),
            ("0", &by_dkim, &unsigned, S::Fail, None),
            ("0", &by_spf, &altered, S::Pass, None),
            ("0", &open, &unknown, S::Fail, None),
            ("1", &neither, &unsigned, S::None, Some(A::Dmarc)),
            ("1", &by_dkim, &unsigned, S::Fail, Some(A::Dmarc)),
            ("1", &by_spf, &broken, S::Pass, Some(A::Dmarc)),
            ("1", &both, &broken, S::Pass, None),
            ("1", &by_spf, &unknown, S::Pass, None),
            ("1", &by_dkim, &unsigned, S::TempError, None),
            ("1", &open, &unknown, S::Fail, None),
            ("d", &neither, &unsigned, S::Fail, None),
            ("d", &neither, &unknown, S::Fail, None),
            ("d", &by_spf, &altered, S::Pass, Some(A::BodyHash)),
            ("d", &by_spf, &cut, S::Pass, Some(A::BodyHash)),
            ("d", &both, &broken, S::Pass, Some(A::Signature)),
            ("d", &both, &revoked, S::Pass, Some(A::Revoked)),
            ("s", &neither, &broken, S::SoftFail, Some(A::Spf)),
            ("s", &by_dkim, &unsigned, S::Fail, Some(A::Spf)),
            ("s", &by_dkim, &unsigned, S::Neutral, None),
            ("0ds", &neither, &broken, S::Fail, Some(A::Dmarc)),
            ("ds", &neither, &broken, S::Fail, Some(A::Signature)),
            ("", &neither, &broken, S::Fail, None),
        ] {
            let found = failure(fo(options), dmarc, dkim, spf);
            assert_eq!(found, expected, "fo={options} {dmarc:?} {dkim:?} {spf}");
        }
    }

    #[test]
    fn the_signature_nearest_to_the_author_is_told_of() {
        let author = Domain::parse("mail.far.test").unwrap();
        for (signatures, expected) in [
            ("", None),
            ("other.test far.test", Some("far.test")),
            ("other.test a.mail.far.test mail.far.test", Some("mail.far.test")),
            ("other.test xmail.far.test", Some("other.test")),
        ] {
            let mut failed: Vec<_> = signatures
                .split_terminator(' ')
                .map(|domain| signed(domain, DkimResult::Fail, Some(Flaw::Signature)))
                .collect();
            failed.push(signed("mail.far.test", DkimResult::Pass, None));
            let found = signature(&DkimReport { signatures: failed, unseen: 0 }, &author);
            assert_eq!(
                found.map(|found| found.domain.to_string()),
                expected.map(str::to_owned),
                "{signatures}"
            );
        }
    }
}
