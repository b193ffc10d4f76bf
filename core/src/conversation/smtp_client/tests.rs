//! Sessions against a scripted server in memory, under a clock that goes on when nobody has anything to do.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Client, Content, LONGEST_TRANSACTION, OpenError, Transaction, Withdrawn};
use crate::conversation::testing::{HandClock, OurEnd, Wire};
use crate::model::{Address, Domain, MailOptions, RecipientOptions, ReversePath, UtcTime};
use crate::platform::{Clock, Instant};
use crate::smtp::client::{Envelope, Recipient, RecipientOutcome};
use crate::transport::TlsClient;

/// What the server does when it has heard what it waits for.
#[derive(Clone, Copy, Debug)]
enum Does {
    Says(&'static str),
    Closes,
    /// Takes so many octets more, and then no others.
    Narrows(usize),
    /// Refuses to take any octet.
    Deafens,
}

use Does::{Closes, Deafens, Narrows, Says};

/// Waits for octets, then does things.
type Cue = (&'static str, Vec<Does>);

const GREETING: &str = "220 mx.test\r\n";
const OFFER: &str = "250-mx.test\r\n250-PIPELINING\r\n250 SIZE\r\n";
/// To MAIL, two RCPT, DATA.
const INVITATION: &str = "250 ok\r\n250 ok\r\n250 ok\r\n354 go on\r\n";
const MESSAGE: &str = "A: b\r\n\r\nc\r\n";

/// A server that takes one message.
fn friendly() -> Vec<Cue> {
    vec![
        ("", vec![Says(GREETING)]),
        ("EHLO", vec![Says(OFFER)]),
        ("DATA\r\n", vec![Says(INVITATION)]),
        ("\r\n.\r\n", vec![Says("250 2.0.0 taken\r\n")]),
    ]
}

/// The same, but for what it does at one cue, after which it does nothing more.
fn friendly_until(cue: usize, does: &[Does]) -> Vec<Cue> {
    let mut script = friendly();
    script.truncate(cue + 1);
    script[cue].1 = does.to_vec();
    script
}

struct Server {
    wire: Arc<Mutex<Wire>>,
    clock: Arc<HandClock>,
    script: VecDeque<Cue>,
    heard: Vec<u8>,
    /// How much of it has been answered.
    answered: usize,
    /// How often the window takes how many octets more.
    tide: Option<(Duration, usize)>,
}

impl Server {
    fn new(script: Vec<Cue>) -> Self {
        let wire = Wire { window: usize::MAX, ..Wire::default() };
        Self {
            wire: Arc::new(Mutex::new(wire)),
            clock: Arc::default(),
            script: script.into(),
            heard: Vec::new(),
            answered: 0,
            tide: None,
        }
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap()
    }

    fn elapsed(&self) -> Duration {
        *self.clock.0.lock().unwrap()
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard).into_owned()
    }

    /// Plays the script until the client is done. Where nobody has anything to do, a second passes.
    fn serve<T>(&mut self, client: impl Future<Output = T>) -> T {
        let mut client = pin!(client);
        loop {
            if let Poll::Ready(done) = client.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                self.listen();
                return done;
            }
            if !self.act() {
                self.pass_a_second();
            }
        }
    }

    fn listen(&mut self) {
        let octets = std::mem::take(&mut self.wire().from_us);
        self.heard.extend(octets);
    }

    fn act(&mut self) -> bool {
        self.listen();
        let Some((cue, _)) = self.script.front() else { return false };
        let unanswered = &self.heard[self.answered..];
        let found = (0..=unanswered.len()).find(|at| unanswered[*at..].starts_with(cue.as_bytes()));
        let Some(at) = found else { return false };
        self.answered += at + cue.len();
        let (_, does) = self.script.pop_front().unwrap();
        for one in does {
            let mut wire = self.wire();
            match one {
                Says(octets) => wire.to_us.extend(octets.as_bytes()),
                Closes => wire.peer_has_closed = true,
                Narrows(window) => wire.window = window,
                Deafens => wire.is_deaf = true,
            }
        }
        true
    }

