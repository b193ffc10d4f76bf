//! Where a domain's owner wants reports sent, and whether whoever gets them there wants them, too (RFC 9990 §4).

use super::record::Record;
use super::walk::{Failure, Walker};
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

/// The destinations of aggregate reports about a domain at which a policy record was found: those that its record names now, as far as they want
/// such reports. Nobody where there is no such record any more.
///
/// # Errors
/// A name server that gives no answer.
pub async fn report_destinations(domain: &Domain, dns: &dyn Dns) -> Result<Vec<Address>, NotFoundOut> {
    let mut walker = Walker::new(dns);
    let Some(record) = walker.record(domain).await? else { return Ok(Vec::new()) };
    permitted(domain, &record.rua, &mut walker).await
}

/// Those of the destinations in a record of `domain` that may be sent to.
async fn permitted(
    domain: &Domain,
    named: &[Address],
    walker: &mut Walker<'_>,
) -> Result<Vec<Address>, NotFoundOut> {
    let organizational_domain = walker.walk(domain).await?.organizational_domain();
    let mut permitted = Vec::new();
    for destination in named {
        let host = destination.domain();
        if host.is_literal() {
            continue;
        }
        if walker.walk(host).await?.organizational_domain() == organizational_domain {
            permitted.push(destination.clone());
        } else if let Some(agreement) = agreement(domain, host, walker.dns()).await? {
            // What it names in place of the destination must be at the same host.
            match &agreement.rua[..] {
                [] => permitted.push(destination.clone()),
                instead if instead.iter().all(|other| other.domain() == host) => {
                    permitted.extend_from_slice(instead)
                }
                _ => {}
            }
        }
    }
    permitted.sort();
    permitted.dedup();
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
            let found = run(report_destinations(&Domain::parse("a.test").unwrap(), &dns));
            let found =
                found.map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
            assert_eq!(found.unwrap_or_else(|_| "?".to_owned()), expected, "{zone}");
        }
    }
}
