//! Debian's NSD, an authoritative name server, over UDP and TCP.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use crate::Fallible;
use crate::daemon::{Daemon, find_program, lasting_ports};

const START_LIMIT: Duration = Duration::from_secs(10);
/// Ports that are tried until one is free for both kinds of socket.
const PORT_TRIES: usize = 100;

/// A running NSD. It ends when this is dropped.
#[derive(Debug)]
pub struct Nsd {
    _daemon: Daemon,
}

/// A zone of which it is told.
#[derive(Clone, Debug)]
pub struct ZoneFile {
    /// Its name, without the last dot.
    pub name: &'static str,
    /// Its records but SOA and NS, as a file of a zone has them (RFC 1035 §5.1); names without a last dot are below the zone's.
    pub records: String,
}

impl Nsd {
    /// Where one can listen, before there is one: what asks it may have to be told first.
    pub fn free_address() -> Fallible<SocketAddr> {
        for _ in 0..PORT_TRIES {
            let [port] = lasting_ports()?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if UdpSocket::bind(address).is_ok() {
                return Ok(address);
            }
        }
        Err("no port is free for UDP and TCP".into())
    }

    /// Starts one that serves these zones from a folder, and returns once it has read them.
    pub fn start(folder: &Path, address: SocketAddr, zones: &[ZoneFile]) -> Fallible<Self> {
        let mut configuration = settings(folder, address);
        for ZoneFile { name, records } in zones {
            let file = folder.join(format!("{name}.zone"));
            fs::write(&file, head(name) + records)?;
            let file = file.display();
            configuration.push_str(&format!("zone:\n  name: \"{name}\"\n  zonefile: \"{file}\"\n"));
        }
        let file = folder.join("nsd.conf");
        fs::write(&file, configuration)?;
        let arguments = ["-d".as_ref(), "-c".as_ref(), file.as_os_str()];
        let mut daemon = Daemon::start("nsd", &find_program("nsd")?, arguments, folder)?;
        let log = folder.join("nsd.log");
        let has_started = || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            said.contains("nsd started") && TcpStream::connect(address).is_ok()
        };
        daemon.wait_until("served", START_LIMIT, has_started)?;
        // It serves the others where one cannot be read.
        let said = fs::read_to_string(&log)?;
        match said.matches("read with success").count() == zones.len() {
            true => Ok(Self { _daemon: daemon }),
            false => Err(format!("NSD does not read every zone:\n{said}").into()),
        }
    }
}

/// Files and rights of its own, and nothing that orders could be given over.
fn settings(folder: &Path, address: SocketAddr) -> String {
    let (ip, port, folder) = (address.ip(), address.port(), folder.display());
    format!(
        "server:\n  ip-address: {ip}\n  port: {port}\n  server-count: 1\n  verbosity: 1\n  username: \"\"\n  chroot: \"\"\n  \
           zonesdir: \"{folder}\"\n  zonelistfile: \"{folder}/zone.list\"\n  xfrdir: \"{folder}\"\n  xfrdfile: \"\"\n  \
           pidfile: \"\"\n  database: \"\"\n\
         remote-control:\n  control-enable: no\n"
    )
}

fn head(zone: &str) -> String {
    format!(
        "$ORIGIN {zone}.\n$TTL 300\n@ IN SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 60\n@ IN NS ns.{zone}.\nns IN A 127.0.0.1\n"
    )
}