    fn pass_a_second(&mut self) {
        let now = self.elapsed() + Duration::from_secs(1);
        assert!(now < Duration::from_hours(24), "the client waits for ever");
        *self.clock.0.lock().unwrap() = now;
        if let Some((period, octets)) = self.tide
            && now.as_secs().is_multiple_of(period.as_secs())
        {
            self.wire().window += octets;
        }
    }

    fn open(&mut self, is_encrypted: bool) -> Result<Client, OpenError> {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let tls = is_encrypted.then(|| TlsClient::opportunistic(clock.clone()).unwrap());
        let (stream, hostname) = (Box::new(OurEnd(self.wire.clone())), Domain::parse("us.test").unwrap());
        let deadline = Instant::from_origin(Duration::from_hours(1));
        let tls = tls.as_ref().map(|tls| (tls, "mx.test"));
        self.serve(Client::open(stream, hostname, tls, clock, deadline))
    }

    fn transact(&mut self, client: &mut Client, content: &mut dyn Content, size: u64) -> Transaction {
        let address = |text: &str| Address::parse(text).unwrap();
        let envelope = Envelope {
            reverse_path: ReversePath::Address(address("from@us.test")),
            recipients: ["a@mx.test", "b@mx.test"]
                .map(|to| Recipient { address: address(to), options: RecipientOptions::default() })
                .into(),
            size,
            options: MailOptions::default(),
            now: UtcTime(0),
        };
        self.serve(client.transact(envelope, content))
    }

    fn send(&mut self, client: &mut Client, message: &str) -> String {
        let mut content = Parts::new(&[message]);
        words(&self.transact(client, &mut content, message.len() as u64))
    }
}

/// Content in parts, and what befalls it.
struct Parts {
    parts: VecDeque<Bytes>,
    /// Whether there is no end to be had.
    is_cut: bool,
    may_conclude: Result<(), Withdrawn>,
    /// Where the server goes away while the question is being answered.
    closes: Option<Arc<Mutex<Wire>>>,
}

impl Parts {
    fn new(parts: &[&str]) -> Self {
        let parts = parts.iter().map(|part| Bytes::copy_from_slice(part.as_bytes())).collect();
        Self { parts, is_cut: false, may_conclude: Ok(()), closes: None }
    }
}

#[async_trait]
impl Content for Parts {
    async fn next(&mut self) -> Result<Option<Bytes>, Withdrawn> {
        match self.parts.pop_front() {
            None if self.is_cut => Err(Withdrawn),
            part => Ok(part),
        }
    }
    async fn may_conclude(&mut self) -> Result<(), Withdrawn> {
        if let Some(wire) = &self.closes {
            wire.lock().unwrap().peer_has_closed = true;
        }
        self.may_conclude
    }
}

/// A transaction in words: what became of whom, and how the session ended if it did.
fn words(transaction: &Transaction) -> String {
    let mut words = Vec::new();
    for (recipients, outcome) in &transaction.settled {
        let outcome = match outcome {
            RecipientOutcome::Replied { phase, reply } => format!("{phase:?} {}", reply.code),
            outcome => format!("{outcome:?}"),
        };
        words.push(format!("{recipients:?} {outcome}"));
    }
    if let Some(end) = &transaction.end {
        words.push(format!("{:?}: {}", end.phase, end.closing));
    }
    words.join(", ")
}

/// Opens a session and sends a message, and says what came of it.
fn attempt(server: &mut Server, message: &str) -> String {
    match server.open(false) {
        Ok(mut client) => server.send(&mut client, message),
        Err(OpenError::Ended(end)) => format!("no session, {:?}: {}", end.phase, end.closing),
        Err(OpenError::Tls(error)) => format!("no TLS: {error}"),
    }
}

fn check(script: Vec<Cue>, expected: &str, seconds: u64) {
    let context = format!("{script:?}");
    let mut server = Server::new(script);
    assert_eq!(attempt(&mut server, MESSAGE), expected, "{context}");
    assert_eq!(server.elapsed(), Duration::from_secs(seconds), "{context}");
}

