//! Slow loris: clients that say nothing, or next to nothing, at each place where a server waits for one. Each is let go within its bound, is
//! told so where anything can be said, and leaves nothing; and meanwhile others are served. Time is made to pass, so the bounds are those
//! that hold by default.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fulmar_core::config::Protocol;
use fulmar_tests::certificate::Certificate;
use fulmar_tests::client::Client;
use fulmar_tests::node::{Ground, Node};

use super::{ALICE, certified, far, hello_of_tls};

/// For one whole command (`SmtpLimits::command_timeout`).
const COMMAND: Duration = Duration::from_mins(5);
/// For content that does not come at the least rate (`SmtpLimits::least_rate_grace`).
const CONTENT: Duration = Duration::from_mins(1);
/// For a handshake, all of it.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// Parts of its bound by which time passes, at each of which a client that drips sends an octet.
const STEPS: u32 = 8;
/// How long a client listens at each step. Where a node does not come to see a step in time, another follows.
const LOOK: Duration = Duration::from_millis(10);
const MESSAGE: &str = "Subject: meanwhile\r\n\r\nIt works.\r\n";

const EHLO: &str = "EHLO client.test\r\n";
const MAIL: &str = "EHLO client.test\r\nMAIL FROM:<sender@far.test>\r\n";
const RCPT: &str = "EHLO client.test\r\nMAIL FROM:<sender@far.test>\r\nRCPT TO:<alice@home.test>\r\n";
const DATA: &str = "EHLO client.test\r\nMAIL FROM:<sender@far.test>\r\nRCPT TO:<alice@home.test>\r\nDATA\r\n";

/// How a record of TLS begins that announces 16 KiB, of which nothing can be read before all have come.
const RECORD: &[u8] = b"\x17\x03\x03\x40\x00";
/// How a ClientHello of 512 octets begins.
const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/// Where a client stops.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Whose port it is.
    protocol: Protocol,
    /// Whether it is in a session of TLS by then, by STARTTLS where the port has that.
    is_encrypted: bool,
    /// Commands, of which each is answered by one reply.
    said: &'static str,
    /// What it says after that, which is not whole.
    begun: Begun,
}

