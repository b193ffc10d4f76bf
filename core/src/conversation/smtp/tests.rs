//! Conversations over a stream in memory, under a clock that only the test moves.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;

use super::{Closing, Handler, Progress, SessionEnd, Terms, serve};
use crate::config::{EarlyTalkers, Manners, SmtpLimits};
use crate::conversation::connection::LINGER;
use crate::conversation::testing::{HandClock, OurEnd, Wire};
use crate::model::{Domain, ForwardPath, RecipientOptions, Reply};
use crate::platform::Clock;
use crate::smtp::Mail;
use crate::smtp::server::{Offers, Query, Service, Session};
use crate::smtp::syntax::Attribute;
use crate::transport::TlsFacts;

/// Writes down what it is called with. Refuses whatever begins with `no`, in envelopes and in content.
struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    fn note(&self, call: String) {
        self.0.lock().unwrap().push(call);
    }
}

fn verdict(text: &str) -> Result<(), Reply> {
    if text.starts_with("no") { Err(Reply::new(550, (5, 7, 1), "not wanted")) } else { Ok(()) }
}

#[async_trait]
impl Handler for Recorder {
    async fn hello(&mut self, name: &str) -> Result<(), Reply> {
        verdict(name)
    }
    async fn mail(&mut self, mail: &Mail) -> Result<(), Reply> {
        self.note(format!("mail <{}> from {}", mail.reverse_path, mail.greeting));
        verdict(&mail.reverse_path.to_string())
    }
    async fn recipient(&mut self, forward_path: &ForwardPath, _: &RecipientOptions) -> Result<(), Reply> {
        self.note(format!("recipient <{forward_path}>"));
        verdict(&forward_path.to_string())
    }
    async fn data(&mut self) -> Result<(), Reply> {
        self.note("data".to_owned());
        Ok(())
    }
    async fn content(&mut self, octets: &[u8]) -> Result<(), Reply> {
        let text = String::from_utf8_lossy(octets).into_owned();
        self.note(format!("content {} octets", octets.len()));
        verdict(&text)
    }
    async fn end_of_content(&mut self) -> Result<Reply, Reply> {
        self.note("end of content".to_owned());
        Ok(Reply::new(250, (2, 0, 0), "ID queued"))
    }
    async fn reset(&mut self) {
        self.note("reset".to_owned());
    }
    fn encrypted(&mut self, _: TlsFacts) -> Offers {
        Offers::default()
    }
    async fn auth(&mut self, mechanism: &str, initial: Option<Vec<u8>>) -> Progress {
        self.note(format!("auth {mechanism} {initial:?}"));
        Progress::Challenge(b"who?".to_vec())
    }
    async fn auth_response(&mut self, response: Vec<u8>) -> Progress {
        let name = String::from_utf8_lossy(&response).into_owned();
        self.note(format!("auth response {name}"));
        Progress::Done(verdict(&name).map(|()| Offers::default()))
    }
    fn auth_cancelled(&mut self) {
        self.note("auth cancelled".to_owned());
    }
    async fn query(&mut self, query: &Query) -> Reply {
        self.note(format!("{query:?}"));
        Reply::new(252, (2, 1, 5), "perhaps")
    }
    async fn xclient(&mut self, _: &[Attribute]) -> Result<Offers, Reply> {
        Ok(Offers::default())
    }
    fn refused(&mut self, recipient: Option<&ForwardPath>, reply: &Reply) {
        let recipient = recipient.map_or(String::new(), |path| format!(" <{path}>"));
        self.note(format!("refused{recipient} {}", reply.code));
    }
}

/// A client, and the conversation that serves it.
struct Client {
    conversation: BoxFuture<'static, SessionEnd>,
    end: Option<SessionEnd>,
    wire: Arc<Mutex<Wire>>,
    calls: Arc<Mutex<Vec<String>>>,
    clock: Arc<HandClock>,
    stop: async_channel::Sender<std::convert::Infallible>,
}

impl Client {
    fn connect() -> Self {
        Self::connect_to(Manners::default())
    }

    fn connect_to(manners: Manners) -> Self {
        let wire = Arc::new(Mutex::new(Wire { window: usize::MAX, ..Wire::default() }));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let clock = Arc::new(HandClock::default());
        let (stop, shutdown) = async_channel::bounded(1);
        let (stream, door) = (OurEnd(wire.clone()), clock.clone() as Arc<dyn Clock>);
        let mut handler = Recorder(calls.clone());
        let conversation = Box::pin(async move {
            let limits = SmtpLimits::default();
            let offers = Offers { mechanisms: vec!["TEST"], ..Offers::default() };
            let hostname = Domain::parse("mx.test").unwrap();
            let session = Session::serving(Service::Transfer, hostname, None, limits.clone(), offers);
            let terms = Terms { limits: &limits, manners: &manners, upgrade: None };
            serve(Box::new(stream), session, &mut handler, terms, &door, &shutdown).await
        });
        let mut client = Self { conversation, end: None, wire, calls, clock, stop };
        client.run();
        client
    }

