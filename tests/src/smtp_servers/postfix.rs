//! A Postfix of its own, which takes mail for one domain and keeps it in files.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Fallible;
use crate::daemon::{Daemon, find_program, lasting_ports, run};

/// How long it may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long the last delivery may take.
const DELIVERY_LIMIT: Duration = Duration::from_secs(180);
/// What Postfix wants below its queue directory, only for itself.
const QUEUES: [&str; 11] = [
    "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved",
    "trace",
];
/// Of these, the ones that hold messages which are still to be delivered.
const UNDELIVERED: [&str; 3] = ["active", "deferred", "incoming"];
/// Where Debian keeps the services as shipped.
const SERVICES: &str = "/usr/share/postfix/master.cf.dist";

/// A running Postfix, its queue fsynced as shipped. It starts as root only.
#[derive(Debug)]
pub struct Postfix {
    address: SocketAddr,
    mailboxes: PathBuf,
    spool: PathBuf,
    /// All of it ends when this is dropped.
    master: Daemon,
}

/// What a Postfix is told besides what it needs to take mail.
#[derive(Debug, Default)]
pub struct Additions {
    /// Lines of main.cf.
    pub settings: String,
    /// Lines of master.cf.
    pub services: String,
}

impl Postfix {
    /// Starts one below an empty folder, whose parents others must be able to enter. It takes mail for any mailbox of this domain.
    pub fn start(folder: &Path, domain: &str) -> Fallible<Self> {
        Self::start_with(folder, domain, &Additions::default())
    }

    /// The same, with additions.
    pub fn start_with(folder: &Path, domain: &str, additions: &Additions) -> Fallible<Self> {
        let [port] = lasting_ports()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        make_folders(folder)?;
        fs::write(folder.join("etc/main.cf"), main_cf(folder, domain)? + &additions.settings)?;
        let services = master_cf(&fs::read_to_string(SERVICES)?, address) + &additions.services;
        fs::write(folder.join("etc/master.cf"), services)?;
        let programs = run(Command::new(find_program("postconf")?).args(["-h", "daemon_directory"]))?;
        let master = Path::new(String::from_utf8(programs)?.trim()).join("master");
        let options = ["-c".into(), folder.join("etc").into_os_string(), "-s".into()];
        let mut master = Daemon::start("postfix", &master, options, folder)?;
        let is_listening = || TcpStream::connect(address).is_ok();
        master.wait_until("listened", START_LIMIT, is_listening)?;
        Ok(Self { address, mailboxes: folder.join("mail"), spool: folder.join("spool"), master })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns once so many messages are delivered, and gives the files that hold one each.
    pub fn wait_for_delivered(&mut self, messages: usize) -> Fallible<Vec<PathBuf>> {
        let new = self.mailboxes.join("all/new");
        let delivered = || files_in(&new).map_or(0, |files| files.len());
        self.master.wait_until("delivered everything", DELIVERY_LIMIT, || delivered() >= messages)?;
        self.delivered()
    }

    /// Returns once nothing is left in its queue, and gives the files that hold one message each.
    pub fn wait_until_idle(&mut self) -> Fallible<Vec<PathBuf>> {
        let spool = self.spool.clone();
        let is_idle = || UNDELIVERED.iter().all(|queue| is_empty(&spool.join(queue)));
        self.master.wait_until("emptied its queue", DELIVERY_LIMIT, is_idle)?;
        self.delivered()
    }

    /// The files that hold one message each, as delivered so far.
    pub fn delivered(&self) -> Fallible<Vec<PathBuf>> {
        files_in(&self.mailboxes.join("all/new"))
    }
}

/// Whether there are but folders below a folder.
fn is_empty(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries
        .flatten()
        .all(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()) && is_empty(&entry.path()))
}

/// None where the folder is not there yet.
fn files_in(folder: &Path) -> Fallible<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    Ok(fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?)
}

fn make_folders(folder: &Path) -> Fallible<()> {
    // Deliveries are made by `nobody`.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    for name in ["etc", "data", "mail", "spool/maildrop", "spool/public", "spool/pid"] {
        fs::create_dir_all(folder.join(name))?;
    }
    for name in QUEUES {
        let queue = folder.join("spool").join(name);
        fs::create_dir_all(&queue)?;
        fs::set_permissions(&queue, fs::Permissions::from_mode(0o700))?;
    }
    let (maildrop, public) = (folder.join("spool/maildrop"), folder.join("spool/public"));
    let queues = QUEUES.map(|name| folder.join("spool").join(name));
    run(Command::new("chown").arg("postfix").arg(folder.join("data")).args(&queues))?;
    run(Command::new("chown").arg("postfix:postdrop").args([&maildrop, &public]))?;
    run(Command::new("chown").arg("nobody").arg(folder.join("mail")))?;
    fs::set_permissions(&maildrop, fs::Permissions::from_mode(0o730))?;
    fs::set_permissions(&public, fs::Permissions::from_mode(0o710))?;
    Ok(())
}

fn main_cf(folder: &Path, domain: &str) -> Fallible<String> {
    let id = |option| -> Fallible<String> {
        Ok(String::from_utf8(run(Command::new("id").args([option, "nobody"]))?)?.trim().to_owned())
    };
    let (user, group, folder) = (id("-u")?, id("-g")?, folder.display());
    Ok(format!(
        "compatibility_level = 3.6\n\
         queue_directory = {folder}/spool\n\
         data_directory = {folder}/data\n\
         mail_owner = postfix\n\
         setgid_group = postdrop\n\
         maillog_file_prefixes = {folder}\n\
         maillog_file = {folder}/postfix.log\n\
         myhostname = postfix.test\n\
         mydestination =\n\
         inet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\n\
         mynetworks = 127.0.0.0/8\n\
         alias_maps =\n\
         alias_database =\n\
         biff = no\n\
         # Every mailbox of the domain is one maildir.\n\
         virtual_mailbox_domains = {domain}\n\
         virtual_mailbox_base = {folder}/mail\n\
         virtual_mailbox_maps = static:all/\n\
         virtual_mailbox_limit = 0\n\
         virtual_uid_maps = static:{user}\n\
         virtual_gid_maps = static:{group}\n\
         virtual_minimum_uid = 1\n\
         # Nothing that holds a single local client back, or looks beyond this machine.\n\
         default_process_limit = 120\n\
         in_flow_delay = 0s\n\
         message_size_limit = 0\n\
         # Nothing that changes a message.\n\
         local_header_rewrite_clients =\n\
         message_drop_headers =\n\
         smtpd_client_connection_count_limit = 0\n\
         smtpd_client_connection_rate_limit = 0\n\
         smtpd_client_event_limit_exceptions = 127.0.0.0/8\n\
         smtpd_peername_lookup = no\n\
         smtpd_recipient_restrictions = permit_mynetworks, reject\n"
    ))
}

/// The services as shipped, without chroot, and with smtpd at our address alone.
fn master_cf(shipped: &str, address: SocketAddr) -> String {
    let mut services = String::new();
    for line in shipped.lines().filter(|line| !line.starts_with('#')) {
        let mut fields: Vec<&str> = line.split_whitespace().collect();
        if line.starts_with(char::is_whitespace) || fields.len() < 8 {
            services.push_str(line);
        } else {
            let listen = address.to_string();
            if fields[..2] == ["smtp", "inet"] {
                fields[0] = &listen;
            }
            fields[4] = "n";
            services.push_str(&fields.join(" "));
        }
        services.push('\n');
    }
    if !services.contains("\npostlog ") {
        services.push_str("postlog unix-dgram n - n - 1 postlogd\n");
    }
    services
}
