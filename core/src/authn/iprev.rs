//! Whether a client's address has a name that leads back to it (RFC 8601 §3).

use std::net::IpAddr;

use super::property::{comment, pvalue};
use crate::model::verdict::IprevResult;
use crate::model::{DnsName, Domain};
use crate::platform::{Dns, DnsError, Question, Record, RecordKind};

/// Names of one address that are followed. Whoever owns an address may give it thousands. Beyond: they are left out.
pub const NAME_LIMIT: usize = 10;

/// What the check comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// In one word.
    pub result: IprevResult,
    /// The first name that leads back to the address, and that a host can have. None but where the result is a pass.
    pub name: Option<Domain>,
    /// Why there is no such name. For people.
    pub problem: Option<String>,
}

impl Verdict {
    /// What a check comes to that took too long.
    pub fn overdue() -> Self {
        let problem = Some("looking up the address's names took too long".to_owned());
        Self { result: IprevResult::TempError, name: None, problem }
    }

    /// The method's part of an Authentication-Results field (RFC 8601 §2.7.3): `iprev=pass (host.example) policy.iprev=192.0.2.1`.
    pub fn to_method(&self, client: IpAddr) -> String {
        let name = self.name.as_ref().map(Domain::as_str);
        let remark =
            name.or(self.problem.as_deref()).map_or(String::new(), |text| format!(" ({})", comment(text)));
        format!("iprev={}{remark} policy.iprev={}", self.result, pvalue(&client.to_canonical().to_string()))
    }
}

/// Looks the address up, and then its names, until one of them has the address. A server that does not answer makes the result temporary
/// unless another name passes.
pub async fn check(client: IpAddr, dns: &dyn Dns) -> Verdict {
    let client = client.to_canonical();
    let verdict = |result, problem| Verdict { result, name: None, problem };
    let records = match lookup(reverse_name(client), RecordKind::Ptr, dns).await {
        Ok(records) => records,
        Err(DnsError::ServFail(why)) => return verdict(IprevResult::TempError, Some(why)),
        Err(_) => return verdict(IprevResult::PermError, Some("the address has no name".to_owned())),
    };
    let kind = if client.is_ipv4() { RecordKind::A } else { RecordKind::Aaaa };
    let mut failure = None;
    for record in records.into_iter().take(NAME_LIMIT) {
        let Record::Ptr(name) = record else { continue };
        let Ok(host) = Domain::parse(name.as_str()) else { continue };
        match lookup(name, kind, dns).await {
            Ok(addresses) if addresses.contains(&Record::Address(client)) => {
                return Verdict { result: IprevResult::Pass, name: Some(host), problem: None };
            }
            Err(DnsError::ServFail(why)) => failure = Some(why),
            _ => {}
        }
    }
    match failure {
        Some(why) => verdict(IprevResult::TempError, Some(why)),
        None => verdict(IprevResult::Fail, Some("no name of the address leads back to it".to_owned())),
    }
}

async fn lookup(name: DnsName, kind: RecordKind, dns: &dyn Dns) -> Result<Vec<Record>, DnsError> {
    dns.lookup(&Question { name, kind }).await.map(|answer| answer.records)
}

/// The name at which the DNS keeps the names of an address (RFC 1035 §3.5, RFC 3596 §2.5).
#[expect(clippy::expect_used, reason = "digits with dots between them, at most 72 octets, are a name")]
pub fn reverse_name(address: IpAddr) -> DnsName {
    let text = match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let octets = v6.octets().into_iter().rev();
            let nibbles: String = octets.map(|octet| format!("{:x}.{:x}.", octet & 15, octet >> 4)).collect();
            format!("{nibbles}ip6.arpa")
        }
    };
    DnsName::parse(&text).expect("a name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::testing::{Table, run};

    fn check_against(zone: &str, client: &str) -> (String, usize) {
        let table = Table::parse(zone);
        let client = client.parse().unwrap();
        (run(check(client, &table)).to_method(client), table.asked())
    }

    #[test]
    fn a_name_must_lead_back_to_the_address() {
        for (zone, client, expected) in [
            (
                "3.2.0.192.in-addr.arpa PTR other.test\n 3.2.0.192.in-addr.arpa PTR host.test\n other.test A 192.0.2.9\n host.test A 192.0.2.3",
                "192.0.2.3",
                "iprev=pass (host.test) policy.iprev=192.0.2.3",
            ),
            (
                "3.2.0.192.in-addr.arpa PTR host.test\n host.test A 192.0.2.3",
                "::ffff:192.0.2.3",
                "iprev=pass (host.test) policy.iprev=192.0.2.3",
            ),
            (
                "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR host.test\n host.test AAAA 2001:db8::1",
                "2001:db8::1",
                "iprev=pass (host.test) policy.iprev=\"2001:db8::1\"",
            ),
            (
                "3.2.0.192.in-addr.arpa PTR host.test\n host.test A 192.0.2.4",
                "192.0.2.3",
                "iprev=fail (no name of the address leads back to it) policy.iprev=192.0.2.3",
            ),
            (
                "3.2.0.192.in-addr.arpa PTR absent.test",
                "192.0.2.3",
                "iprev=fail (no name of the address leads back to it) policy.iprev=192.0.2.3",
            ),
            (
                "3.2.0.192.in-addr.arpa PTR host(evil.test\n host(evil.test A 192.0.2.3",
                "192.0.2.3",
                "iprev=fail (no name of the address leads back to it) policy.iprev=192.0.2.3",
            ),
            ("", "192.0.2.3", "iprev=permerror (the address has no name) policy.iprev=192.0.2.3"),
            (
                "3.2.0.192.in-addr.arpa PTR NODATA",
                "192.0.2.3",
                "iprev=permerror (the address has no name) policy.iprev=192.0.2.3",
            ),
            (
                "3.2.0.192.in-addr.arpa PTR SERVFAIL",
                "192.0.2.3",
                "iprev=temperror (no server answered) policy.iprev=192.0.2.3",
            ),
            (
                "3.2.0.192.in-addr.arpa PTR a.test\n 3.2.0.192.in-addr.arpa PTR absent.test\n a.test A SERVFAIL",
                "192.0.2.3",
                "iprev=temperror (no server answered) policy.iprev=192.0.2.3",
            ),
            (
                "3.2.0.192.in-addr.arpa PTR a.test\n 3.2.0.192.in-addr.arpa PTR b.test\n a.test A SERVFAIL\n b.test A 192.0.2.3",
                "192.0.2.3",
                "iprev=pass (b.test) policy.iprev=192.0.2.3",
            ),
        ] {
            assert_eq!(check_against(zone, client).0, expected, "{zone}");
        }
    }

    #[test]
    fn of_many_names_only_some_are_followed() {
        let names = (0..200).map(|number| format!("3.2.0.192.in-addr.arpa PTR h{number}.test\n"));
        let zone: String = names.chain(["h150.test A 192.0.2.3".to_owned()]).collect();
        let (method, asked) = check_against(&zone, "192.0.2.3");
        assert_eq!((method.starts_with("iprev=fail"), asked), (true, 1 + NAME_LIMIT), "{method}");
    }
}
