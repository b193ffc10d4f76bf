//! Addresses that are not of the Internet (the registries of RFC 6890 §2.2). A name that comes with mail must not lead
//! there: anybody could have us connect to ourselves, or to hosts that only we can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// What kind of address this is, where it is not of the Internet. An IPv6 address that stands for an IPv4 address is what that
/// one is.
pub(super) fn kind(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

fn kind_v4(address: Ipv4Addr) -> Option<&'static str> {
    V4.iter().find(|(network, _)| network.contains(&address)).map(|(_, kind)| *kind)
}

fn kind_v6(address: Ipv6Addr) -> Option<&'static str> {
    let listed = V6.iter().find(|(network, _)| network.contains(&address)).map(|(_, kind)| *kind);
    listed.or_else(|| embedded(address).and_then(kind_v4))
}

/// The IPv4 address for which an IPv6 address stands.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let at = EMBEDDING.iter().find(|(network, _)| network.contains(&address)).map(|(_, at)| *at)?;
    octets[at..].first_chunk().map(|octets: &[u8; 4]| Ipv4Addr::from(*octets))
}

/// The first that matches counts.
const V4: [(Ipv4Net, &str); 15] = [
    // RFC 1122 §3.2.1.3
    (v4([0, 0, 0, 0], 32), "unspecified"),
    (v4([0, 0, 0, 0], 8), "of this network"),
    (v4([127, 0, 0, 0], 8), "loopback"),
    // RFC 1918 §3
    (v4([10, 0, 0, 0], 8), "private"),
    (v4([172, 16, 0, 0], 12), "private"),
    (v4([192, 168, 0, 0], 16), "private"),
    // RFC 6598 §7
    (v4([100, 64, 0, 0], 10), "shared between a carrier's customers"),
    // RFC 3927 §2.1
    (v4([169, 254, 0, 0], 16), "link-local"),
    // RFC 6890 §2.2.2
    (v4([192, 0, 0, 0], 24), "of protocol assignments"),
    // RFC 5737 §3
    (v4([192, 0, 2, 0], 24), "for documentation"),
    (v4([198, 51, 100, 0], 24), "for documentation"),
    (v4([203, 0, 113, 0], 24), "for documentation"),
    // RFC 2544 Appendix C.2.2
    (v4([198, 18, 0, 0], 15), "for benchmarks"),
    // RFC 5771 §3
    (v4([224, 0, 0, 0], 4), "multicast"),
    // RFC 1112 §4, with the broadcast address of RFC 919 §7
    (v4([240, 0, 0, 0], 4), "reserved or broadcast"),
];

/// The first that matches counts.
const V6: [(Ipv6Net, &str); 10] = [
    // RFC 4291 §2.5.2, §2.5.3
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "unspecified"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback"),
    // RFC 8215 §3
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "translated locally"),
    // RFC 6666 §4
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "discarded"),
    // RFC 3849 §4, RFC 9637 §3
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "for documentation"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "for documentation"),
    // RFC 4193 §3.1
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "unique local"),
    // RFC 4291 §2.5.6, and what was for sites before RFC 3879 §4
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "site-local"),
    // RFC 4291 §2.7
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),
];

/// Networks whose addresses stand for IPv4 addresses, and at which octet these begin.
const EMBEDDING: [(Ipv6Net, usize); 4] = [
    // IPv4-compatible and IPv4-mapped: RFC 4291 §2.5.5
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), 12),
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), 12),
    // NAT64: RFC 6052 §2.1
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), 12),
    // 6to4: RFC 3056 §2
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), 2),
];

const fn v4(address: [u8; 4], prefix: u8) -> Ipv4Net {
    let [a, b, c, d] = address;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(address: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = address;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_not_of_the_internet_are_told_by_kind() {
        for (address, expected) in [
            ("0.0.0.0", Some("unspecified")),
            ("0.1.2.3", Some("of this network")),
            ("127.0.0.1", Some("loopback")),
            ("127.255.255.255", Some("loopback")),
            ("10.0.0.1", Some("private")),
            ("172.16.0.0", Some("private")),
            ("172.31.255.255", Some("private")),
            ("172.32.0.0", None),
            ("192.168.1.1", Some("private")),
            ("100.64.0.1", Some("shared between a carrier's customers")),
            ("100.128.0.1", None),
            ("169.254.169.254", Some("link-local")),
            ("192.0.2.1", Some("for documentation")),
            ("198.19.255.255", Some("for benchmarks")),
            ("224.0.0.1", Some("multicast")),
            ("239.255.255.255", Some("multicast")),
            ("240.0.0.1", Some("reserved or broadcast")),
            ("255.255.255.255", Some("reserved or broadcast")),
            ("8.8.8.8", None),
            ("::", Some("unspecified")),
            ("::1", Some("loopback")),
            ("::7f00:1", Some("loopback")),
            ("::ffff:127.0.0.1", Some("loopback")),
            ("::ffff:10.0.0.1", Some("private")),
            ("::ffff:8.8.8.8", None),
            ("64:ff9b::192.168.0.1", Some("private")),
            ("64:ff9b::8.8.8.8", None),
            ("64:ff9b:1::8.8.8.8", Some("translated locally")),
            ("2002:a00:1::1", Some("private")),
            ("2002:808:808::1", None),
            ("2001:db8::1", Some("for documentation")),
            ("3fff:fff::1", Some("for documentation")),
            ("100::1", Some("discarded")),
            ("fc00::1", Some("unique local")),
            ("fdff::1", Some("unique local")),
            ("fe80::1", Some("link-local")),
            ("fec0::1", Some("site-local")),
            ("ff02::1", Some("multicast")),
            ("2a00:1450:4001::1b", None),
        ] {
            assert_eq!(kind(address.parse().unwrap()), expected, "{address}");
        }
    }
}