    /// Lets the server do all that it can do now.
    fn run(&mut self) {
        if self.end.is_none()
            && let Poll::Ready(end) = self.conversation.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            self.end = Some(end);
        }
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap()
    }

    /// Sends octets and gives what comes back.
    fn send(&mut self, octets: &str) -> String {
        self.wire().to_us.extend(octets.as_bytes());
        self.run();
        self.replies()
    }

    fn replies(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.wire().from_us)).unwrap()
    }

    fn close(&mut self) {
        self.wire().peer_has_closed = true;
        self.run();
    }

    fn pass(&mut self, time: Duration) {
        *self.clock.0.lock().unwrap() += time;
        self.run();
    }

    fn last_calls(&self, count: usize) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls[calls.len().saturating_sub(count)..].to_vec()
    }

    /// Up to and with the 354.
    fn begin_content(&mut self) {
        self.send("EHLO c.test\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\n");
        assert!(self.send("DATA\r\n").starts_with("354 "));
    }

    fn assert_ended(&self, messages: u64, reason: Closing) {
        assert_eq!(self.end, Some(SessionEnd { messages, reason }));
        assert!(self.wire().we_have_closed);
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_client_that_closes_its_side_early_still_gets_every_reply() {
    let mut client = Client::connect();
    assert_eq!(client.replies(), "220 mx.test ESMTP Fulmar\r\n");
    client.begin_content();
    client.wire().peer_has_closed = true;
    let replies = client.send("text\r\n.\r\nMAIL FROM:<no@x.test>\r\nNOOP\r\nQUIT\r\n");
    let codes: Vec<&str> = replies.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["250", "550", "250", "221"]);
    client.assert_ended(1, Closing::Quit);
    assert_eq!(
        *client.calls.lock().unwrap(),
        [
            "mail <a@x.test> from c.test",
            "recipient <b@x.test>",
            "data",
            "content 6 octets",
            "end of content",
            "mail <no@x.test> from c.test",
            "refused 550"
        ]
    );
}

#[test]
fn a_client_is_asked_who_it_is_until_that_is_known() {
    let mut client = Client::connect();
    client.send("EHLO c.test\r\n");
    // "who?", "no", "me"
    assert_eq!(client.send("AUTH TEST\r\n"), "334 d2hvPw==\r\n");
    assert!(client.send("bm8=\r\n").starts_with("550 "));
    client.send("AUTH TEST =\r\n");
    assert!(client.send("*\r\n").starts_with("501 5.7.0 "));
    assert_eq!(client.last_calls(3), ["auth TEST Some([])", "auth cancelled", "refused 501"]);
    client.send("AUTH TEST\r\n");
    assert_eq!(client.send("bWU=\r\n"), "235 2.7.0 authenticated\r\n");
    assert!(client.send("VRFY me\r\n").starts_with("252 "));
    assert_eq!(client.last_calls(2), ["auth response me", "Vrfy(\"me\", false)"]);
}

#[test]
fn whoever_speaks_before_the_greeting_is_refused_or_made_to_wait() {
    let second = Duration::from_secs(1);
    let manners = Manners { greet_delay: second * 5, tarpit_delay: second * 3, ..Manners::default() };
    let mut patient = Client::connect_to(manners.clone());
    assert_eq!(patient.replies(), "");
    patient.pass(second * 5);
    assert_eq!(patient.replies(), "220 mx.test ESMTP Fulmar\r\n");

    let mut hasty = Client::connect_to(manners.clone());
    assert!(hasty.send("EHLO c.test\r\n").starts_with("554 5.5.1 "));
    hasty.close();
    hasty.assert_ended(0, Closing::TurnedAway);

    let mut slowed = Client::connect_to(Manners { early_talkers: EarlyTalkers::Delay, ..manners });
    assert!(slowed.send("EHLO c.test\r\n").starts_with("220 "));
    assert_eq!(slowed.send("MAIL FROM:<no@x.test>\r\n"), "");
    slowed.pass(second * 3);
    assert!(slowed.replies().starts_with("550 "));
}

#[test]
fn a_pipelined_group_is_answered_by_one_write_and_a_huge_one_in_bounded_ones() {
    let mut client = Client::connect();
    client.replies();
    let replies = client.send("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<no@x.test>\r\nRCPT TO:<b@x.test>\r\n");
    assert_eq!(client.wire().largest_write, replies.len());
    assert_eq!(client.last_calls(2), ["refused <no@x.test> 550", "recipient <b@x.test>"]);
    client.send(&"HELP\r\n".repeat(900));
    let largest = client.wire().largest_write;
    assert!((16 << 10..17 << 10).contains(&largest), "{largest}");
}

#[test]
fn a_client_lost_amid_content_leaves_nothing() {
    for is_broken in [false, true] {
        let mut client = Client::connect();
        client.begin_content();
        client.send("text\r\n");
        client.wire().is_broken = is_broken;
        client.close();
        assert_eq!(client.last_calls(2), ["content 6 octets", "reset"]);
        client.assert_ended(0, Closing::Lost);
    }
}

