//! Real `fulmar` processes over one directory store.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::Fallible;

/// The configuration file in a site's directory.
const CONFIG_FILE: &str = "fulmar.toml";
/// Of every account.
pub const PASSWORD: &str = "correct horse battery staple";

/// How long a server may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a server may take to stop when asked to.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How long the queue may take until nothing is left in it.
const DRAIN_LIMIT: Duration = Duration::from_secs(180);
/// Between two looks at what only another process can tell.
const POLL_PAUSE: Duration = Duration::from_millis(50);

/// A store, the program that works on it, and a temporary directory for both.
#[derive(Debug)]
pub struct Site {
    program: PathBuf,
    directory: TempDir,
    settings: Settings,
}

/// What a site is told besides where its listeners are.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Variables of every process. Without `FULMAR_STORE_URL` among them the store is a directory of the site's own.
    pub environment: Vec<(String, String)>,
    /// The configuration file, where there is one.
    pub file: String,
    /// Where every server listens for POP3, if it does.
    pub pop3: Option<SocketAddr>,
    /// Where every server answers over HTTP, if it does.
    pub http: Option<SocketAddr>,
}

impl Site {
    /// A new store with the domain `example.org` and these accounts in it.
    pub fn new(program: &Path, accounts: &[String]) -> Fallible<Self> {
        Self::below(&std::env::temp_dir(), program, accounts)
    }

    /// The same, below a folder that is there.
    pub fn below(folder: &Path, program: &Path, accounts: &[String]) -> Fallible<Self> {
        Self::with(folder, program, accounts, Settings::default())
    }

    /// The same, with settings.
    pub fn with(folder: &Path, program: &Path, accounts: &[String], settings: Settings) -> Fallible<Self> {
        let directory = TempDir::with_prefix_in("fulmar-", folder)?;
        if !settings.file.is_empty() {
            fs::write(directory.path().join(CONFIG_FILE), &settings.file)?;
        }
        let site = Self { program: program.to_owned(), directory, settings };
        site.run(["domain", "add", "example.org"], b"")?;
        for account in accounts {
            site.run(["account", "add", account, "--password-stdin"], format!("{PASSWORD}\n").as_bytes())?;
        }
        Ok(site)
    }

