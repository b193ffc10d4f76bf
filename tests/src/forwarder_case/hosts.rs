//! The hosts: the sender's node, the forwarder, the receiver's node, and the name server that all but the forwarder ask.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use tempfile::TempDir;

use super::{AWAY, CHANGED, LIST};
use crate::Fallible;
use crate::certificate::Certificate;
use crate::daemon::lasting_ports;
use crate::nsd::{Nsd, ZoneFile};
use crate::process::{PASSWORD, Server, Settings, Site, free_address};
use crate::smtp_servers::{Additions, Postfix};

/// Has an account at the sender's node.
pub(super) const SENDER: &str = "user@sender.test";
/// The same at the receiver's.
pub(super) const RECEIVER: &str = "user@receiver.test";

/// What connects to other addresses of loopback comes from this one.
const SENDER_ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;
const RECEIVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const FORWARDER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// Ports that are tried until one is free at each address.
const PORT_TRIES: usize = 100;
/// Texts beside the sender's SPF record, which no datagram has room for: it is asked for over TCP.
const OTHER_TEXTS: usize = 8;
const TEXT_OCTETS: usize = 200;

/// All of them, running. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Hosts {
    pub(super) sender: Site,
    pub(super) receiver: Site,
    pub(super) forwarder: Postfix,
    /// Where the sender's users submit.
    pub(super) submissions: SocketAddr,
    /// Where the receiver's node takes mail.
    pub(super) receiver_smtp: SocketAddr,
    _servers: [Server; 2],
    _names: Nsd,
    _folders: [TempDir; 2],
}

impl Hosts {
    /// Starts them. The sender's keys are those that its node makes, published as it prints them.
    pub(super) fn start(program: &Path) -> Fallible<Self> {
        let (port, submissions, names) = (common_port()?, free_address()?, Nsd::free_address()?);
        let [folder, queue] =
            [TempDir::with_prefix("fulmar-forwarder-")?, TempDir::with_prefix("fulmar-postfix-")?];
        let certificate = folder.path().join("certificate.pem");
        fs::write(&certificate, Certificate::new("mx.sender.test").pem())?;
        let listener = format!("[[listener]]\nprotocol = \"submissions\"\naddress = \"{submissions}\"\n");
        let certificate = certificate.display();
        let tls = format!("[tls]\ncertificate = \"{certificate}\"\nkey = \"{certificate}\"\n");
        let sender = site(program, SENDER, "", (names, port), &(tls + &listener))?;
        sender.run(["alias", "add", AWAY, RECEIVER], b"")?;
        let trusted = "trusted_sealers = [\"sender.test\"]\n";
        let receiver = site(program, RECEIVER, trusted, (names, port), "")?;

        let keys =
            sender.list(&["domain", "dkim", "generate", "sender.test", "--selector", "node", "--json"])?;
        let keys: Vec<_> = keys.iter().filter_map(|key| key["zone"].as_str()).collect();
        let names = Nsd::start(folder.path(), names, &zones(&keys.join("\n")))?;
        // Finds the records in the DNS, or fails.
        sender.run(["domain", "dkim", "rotate", "sender.test"], b"")?;
        let receiver_smtp = SocketAddr::from((RECEIVER_ADDRESS, port));
        let servers = [(&sender, SocketAddr::from((SENDER_ADDRESS, port))), (&receiver, receiver_smtp)];
        let [first, second] = servers.map(|(site, address)| site.serve_as_configured(address));
        let servers = [first?, second?];
        let forwarder = Postfix::start_with(queue.path(), "forward.test", &additions(port))?;
        Ok(Self {
            sender,
            receiver,
            forwarder,
            submissions,
            receiver_smtp,
            _servers: servers,
            _names: names,
            _folders: [folder, queue],
        })
    }
}

/// A port that is free at the address of each host.
fn common_port() -> Fallible<u16> {
    let hosts = [SENDER_ADDRESS, RECEIVER_ADDRESS, FORWARDER_ADDRESS];
    for _ in 0..PORT_TRIES {
        let [port] = lasting_ports()?;
        if hosts.iter().all(|host| TcpListener::bind((*host, port)).is_ok()) {
            return Ok(port);
        }
    }
    Err("no port is free at all addresses".into())
}

