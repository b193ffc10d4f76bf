//! The hosts to which mail for a destination goes (RFC 5321 §5.1).
//!
//! A next hop that the operator named is taken as it is. For a domain DNS is asked, and what it says is anybody's word: names
//! that are none are skipped, addresses that are not of the Internet are left out unless the operator allows them, and
//! everything is bounded.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use futures::future::join;
use futures::stream::{self, StreamExt};

use super::{Host, special_purpose};
use crate::config::{Destination, NextHop, RelaySettings};
use crate::model::{DnsName, Domain, Outcome, Reply};
use crate::platform::{Answer, Dns, DnsError, Entropy, Question, Record, RecordKind, Target};

/// Exchanges of one domain whose addresses are asked for. Those beyond, the least preferred ones, are left out.
pub const EXCHANGE_LIMIT: usize = 20;
/// Of these, how many are asked for at a time, each with two questions.
const EXCHANGES_AT_ONCE: usize = 5;
/// Addresses of one destination that are tried in one attempt (RFC 5321 §5.1 allows a limit, and asks for at least two).
pub const ADDRESS_LIMIT: usize = 10;

/// There is no host to be tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", outcome.reply())]
pub struct Unroutable {
    /// What that means for all recipients at the destination: [`Outcome::Failed`] or [`Outcome::Deferred`].
    pub outcome: Outcome,
}

impl Unroutable {
    fn failed(code: u16, status: (u8, u16, u16), text: String) -> Self {
        Self { outcome: Outcome::Failed(Reply::new(code, status, text)) }
    }

    /// 4.4.3: directory server failure (RFC 3463 §3.5).
    fn deferred(text: String) -> Self {
        Self { outcome: Outcome::Deferred(Reply::new(451, (4, 4, 3), text)) }
    }

    /// 5.4.4: unable to route (RFC 3463 §3.5).
    fn no_route(text: String) -> Self {
        Self::failed(550, (5, 4, 4), text)
    }
}

/// The hosts of a destination in the order in which they are to be tried: at least one, and at most [`ADDRESS_LIMIT`].
/// `hostname` is ours: mail must not come back to us, nor go to a host that would send it on to us.
pub async fn find(
    destination: &Destination,
    relay: &RelaySettings,
    hostname: &Domain,
    dns: &dyn Dns,
    entropy: &dyn Entropy,
) -> Result<Vec<Host>, Unroutable> {
    let domain = match destination {
        Destination::NextHop(next_hop) => return Ok(vec![fixed(next_hop)]),
        Destination::Domain(domain) => domain,
    };
    let mut search = Search::new(relay);
    if let Some(address) = domain.literal() {
        search.add(&address.to_canonical().to_string(), address);
        return search.finish(domain);
    }
    let mut exchanges = exchanges(domain, dns).await?;
    put_in_order(&mut exchanges, entropy);
    drop_loop(&mut exchanges, domain, hostname)?;
    exchanges.truncate(EXCHANGE_LIMIT);

    let lookups: Vec<_> = exchanges.iter().map(|exchange| addresses(&exchange.name, dns)).collect();
    let mut lookups = stream::iter(lookups).buffered(EXCHANGES_AT_ONCE);
    for exchange in &exchanges {
        if search.hosts.len() >= ADDRESS_LIMIT {
            break;
        }
        let Some(found) = lookups.next().await else { break };
        if let Some(error) = found.failure {
            search.failure.get_or_insert_with(|| format!("{}: {error}", exchange.name));
        }
        for address in interleave(found.v6, found.v4, entropy) {
            search.add(exchange.name.as_str(), address);
        }
    }
    search.finish(domain)
}

/// The operator's word needs no check.
fn fixed(next_hop: &NextHop) -> Host {
    let NextHop { host, port } = next_hop;
    let target = match host.parse() {
        Ok(address) => Target::Address(SocketAddr::new(address, *port)),
        Err(_) => Target::Host(host.clone(), *port),
    };
    Host { name: host.clone(), target }
}

/// Hosts found so far, and why others were not.
struct Search<'a> {
    relay: &'a RelaySettings,
    hosts: Vec<Host>,
    /// The first address that was left out, and its kind.
    refused: Option<(String, &'static str)>,
    /// The first lookup that failed.
    failure: Option<String>,
}

impl<'a> Search<'a> {
    fn new(relay: &'a RelaySettings) -> Self {
        Self { relay, hosts: Vec::new(), refused: None, failure: None }
    }

    fn add(&mut self, name: &str, address: IpAddr) {
        let address = address.to_canonical();
        if let Some(kind) = special_purpose::kind(address)
            && !self.relay.may_connect(address)
        {
            self.refused.get_or_insert_with(|| (format!("{name}[{address}]"), kind));
            return;
        }
        let target = Target::Address(SocketAddr::new(address, self.relay.port));
        let is_new = self.hosts.iter().all(|host| host.target != target);
        if is_new && self.hosts.len() < ADDRESS_LIMIT {
            self.hosts.push(Host { name: name.to_owned(), target });
        }
    }

    /// A failure may hide an exchange that would do, so it comes before what is final.
    fn finish(self, domain: &Domain) -> Result<Vec<Host>, Unroutable> {
        if self.hosts.is_empty() {
            return Err(match (self.failure, self.refused) {
                (Some(failure), _) => {
                    Unroutable::deferred(format!("looking up the hosts of {domain}: {failure}"))
                }
                (None, Some((address, kind))) => Unroutable::no_route(format!(
                    "no route to {domain}: the address {address} is {kind} (an operator allows it by [relay] \
                     private_networks)"
                )),
                (None, None) => {
                    Unroutable::no_route(format!("no route to {domain}: none of its hosts has an address"))
                }
            });
        }
        Ok(self.hosts)
    }
}