#[derive(Clone, Copy, Debug)]
enum Begun {
    Text(&'static str),
    /// So many octets of a ClientHello; what is answered to all of it is not read.
    Hello(usize),
    /// Octets that go over the connection under the session of TLS.
    Beneath(&'static [u8]),
}

/// How it ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// With 421 4.4.2 as the last reply.
    Told,
    /// Without a reply.
    Silent,
}

const fn clear(protocol: Protocol, said: &'static str, begun: &'static str) -> Place {
    Place { protocol, is_encrypted: false, said, begun: Begun::Text(begun) }
}

const fn encrypted(protocol: Protocol, said: &'static str, begun: &'static str) -> Place {
    Place { protocol, is_encrypted: true, said, begun: Begun::Text(begun) }
}

#[test]
fn before_and_amid_commands() {
    for place in [
        // The greeting is not even read.
        clear(Protocol::Smtp, "", ""),
        clear(Protocol::Smtp, "", "EHLO client.t"),
        clear(Protocol::Smtp, EHLO, ""),
        clear(Protocol::Smtp, EHLO, "MAIL FROM:<sender@"),
        clear(Protocol::Smtp, MAIL, ""),
        clear(Protocol::Smtp, MAIL, "RCPT TO:<alice@"),
        clear(Protocol::Smtp, RCPT, ""),
        clear(Protocol::Smtp, RCPT, "DATA\r"),
        clear(Protocol::Submission, EHLO, ""),
        clear(Protocol::Submission, EHLO, "STARTTLS\r"),
        clear(Protocol::Lmtp, "", "LHLO client.t"),
        clear(Protocol::Lmtp, "LHLO client.test\r\n", "MAIL"),
    ] {
        check(place, COMMAND, End::Told, "timed out");
    }
}

#[test]
fn amid_content() {
    let chunk = "EHLO client.test\r\nMAIL FROM:<sender@far.test>\r\nRCPT TO:<alice@home.test>\r\n";
    for place in [
        clear(Protocol::Smtp, DATA, ""),
        clear(Protocol::Smtp, DATA, "Subject: half\r\n\r\nhal"),
        clear(Protocol::Smtp, DATA, "Subject: half\r\n\r\nhalf\r\n."),
        clear(Protocol::Smtp, chunk, "BDAT 1000 LAST\r\n"),
        clear(Protocol::Smtp, chunk, "BDAT 1000\r\nSubject: half\r\n"),
        encrypted(Protocol::Smtp, DATA, "Subject: half\r\n"),
        encrypted(Protocol::Smtp, chunk, "BDAT 1000 LAST\r\nSubject: half\r\n"),
        clear(
            Protocol::Lmtp,
            "LHLO c.test\r\nMAIL FROM:<sender@far.test>\r\nRCPT TO:<alice@home.test>\r\nDATA\r\n",
            "Subject: half\r\n",
        ),
    ] {
        check(place, CONTENT, End::Told, "timed out");
    }
    // Between chunks there are commands.
    let between =
        "EHLO client.test\r\nMAIL FROM:<sender@far.test>\r\nRCPT TO:<alice@home.test>\r\nBDAT 6\r\nA: b\r\n";
    check(clear(Protocol::Smtp, between, ""), COMMAND, End::Told, "timed out");
    check(encrypted(Protocol::Smtp, between, "BDAT 10"), COMMAND, End::Told, "timed out");
}

#[test]
fn amid_a_login_and_within_tls() {
    for place in [
        encrypted(Protocol::Submissions, "", ""),
        encrypted(Protocol::Submissions, EHLO, "AUTH PLAIN AGFs"),
        encrypted(Protocol::Submissions, "EHLO client.test\r\nAUTH PLAIN\r\n", "AGFs"),
        encrypted(Protocol::Submission, "EHLO client.test\r\nAUTH LOGIN\r\n", ""),
        encrypted(Protocol::Submission, "EHLO client.test\r\nAUTH LOGIN\r\nYWxpY2VAaG9tZS50ZXN0\r\n", "cGF"),
        encrypted(Protocol::Smtp, "", "EHLO"),
        encrypted(Protocol::Smtp, RCPT, "DAT"),
        encrypted(Protocol::Lmtp, "LHLO client.test\r\n", "MAIL"),
        Place { begun: Begun::Beneath(RECORD), ..encrypted(Protocol::Submissions, EHLO, "") },
    ] {
        check(place, COMMAND, End::Told, "timed out");
    }
}

#[test]
fn before_and_amid_a_handshake() {
    let starttls = "EHLO client.test\r\nSTARTTLS\r\n";
    for (protocol, said, reason) in [
        (Protocol::Smtp, starttls, "no TLS"),
        (Protocol::Submission, starttls, "no TLS"),
        (Protocol::Lmtp, "LHLO client.test\r\nSTARTTLS\r\n", "no TLS"),
        (Protocol::Submissions, "", "no handshake in 30 s"),
    ] {
        for begun in [Begun::Hello(0), Begun::Hello(100), Begun::Hello(usize::MAX)] {
            check(Place { protocol, is_encrypted: false, said, begun }, HANDSHAKE, End::Silent, reason);
        }
    }
}

fn check(place: Place, bound: Duration, end: End, reason: &str) {
    for drips in [false, true] {
        outlast(place, drips, bound, end, reason);
    }
}

fn outlast(place: Place, drips: bool, bound: Duration, end: End, reason: &str) {
    let case = format!("{place:?}, {}", if drips { "dripping" } else { "silent" });
    let mut node = Ground::new(|_| ()).account(ALICE).start();
    let certificate = certified(&node);
    let port = far(&mut node, place.protocol);
    let began = Instant::now();
    let mut client = place.reach(port, &certificate);
    let mut steps = 0;
    let said = loop {
        assert!(steps < 2 * STEPS, "{case}: still there");
        if drips {
            // It may have been let go just now.
            let _ = place.drip(&mut client, steps as usize);
        }
        node.advance(bound / STEPS);
        steps += 1;
        if let Some(said) = client.closed_within(LOOK) {
            break said;
        }
        if steps == 2 {
            serves(&node);
        }
    };
    assert!(bound / STEPS * steps + began.elapsed() >= bound, "{case}: let go before {bound:?}");
    match end {
        End::Told => {
            let said = String::from_utf8(said).unwrap();
            let last = said.lines().last().unwrap_or_default();
            assert!(last.starts_with("421 4.4.2 ") && said.ends_with("\r\n"), "{case}: {said:?}");
        }
        End::Silent => {
            let said = String::from_utf8_lossy(&said);
            assert!(!["220", "421", "250"].iter().any(|code| said.contains(code)), "{case}: {said:?}");
        }
    }
    node.session_closed(reason);
    keeps_only_what_came_meanwhile(node, &case);
}

/// Somebody else is not held up.
fn serves(node: &Node) {
    let id = node.client().deliver(&[ALICE], MESSAGE);
    node.delivered(&id, ALICE);
}

fn keeps_only_what_came_meanwhile(mut node: Node, case: &str) {
    assert!(!node.keys().iter().any(|key| key.contains("/body/")), "{case}");
    node.shut_down(Duration::from_secs(10));
    assert!(node.queue().is_empty(), "{case}");
    assert_eq!((node.inbox(ALICE).len(), node.accepted()), (1, 1), "{case}");
}

impl Place {
    /// A client that stands there.
    fn reach(self, port: SocketAddr, certificate: &Certificate) -> Client {
        let mut client = match (self.is_encrypted, self.protocol) {
            (false, _) => Client::connect(port),
            (true, Protocol::Submissions) => Client::connect(port).encrypt(certificate),
            (true, protocol) => {
                let mut client = Client::connect(port);
                client.expect("220 ");
                let hello = if protocol == Protocol::Lmtp { "LHLO c.test" } else { "EHLO c.test" };
                client.command(hello, "250-");
                client.command("STARTTLS", "220 ");
                client.encrypt(certificate)
            }
        };
        let is_greeted = !self.is_encrypted || self.protocol == Protocol::Submissions;
        if is_greeted && !self.said.is_empty() {
            client.expect("220 ");
        }
        for line in self.said.split_inclusive("\r\n") {
            client.send(line);
            // The chunk that is said here has one line.
            if !line.starts_with("BDAT ") {
                client.expect(if line.starts_with("AUTH ") || line.starts_with("YWx") {
                    "334 "
                } else if line.starts_with("DATA") {
                    "354 "
                } else {
                    "2"
                });
            }
        }
        match self.begun {
            Begun::Text(text) => client.send(text),
            Begun::Beneath(octets) => client.send_beneath(octets).unwrap(),
            Begun::Hello(octets) => {
                let hello = hello_of_tls(certificate);
                client.send(&hello[..octets.min(hello.len())]);
                if octets >= hello.len() {
                    client.wait_unread();
                }
            }
        }
        client
    }

    /// Sends one octet more, the `nth`, which changes nothing.
    fn drip(self, client: &mut Client, nth: usize) -> io::Result<()> {
        let octet = match self.begun {
            Begun::Text(_) => return client.try_send("x"),
            Begun::Beneath(_) => b'x',
            Begun::Hello(usize::MAX) => RECORD.get(nth).copied().unwrap_or_default(),
            Begun::Hello(octets) => HELLO.get(octets + nth).copied().unwrap_or_default(),
        };
        client.send_beneath([octet])
    }
}
