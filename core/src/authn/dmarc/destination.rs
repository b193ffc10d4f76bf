//! Where a domain's owner wants reports sent, and whether whoever gets them there wants them, too (RFC 9990 §4).

use std::cmp::Reverse;

use super::record::{Destination, Record};
use super::walk::{Failure, Walker};
use super::{Published, policy};
use crate::model::{Address, DnsName, Domain};
use crate::platform::{Dns, DnsError, Question, Record as DnsRecord, RecordKind};

/// Names could not be looked up: to be tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotFoundOut(String);

impl From<Failure> for NotFoundOut {
    fn from(Failure(why): Failure) -> Self {
        Self(why)
    }
}

/// What is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportKind {
    /// All mail of a day (RFC 9990 §3).
    Aggregate,
    /// One message (RFC 9991 §2).
    Failure,
}

impl ReportKind {
    fn named(self, record: &Record) -> &[Destination] {
        match self {
            Self::Aggregate => &record.rua,
            Self::Failure => &record.ruf,
        }
    }
}

/// The destinations of reports about a domain at which a policy record was found: those that its record names now, as far as they want
/// such reports (RFC 9990 §4, RFC 9991 §5). Nobody where there is no such record any more.
///
/// # Errors
/// A name server that gives no answer.
pub async fn report_destinations(
    domain: &Domain,
    kind: ReportKind,
    dns: &dyn Dns,
) -> Result<Vec<Destination>, NotFoundOut> {
    let mut walker = Walker::new(dns);
    let Some(record) = walker.record(domain).await? else { return Ok(Vec::new()) };
    permitted(domain, kind, &record, &mut walker).await
}

/// Whether the record that applies to its own domain says of an address of ours that it gets reports, of either kind.
///
/// # Errors
/// A name server that gives no answer.
pub async fn gets_reports(address: &Address, dns: &dyn Dns) -> Result<bool, NotFoundOut> {
    if address.domain().is_literal() {
        return Ok(false);
    }
    let published = policy(address.domain(), &mut Walker::new(dns)).await?;
    let address = address.normalized();
    Ok(published.is_some_and(|Published { record, .. }| {
        record.rua.iter().chain(&record.ruf).any(|named| named.address.normalized() == address)
    }))
}

/// Those of the destinations in a record of `domain` that may be sent to, each once.
async fn permitted(
    domain: &Domain,
    kind: ReportKind,
    record: &Record,
    walker: &mut Walker<'_>,
) -> Result<Vec<Destination>, NotFoundOut> {
    let organizational_domain = walker.walk(domain).await?.organizational_domain();
    let mut permitted = Vec::new();
    for destination in kind.named(record) {
        let host = destination.address.domain();
        if host.is_literal() {
            continue;
        }
        if walker.walk(host).await?.organizational_domain() == organizational_domain {
            permitted.push(destination.clone());
        } else if let Some(agreement) = agreement(domain, host, walker.dns()).await? {
            // What it names in place of the destination must be at the same host.
            match kind.named(&agreement) {
                [] => permitted.push(destination.clone()),
                instead if instead.iter().all(|other| other.address.domain() == host) => {
                    permitted.extend_from_slice(instead)
                }
                _ => {}
            }
        }
    }
    // Named twice, it takes what the larger limit lets through.
    let size_limit = |destination: &Destination| destination.size_limit.unwrap_or(u64::MAX);
    permitted.sort_by_key(|destination| (destination.address.clone(), Reverse(size_limit(destination))));
    permitted.dedup_by(|next, kept| next.address == kept.address);
    Ok(permitted)
}

