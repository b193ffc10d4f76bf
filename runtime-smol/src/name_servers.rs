//! The name servers that the system uses.

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
#[cfg(target_os = "linux")]
use std::net::UdpSocket;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fulmar_core::platform::{Clock, Instant};
use fulmar_core::resolver::{NameServerSource, NameServers};
#[cfg(target_os = "linux")]
use rustix::net::netdevice::name_to_index;

use crate::SmolClock;

/// Where the system keeps them.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The servers that the system's own resolver uses; it ignores further ones (resolv.conf(5)).
const SERVER_LIMIT: usize = 3;
/// The port of name servers (RFC 1035 §4.2).
const PORT: u16 = 53;
/// How long what was seen of the file counts as its state now.
const GLANCE: Duration = Duration::from_secs(5);

/// The name servers of `/etc/resolv.conf`, in its order, at most three, as they are now: the file is looked at when a question is
/// asked, every few seconds at most, and read again where it is another or has changed. That blocks a thread for as long as a look
/// at a file takes that the system has in memory. A file that is away, as while it is being replaced, changes nothing.
///
/// Of the file's settings `nameserver` and `options trust-ad` are heeded: with the latter, the system believes its servers
/// about DNSSEC. Not `search`, `domain` and `ndots`, since names that come from mail are whole; nor `timeout`, `attempts` and `rotate`, since
/// how long a client of ours may be kept waiting, and whom a question goes to, is decided by the resolver. Lines that cannot be
/// understood are ignored. Without any server, or without the file: the one on this machine.
pub struct SystemNameServers {
    path: PathBuf,
    clock: SmolClock,
    seen: Mutex<Seen>,
}

struct Seen {
    at: Instant,
    file: Option<Identity>,
    servers: NameServers,
}

/// What tells one state of a file from another.
#[derive(PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    octets: u64,
    modified: (i64, i64),
}

impl SystemNameServers {
    /// Those of this machine.
    pub fn new() -> Self {
        Self::of(Path::new(RESOLV_CONF))
    }

    fn of(path: &Path) -> Self {
        let mut seen = Seen { at: SmolClock.instant(), file: None, servers: parse(b"") };
        seen.look(path);
        Self { path: path.to_owned(), clock: SmolClock, seen: Mutex::new(seen) }
    }

    fn at(&self, now: Instant) -> NameServers {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(seen.at) >= GLANCE {
            seen.at = now;
            seen.look(&self.path);
        }
        seen.servers.clone()
    }
}

impl Default for SystemNameServers {
    fn default() -> Self {
        Self::new()
    }
}

impl NameServerSource for SystemNameServers {
    fn current(&self) -> NameServers {
        self.at(self.clock.instant())
    }
}

impl fmt::Debug for SystemNameServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemNameServers").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Seen {
    fn look(&mut self, path: &Path) {
        let Ok(identity) = fs::metadata(path).map(|file| Identity::of(&file)) else { return };
        if self.file.as_ref() == Some(&identity) {
            return;
        }
        // A file that changes between the two is read again at the next look.
        if let Ok(conf) = fs::read(path) {
            (self.file, self.servers) = (Some(identity), parse(&conf));
        }
    }
}

impl Identity {
    fn of(file: &Metadata) -> Self {
        let modified = (file.mtime(), file.mtime_nsec());
        Self { device: file.dev(), inode: file.ino(), octets: file.size(), modified }
    }
}

fn parse(conf: &[u8]) -> NameServers {
    let conf = String::from_utf8_lossy(conf);
    let mut addresses: Vec<_> = conf.lines().filter_map(server).take(SERVER_LIMIT).collect();
    if addresses.is_empty() {
        addresses.push((Ipv4Addr::LOCALHOST, PORT).into());
    }
    let mut options = conf.lines().filter_map(|line| value(line, "options")).flatten();
    NameServers { addresses, are_validating: options.any(|option| option == "trust-ad") }
}

/// The words behind a keyword, which stands at the start of the line.
fn value<'a>(line: &'a str, keyword: &str) -> Option<impl Iterator<Item = &'a str>> {
    let rest = line.strip_prefix(keyword)?;
    rest.starts_with([' ', '\t']).then(|| rest.split_ascii_whitespace())
}

