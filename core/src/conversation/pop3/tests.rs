//! Conversations over a stream in memory, under a clock that only the test moves.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;

use super::{Closing, Handler, SessionEnd, WRITE_TIMEOUT, serve};
use crate::conversation::connection::LINGER;
use crate::conversation::testing::{HandClock, OurEnd, Wire};
use crate::model::Domain;
use crate::platform::Clock;
use crate::pop3::{Credentials, Denial, Entry, Maildrop, Session, Unavailable};

const IDLE: Duration = Duration::from_mins(10);
/// Of a message.
const PIECE: usize = 2 << 20;
const PIECES: usize = 8;

/// Writes down what it is called with. Has one message, of several large pieces.
struct Recorder {
    calls: Arc<Mutex<Vec<String>>>,
    pieces: usize,
}

impl Recorder {
    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }
}

#[async_trait]
impl Handler for Recorder {
    async fn log_in(&mut self, credentials: Credentials) -> Result<Maildrop, Denial> {
        self.note(format!("log in {}", credentials.name));
        Ok(Maildrop { uid_validity: 1, messages: vec![Entry { uid: 5, octets: (PIECES * PIECE) as u64 }] })
    }
    async fn open(&mut self, uid: u32) -> Result<(), Unavailable> {
        self.note(format!("open {uid}"));
        self.pieces = PIECES;
        Ok(())
    }
    async fn read(&mut self) -> Result<Option<Bytes>, Unavailable> {
        if self.pieces == 0 {
            return Ok(None);
        }
        self.pieces -= 1;
        self.note("read".to_owned());
        Ok(Some(Bytes::from(vec![b'\n'; PIECE])))
    }
    fn release(&mut self) {
        self.note("release".to_owned());
    }
    async fn expunge(&mut self, uids: Vec<u32>) -> Result<(), Unavailable> {
        self.note(format!("expunge {uids:?}"));
        Ok(())
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
    /// Connected and logged in, with all replies so far taken.
    fn logged_in() -> Self {
        let wire = Arc::new(Mutex::new(Wire { window: usize::MAX, ..Wire::default() }));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let clock = Arc::new(HandClock::default());
        let (stop, shutdown) = async_channel::bounded(1);
        let (stream, door) = (OurEnd(wire.clone()), clock.clone() as Arc<dyn Clock>);
        let mut handler = Recorder { calls: calls.clone(), pieces: 0 };
        let conversation = Box::pin(async move {
            let session = Session::new(Domain::parse("mx.test").unwrap(), true);
            serve(Box::new(stream), session, &mut handler, None, IDLE, &door, &shutdown).await
        });
        let mut client = Self { conversation, end: None, wire, calls, clock, stop };
        client.run();
        let replies = client.send("USER u\r\nPASS p\r\n");
        assert_eq!(
            replies,
            "+OK mx.test POP3 Fulmar\r\n+OK send PASS\r\n+OK 1 messages (16777216 octets)\r\n"
        );
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
        String::from_utf8(std::mem::take(&mut self.wire().from_us)).unwrap()
    }

    fn pass(&mut self, time: Duration) {
        *self.clock.0.lock().unwrap() += time;
        self.run();
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap()[1..].to_vec()
    }

    fn assert_ended(&self, messages: u64, reason: Closing) {
        assert_eq!(self.end, Some(SessionEnd { messages, reason }));
    }
}

#[test]
fn a_client_that_closes_its_side_early_still_gets_every_reply_and_its_deletions() {
    let mut client = Client::logged_in();
    client.wire().peer_has_closed = true;
    assert_eq!(client.send("DELE 1\r\nQUIT\r\n"), "+OK message 1 deleted\r\n+OK mx.test closing\r\n");
    client.assert_ended(0, Closing::Quit);
    assert_eq!(client.calls(), ["expunge [5]"]);
}

#[test]
fn a_client_that_goes_without_quit_deletes_nothing() {
    for is_broken in [false, true] {
        let mut client = Client::logged_in();
        client.send("DELE 1\r\nQUI");
        client.wire().is_broken = is_broken;
        client.wire().peer_has_closed = true;
        client.send("");
        client.assert_ended(0, Closing::Lost);
        assert!(client.calls().is_empty());
    }
}

#[test]
fn ten_idle_minutes_end_the_session_without_a_word_and_any_command_begins_them_anew() {
    let mut client = Client::logged_in();
    for _ in 0..3 {
        client.pass(IDLE - Duration::from_secs(1));
        assert_eq!(client.send("NOOP\r\n"), "+OK done\r\n");
    }
    client.send("DELE 1\r\n");
    for octet in ["N", "O", "O", "P"] {
        client.pass(IDLE / 4);
        assert_eq!(client.send(octet), "");
    }
    assert!(client.wire().we_have_closed);
    client.pass(LINGER);
    client.assert_ended(0, Closing::TimedOut);
    assert!(client.calls().is_empty());
}

#[test]
fn a_client_that_reads_slowly_holds_one_piece_and_one_that_does_not_read_is_cut_off() {
    let mut client = Client::logged_in();
    client.wire().window = 10;
    client.send("RETR 1\r\n");
    assert_eq!(client.calls(), ["open 5", "read"]);
    client.wire().window = PIECE + 100_000;
    client.run();
    assert_eq!(client.calls(), ["open 5", "read", "read"]);
    assert!(client.wire().largest_write < 100_000);
    client.pass(WRITE_TIMEOUT);
    client.assert_ended(0, Closing::TimedOut);
}

#[test]
fn a_message_goes_out_whole_and_its_content_is_let_go() {
    let mut client = Client::logged_in();
    let response = client.send("RETR 1\r\n");
    assert!(response.starts_with("+OK 16777216 octets\r\n\n") && response.ends_with("\n\r\n.\r\n"));
    assert_eq!(response.len(), "+OK 16777216 octets\r\n".len() + PIECES * PIECE + "\r\n.\r\n".len());
    assert_eq!(client.calls().last().unwrap(), "release");
    client.send("QUIT\r\n");
    client.wire().peer_has_closed = true;
    client.run();
    client.assert_ended(1, Closing::Quit);
}

#[test]
fn shutdown_ends_idle_sessions_at_once_and_others_after_their_message() {
    let told = "-ERR [SYS/TEMP] shutting down, try again later\r\n";
    let mut idle = Client::logged_in();
    idle.send("DELE 1\r\n");
    idle.stop.close();
    assert_eq!(idle.send("QUIT\r\n"), told);
    idle.wire().peer_has_closed = true;
    idle.run();
    idle.assert_ended(0, Closing::ShuttingDown);
    assert!(idle.calls().is_empty());

    let mut busy = Client::logged_in();
    busy.wire().window = 10;
    busy.send("RETR 1\r\nDELE 1\r\nQUIT\r\n");
    busy.stop.close();
    busy.wire().window = usize::MAX;
    assert!(busy.send("").ends_with(&format!("\r\n.\r\n{told}")));
    busy.wire().peer_has_closed = true;
    busy.run();
    busy.assert_ended(1, Closing::ShuttingDown);
    assert_eq!(busy.calls().last().unwrap(), "release");
}