#[test]
fn a_message_is_handed_over_and_the_connection_serves_for_the_next_one() {
    let mut script = friendly();
    script.extend(friendly().split_off(2));
    script.push(("QUIT\r\n", vec![Says("221 bye\r\n")]));
    let mut server = Server::new(script);
    let mut client = server.open(false).unwrap();
    for transactions in 1..=2 {
        assert_eq!(server.send(&mut client, ".a\r\nb"), "[0, 1] FinalDot 250");
        assert!(client.is_ready());
        assert_eq!(client.transactions(), transactions);
    }
    server.serve(client.quit());
    let transaction = "MAIL FROM:<from@us.test> SIZE=5\r\nRCPT TO:<a@mx.test>\r\nRCPT TO:<b@mx.test>\r\nDATA\r\n..a\r\nb\r\n.\r\n";
    assert_eq!(server.heard(), format!("EHLO us.test\r\n{transaction}{transaction}QUIT\r\n"));
    assert!(server.wire().we_have_closed);
}

#[test]
fn whatever_a_server_does_at_each_point_is_told_apart() {
    const LOST: &str = "connection closed by the server or lost";
    let no = |phase: &str, why: &str| format!("no session, {phase}: {why}");
    let cut = |phase: &str, why: &str| format!("[0, 1] CutBeforeDot, {phase}: {why}");
    for (cue, phase) in [(0, "Greeting"), (1, "Hello")] {
        let garbage = format!("protocol error ({phase}): a line that is not a reply");
        check(friendly_until(cue, &[Says("HTTP/1.1 400 what\r\n")]), &no(phase, &garbage), 0);
        check(friendly_until(cue, &[]), &no(phase, "timed out"), 300);
        check(friendly_until(cue, &[Says("2")]), &no(phase, "timed out"), 300);
        let refusal = format!("refused ({phase}): 421 4.3.2 away");
        check(friendly_until(cue, &[Says("421 4.3.2 away\r\n"), Closes]), &no(phase, &refusal), 0);
        check(friendly_until(cue, &[Closes]), &no(phase, LOST), 0);
        // QUIT is sent, and its reply waited for.
        let refusal = format!("refused ({phase}): 450 not now");
        check(friendly_until(cue, &[Says("450 not now\r\n")]), &no(phase, &refusal), 10);
    }
    let garbage = |phase: &str| format!("protocol error ({phase}): a line that is not a reply");
    let away = |phase: &str| format!("[0, 1] {phase} 421, {phase}: refused ({phase}): 421 4.3.2 away");
    for (cue, does, expected, seconds) in [
        (2, &[Says("what?\r\n")][..], cut("Mail", &garbage("Mail")), 0),
        (2, &[], cut("Mail", "timed out"), 300),
        (2, &[Says("421 4.3.2 away\r\n")], away("Mail"), 0),
        (2, &[Closes], cut("Mail", LOST), 0),
        (2, &[Says("250 ok\r\n")], cut("Recipient", "timed out"), 300),
        (2, &[Says("250 ok\r\n250 ok\r\n250 ok\r\n")], cut("Data", "timed out"), 120),
        (2, &[Says("250 ok\r\n250 ok\r\n"), Closes], cut("Recipient", LOST), 0),
        (
            2,
            &[Says("250 ok\r\n550 no\r\n450 no\r\n554 none\r\n")],
            "[0] Recipient 550, [1] Recipient 450".into(),
            0,
        ),
        (2, &[Says(INVITATION), Closes], cut("Content", LOST), 0),
        (
            2,
            &[Says(INVITATION), Says("552 too much\r\n")],
            "[0, 1] Content 552, Content: refused (Content): 552 too much".into(),
            0,
        ),
        (
            2,
            &[Says(INVITATION), Says("250 what?\r\n")],
            cut("Content", "protocol error (Content): a reply of 250 where that cannot be"),
            0,
        ),
        (2, &[Narrows(4), Says(INVITATION)], "[0, 1] CutBeforeDot, FinalDot: timed out".into(), 600),
        (2, &[Says(INVITATION), Deafens], cut("FinalDot", LOST), 2),
        (3, &[Says("what?\r\n")], format!("[0, 1] CutAfterDot, FinalDot: {}", garbage("FinalDot")), 0),
        (3, &[], "[0, 1] CutAfterDot, FinalDot: timed out".into(), 600),
        (3, &[Says("25")], "[0, 1] CutAfterDot, FinalDot: timed out".into(), 600),
        (3, &[Closes], format!("[0, 1] CutAfterDot, FinalDot: {LOST}"), 0),
        (3, &[Says("421 4.3.2 away\r\n")], away("FinalDot"), 0),
        (3, &[Says("451 later\r\n")], "[0, 1] FinalDot 451".into(), 0),
        (3, &[Says("250 ok\r\n"), Closes], "[0, 1] FinalDot 250".into(), 0),
    ] {
        check(friendly_until(cue, does), &expected, seconds);
    }
}

