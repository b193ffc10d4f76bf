//! A client of POP3 that follows a script.

#![expect(clippy::expect_used, reason = "what does not go as expected fails the test that asked for it")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a server. Every wait has an end; a wait that ends without what was expected panics.
#[derive(Debug)]
pub struct Pop3Client {
    stream: BufReader<TcpStream>,
}

impl Pop3Client {
    /// Connects and reads the greeting.
    pub fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).expect("the server listens");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        let mut client = Self { stream: BufReader::new(stream) };
        client.expect("+OK ");
        client
    }

    /// Connects and logs in.
    pub fn logged_in(server: SocketAddr, account: &str, password: &str) -> Self {
        let mut client = Self::connect(server);
        client.command(&format!("USER {account}"), "+OK ");
        client.command(&format!("PASS {password}"), "+OK ");
        client
    }

    /// Sends octets as they are. The server may have closed the connection.
    pub fn send(&mut self, octets: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(octets.as_ref())
    }

    /// Sends one command and gives the line that answers it, which must begin so.
    pub fn command(&mut self, line: &str, expected: &str) -> String {
        self.send(format!("{line}\r\n")).expect("the server takes what is sent");
        self.expect(expected)
    }

    /// Reads a line, which must begin so.
    pub fn expect(&mut self, expected: &str) -> String {
        let line = String::from_utf8(self.line()).expect("replies are ASCII");
        assert!(line.starts_with(expected), "{line:?} came and not {expected:?}");
        line
    }

    /// Sends one command, which must be answered with `+OK` and more lines; gives these, out of their transport form.
    pub fn multi_line(&mut self, line: &str) -> Vec<u8> {
        self.command(line, "+OK ");
        let mut content = Vec::new();
        loop {
            let line = self.line();
            if line == b".\r\n" {
                return content;
            }
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    /// The lines of LIST or UIDL: what stands behind each message's number.
    pub fn listing(&mut self, command: &str) -> Vec<String> {
        let lines = String::from_utf8(self.multi_line(command)).expect("listings are ASCII");
        lines.lines().map(|line| line.split_once(' ').expect("a number and more").1.to_owned()).collect()
    }

    /// Ends the session, and returns when the server has closed the connection.
    pub fn quit(mut self) {
        self.command("QUIT", "+OK ");
        assert_eq!(self.rest(), "");
    }

    /// What comes until the server closes the connection or resets it.
    pub fn rest(mut self) -> String {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("the server did not close the connection");
            }
            _ => String::from_utf8(rest).expect("replies are ASCII"),
        }
    }

    fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).expect("a line in time");
        assert!(line.ends_with(b"\r\n"), "closed amid {:?}", String::from_utf8_lossy(&line));
        line
    }
}
