//! How mail leaves for other hosts.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::Domain;

/// The settings of relaying.
#[derive(Clone, Debug)]
pub struct RelaySettings {
    /// Clients that may relay without authentication.
    pub networks: Vec<IpNet>,
    /// Next hops that the operator has fixed. Each domain occurs once.
    pub routes: Vec<Route>,
    /// Networks to which exchanges found by MX may lead though they are not of the Internet: loopback, private, link-local.
    /// Anybody could otherwise have us connect to hosts that only we can reach.
    pub private_networks: Vec<IpNet>,
    /// The port of exchanges (RFC 5321 §4.5.4.2).
    pub port: u16,
    /// Transactions with other hosts under way at a time, each with one connection and at most one piece of a large message
    /// (2 MiB) in memory.
    pub attempts: usize,
    /// Of these to one destination.
    pub attempts_per_destination: usize,
    /// Root certificates (X.509 in DER) by which hosts are verified for messages that may go to no others (RFC 8689 §4.2.1). Without any, such
    /// messages fail.
    pub roots: Vec<Vec<u8>>,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            networks: Vec::new(),
            routes: Vec::new(),
            private_networks: Vec::new(),
            port: 25,
            attempts: 400,
            attempts_per_destination: 20,
            roots: Vec::new(),
        }
    }
}

/// A fixed next hop for mail to a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Mail to this domain; to every other one where there is none.
    pub domain: Option<Domain>,
    /// Goes there.
    pub next_hop: NextHop,
}

/// A host that the operator named. It is looked up as the system does it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextHop {
    /// A name, or an IP address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for NextHop {
    /// `host:port`, an IPv6 address in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Where mail for a domain goes. Recipients of one message with the same destination share a transaction, and what is limited
/// per destination is counted by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// To the exchanges of a domain (RFC 5321 §5.1), or to the address in an address literal.
    Domain(Domain),
    /// To a fixed next hop.
    NextHop(NextHop),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => domain.fmt(f),
            Self::NextHop(next_hop) => next_hop.fmt(f),
        }
    }
}

impl RelaySettings {
    /// Whether a client may relay because of where it connects from.
    pub fn may_relay(&self, client: IpAddr) -> bool {
        contain(&self.networks, client)
    }

    /// Whether an address that is not of the Internet may be connected to all the same.
    pub fn may_connect(&self, private: IpAddr) -> bool {
        contain(&self.private_networks, private)
    }

    /// Where mail for a domain goes: by the route for the domain, else by the one for all, else to its exchanges.
    pub fn destination(&self, domain: &Domain) -> Destination {
        let find = |wanted: Option<&Domain>| self.routes.iter().find(|route| route.domain.as_ref() == wanted);
        match find(Some(domain)).or_else(|| find(None)) {
            Some(route) => Destination::NextHop(route.next_hop.clone()),
            None => Destination::Domain(domain.clone()),
        }
    }
}

/// Whether an address, IPv4 in IPv6 too, is in one of these networks.
pub(super) fn contain(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domains_own_route_goes_before_the_one_for_all() {
        let domain = |text: &str| Domain::parse(text).unwrap();
        let hop = |host: &str| NextHop { host: host.into(), port: 25 };
        let mut relay = RelaySettings::default();
        assert_eq!(relay.destination(&domain("a.test")), Destination::Domain(domain("a.test")));
        relay.routes.push(Route { domain: None, next_hop: hop("smarthost") });
        relay.routes.push(Route { domain: Some(domain("a.test")), next_hop: hop("::1") });
        assert_eq!(relay.destination(&domain("a.test")).to_string(), "[::1]:25");
        assert_eq!(relay.destination(&domain("b.test")).to_string(), "smarthost:25");
    }
}
