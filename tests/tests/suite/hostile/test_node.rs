//! A node in a process of its own.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// See `fulmar-test-node`. It is gone when this is.
pub(super) struct TestNode {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    server: SocketAddr,
}

impl TestNode {
    /// Starts one on the store in a directory; it says when it has delivered so many messages, unless that is none. It shows the certificate of this file, where
    /// there is one.
    pub(super) fn start(directory: &Path, messages: u64, certificate: Option<&Path>) -> Self {
        Self::start_with(directory, messages, certificate.map(Path::as_os_str))
    }

    /// Starts one that verifies mail, and finds this record of a key at `sel._domainkey.far.test`.
    pub(super) fn verifying(directory: &Path, messages: u64, record: &str) -> Self {
        Self::start_with(directory, messages, Some(OsStr::new(&format!("key={record}"))))
    }

    fn start_with(directory: &Path, messages: u64, option: Option<&OsStr>) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_fulmar-test-node"))
            .arg(directory)
            .arg(messages.to_string())
            .args(option)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let server = lines.next().expect("the node says where it is").unwrap().parse().unwrap();
        Self { process, lines, server }
    }

    /// Where it listens for SMTP.
    pub(super) fn server(&self) -> SocketAddr {
        self.server
    }

    /// The next line that it says.
    pub(super) fn line(&mut self) -> String {
        self.lines.next().expect("the node says something").unwrap()
    }

    /// The most memory that it has had so far, in octets.
    pub(super) fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    }

    /// Ends it in an orderly way, which it must come to.
    pub(super) fn end(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        // One that has ended is not there any more.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