    /// A folder for the files of a case; it goes with the site.
    pub fn scratch(&self) -> Fallible<PathBuf> {
        let folder = self.directory.path().join("scratch");
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Runs a command to its end and gives what it prints. Anything but exit code 0 is an error that quotes it.
    pub fn run<I: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = I>,
        stdin: &[u8],
    ) -> Fallible<Vec<u8>> {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(stdin)?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{command:?}: {}: {said}", output.status).into());
        }
        Ok(output.stdout)
    }

    /// The objects that a command with `--json` prints, one a line.
    pub fn list(&self, arguments: &[&str]) -> Fallible<Vec<Value>> {
        let printed = self.run(arguments, b"")?;
        let lines = printed.split(|octet| *octet == b'\n').filter(|line| !line.is_empty());
        Ok(lines.map(serde_json::from_slice).collect::<Result<_, _>>()?)
    }

    /// UIDs of the messages in an account's INBOX.
    pub fn uids(&self, account: &str) -> Fallible<Vec<u64>> {
        let listed = self.list(&["mailbox", "list", account, "--json"])?;
        let uid =
            |message: &Value| message["uid"].as_u64().ok_or_else(|| format!("no uid in {message}").into());
        listed.iter().map(uid).collect()
    }

    /// One message as it is stored.
    pub fn read(&self, account: &str, uid: u64) -> Fallible<Vec<u8>> {
        self.run(["mailbox", "read", account, &uid.to_string(), "--raw"], b"")
    }

    /// Every message in an account's INBOX: its UID, and a file that holds it as it is stored.
    pub fn read_all(&self, account: &str) -> Fallible<Vec<(u64, PathBuf)>> {
        let uids = self.uids(account)?;
        if uids.is_empty() {
            return Ok(Vec::new());
        }
        let folder = self.scratch()?.join(account);
        let path = folder.to_str().ok_or("the folder's name is not UTF-8")?;
        self.run(["mailbox", "read", account, "--all", "--output", path], b"")?;
        let files = fs::read_dir(&folder)?.count();
        if files != uids.len() {
            return Err(format!("{account}: {} messages are listed and {files} written", uids.len()).into());
        }
        Ok(uids.into_iter().map(|uid| (uid, folder.join(format!("{uid}.eml")))).collect())
    }

    /// Returns once the queue is empty.
    pub fn wait_until_delivered(&self) -> Fallible<()> {
        let deadline = Instant::now() + DRAIN_LIMIT;
        loop {
            let left = self.list(&["queue", "list", "--json"])?;
            let Some(first) = left.first() else { return Ok(()) };
            if Instant::now() > deadline {
                return Err(format!("{} entries are still queued, the first: {first}", left.len()).into());
            }
            std::thread::sleep(POLL_PAUSE);
        }
    }

    /// Returns once an account's INBOX has so many messages.
    pub fn wait_for_messages(&self, account: &str, count: usize) -> Fallible<()> {
        let deadline = Instant::now() + DRAIN_LIMIT;
        loop {
            let found = self.uids(account)?.len();
            if found >= count {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{account} has {found} messages of {count}").into());
            }
            std::thread::sleep(POLL_PAUSE);
        }
    }

    /// Starts `fulmar serve` there and returns once it listens. The system ends it together with the thread that calls
    /// this, so that nothing is left behind when the harness itself is killed.
    pub fn serve(&self, address: SocketAddr) -> Fallible<Server> {
        match self.settings.pop3 {
            Some(pop3) => self.serve_with_pop3(address, pop3),
            None => self.serve_on(format!("smtp={address}"), address),
        }
    }

    /// The same, with POP3 at another address.
    pub fn serve_with_pop3(&self, address: SocketAddr, pop3: SocketAddr) -> Fallible<Server> {
        self.serve_on(format!("smtp={address},pop3={pop3}"), address)
    }

    /// The same as [`Site::serve`], without waiting for anything: see [`Server::wait_for_listener`].
    pub fn launch(&self, address: SocketAddr) -> Fallible<Server> {
        Server::launch(self.serving(format!("smtp={address}")), address)
    }

    /// The same with these listeners, as `FULMAR_LISTEN` has them; `address` is that for SMTP.
    pub fn serve_on(&self, listeners: String, address: SocketAddr) -> Fallible<Server> {
        Server::start(self.serving(listeners), address)
    }

    /// The same with the listeners that the configuration file names.
    pub fn serve_as_configured(&self, address: SocketAddr) -> Fallible<Server> {
        let mut command = self.serving(String::new());
        command.env_remove("FULMAR_LISTEN");
        Server::start(command, address)
    }

    fn serving(&self, mut listeners: String) -> Command {
        if let Some(http) = self.settings.http {
            listeners.push_str(&format!(",http={http}"));
        }
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
        let mut command = self.prepared(command);
        command
            .arg("serve")
            .env("FULMAR_LISTEN", listeners)
            .env("FULMAR_LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn command(&self) -> Command {
        self.prepared(Command::new(&self.program))
    }

    fn prepared(&self, mut command: Command) -> Command {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FULMAR_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.directory.path())
            .env("FULMAR_STORE_URL", format!("file:{}", self.store().display()))
            .env("FULMAR_HOSTNAME", "mx.test")
            .envs(self.settings.environment.iter().map(|(name, value)| (name, value)));
        if !self.settings.file.is_empty() {
            command.arg("--config").arg(CONFIG_FILE);
        }
        command
    }
}

/// An address on loopback that is free now.
pub fn free_address() -> Fallible<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A running `fulmar serve`. It is killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    lines: Receiver<Line>,
    log: Vec<(Instant, String)>,
    started: Instant,
    /// From the start of the process until it said that it listens.
    pub ready_after: Duration,
}

/// One line of a server's log.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// Since the start of the process.
    pub after: Duration,
    /// As it was written; a JSON string where it was no JSON.
    pub fields: Value,
}

/// What a server writes, as it comes.
#[derive(Debug)]
enum Line {
    Stdout(String),
    Log(Instant, String),
}

impl Server {
    fn start(command: Command, address: SocketAddr) -> Fallible<Self> {
        let mut server = Self::launch(command, address)?;
        server.wait_for_listener()?;
        Ok(server)
    }

