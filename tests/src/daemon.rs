//! Servers of other projects, each in a process group of its own that ends together with the value that stands for it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::Fallible;

/// Between two looks at what only another process can tell.
const POLL_PAUSE: Duration = Duration::from_millis(50);
/// Lines at the end of a log that are quoted when a server fails.
const QUOTED_LINES: usize = 15;

/// A program that serves in the foreground. It and all that it started are killed when this is dropped; it alone, when
/// the thread that started it ends without that, as it does when the harness itself is killed.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts a program; what it says is added to `<folder>/<name>.log`.
    pub fn start<I: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = I>,
        folder: &Path,
    ) -> Fallible<Self> {
        let log = folder.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        // A session of its own has a process group of its own; some servers insist on leading a session.
        let child = Command::new("setsid")
            .args(["setpriv", "--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Its process, which leads those that it started.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns when it does what is expected; an error that quotes its log when it ends before that, or takes too long.
    pub fn wait_until(
        &mut self,
        expected: &str,
        limit: Duration,
        mut is_so: impl FnMut() -> bool,
    ) -> Fallible<()> {
        let deadline = Instant::now() + limit;
        while !is_so() {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.complaint(&format!("ended with {status} before it {expected}")));
            }
            if Instant::now() > deadline {
                return Err(self.complaint(&format!("was given {limit:?}, and it never {expected}")));
            }
            std::thread::sleep(POLL_PAUSE);
        }
        Ok(())
    }

    /// Ends it and all that it started as a power cut would, and returns when it is gone.
    pub fn kill(&mut self) -> Fallible<()> {
        let killed = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        // In its first moments it leads no group yet.
        self.child.kill()?;
        self.child.wait()?;
        match killed {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(format!("{} cannot be killed: {error}", self.name).into()),
        }
    }

    /// Sends it a signal, and nothing to what it started.
    pub fn signal(&self, signal: Signal) -> Fallible<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|error| format!("{} cannot be signalled: {error}", self.name).into())
    }

    /// Whether it has ended, with success. Any other end is an error that quotes its log.
    pub fn has_ended(&mut self) -> Fallible<bool> {
        match self.child.try_wait()? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => Err(self.complaint(&format!("ended with {status}"))),
        }
    }

    fn complaint(&self, what: &str) -> Box<dyn std::error::Error + Send + Sync> {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let mut tail: Vec<&str> = log.lines().rev().take(QUOTED_LINES).collect();
        tail.reverse();
        format!("{} {what}; the end of its log:\n{}", self.name, tail.join("\n")).into()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Nothing can be done about a process that is gone already.
        let _ = self.kill();
    }
}

/// Where a program is installed: in a folder of `PATH`, or where Debian keeps what only administrators call.
pub fn find_program(name: &str) -> Fallible<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    let mut candidates = folders.map(|folder| folder.join(name));
    let missing = || format!("{name} is not in PATH: tests/run installs it and says from where").into();
    candidates.find(|candidate| candidate.is_file()).ok_or_else(missing)
}

/// Runs a program to its end and gives what it prints. Anything but exit code 0 is an error that quotes it.
pub fn run(command: &mut Command) -> Fallible<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}: {said}", output.status).into());
    }
    Ok(output.stdout)
}

/// Ports on loopback that are free now and stay so while a server that uses them is down: clients are given theirs by
/// the system, from 32768 on.
pub fn lasting_ports<const N: usize>() -> Fallible<[u16; N]> {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Other test processes look for ports too: each begins elsewhere.
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    let mut ports = [0; N];
    let mut found = 0;
    for _ in 0..COUNT {
        if found == N {
            return Ok(ports);
        }
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (u32::from(start) * 7 + u32::from(turn)).rem_euclid(u32::from(COUNT)) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            ports[found] = port;
            found += 1;
        }
    }
    Err(format!("no {N} ports are free from {FIRST} on").into())
}
