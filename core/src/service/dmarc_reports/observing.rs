//! From what verification has found to a row.

use std::net::IpAddr;

use crate::authn::dkim::DkimReport;
use crate::authn::dmarc::{Published, Verdict};
use crate::authn::spf;
use crate::model::dmarc_policy::Policy;
use crate::model::dmarc_report::{
    DKIM_LIMIT, Disposition, Override, PublishedPolicy, Row, Signer, is_report,
};
use crate::model::verdict::{DkimResult, DmarcResult};
use crate::model::{Domain, ReversePath};
use crate::service::Context;

/// Octets of a selector that are told. A name has no more (RFC 1035 §2.3.4).
const SELECTOR_LIMIT: usize = 253;

/// What was found of a message.
#[derive(Clone, Copy, Debug)]
pub(in crate::service) struct Seen<'a> {
    pub(in crate::service) client: IpAddr,
    pub(in crate::service) reverse_path: &'a ReversePath,
    pub(in crate::service) header: &'a [u8],
    pub(in crate::service) spf: &'a spf::Verdict,
    pub(in crate::service) dkim: &'a DkimReport,
    pub(in crate::service) dmarc: &'a Verdict,
    /// What is done with it.
    pub(in crate::service) done: Policy,
    /// The sealer who is believed instead.
    pub(in crate::service) override_by: Option<&'a Domain>,
}

/// Counts a message, refused or not, where its author's domain wants to know. A report that passes is not counted, or two hosts would report to each other every
/// day about nothing but their reports.
pub(in crate::service) fn observe(context: &Context, seen: &Seen<'_>) {
    if !context.config.dmarc_reports.is_on {
        return;
    }
    let Some(published) = seen.dmarc.published.as_ref().filter(|published| !published.record.rua.is_empty())
    else {
        return;
    };
    if seen.dmarc.result == DmarcResult::Pass && is_report(seen.header) {
        return;
    }
    if let Some(row) = row(seen, published) {
        context.spool.observe(row);
    }
}

fn row(seen: &Seen<'_>, published: &Published) -> Option<Row> {
    let header_from = seen.dmarc.author_domain.clone()?;
    let (disposition, overridden) = disposition(seen, published);
    Some(Row {
        policy: policy(published),
        source: seen.client,
        disposition,
        is_dkim_aligned: seen.dmarc.is_dkim_aligned,
        is_spf_aligned: seen.dmarc.is_spf_aligned,
        overridden,
        dkim: signers(seen.dkim, &header_from),
        header_from,
        envelope_from: match seen.reverse_path {
            ReversePath::Address(address) => Some(address.domain().clone()),
            _ => None,
        },
        spf: Domain::parse(&seen.spf.domain).ok().map(|domain| (domain, seen.spf.result)),
    })
}

fn policy(published: &Published) -> PublishedPolicy {
    let record = &published.record;
    PublishedPolicy {
        domain: published.domain.clone(),
        p: record.p,
        sp: record.sp,
        np: record.np,
        adkim: record.adkim,
        aspf: record.aspf,
        is_testing: record.is_testing,
    }
}

/// What is done, and why it is not what the policy asks for (RFC 9990 §3.1.1.9).
fn disposition(seen: &Seen<'_>, published: &Published) -> (Disposition, Option<Override>) {
    let asked = published.policy;
    match (seen.dmarc.result, seen.override_by) {
        (DmarcResult::Pass, _) if asked == Policy::None => (Disposition::None, None),
        (DmarcResult::Pass, _) => (Disposition::Pass, None),
        (DmarcResult::Fail, Some(sealer)) if seen.dmarc.disposition != Policy::None => {
            (Disposition::None, Some(Override::TrustedForwarder(sealer.clone())))
        }
        (DmarcResult::Fail, _) => {
            let (wanted, done) = (seen.dmarc.disposition, seen.done);
            let overridden = match () {
                () if done == asked => None,
                () if done == wanted => Some(Override::PolicyTestMode),
                () => Some(Override::LocalPolicy),
            };
            let disposition = match done {
                Policy::None => Disposition::None,
                Policy::Quarantine => Disposition::Quarantine,
                Policy::Reject => Disposition::Reject,
            };
            (disposition, overridden)
        }
        _ if asked == Policy::None => (Disposition::None, None),
        _ => (Disposition::None, Some(Override::Undecided)),
    }
}

/// The signatures that tell most of where a message comes from (RFC 9990 §3.1.3).
fn signers(dkim: &DkimReport, author: &Domain) -> Vec<Signer> {
    let claimed = dkim.signatures.iter().filter_map(|one| Some((one.result, one.claim.as_ref()?)));
    let mut signers: Vec<Signer> = claimed
        .filter(|(_, claim)| claim.selector.len() <= SELECTOR_LIMIT)
        .map(|(result, claim)| Signer {
            domain: claim.domain.clone(),
            selector: claim.selector.clone(),
            result,
        })
        .collect();
    let is_below = |a: &str, b: &str| a.strip_suffix(b).is_some_and(|rest| rest.ends_with('.'));
    let distance = |signer: &Signer| match (signer.result, signer.domain.as_str(), author.as_str()) {
        (DkimResult::Pass, domain, author) if domain == author => 0,
        (DkimResult::Pass, domain, author) if is_below(domain, author) || is_below(author, domain) => 1,
        (DkimResult::Pass, ..) => 2,
        _ => 3,
    };
    signers.sort_by_key(distance);
    signers.truncate(DKIM_LIMIT);
    // In whatever order they stood, messages are alike.
    signers.sort();
    signers
}
