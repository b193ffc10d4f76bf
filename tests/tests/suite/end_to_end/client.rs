//! Clients of SMTP and POP3 that follow a script, over a stream of any runtime.

use fulmar_core::platform::Stream;
use futures::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// The reverse-path of messages that name no other.
pub(super) const SENDER: &str = "sender@far.test";

/// A connection to a server. What does not go as expected panics.
pub(super) struct Client {
    stream: BufReader<Box<dyn Stream>>,
}

impl Client {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Sends octets as they are.
    pub(super) async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Reads one line of reply, or the last of several in SMTP, which must begin so.
    pub(super) async fn expect(&mut self, expected: &str) -> String {
        loop {
            let line = String::from_utf8(self.line().await).unwrap();
            let is_last = line.as_bytes().get(3) != Some(&b'-') || line.starts_with("-ERR");
            if is_last {
                assert!(line.starts_with(expected), "{line:?} came and not {expected:?}");
                return line;
            }
        }
    }

    /// Sends one command and gives its reply, which must begin so.
    pub(super) async fn command(&mut self, line: &str, expected: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.expect(expected).await
    }

    /// Sends QUIT and waits for the end.
    pub(super) async fn quit(mut self, expected: &str) {
        self.command("QUIT", expected).await;
        assert_eq!(self.rest().await, "");
    }

    /// What comes until the server closes the connection or resets it.
    pub(super) async fn rest(mut self) -> String {
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = self.stream.read_to_end(&mut rest).await;
        String::from_utf8(rest).unwrap()
    }

    async fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).await.unwrap();
        assert!(line.ends_with(b"\r\n"), "closed amid {:?}", String::from_utf8_lossy(&line));
        line
    }
}

/// SMTP.
impl Client {
    /// Sends MAIL, RCPT for each recipient, DATA, the content and its end, and gives the final reply.
    pub(super) async fn transact(
        &mut self,
        reverse_path: &str,
        recipients: &[&str],
        content: impl AsRef<[u8]>,
    ) -> String {
        self.command(&format!("MAIL FROM:<{reverse_path}>"), "250 ").await;
        for recipient in recipients {
            self.command(&format!("RCPT TO:<{recipient}>"), "250 ").await;
        }
        self.command("DATA", "354 ").await;
        self.send(stuffed(content.as_ref())).await;
        self.send(".\r\n").await;
        self.expect("").await
    }

    /// Sends a message that must be taken, and gives its queue id.
    pub(super) async fn deliver(&mut self, recipients: &[&str], content: impl AsRef<[u8]>) -> String {
        let reply = self.transact(SENDER, recipients, content).await;
        assert!(reply.starts_with("250 2.0.0 "), "{reply:?}");
        reply.split(' ').nth(2).unwrap().to_owned()
    }
}

/// POP3.
impl Client {
    pub(super) async fn log_in(&mut self, account: &str, password: &str) {
        self.command(&format!("USER {account}"), "+OK ").await;
        self.command(&format!("PASS {password}"), "+OK ").await;
    }

    /// Sends one command, which must be answered with `+OK` and more lines; gives these, out of their transport form.
    pub(super) async fn multi_line(&mut self, line: &str) -> Vec<u8> {
        self.command(line, "+OK ").await;
        let mut content = Vec::new();
        loop {
            let line = self.line().await;
            if line == b".\r\n" {
                return content;
            }
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }
}

/// Content in its transport form (RFC 5321 §4.5.2), without the end.
fn stuffed(content: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(content.len());
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    stuffed
}