#[test]
fn a_command_has_one_deadline_however_slowly_its_octets_come() {
    let mut client = Client::connect();
    client.pass(MINUTE * 4);
    client.send("NOOP\r\n");
    client.replies();
    for octet in ["N", "O", "O"] {
        client.pass(MINUTE * 5 / 4);
        assert_eq!(client.send(octet), "");
    }
    client.pass(MINUTE * 5 / 4);
    assert!(client.replies().starts_with("421 4.4.2 "));
    client.close();
    client.assert_ended(0, Closing::TimedOut);
}

#[test]
fn a_command_line_without_end_has_that_deadline_too_however_fast_it_comes() {
    let mut client = Client::connect();
    client.replies();
    let clock = client.clock.clone();
    client.wire().flood = Some(clock);
    assert!(client.send("").starts_with("421 4.4.2 "));
    client.assert_ended(0, Closing::TimedOut);
}

#[test]
fn content_that_pauses_is_given_up() {
    let mut client = Client::connect();
    client.begin_content();
    client.send(&"text\r\n".repeat(100_000));
    client.pass(MINUTE * 3);
    assert!(client.replies().starts_with("421 4.4.2 "));
    assert_eq!(client.last_calls(2), ["refused 421", "reset"]);
}

#[test]
fn content_that_drips_is_given_up_and_content_that_flows_is_not() {
    let mut client = Client::connect();
    client.begin_content();
    let mut passed = Duration::ZERO;
    while client.replies().is_empty() {
        client.send("x");
        client.pass(Duration::from_secs(20));
        passed += Duration::from_secs(20);
    }
    assert_eq!(passed, MINUTE);

    let mut client = Client::connect();
    client.begin_content();
    for _ in 0..1000 {
        assert_eq!(client.send(&"x".repeat(128 * 20 - 2)) + &client.send("\r\n"), "");
        client.pass(Duration::from_secs(20));
    }
    assert!(client.send(".\r\n").starts_with("250 "));
}

#[test]
fn a_client_that_does_not_read_its_replies_is_cut_off() {
    let mut client = Client::connect();
    client.send("EHLO c\r\nMAIL FROM:<>\r\n");
    client.wire().window = 5;
    client.send("NOOP\r\n");
    client.pass(MINUTE * 3);
    assert_eq!(client.end, Some(SessionEnd { messages: 0, reason: Closing::TimedOut }));
    assert_eq!(client.last_calls(1), ["reset"]);
}

#[test]
fn content_the_handler_refuses_is_swallowed_and_then_answered() {
    let mut client = Client::connect();
    client.begin_content();
    client.send("no thanks\r\n");
    assert_eq!(client.last_calls(2), ["content 11 octets", "reset"]);
    assert_eq!(client.send("more\r\n"), "");
    assert_eq!(client.send(".\r\n"), "550 5.7.1 not wanted\r\n");
    assert_eq!(client.last_calls(2), ["reset", "refused 550"]);
}

#[test]
fn what_follows_data_in_its_group_is_never_a_command() {
    let mut client = Client::connect();
    client.replies();
    let replies =
        client.send("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@x.test>\r\nDATA\r\nMAIL FROM:<evil@x.test>\r\n");
    assert!(replies.lines().last().unwrap().starts_with("503 5.5.0 "));
    assert_eq!(client.last_calls(3), ["data", "refused 503", "reset"]);
    client.close();
    client.assert_ended(0, Closing::InputAfterData);
}

#[test]
fn the_last_reply_is_given_time_to_be_read_but_not_for_ever() {
    let mut client = Client::connect();
    assert!(client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").contains("421 4.7.0 "));
    assert!(client.wire().we_have_closed);
    assert_eq!(client.end, None);
    client.send("more of the request\r\n");
    client.pass(LINGER);
    client.assert_ended(0, Closing::NotSmtp);

    let mut client = Client::connect();
    client.send("QUIT\r\nNOOP\r\n");
    assert_eq!(client.end, None);
    client.send(&"x".repeat(1 << 20));
    client.assert_ended(0, Closing::Quit);
}

#[test]
fn a_client_that_has_said_quit_and_nothing_more_is_not_waited_for() {
    let mut client = Client::connect();
    assert!(client.send("QUIT\r\n").contains("221 "));
    assert!(client.wire().we_have_closed);
    client.assert_ended(0, Closing::Quit);
}

#[test]
fn shutdown_ends_idle_sessions_at_once_and_others_after_their_content() {
    let mut idle = Client::connect();
    idle.send("EHLO c\r\nMAIL FROM:<>\r\n");
    idle.stop.close();
    assert!(idle.send("").starts_with("421 4.3.2 "));
    assert_eq!(idle.last_calls(2), ["refused 421", "reset"]);
    idle.close();
    idle.assert_ended(0, Closing::ShuttingDown);

    let mut busy = Client::connect();
    busy.begin_content();
    busy.stop.close();
    assert_eq!(busy.send("text\r\n"), "");
    assert!(busy.send(".\r\n").contains("250 2.0.0 ID queued\r\n421 4.3.2 "));
    busy.close();
    busy.assert_ended(1, Closing::ShuttingDown);
}
