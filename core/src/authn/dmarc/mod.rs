//! Whether the domain that a message says it is from stands behind it, and what its owner wants done where not (RFC 9989).
//!
//! | module | what it does |
//! |---|---|
//! | `author` | whom the message says it is from; no I/O |
//! | `record` | reads policy records; no I/O |
//! | `destination` | finds who is to get reports, and may |
//! | `walk` | finds records upwards from a domain, and its organizational domain |
//!
//! A message passes where SPF or a signature has authenticated a domain that is aligned with the author's. All that a message can name is
//! bounded: eight queries for a domain, and [`IDENTIFIER_LIMIT`] domains of which only those below the author's organizational domain are
//! walked up from, since no other can be aligned.

mod author;
mod destination;
mod record;
#[cfg(test)]
mod tests;
mod walk;

use crate::authn::property::{comment, pvalue};
use crate::model::Domain;
use crate::model::verdict::{DkimResult, DmarcResult, SpfResult};
use crate::platform::Dns;

pub use crate::model::dmarc_policy::{Alignment, Policy};
pub use author::{NoAuthorDomain, author_domain};
pub use destination::{NotFoundOut, ReportKind, gets_reports, report_destinations};
pub use record::{Destination, FailureOptions, Record};

use walk::{Failure, Walker};

/// Signatures whose domains are looked at. Beyond: they align nothing.
pub const IDENTIFIER_LIMIT: usize = 16;

/// What other methods found.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Of the MAIL FROM identity, and its domain (RFC 9989 §4.4.2).
    pub spf: Option<(SpfResult, &'a Domain)>,
    /// Of each signature, and its `d=` (RFC 9989 §4.4.1).
    pub dkim: &'a [(DkimResult, Domain)],
}

/// The record that applies to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where it was found: the author's domain, its organizational domain, or the public suffix above.
    pub domain: Domain,
    /// What it says.
    pub record: Record,
    /// What it says of the author's domain: its `p`, `sp` or `np`. `t` is not applied.
    pub policy: Policy,
}

/// What the check comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// In one word.
    pub result: DmarcResult,
    /// Whom the message says it is from.
    pub author_domain: Option<Domain>,
    /// Why that cannot be told.
    pub no_author_domain: Option<NoAuthorDomain>,
    /// The record that applies.
    pub published: Option<Published>,
    /// What its owner wants done with this very message.
    pub disposition: Policy,
    /// Whether SPF passes for an aligned domain.
    pub is_spf_aligned: bool,
    /// Whether a signature verifies that is of an aligned domain.
    pub is_dkim_aligned: bool,
    /// Why there is no answer, or no policy. For people.
    pub problem: Option<String>,
}

impl Verdict {
    /// What a check comes to that took too long; but for the author's domain, which takes no look-up.
    pub fn overdue(header: &[u8]) -> Self {
        match author_domain(header) {
            Ok(author) => {
                let problem = Some("looking up policies and keys took too long".to_owned());
                Self::new(DmarcResult::TempError, Some(author), problem)
            }
            Err(why) => Self::nobodys(why),
        }
    }

    fn nobodys(why: NoAuthorDomain) -> Self {
        let verdict = Self::new(DmarcResult::PermError, None, Some(why.to_string()));
        Self { no_author_domain: Some(why), ..verdict }
    }

    fn new(result: DmarcResult, author_domain: Option<Domain>, problem: Option<String>) -> Self {
        Self {
            result,
            author_domain,
            no_author_domain: None,
            published: None,
            disposition: Policy::None,
            is_spf_aligned: false,
            is_dkim_aligned: false,
            problem,
        }
    }

    /// The method's part of an Authentication-Results field (RFC 8601 §2.7):
    /// `dmarc=fail (p=reject of example.org) header.from=mail.example.org policy.dmarc=reject`.
    pub fn to_method(&self) -> String {
        let mut method = format!("dmarc={}", self.result);
        if let Some(published) = &self.published {
            let testing = if published.record.is_testing { " t=y" } else { "" };
            let remark = format!("p={}{testing} of {}", published.policy, published.domain);
            method.push_str(&format!(" ({})", comment(&remark)));
        }
        if let Some(problem) = &self.problem {
            method.push_str(&format!(" ({})", comment(problem)));
        }
        if let Some(domain) = &self.author_domain {
            method.push_str(&format!(" header.from={}", pvalue(domain.as_str())));
        }
        if self.result == DmarcResult::Fail {
            method.push_str(&format!(" policy.dmarc={}", self.disposition));
        }
        method
    }
}

