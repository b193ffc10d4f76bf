//! The name servers that the system uses.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

/// Where the system keeps them.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The servers that the system's own resolver uses; it ignores further ones (resolv.conf(5)).
const SERVER_LIMIT: usize = 3;
/// The port of name servers (RFC 1035 §4.2).
const PORT: u16 = 53;

/// The name servers of `/etc/resolv.conf`, in its order, at most three. Lines that cannot be understood are ignored. Without
/// any, or without the file: the one on this machine.
pub fn system_name_servers() -> Vec<SocketAddr> {
    parse(&fs::read(RESOLV_CONF).unwrap_or_default())
}

/// `nameserver ADDRESS` at the start of a line; whatever follows the address is ignored.
fn parse(conf: &[u8]) -> Vec<SocketAddr> {
    let conf = String::from_utf8_lossy(conf);
    let mut servers: Vec<_> = conf.lines().filter_map(server).take(SERVER_LIMIT).collect();
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, PORT).into());
    }
    servers
}

fn server(line: &str) -> Option<SocketAddr> {
    let rest = line.strip_prefix("nameserver")?;
    let address = rest.starts_with([' ', '\t']).then(|| rest.split_ascii_whitespace().next())??;
    if let Ok(address) = address.parse::<IpAddr>() {
        return Some((address, PORT).into());
    }
    // A link-local address with its scope. One that names an interface is ignored, since it takes the system to number it.
    format!("[{address}]:{PORT}").parse::<SocketAddrV6>().ok().map(SocketAddr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_as_the_system_reads_them() {
        let local = &["127.0.0.1:53"][..];
        for (conf, expected) in [
            ("", local),
            ("# nothing\nsearch example.org\noptions ndots:2\n", local),
            ("nameserver 192.0.2.1\n", &["192.0.2.1:53"]),
            (
                "search x\nnameserver\t192.0.2.1 # first\r\nnameserver   2001:db8::1",
                &["192.0.2.1:53", "[2001:db8::1]:53"],
            ),
            ("nameserver fe80::1%eth0\nnameserver fe80::1%2\n", &["[fe80::1%2]:53"]),
            ("#nameserver 192.0.2.1\n;nameserver 192.0.2.1\n nameserver 192.0.2.1\n", local),
            ("nameserver\nnameserver \nnameservers 192.0.2.1\nnameserver192.0.2.1\nnameserver host\n", local),
            (
                "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n",
                &["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"],
            ),
        ] {
            let servers: Vec<_> = parse(conf.as_bytes()).iter().map(SocketAddr::to_string).collect();
            assert_eq!(servers, expected, "{conf:?}");
        }
        assert_eq!(parse(b"\xff\xfe\nnameserver 192.0.2.1\n").len(), 1);
    }
}