/// A host that takes mail for a domain.
struct Exchange {
    /// Lower is tried first.
    preference: u16,
    name: Domain,
}

/// The exchanges that DNS names, in any order.
async fn exchanges(domain: &Domain, dns: &dyn Dns) -> Result<Vec<Exchange>, Unroutable> {
    let records = match lookup(domain, RecordKind::Mx, dns).await {
        Ok(answer) => answer.records,
        Err(DnsError::NoData) => Vec::new(),
        Err(DnsError::NxDomain) => {
            return Err(Unroutable::failed(550, (5, 1, 2), format!("the domain {domain} does not exist")));
        }
        Err(DnsError::ServFail(error)) => {
            return Err(Unroutable::deferred(format!("looking up the exchanges of {domain}: {error}")));
        }
    };
    let named: Vec<_> = records
        .into_iter()
        .filter_map(|record| match record {
            Record::Mx { preference, exchange } => Some((preference, exchange)),
            _ => None,
        })
        .collect();
    if named.is_empty() {
        // The domain is its own exchange (RFC 5321 §5.1).
        return Ok(vec![Exchange { preference: 0, name: domain.clone() }]);
    }
    // RFC 7505 §3 forbids a null MX beside others: then the others count.
    if named.iter().all(|(_, exchange)| exchange.is_none()) {
        return Err(Unroutable::failed(
            556,
            (5, 1, 10),
            format!("the domain {domain} accepts no mail (null MX)"),
        ));
    }
    Ok(named
        .into_iter()
        .filter_map(|(preference, exchange)| Some(Exchange { preference, name: host(&exchange?)? }))
        .collect())
}

/// The host that has this name; none where no host can have it. Many put an address where a name belongs.
fn host(name: &DnsName) -> Option<Domain> {
    let domain = Domain::parse(name.as_str()).ok()?;
    (!domain.is_literal() && name.as_str().parse::<IpAddr>().is_err()).then_some(domain)
}

/// By preference, at random among equals, so that they share the load (RFC 5321 §5.1). Each name once.
fn put_in_order(exchanges: &mut Vec<Exchange>, entropy: &dyn Entropy) {
    shuffle(exchanges, entropy);
    exchanges.sort_by_key(|exchange| exchange.preference);
    let mut seen = BTreeSet::new();
    exchanges.retain(|exchange| seen.insert(exchange.name.clone()));
}

/// Where we are one of the exchanges, mail goes only to those preferred to us: the others would send it to us, and it would
/// go round (RFC 5321 §5.1).
fn drop_loop(exchanges: &mut Vec<Exchange>, domain: &Domain, hostname: &Domain) -> Result<(), Unroutable> {
    let Some(ours) = exchanges.iter().find(|exchange| exchange.name == *hostname) else { return Ok(()) };
    let ours = ours.preference;
    exchanges.retain(|exchange| exchange.preference < ours);
    if exchanges.is_empty() {
        // 5.4.6: routing loop detected (RFC 3463 §3.5).
        return Err(Unroutable::failed(550, (5, 4, 6), format!("mail for {domain} loops back to this host")));
    }
    Ok(())
}

/// What is known of an exchange's addresses.
#[derive(Default)]
struct Addresses {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
    /// Why some may be missing.
    failure: Option<String>,
}

async fn addresses(name: &Domain, dns: &dyn Dns) -> Addresses {
    if is_localhost(name) {
        let (v4, v6) = (vec![Ipv4Addr::LOCALHOST.into()], vec![Ipv6Addr::LOCALHOST.into()]);
        return Addresses { v4, v6, failure: None };
    }
    let (v4, v6) = join(lookup(name, RecordKind::A, dns), lookup(name, RecordKind::Aaaa, dns)).await;
    let mut found = Addresses::default();
    for (answer, addresses) in [(v4, &mut found.v4), (v6, &mut found.v6)] {
        match answer {
            Ok(answer) => addresses.extend(answer.records.into_iter().filter_map(|record| match record {
                Record::Address(address) => Some(address),
                _ => None,
            })),
            Err(DnsError::NxDomain | DnsError::NoData) => {}
            Err(DnsError::ServFail(error)) => found.failure = Some(error),
        }
    }
    found
}

/// Such names are the host itself, and no server need be asked (RFC 6761 §6.3).
fn is_localhost(name: &Domain) -> bool {
    name.as_str() == "localhost" || name.as_str().ends_with(".localhost")
}

async fn lookup(name: &Domain, kind: RecordKind, dns: &dyn Dns) -> Result<Answer, DnsError> {
    dns.lookup(&Question { name: name.into(), kind }).await
}

/// One of this and one of that kind in turn, from either: where one kind does not work here, at most every other try is lost.
fn interleave(mut v6: Vec<IpAddr>, mut v4: Vec<IpAddr>, entropy: &dyn Entropy) -> Vec<IpAddr> {
    shuffle(&mut v6, entropy);
    shuffle(&mut v4, entropy);
    let (first, second) = if below(2, entropy) == 0 { (v6, v4) } else { (v4, v6) };
    let longest = first.len().max(second.len());
    (0..longest).flat_map(|at| [first.get(at), second.get(at)]).flatten().copied().collect()
}

/// Puts items into any order, each as likely as the others.
fn shuffle<T>(items: &mut [T], entropy: &dyn Entropy) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1, entropy));
    }
}

/// A number below a limit, which is small against 2⁶⁴.
fn below(limit: usize, entropy: &dyn Entropy) -> usize {
    let mut octets = [0; 8];
    entropy.fill(&mut octets);
    // Less than `limit`, so it fits.
    (u64::from_le_bytes(octets) % limit as u64) as usize
}
