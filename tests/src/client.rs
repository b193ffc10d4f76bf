//! A client that follows a script, not the protocol.

#![expect(clippy::expect_used, reason = "what does not go as expected fails the test that asked for it")]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use futures_rustls::rustls::{ClientConnection, StreamOwned};

use crate::certificate::Certificate;
use crate::tls_client;

/// How long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a server. Every wait has an end; a wait that ends without what was expected panics.
#[derive(Debug)]
pub struct Client {
    line: Line,
    /// Octets received and not read yet.
    received: Vec<u8>,
}

#[derive(Debug)]
enum Line {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Client {
    /// Connects and leaves the greeting unread.
    pub fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).expect("the server listens");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        Self { line: Line::Plain(stream), received: Vec::new() }
    }

    /// Connects, reads the greeting and says EHLO.
    pub fn greeted(server: SocketAddr) -> Self {
        Self::connect(server).greet()
    }

    /// The same with a server that is encrypted from the first octet on.
    pub fn greeted_in_tls(server: SocketAddr, trusted: &Certificate) -> Self {
        Self::connect(server).encrypt(trusted).greet()
    }

    /// The same with a server that is encrypted from STARTTLS on.
    pub fn greeted_by_starttls(server: SocketAddr, trusted: &Certificate) -> Self {
        let mut client = Self::greeted(server);
        client.command("STARTTLS", "220 ");
        let mut client = client.encrypt(trusted);
        client.command("EHLO client.test", "250-");
        client
    }

    fn greet(mut self) -> Self {
        self.expect("220 ");
        self.command("EHLO client.test", "250-");
        self
    }

    /// Makes the handshake on a connection in the clear, on which nothing else is under way.
    pub fn encrypt(self, trusted: &Certificate) -> Self {
        assert!(self.received.is_empty(), "something came in the clear");
        let Line::Plain(stream) = self.line else { panic!("encrypted already") };
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let session = tls_client::session(trusted.host(), trusted).expect("a certificate and its name");
        let stream = tls_client::handshake(session, stream).expect("a handshake");
        Self { line: Line::Tls(Box::new(stream)), received: Vec::new() }
    }

    /// Sends octets as they are.
    pub fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.try_send(octets).expect("the server takes what is sent");
    }

    /// Sends octets to a server that may have closed the connection.
    pub fn try_send(&mut self, octets: impl AsRef<[u8]>) -> io::Result<()> {
        match &mut self.line {
            Line::Plain(stream) => stream.write_all(octets.as_ref()),
            Line::Tls(stream) => stream.write_all(octets.as_ref()).and_then(|()| stream.flush()),
        }
    }

    /// Sends octets over the connection itself, under the session of TLS where there is one.
    pub fn send_beneath(&mut self, octets: impl AsRef<[u8]>) -> io::Result<()> {
        self.socket().write_all(octets.as_ref())
    }

    /// Sends one command and gives its reply, which must begin so.
    pub fn command(&mut self, line: &str, expected: &str) -> String {
        self.send(format!("{line}\r\n"));
        let reply = self.reply();
        assert!(reply.starts_with(expected), "{line:?} was answered {reply:?} and not {expected:?}");
        reply
    }

    /// Reads a reply, which must begin so.
    pub fn expect(&mut self, expected: &str) -> String {
        let reply = self.reply();
        assert!(reply.starts_with(expected), "{reply:?} came and not {expected:?}");
        reply
    }

    /// Reads one reply, all its lines.
    pub fn reply(&mut self) -> String {
        self.reply_within(PATIENCE).expect("a reply in time")
    }

    /// Reads one reply if it is whole within this time.
    pub fn reply_within(&mut self, patience: Duration) -> Option<String> {
        self.wait_at_most(patience);
        loop {
            if let Some(end) = end_of_reply(&self.received) {
                let reply = self.received.drain(..end).collect();
                return Some(String::from_utf8(reply).expect("replies are ASCII"));
            }
            match self.receive() {
                Ok(0) => panic!("closed amid {:?}", String::from_utf8_lossy(&self.received)),
                Ok(_) => {}
                Err(error) if is_timeout(&error) => return None,
                Err(error) => panic!("{error} amid {:?}", String::from_utf8_lossy(&self.received)),
            }
        }
    }

    /// What came so far and was not read, if the server closes the connection or resets it within this time.
    pub fn closed_within(&mut self, patience: Duration) -> Option<Vec<u8>> {
        self.wait_at_most(patience);
        loop {
            match self.receive() {
                Ok(1..) => {}
                Err(error) if is_timeout(&error) => return None,
                Ok(0) | Err(_) => return Some(std::mem::take(&mut self.received)),
            }
        }
    }

    /// Waits for the next reply to begin, without taking it: a connection that is then dropped is reset.
    pub fn wait_unread(&mut self) {
        assert!(self.received.is_empty(), "something was received already");
        self.wait_at_most(PATIENCE);
        let waiting = self.socket().peek(&mut [0]).expect("a reply in time");
        assert!(waiting > 0, "closed instead of a reply");
    }

    /// Says that nothing more will be sent: closes the sending side in the clear, and within TLS says so and leaves the connection open.
    pub fn finish(&mut self) {
        match &mut self.line {
            Line::Plain(stream) => stream.shutdown(Shutdown::Write).expect("the connection is open"),
            Line::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush().expect("the server takes it");
            }
        }
    }

    /// Closes the sending side of the connection itself, whatever goes over it.
    pub fn cut(&mut self) {
        self.socket().shutdown(Shutdown::Write).expect("the connection is open");
    }

    /// What comes until the server closes the connection or resets it.
    pub fn rest(mut self) -> String {
        let rest = self.closed_within(PATIENCE).expect("the server closes the connection");
        String::from_utf8(rest).expect("replies are ASCII")
    }

    /// Sends MAIL, RCPT for each recipient, and DATA; all must be taken.
    pub fn begin(&mut self, recipients: &[&str]) {
        self.command("MAIL FROM:<sender@far.test>", "250 2.1.0 ");
        for recipient in recipients {
            self.command(&format!("RCPT TO:<{recipient}>"), "250 2.1.5 ");
        }
        self.command("DATA", "354 ");
    }

    /// Sends a message that must be taken, and gives its queue id. `content` is in its transport form, without the end.
    pub fn deliver(&mut self, recipients: &[&str], content: impl AsRef<[u8]>) -> String {
        self.begin(recipients);
        self.send(content);
        self.send(".\r\n");
        self.accepted()
    }

    /// Reads the final reply, which must be positive, and gives the queue id in it.
    pub fn accepted(&mut self) -> String {
        let reply = self.expect("250 2.0.0 ");
        reply.split(' ').nth(2).expect("a queue id").to_owned()
    }

    fn socket(&self) -> &TcpStream {
        match &self.line {
            Line::Plain(stream) => stream,
            Line::Tls(stream) => &stream.sock,
        }
    }

    fn wait_at_most(&self, patience: Duration) {
        self.socket().set_read_timeout(Some(patience)).expect("a socket option");
    }

    fn receive(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 << 10];
        let octets = match &mut self.line {
            Line::Plain(stream) => stream.read(&mut buffer)?,
            Line::Tls(stream) => stream.read(&mut buffer)?,
        };
        self.received.extend_from_slice(&buffer[..octets]);
        Ok(octets)
    }
}

/// Where the first reply ends: after the first line with a space behind its code.
fn end_of_reply(received: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        let line = end;
        end += received[line..].iter().position(|octet| *octet == b'\n')? + 1;
        if received.get(line + 3) == Some(&b' ') {
            return Some(end);
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
