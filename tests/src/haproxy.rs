//! Debian's HAProxy in front of nodes. It asks each node's `/readyz`, and tells nodes by the PROXY protocol who the client is.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::Fallible;
use crate::daemon::{Daemon, find_program, lasting_ports};

const START_LIMIT: Duration = Duration::from_secs(10);

/// A session is cut when its node is found down: a process that hangs keeps its connections open.
const DEFAULTS: &str = "\
defaults
    mode tcp
    balance roundrobin
    retries 3
    option redispatch
    timeout connect 2s
    timeout check 2s
    timeout client 5m
    timeout server 5m
    option httpchk GET /readyz
    http-check expect status 200
    default-server check inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
";

/// A node as the balancer knows it.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// Where it takes mail.
    pub smtp: SocketAddr,
    /// Where it says whether it is ready.
    pub http: SocketAddr,
}

/// A running HAProxy.
#[derive(Debug)]
pub struct HaProxy {
    listeners: [SocketAddr; 2],
    /// Ends it when it is dropped.
    _daemon: Daemon,
}

impl HaProxy {
    /// Starts one in front of these nodes, its files in a folder.
    pub fn start(folder: &Path, backends: &[Backend]) -> Fallible<Self> {
        let [first, second, up] =
            lasting_ports::<3>()?.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let listeners = [first, second];
        let file = folder.join("haproxy.cfg");
        fs::write(&file, configuration(listeners, up, backends)?)?;
        let arguments = ["-db".as_ref(), "-f".as_ref(), file.as_os_str()];
        let mut daemon = Daemon::start("haproxy", &find_program("haproxy")?, arguments, folder)?;
        // All its sockets are bound before any is served, and a connection to this one troubles no node.
        daemon.wait_until("listened", START_LIMIT, || TcpStream::connect(up).is_ok())?;
        Ok(Self { listeners, _daemon: daemon })
    }

    /// Where clients connect: behind the first listener nodes are spoken to by version 1 of the PROXY protocol, behind the
    /// second by version 2.
    pub fn listeners(&self) -> [SocketAddr; 2] {
        self.listeners
    }
}

fn configuration(listeners: [SocketAddr; 2], up: SocketAddr, backends: &[Backend]) -> Fallible<String> {
    let mut text = format!("{DEFAULTS}\nfrontend up\n    bind {up}\n    mode http\n    monitor-uri /\n");
    for (listener, (name, option)) in listeners.iter().zip([("v1", "send-proxy"), ("v2", "send-proxy-v2")]) {
        write!(text, "\nlisten {name}\n    bind {listener}\n    default-server {option}\n")?;
        for (number, Backend { smtp, http }) in (1..).zip(backends) {
            writeln!(text, "    server node-{number} {smtp} port {}", http.port())?;
        }
    }
    Ok(text)
}