#[test]
fn a_server_that_answers_while_content_is_being_written_is_heard() {
    let mut server = Server::new(friendly_until(2, &[Narrows(30_000), Says(INVITATION)]));
    server.script.push_back(("xxxx", vec![Says("552 too much\r\n"), Closes]));
    let told = attempt(&mut server, &"x\r\n".repeat(1 << 20).replace('x', "xxxx"));
    assert_eq!(told, "[0, 1] Content 552, Content: refused (Content): 552 too much");
    assert_eq!(server.elapsed(), Duration::ZERO);
}

#[test]
fn what_a_server_said_before_it_stopped_listening_is_heard() {
    let mut server = Server::new(friendly_until(2, &[Narrows(30_000), Says(INVITATION)]));
    server.script.push_back(("xxxx", vec![Deafens, Says("421 4.3.2 away\r\n")]));
    let told = attempt(&mut server, &"xxxx\r\n".repeat(1 << 20));
    assert_eq!(told, "[0, 1] Content 421, Content: refused (Content): 421 4.3.2 away");
}

#[test]
fn a_server_that_takes_a_message_before_its_end_is_not_believed() {
    let mut server = Server::new(friendly_until(2, &[Narrows(4), Says(INVITATION)]));
    server.script.push_back(("A: b", vec![Says("250 taken\r\n")]));
    let expected = "[0, 1] CutBeforeDot, FinalDot: protocol error (FinalDot): a reply of 250 to no command";
    assert_eq!(attempt(&mut server, MESSAGE), expected);
}

#[test]
fn slow_servers_are_given_up() {
    let content = "xxxx\r\n".repeat(175_000);
    let longest = LONGEST_TRANSACTION.as_secs() + content.len() as u64 / 128;
    for (tide, seconds) in [((1, 10), 180), ((170, 16 << 10), longest)] {
        let mut server = Server::new(friendly_until(2, &[Narrows(0), Says(INVITATION)]));
        server.tide = Some((Duration::from_secs(tide.0), tide.1));
        assert_eq!(attempt(&mut server, &content), "[0, 1] CutBeforeDot, Content: timed out", "{tide:?}");
        assert_eq!(server.elapsed().as_secs(), seconds);
    }
}

#[test]
fn content_that_ends_early_or_may_not_be_concluded_is_cut_without_its_dot() {
    let withdrawn = |parts: &[&str]| Parts { may_conclude: Err(Withdrawn), ..Parts::new(parts) };
    let cut = |parts: &[&str]| Parts { is_cut: true, ..Parts::new(parts) };
    let given_up = "[0, 1] CutBeforeDot, Content: given up";
    let bare = "[0, 1] BareLineEnd, Content: content with a bare CR or LF";
    let large = "x\r\n".repeat(20_000);
    for (mut content, expected) in [
        (withdrawn(&[MESSAGE]), given_up),
        (withdrawn(&[&large]), given_up),
        (cut(&[]), given_up),
        (cut(&[MESSAGE, &large]), given_up),
        (Parts::new(&[&large, "a\nb\r\n", &large]), bare),
        (Parts::new(&["a\r\n", "b\r"]), bare),
    ] {
        let mut server = Server::new(friendly());
        let mut client = server.open(false).unwrap();
        let transaction = server.transact(&mut client, &mut content, 10);
        assert_eq!(words(&transaction), expected);
        assert!(!client.is_ready());
        let heard = server.heard().len();
        server.serve(client.quit());
        assert_eq!(server.heard().len(), heard, "something was sent afterwards");
        assert!(!server.heard().contains("\r\n.\r\n"));
    }
}

