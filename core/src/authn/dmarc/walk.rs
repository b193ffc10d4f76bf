//! The DNS tree walk (RFC 9989 §4.10).

use std::collections::BTreeMap;

use super::Standing;
use super::record::{PublicSuffix, Record};
use crate::model::dmarc_policy::Alignment;
use crate::model::{DnsName, Domain};
use crate::platform::{Dns, DnsError, Question, Record as DnsRecord, RecordKind};

/// Labels of the first name above one that is longer. With the name itself this makes eight queries at most (RFC 9989 §4.10).
const LABELS_ABOVE: usize = 7;

/// A name could not be looked up. To be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure(pub(super) String);

/// Asks for policy records, for each once.
pub(super) struct Walker<'a> {
    dns: &'a dyn Dns,
    known: BTreeMap<Domain, Option<Record>>,
}

/// The records of a domain and of those above it, the longest name first.
pub(super) struct Walk {
    start: Domain,
    found: Vec<(Domain, Record)>,
}

impl<'a> Walker<'a> {
    pub(super) fn new(dns: &'a dyn Dns) -> Self {
        Self { dns, known: BTreeMap::new() }
    }

    /// What it asks.
    pub(super) fn dns(&self) -> &'a dyn Dns {
        self.dns
    }

    /// The policy record of one domain. Several are as none.
    pub(super) async fn record(&mut self, domain: &Domain) -> Result<Option<Record>, Failure> {
        if let Some(known) = self.known.get(domain) {
            return Ok(known.clone());
        }
        let record = self.fetch(domain).await?;
        self.known.insert(domain.clone(), record.clone());
        Ok(record)
    }

    async fn fetch(&self, domain: &Domain) -> Result<Option<Record>, Failure> {
        // A name that is too long has no records.
        let Ok(name) = DnsName::parse(&format!("_dmarc.{domain}")) else { return Ok(None) };
        let answer = match self.dns.lookup(&Question { name, kind: RecordKind::Txt }).await {
            Ok(answer) => answer,
            Err(DnsError::NxDomain | DnsError::NoData) => return Ok(None),
            Err(DnsError::ServFail(why)) => return Err(Failure(format!("_dmarc.{domain}: {why}"))),
        };
        let mut records = answer.records.iter().filter_map(|record| match record {
            DnsRecord::Txt(text) => Record::parse(text),
            _ => None,
        });
        Ok(records.next().filter(|_| records.next().is_none()))
    }

    /// Whether a domain is anything but non-existent: one for which the DNS says that there is no such name (RFC 8020 §2).
    pub(super) async fn exists(&self, domain: &Domain) -> Result<bool, Failure> {
        match self.dns.lookup(&Question { name: domain.into(), kind: RecordKind::A }).await {
            Ok(_) | Err(DnsError::NoData) => Ok(true),
            Err(DnsError::NxDomain) => Ok(false),
            Err(DnsError::ServFail(why)) => Err(Failure(format!("{domain}: {why}"))),
        }
    }

    /// Looks upwards from a domain, as far as a record that says where to stop.
    pub(super) async fn walk(&mut self, start: &Domain) -> Result<Walk, Failure> {
        let mut walk = Walk { start: start.clone(), found: Vec::new() };
        let labels = start.as_str().split('.').count();
        for kept in std::iter::once(labels).chain((1..labels).rev().skip_while(|kept| *kept > LABELS_ABOVE)) {
            let domain = rightmost(start, kept);
            if let Some(record) = self.record(&domain).await? {
                let is_end = record.psd != PublicSuffix::Unknown;
                walk.found.push((domain, record));
                if is_end {
                    break;
                }
            }
        }
        Ok(walk)
    }

    /// Whether a domain that a method names is aligned with the author's, and authenticated (RFC 9989 §4.10.2). A failure where it would be
    /// aligned but the method has not come to an end.
    pub(super) async fn aligned(
        &mut self,
        author: &Domain,
        domain: &Domain,
        alignment: Alignment,
        standing: Option<Standing>,
    ) -> Result<bool, Failure> {
        let Some(standing) = standing else { return Ok(false) };
        let is_aligned = match alignment {
            _ if author == domain => true,
            Alignment::Strict => false,
            Alignment::Relaxed => self.have_one_organization(author, domain).await?,
        };
        match standing {
            Standing::Undecided if is_aligned => Err(Failure(format!("{domain} could not be authenticated"))),
            Standing::Authenticated | Standing::Undecided => Ok(is_aligned),
        }
    }

    async fn have_one_organization(&mut self, author: &Domain, domain: &Domain) -> Result<bool, Failure> {
        let organizational_domain = self.walk(author).await?.organizational_domain();
        // One that does not lie within it has another, and is not worth the queries.
        if !DnsName::from(domain).is_within(&DnsName::from(&organizational_domain)) {
            return Ok(false);
        }
        Ok(self.walk(domain).await?.organizational_domain() == organizational_domain)
    }
}

impl Walk {
    /// The domain at the top of what one organization has (RFC 9989 §4.10.2).
    pub(super) fn organizational_domain(&self) -> Domain {
        for (domain, record) in &self.found {
            match record.psd {
                PublicSuffix::No => return domain.clone(),
                PublicSuffix::Yes if *domain != self.start => {
                    return rightmost(&self.start, domain.as_str().split('.').count() + 1);
                }
                PublicSuffix::Yes | PublicSuffix::Unknown => {}
            }
        }
        self.found.last().map_or(&self.start, |(domain, _)| domain).clone()
    }

    pub(super) fn record_of(&self, domain: &Domain) -> Option<&(Domain, Record)> {
        self.found.iter().find(|(found, _)| found == domain)
    }

    pub(super) fn record_of_public_suffix(&self) -> Option<&(Domain, Record)> {
        self.found.iter().find(|(_, record)| record.psd == PublicSuffix::Yes)
    }
}

/// The last labels of a domain.
#[expect(
    clippy::expect_used,
    reason = "whole labels of a domain are one, and the number asked for is never zero"
)]
fn rightmost(domain: &Domain, labels: usize) -> Domain {
    let text = domain.as_str();
    let start = text.rmatch_indices('.').nth(labels - 1).map_or(0, |(at, _)| at + 1);
    Domain::parse(&text[start..]).expect("a domain")
}