    fn launch(mut command: Command, address: SocketAddr) -> Fallible<Self> {
        let started = Instant::now();
        let mut child = command.spawn()?;
        let (sender, lines) = channel();
        let stdout = child.stdout.take().ok_or("no stdout")?;
        let stderr = child.stderr.take().ok_or("no stderr")?;
        let to_stdout = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = to_stdout.send(Line::Stdout(line));
            }
        });
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(Line::Log(Instant::now(), line));
            }
        });
        Ok(Self { child, address, lines, log: Vec::new(), started, ready_after: Duration::ZERO })
    }

    /// Starts `fulmar serve` with nothing configured, at home in a folder, and gives the lines to paste that it prints, in
    /// their order. It takes its default addresses, which must be free.
    pub fn unconfigured(program: &Path, home: &Path) -> Fallible<(Self, Vec<String>)> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).arg("serve");
        command.env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.current_dir(home).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut server = Self::start(command, SocketAddr::from((Ipv4Addr::LOCALHOST, 2525)))?;
        let mut lines: Vec<String> = Vec::new();
        while lines.last().is_none_or(|line| !line.contains("mailbox read")) {
            match server.lines.recv_timeout(START_LIMIT) {
                Ok(Line::Stdout(line)) => lines.push(line),
                Ok(Line::Log(at, line)) => server.log.push((at, line)),
                Err(_) => return Err(server.complaint("does not say how to read a message")),
            }
        }
        lines.retain(|line| line.starts_with("  "));
        Ok((server, lines))
    }

    /// Returns when it has said that it listens for mail.
    pub fn wait_for_listener(&mut self) -> Fallible<()> {
        let deadline = self.started + START_LIMIT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Line::Stdout(line)) if line.starts_with("listening smtp ") => {
                    self.ready_after = self.started.elapsed();
                    return Ok(());
                }
                Ok(Line::Stdout(_)) => {}
                Ok(Line::Log(at, line)) => self.log.push((at, line)),
                Err(RecvTimeoutError::Timeout) => return Err(self.complaint("does not listen")),
                Err(RecvTimeoutError::Disconnected) => return Err(self.complaint("has ended")),
            }
        }
    }

    fn complaint(&self, what: &str) -> Box<dyn std::error::Error + Send + Sync> {
        let tail: Vec<&str> = self.log.iter().rev().take(10).map(|(_, line)| line.as_str()).collect();
        format!("the server {what}; its last lines, newest first:\n{}", tail.join("\n")).into()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns when the log has told `count` times, counted from the start, of what this part of a line says; gives
    /// when it did so last.
    pub fn wait_for_log(&mut self, part: &str, count: usize) -> Fallible<Instant> {
        let deadline = Instant::now() + DRAIN_LIMIT;
        let mut told: Vec<Instant> =
            self.log.iter().filter(|(_, line)| line.contains(part)).map(|(at, _)| *at).collect();
        while told.len() < count {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Line::Stdout(_)) => {}
                Ok(Line::Log(at, line)) => {
                    if line.contains(part) {
                        told.push(at);
                    }
                    self.log.push((at, line));
                }
                Err(_) => {
                    return Err(self.complaint(&format!("has told of {part} {} times only", told.len())));
                }
            }
        }
        Ok(told.last().copied().unwrap_or(self.started))
    }

    /// The largest resident set so far, in octets.
    pub fn peak_memory(&self) -> Fallible<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kibibytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(kibibytes.ok_or("no VmHWM in /proc")? << 10)
    }

    /// How long after the start of the process a client has read the first `220`.
    pub fn first_greeting(&self) -> Fallible<Duration> {
        let stream = TcpStream::connect(self.address)?;
        let mut greeting = String::new();
        BufReader::new(stream).read_line(&mut greeting)?;
        if !greeting.starts_with("220 ") {
            return Err(format!("greeted with {greeting:?}").into());
        }
        Ok(self.started.elapsed())
    }

    /// Ends it as a power cut would, and gives its log.
    pub fn kill(mut self) -> Fallible<Vec<LogLine>> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.take_log())
    }

    /// Asks it to stop, waits until it has, and gives its log.
    pub fn stop(self) -> Fallible<Vec<LogLine>> {
        self.ask_to_stop()?;
        match self.wait_for_end()? {
            (status, log) if status.success() => Ok(log),
            (status, _) => Err(format!("the server stopped with {status}").into()),
        }
    }

    /// Asks it to stop.
    pub fn ask_to_stop(&self) -> Fallible<()> {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        if asked.success() { Ok(()) } else { Err(self.complaint("cannot be signalled")) }
    }

    /// Waits until it has ended, and gives how it did and its log.
    pub fn wait_for_end(mut self) -> Fallible<(ExitStatus, Vec<LogLine>)> {
        let deadline = Instant::now() + STOP_LIMIT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Line::Stdout(_)) => {}
                Ok(Line::Log(at, line)) => self.log.push((at, line)),
                Err(RecvTimeoutError::Timeout) => return Err(self.complaint("does not stop")),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = self.child.wait()?;
        Ok((status, self.take_log()))
    }

    fn take_log(&mut self) -> Vec<LogLine> {
        while let Ok(line) = self.lines.recv() {
            if let Line::Log(at, line) = line {
                self.log.push((at, line));
            }
        }
        let started = self.started;
        let line = |(at, text): (Instant, String)| LogLine {
            after: at - started,
            fields: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        };
        std::mem::take(&mut self.log).into_iter().map(line).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing can be done about a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