#[test]
fn a_server_that_went_before_the_dot_has_surely_not_taken_the_message() {
    let mut server = Server::new(friendly());
    let mut client = server.open(false).unwrap();
    let mut content = Parts { closes: Some(server.wire.clone()), ..Parts::new(&[MESSAGE]) };
    let transaction = server.transact(&mut client, &mut content, 10);
    assert!(words(&transaction).starts_with("[0, 1] CutBeforeDot, Content"));
}

#[test]
fn an_idle_connection_that_died_is_told_from_a_message_that_failed() {
    for does in [
        &[Closes][..],
        &[Says("421 4.4.2 idle\r\n"), Closes],
        &[Says("250 what?\r\n")],
        &[Says("25")],
        &[Deafens],
        &[],
    ] {
        let mut server = Server::new(friendly_until(3, &[Says("250 taken\r\n")]));
        let mut client = server.open(false).unwrap();
        assert_eq!(server.send(&mut client, MESSAGE), "[0, 1] FinalDot 250");
        server.script.push_front(("", does.to_vec()));
        server.act();
        let transaction = server.transact(&mut client, &mut Parts::new(&[MESSAGE]), 10);
        assert!(transaction.end.is_some() && !client.is_ready(), "{does:?}");
        assert!(transaction.is_unheard(), "{does:?}");
    }
    let mut server = Server::new(friendly_until(2, &[Says("250 ok\r\n"), Closes]));
    let mut client = server.open(false).unwrap();
    let transaction = server.transact(&mut client, &mut Parts::new(&[MESSAGE]), 10);
    assert!(transaction.end.is_some() && !transaction.is_unheard());
}

#[test]
fn tls_is_begun_where_it_is_offered_and_its_failure_is_told_apart() {
    const OFFERS_TLS: &str = "250-mx.test\r\n250 STARTTLS\r\n";
    let script = |does: &[Cue]| {
        let mut script = friendly_until(1, &[Says(OFFERS_TLS)]);
        script.extend(does.iter().cloned());
        script
    };
    let invites: Cue = ("STARTTLS\r\n", vec![Says("220 go on\r\n")]);
    for (does, expected) in [
        (&[invites.clone(), ("\u{16}\u{3}", vec![Says("220 what is this?\r\n")])][..], "no TLS"),
        (&[invites.clone(), ("\u{16}\u{3}", vec![Closes])], "no TLS"),
        (std::slice::from_ref(&invites), "no TLS"),
        (&[("STARTTLS\r\n", vec![Says("220 go on\r\n250 more\r\n")])], "no TLS"),
        (&[("STARTTLS\r\n", vec![Says("454 no\r\n")])], "in the clear"),
        (&[("STARTTLS\r\n", vec![Closes])], "ended at StartTls"),
    ] {
        let mut server = Server::new(script(does));
        let told = match server.open(true) {
            Ok(client) if client.is_encrypted() => "encrypted".to_owned(),
            Ok(_) => "in the clear".to_owned(),
            Err(OpenError::Ended(end)) => format!("ended at {:?}", end.phase),
            Err(OpenError::Tls(_)) => "no TLS".to_owned(),
        };
        assert_eq!(told, expected, "{does:?}");
        assert!(server.elapsed() <= Duration::from_mins(5));
    }
    let mut server = Server::new(script(&[]));
    assert!(!server.open(false).unwrap().is_encrypted());
    assert!(!server.heard().contains("STARTTLS"));
}

#[test]
fn quit_waits_ten_seconds_for_its_reply_at_most() {
    let mut server = Server::new(friendly());
    let client = server.open(false).unwrap();
    server.serve(client.quit());
    assert_eq!(server.elapsed(), Duration::from_secs(10));
    assert!(server.heard().ends_with("QUIT\r\n"));
}