/// Checks a message by its header block and what other methods found (RFC 9989 §5.3). A message without exactly one author's domain is
/// [`DmarcResult::PermError`]: nothing can be said of it, and readers would be shown somebody.
pub async fn check(header: &[u8], evidence: &Evidence<'_>, dns: &dyn Dns) -> Verdict {
    let author = match author_domain(header) {
        Ok(author) => author,
        Err(why) => return Verdict::nobodys(why),
    };
    let mut walker = Walker::new(dns);
    let published = match policy(&author, &mut walker).await {
        Ok(Some(published)) => published,
        Ok(None) => return Verdict::new(DmarcResult::None, Some(author), None),
        Err(Failure(why)) => return Verdict::new(DmarcResult::TempError, Some(author), Some(why)),
    };
    let mut verdict = align(&author, &published.record, evidence, &mut walker).await;
    if verdict.result == DmarcResult::Fail {
        let is_testing = published.record.is_testing;
        verdict.disposition = if is_testing { published.policy.lowered() } else { published.policy };
    }
    Verdict { author_domain: Some(author), published: Some(published), ..verdict }
}

/// Policy discovery (RFC 9989 §4.10.1).
async fn policy(author: &Domain, walker: &mut Walker<'_>) -> Result<Option<Published>, Failure> {
    let found = match walker.record(author).await? {
        Some(record) => Some((author.clone(), record)),
        None => {
            let walk = walker.walk(author).await?;
            let organizational_domain = walk.organizational_domain();
            let record = walk.record_of(&organizational_domain).or_else(|| walk.record_of_public_suffix());
            record.map(|(domain, record)| (domain.clone(), record.clone()))
        }
    };
    let Some((domain, record)) = found.filter(|(_, record)| record.is_applicable) else { return Ok(None) };
    let policy = if domain == *author {
        record.p
    } else {
        let existing = record.sp.unwrap_or(record.p);
        match record.np {
            // Whether the domain exists is asked only where it matters.
            Some(absent) if absent != existing && !walker.exists(author).await? => absent,
            _ => existing,
        }
    };
    Ok(Some(Published { domain, record, policy }))
}

/// Identifier alignment (RFC 9989 §4.10.2), and what follows from it. A pass stands whatever else could not be looked up.
async fn align(
    author: &Domain,
    record: &Record,
    evidence: &Evidence<'_>,
    walker: &mut Walker<'_>,
) -> Verdict {
    let mut verdict = Verdict::new(DmarcResult::Fail, None, None);
    let mut undecided = None;
    if let Some((result, domain)) = evidence.spf {
        let standing = match result {
            SpfResult::Pass => Some(Standing::Authenticated),
            SpfResult::TempError => Some(Standing::Undecided),
            _ => None,
        };
        let aligned = walker.aligned(author, domain, record.aspf, standing).await;
        verdict.is_spf_aligned = aligned.unwrap_or_else(|why| {
            undecided = Some(why);
            false
        });
    }
    for (result, domain) in evidence.dkim.iter().take(IDENTIFIER_LIMIT) {
        let standing = match result {
            DkimResult::Pass => Some(Standing::Authenticated),
            DkimResult::TempError => Some(Standing::Undecided),
            _ => None,
        };
        match walker.aligned(author, domain, record.adkim, standing).await {
            Ok(is_aligned) => verdict.is_dkim_aligned |= is_aligned,
            Err(why) => undecided = Some(why),
        }
        if verdict.is_dkim_aligned {
            break;
        }
    }
    if verdict.is_spf_aligned || verdict.is_dkim_aligned {
        verdict.result = DmarcResult::Pass;
    } else if let Some(Failure(why)) = undecided {
        // RFC 9989 §5.3.6: such a message neither passes nor fails.
        verdict.result = DmarcResult::TempError;
        verdict.problem = Some(why);
    }
    verdict
}

/// Of a domain that SPF or a signature names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The method passes.
    Authenticated,
    /// The method has a temporary error, and may pass another time.
    Undecided,
}
