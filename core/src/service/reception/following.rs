//! What follows from DMARC for those whom a message is for.

use std::collections::BTreeMap;

use super::recipients::Recipients;
use crate::authn::dmarc::{self, NoAuthorDomain};
use crate::config::{Obedience, VerificationSettings};
use crate::model::dmarc_policy::Policy;
use crate::model::verdict::{DmarcResult, Judgement, Reason};
use crate::model::{Domain, Event, Reply};
use crate::service::Context;

/// Who says how far policies are followed.
#[derive(Clone, Copy)]
pub(super) enum Following<'a> {
    /// This domain alone says so.
    One(&'a Domain, Obedience),
    /// The domains that the recipients are at, or had themselves forwarded from.
    Recipients(&'a Context, &'a Recipients),
}

impl Following<'_> {
    /// What follows from DMARC. A message is refused only where everybody whom it is for would have it so: the others would not get it.
    pub(super) async fn judge(
        self,
        settings: &VerificationSettings,
        dmarc: &dmarc::Verdict,
        override_by: Option<&Domain>,
    ) -> Result<Judgement, Reply> {
        let domain = dmarc.author_domain.as_ref().map_or("the domain in From", Domain::as_str);
        let by =
            if is_open(settings, dmarc, override_by) { self.by_domain().await? } else { BTreeMap::new() };
        let is_obeyed = by.values().all(|obedience| *obedience == Obedience::Obey);
        let is_followed = by.values().any(|obedience| *obedience != Obedience::Report);
        let wants = dmarc.disposition;
        let is_testing = dmarc.published.as_ref().is_some_and(|published| published.record.is_testing);
        let is_quarantined = dmarc.result == DmarcResult::Fail
            && override_by.is_none()
            && wants != Policy::None
            && is_followed;
        let reason = match dmarc.result {
            DmarcResult::Pass => Reason::Aligned,
            DmarcResult::None => Reason::NoPolicy,
            DmarcResult::Fail if override_by.is_some() => Reason::TrustedSealer,
            DmarcResult::Fail if wants == Policy::Reject && is_obeyed => {
                let text = format!(
                    "DMARC: {domain} wants mail refused that neither SPF nor a DKIM signature proves to be from it; \
                     see its record at _dmarc"
                );
                return Err(refusal(550, 26, text));
            }
            DmarcResult::Fail if is_testing => Reason::Testing,
            DmarcResult::Fail if wants == Policy::None => Reason::NoPolicy,
            DmarcResult::Fail if wants == Policy::Quarantine && is_obeyed => Reason::Policy,
            DmarcResult::Fail => Reason::LocalPolicy,
            DmarcResult::TempError if settings.defers_temporary && is_followed => {
                let text =
                    format!("DMARC: whether this is from {domain} cannot be looked up, try again later");
                return Err(refusal(451, 26, text));
            }
            // Readers would be shown somebody, and nobody answers for that (RFC 9989 §11.5). Without any author they are shown nobody.
            DmarcResult::PermError if is_obeyed => match dmarc.no_author_domain {
                Some(NoAuthorDomain::SeveralFields | NoAuthorDomain::SeveralDomains) => {
                    let text = "DMARC: several From fields or authors of several domains";
                    return Err(refusal(550, 26, text.to_owned()));
                }
                Some(NoAuthorDomain::Unreadable) => {
                    return Err(refusal(550, 26, "DMARC: the From field cannot be read".to_owned()));
                }
                _ => Reason::Undecided,
            },
            DmarcResult::TempError | DmarcResult::PermError => Reason::Undecided,
        };
        let reports_only = |(domain, obedience): (&Domain, &Obedience)| {
            (is_quarantined && *obedience == Obedience::Report).then(|| domain.clone())
        };
        Ok(Judgement {
            result: dmarc.result,
            author_domain: dmarc.author_domain.clone(),
            policy: dmarc.published.as_ref().map(|published| published.policy),
            is_quarantined,
            spared: by.iter().filter_map(reports_only).collect(),
            reason,
        })
    }

    /// What each of them says.
    async fn by_domain(self) -> Result<BTreeMap<Domain, Obedience>, Reply> {
        let (context, recipients) = match self {
            Self::One(domain, obedience) => return Ok(BTreeMap::from([(domain.clone(), obedience)])),
            Self::Recipients(context, recipients) => (context, recipients),
        };
        let default = context.config.verification.dmarc;
        let mut by = BTreeMap::new();
        for recipient in recipients.values() {
            let domain = recipient.alias.as_ref().unwrap_or(&recipient.address).domain();
            if by.contains_key(domain) {
                continue;
            }
            let settings = context.directory.settings(domain).await.map_err(|error| {
                let doing = format!("looking how {domain} follows policies");
                context.journal.report(&Event::Trouble { doing, error: error.to_string() });
                Reply::new(451, (4, 3, 0), "storage is not available, try again later")
            })?;
            by.insert(domain.clone(), settings.and_then(|settings| settings.dmarc).unwrap_or(default));
        }
        Ok(by)
    }
}

/// Whether it matters how far a policy is followed. Most mail passes, or its author's domain wants nothing: nobody is asked about it.
fn is_open(settings: &VerificationSettings, dmarc: &dmarc::Verdict, override_by: Option<&Domain>) -> bool {
    match dmarc.result {
        DmarcResult::Pass | DmarcResult::None => false,
        DmarcResult::Fail => override_by.is_none() && dmarc.disposition != Policy::None,
        DmarcResult::TempError => settings.defers_temporary,
        DmarcResult::PermError => true,
    }
}

/// `X.7.20` to `X.7.26` (RFC 7372 §3).
pub(super) fn refusal(code: u16, detail: u16, text: String) -> Reply {
    let class = if code < 500 { 4 } else { 5 };
    Reply::new(code, (class, 7, detail), text)
}