/// A node's store with this account in it. To the node strangers are all who do not log in, on this machine too.
fn site(
    program: &Path,
    account: &str,
    verification: &str,
    (names, port): (SocketAddr, u16),
    more: &str,
) -> Fallible<Site> {
    let (_, domain) = account.split_once('@').ok_or("no domain")?;
    let address = if account == SENDER { SENDER_ADDRESS } else { RECEIVER_ADDRESS };
    let file = format!(
        "[dns]\nservers = [\"{names}\"]\n\
         [relay]\nprivate_networks = [\"127.0.0.0/8\"]\nport = {port}\n\
         [verification]\nexempt = []\n{verification}\
         [[listener]]\nprotocol = \"smtp\"\naddress = \"{address}:{port}\"\n{more}"
    );
    let environment = vec![("FULMAR_HOSTNAME".to_owned(), format!("mx.{domain}"))];
    let settings = Settings { environment, file, ..Settings::default() };
    let site = Site::with(&std::env::temp_dir(), program, &[], settings)?;
    site.run(["domain", "add", domain], b"")?;
    site.run(["account", "add", account, "--password-stdin"], format!("{PASSWORD}\n").as_bytes())?;
    Ok(site)
}

/// What the DNS says of the hosts; both domains that write have whatever does not pass DMARC refused.
fn zones(keys: &str) -> Vec<ZoneFile> {
    let mut sender = exchange(SENDER_ADDRESS, "v=spf1 mx -all") + keys + "\n";
    let filling = "x".repeat(TEXT_OCTETS);
    for number in 0..OTHER_TEXTS {
        sender.push_str(&format!("@ IN TXT \"verification-{number}={filling}\"\n"));
    }
    sender.push_str("_dmarc IN TXT \"v=DMARC1; p=reject\"\n");
    let forwarder = exchange(FORWARDER_ADDRESS, "v=spf1 a:mx.forward.test -all")
        + "_dmarc IN TXT \"v=DMARC1; p=reject\"\n";
    let receiver = exchange(RECEIVER_ADDRESS, "v=spf1 mx -all");
    let hosts = [(SENDER_ADDRESS, "sender"), (RECEIVER_ADDRESS, "receiver"), (FORWARDER_ADDRESS, "forward")];
    let reverse = hosts.map(|(address, name)| {
        let [_, b, c, d] = address.octets();
        format!("{d}.{c}.{b} IN PTR mx.{name}.test.\n")
    });
    let delegations = hosts.map(|(_, name)| format!("{name} IN NS ns.{name}\nns.{name} IN A 127.0.0.1\n"));
    let zone = |name, records| ZoneFile { name, records };
    vec![
        zone("test", delegations.concat()),
        zone("sender.test", sender),
        zone("forward.test", forwarder),
        zone("receiver.test", receiver),
        zone("127.in-addr.arpa", reverse.concat()),
    ]
}

/// A domain with one exchange, and who may send for both.
fn exchange(address: Ipv4Addr, policy: &str) -> String {
    format!("@ IN MX 10 mx\n@ IN TXT \"{policy}\"\nmx IN A {}\nmx IN TXT \"v=spf1 a -all\"\n", address)
}

/// The list's address leads on with the reverse-path as it is, and Postfix knows the exchanges without asking: it can be told of no
/// name server's port.
fn additions(port: u16) -> Additions {
    let settings = format!(
        "myhostname = mx.forward.test\n\
         smtp_bind_address = {FORWARDER_ADDRESS}\n\
         virtual_alias_maps = inline:{{ {LIST}={RECEIVER} }}\n\
         header_checks = regexp:{{ {{ /^Subject: {CHANGED}/ REPLACE Subject: [list] {CHANGED} }} }}\n\
         transport_maps = inline:{{ sender.test=smtp:[{SENDER_ADDRESS}]:{port}, receiver.test=smtp:[{RECEIVER_ADDRESS}]:{port} }}\n"
    );
    Additions { settings, services: format!("{FORWARDER_ADDRESS}:{port} inet n - n - - smtpd\n") }
}