/// The record by which a host agrees to get reports about a domain of others; none where it does not. Of several, the first.
async fn agreement(domain: &Domain, host: &Domain, dns: &dyn Dns) -> Result<Option<Record>, NotFoundOut> {
    // A name that is too long has no records.
    let Ok(name) = DnsName::parse(&format!("{domain}._report._dmarc.{host}")) else { return Ok(None) };
    match dns.lookup(&Question { name, kind: RecordKind::Txt }).await {
        Ok(answer) => Ok(answer.records.iter().find_map(|record| match record {
            DnsRecord::Txt(text) => Record::parse(text),
            _ => None,
        })),
        Err(DnsError::NxDomain | DnsError::NoData) => Ok(None),
        Err(DnsError::ServFail(why)) => Err(NotFoundOut(format!("{domain}._report._dmarc.{host}: {why}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::testing::{Table, run};

    #[test]
    fn reports_go_where_they_are_asked_for_and_only_to_those_who_want_them() {
        for (zone, expected) in [
            (
                "_dmarc.a.test TXT v=DMARC1; p=none; rua=mailto:r@a.test,mailto:r@sub.a.test",
                "r@a.test r@sub.a.test",
            ),
            ("_dmarc.a.test TXT v=DMARC1; p=none; rua=mailto:r@b.test", ""),
            (
                "_dmarc.a.test TXT v=DMARC1; p=none; rua=mailto:r@b.test\na.test._report._dmarc.b.test TXT v=DMARC1",
                "r@b.test",
            ),
            (
                "_dmarc.a.test TXT v=DMARC1; p=none; rua=mailto:r@b.test\na.test._report._dmarc.b.test TXT v=spf1",
                "",
            ),
            (
                "_dmarc.a.test TXT v=DMARC1; p=none; rua=mailto:r@b.test\n\
                 a.test._report._dmarc.b.test TXT v=DMARC1; rua=mailto:other@b.test",
                "other@b.test",
            ),
            (
                "_dmarc.a.test TXT v=DMARC1; p=none; rua=mailto:r@b.test\n\
                 a.test._report._dmarc.b.test TXT v=DMARC1; rua=mailto:victim@c.test",
                "",
            ),
            (
                "_dmarc.a.test TXT v=DMARC1; p=none; rua=mailto:r@a.test!1k,mailto:s@a.test!2k,mailto:r@a.test!2k",
                "r@a.test!2048 s@a.test!2048",
            ),
            ("_dmarc.a.test TXT v=DMARC1; p=none; rua=mailto:r@a.test!1k,mailto:r@a.test", "r@a.test"),
            (
                "_dmarc.a.test TXT v=DMARC1; p=none; rua=mailto:r@b.test!1m\n\
                 a.test._report._dmarc.b.test TXT v=DMARC1; rua=mailto:other@b.test!1k",
                "other@b.test!1024",
            ),
            ("_dmarc.a.test TXT v=DMARC1; p=none", ""),
            ("_dmarc.a.test TXT v=DMARC1; p=none; rua=mailto:r@[192.0.2.1]", ""),
            ("_dmarc.other.test TXT v=DMARC1; p=none; rua=mailto:r@a.test", ""),
            ("_dmarc.a.test TXT SERVFAIL", "?"),
            (
                "_dmarc.a.test TXT v=DMARC1; p=none; rua=mailto:r@b.test\na.test._report._dmarc.b.test TXT SERVFAIL",
                "?",
            ),
        ] {
            let dns = Table::parse(zone);
            let found =
                run(report_destinations(&Domain::parse("a.test").unwrap(), ReportKind::Aggregate, &dns));
            let shown = |found: &Destination| {
                let limit = found.size_limit.map(|limit| format!("!{limit}"));
                format!("{}{}", found.address, limit.unwrap_or_default())
            };
            let found = found.map(|found| found.iter().map(shown).collect::<Vec<_>>().join(" "));
            assert_eq!(found.unwrap_or_else(|_| "?".to_owned()), expected, "{zone}");
        }
    }

    #[test]
    fn reports_of_single_failures_go_by_ruf_wherever_aggregate_reports_go_by_rua() {
        for (zone, expected) in [
            (
                "_dmarc.a.test TXT v=DMARC1; p=none; rua=mailto:r@a.test; ruf=mailto:f@a.test!1k",
                vec!["f@a.test"],
            ),
            ("_dmarc.a.test TXT v=DMARC1; p=none; rua=mailto:r@a.test", vec![]),
            ("_dmarc.a.test TXT v=DMARC1; p=none; ruf=mailto:f@b.test", vec![]),
            (
                "_dmarc.a.test TXT v=DMARC1; p=none; ruf=mailto:f@b.test\n\
                 a.test._report._dmarc.b.test TXT v=DMARC1; rua=mailto:r@b.test; ruf=mailto:g@b.test",
                vec!["g@b.test"],
            ),
        ] {
            let dns = Table::parse(zone);
            let found =
                run(report_destinations(&Domain::parse("a.test").unwrap(), ReportKind::Failure, &dns));
            let found: Vec<_> = found.unwrap().iter().map(|found| found.address.to_string()).collect();
            assert_eq!(found, expected, "{zone}");
        }
    }

    #[test]
    fn an_address_gets_reports_where_its_own_domain_says_so() {
        let zone = "_dmarc.a.test TXT v=DMARC1; p=none; rua=mailto:R@a.test,mailto:s@b.test; ruf=mailto:f@sub.a.test\n\
                    _dmarc.b.test TXT SERVFAIL";
        for (address, expected) in [
            ("r@a.test", Some(true)),
            ("F@sub.a.test", Some(true)),
            ("ann@a.test", Some(false)),
            ("r@sub.a.test", Some(false)),
            ("r@[192.0.2.1]", Some(false)),
            ("s@b.test", None),
        ] {
            let found = run(gets_reports(&Address::parse(address).unwrap(), &Table::parse(zone)));
            assert_eq!(found.ok(), expected, "{address}");
        }
    }
}
