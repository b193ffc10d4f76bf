//! Python's aiosmtpd, with a handler that keeps every message in a file (`servers/take.py`).

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::Received;
use crate::Fallible;
use crate::daemon::{Daemon, find_program, lasting_ports};

const SCRIPT: &str = include_str!("../../servers/take.py");
/// How long it may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running aiosmtpd. It takes mail for every domain.
#[derive(Debug)]
pub struct Aiosmtpd {
    address: SocketAddr,
    messages: PathBuf,
    /// Ends it when it is dropped.
    _daemon: Daemon,
}

/// The first line of a file.
#[derive(Deserialize)]
struct Head {
    reverse_path: String,
    forward_paths: Vec<String>,
}

impl Aiosmtpd {
    /// Starts one that keeps its messages below an empty folder.
    pub fn start(folder: &Path) -> Fallible<Self> {
        let [port] = lasting_ports()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let messages = folder.join("messages");
        fs::create_dir_all(&messages)?;
        let arguments =
            ["-c".into(), SCRIPT.into(), port.to_string().into(), messages.clone().into_os_string()];
        let mut daemon = Daemon::start("aiosmtpd", &find_program("python3")?, arguments, folder)?;
        daemon.wait_until("listened (tests/run installs the module)", START_LIMIT, || {
            TcpStream::connect(address).is_ok()
        })?;
        Ok(Self { address, messages, _daemon: daemon })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells recipients in a domain to come later from now on, or takes them again.
    pub fn set_busy(&self, domain: &str, is_busy: bool) -> Fallible<()> {
        let mark = self.messages.join(format!(".busy-{domain}"));
        match is_busy {
            true => Ok(fs::write(mark, "")?),
            false => Ok(fs::remove_file(mark)?),
        }
    }

    /// The folder that its messages are in, a file each. While a file is not whole its name begins with a dot.
    pub fn messages(&self) -> &Path {
        &self.messages
    }

    /// Every message that it has accepted so far, in the order of their coming.
    pub fn accepted(&self) -> Fallible<Vec<Received>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.messages)? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with('.') {
                files.push(entry.path());
            }
        }
        files.sort();
        files.iter().map(|file| read(file)).collect()
    }
}

fn read(file: &Path) -> Fallible<Received> {
    let kept = fs::read(file)?;
    let end = kept.iter().position(|octet| *octet == b'\n').ok_or("a file without a first line")?;
    let Head { reverse_path, forward_paths } = serde_json::from_slice(&kept[..end])?;
    let content = kept[end + 1..].to_vec();
    Ok(Received { reverse_path, forward_paths, content, is_accepted: true, ..Received::default() })
}