/// `nameserver ADDRESS`; whatever follows the address is ignored.
fn server(line: &str) -> Option<SocketAddr> {
    let address = value(line, "nameserver")?.next()?;
    if let Ok(address) = address.parse::<IpAddr>() {
        return Some((address, PORT).into());
    }
    // A link-local address with its scope, by number or by the name of an interface.
    let (address, scope) = address.split_once('%')?;
    let scope = scope.parse().ok().or_else(|| interface(scope).ok())?;
    Some(SocketAddrV6::new(address.parse().ok()?, PORT, 0, scope).into())
}

/// The number of an interface. The system wants a socket to ask by, and it may be any.
#[cfg(target_os = "linux")]
fn interface(name: &str) -> io::Result<u32> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(name_to_index(socket, name)?)
}

/// Elsewhere only numbers are understood.
#[cfg(not(target_os = "linux"))]
fn interface(_: &str) -> io::Result<u32> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_as_the_system_reads_them() {
        let local = &["127.0.0.1:53"][..];
        let loopback = format!("[fe80::1%{}]:53", interface("lo").unwrap());
        for (conf, expected) in [
            ("", local),
            ("# nothing\nsearch example.org\noptions ndots:2\n", local),
            ("nameserver 192.0.2.1\n", &["192.0.2.1:53"]),
            (
                "search x\nnameserver\t192.0.2.1 # first\r\nnameserver   2001:db8::1",
                &["192.0.2.1:53", "[2001:db8::1]:53"],
            ),
            ("nameserver fe80::1%no-such-interface\nnameserver fe80::1%2\n", &["[fe80::1%2]:53"]),
            ("nameserver fe80::1%lo\nnameserver 192.0.2.1%lo\nnameserver fe80::1%\n", &[loopback.as_str()]),
            ("#nameserver 192.0.2.1\n;nameserver 192.0.2.1\n nameserver 192.0.2.1\n", local),
            ("nameserver\nnameserver \nnameservers 192.0.2.1\nnameserver192.0.2.1\nnameserver host\n", local),
            (
                "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n",
                &["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"],
            ),
        ] {
            let servers: Vec<_> =
                parse(conf.as_bytes()).addresses.iter().map(SocketAddr::to_string).collect();
            assert_eq!(servers, expected, "{conf:?}");
        }
        assert_eq!(parse(b"\xff\xfe\nnameserver 192.0.2.1\n").addresses.len(), 1);
    }

    #[test]
    fn servers_are_believed_about_dnssec_where_the_system_believes_them() {
        for (conf, expected) in [
            ("", false),
            ("nameserver 127.0.0.1\n", false),
            ("options edns0 trust-ad\n", true),
            ("options edns0\noptions\ttrust-ad timeout:1\n", true),
            ("#options trust-ad\nsearch trust-ad\noptions trust-ads\noptionstrust-ad\n", false),
        ] {
            assert_eq!(parse(conf.as_bytes()).are_validating, expected, "{conf:?}");
        }
    }

    #[test]
    fn a_file_that_was_changed_or_replaced_counts_after_a_few_seconds_and_one_that_is_away_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        let other = folder.path().join("other");
        let system = SystemNameServers::of(&path);
        let begun = SmolClock.instant();
        let at = |seconds| system.at(begun + Duration::from_secs(seconds)).addresses[0].ip().to_string();
        assert_eq!(at(0), "127.0.0.1");
        fs::write(&path, "nameserver 192.0.2.1\n").unwrap();
        assert_eq!((at(4), at(6)), ("127.0.0.1".to_owned(), "192.0.2.1".to_owned()));
        // As long as before, and perhaps of the same moment.
        fs::write(&other, "nameserver 192.0.2.2\n").unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!((at(10), at(11)), ("192.0.2.1".to_owned(), "192.0.2.2".to_owned()));
        fs::remove_file(&path).unwrap();
        assert_eq!(at(20), "192.0.2.2");
        fs::write(&path, "nameserver 192.0.2.30\n").unwrap();
        assert_eq!(at(30), "192.0.2.30");
    }
}
