//! The servers as a round sees them: begin empty, take the load, tell when the last message has arrived, and end. Postfix and Haraka serve
//! all rounds, Fulmar and `smtp-sink` are started for each.

mod fulmar;
mod haraka;
mod postfix;
mod sink;

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use fulmar_tests::Fallible;
use fulmar_tests::case::RECIPIENT;

use crate::cells::Flow;
use crate::process_tree::ProcessTree;
use crate::report::{Peer, Round};

pub(crate) use self::fulmar::Fulmar;
pub(crate) use self::haraka::Haraka;
use self::postfix::Postfix;
use self::sink::Sink;

/// Somebody in the domain that every server has a route for.
const RELAY_RECIPIENT: &str = "u@relay.test";
/// How long the last delivery may take after the last `250`.
const DELIVERY_LIMIT: Duration = Duration::from_secs(60);
/// How long a server may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a round waits for messages beyond those that were sent.
const SURPLUS_WAIT: Duration = Duration::from_millis(200);
/// Between two looks at what only another process can tell.
const POLL_PAUSE: Duration = Duration::from_millis(10);

/// Where the servers are that need be installed or started first.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The program.
    pub(crate) fulmar: PathBuf,
    /// The folder of a running Postfix.
    pub(crate) postfix: PathBuf,
    /// What starts a Haraka, or why there is none.
    pub(crate) haraka: Result<Haraka, String>,
}

/// What is measured.
pub(crate) trait Contender {
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// Its processes.
    fn processes(&self) -> ProcessTree;
    /// When the last of so many messages, counted from the round's begin, has arrived where they are to go; an error where more have.
    fn wait_for_deliveries(&mut self, messages: usize) -> Fallible<Instant>;
    /// Ends the round, in good order where it tells something then, and gives what it asked of its store for each message. An error
    /// where more has arrived meanwhile.
    fn finish(self: Box<Self>, messages: usize) -> Fallible<Round>;
    /// All that it is told.
    fn settings(&self) -> Fallible<String>;
}

impl Setup {
    /// A server that has no mail yet.
    pub(crate) fn start(&self, peer: Peer, flow: Flow) -> Fallible<Box<dyn Contender>> {
        let server: Box<dyn Contender> = match peer {
            Peer::Fulmar => Box::new(Fulmar::start(&self.fulmar, flow)?),
            Peer::FulmarOnS3 => Box::new(Fulmar::on_s3(&self.fulmar, flow)?),
            Peer::Postfix => Box::new(Postfix::below(&self.postfix)?),
            Peer::Haraka => Box::new(self.haraka.as_ref().map_err(String::as_str)?.serve()?),
            Peer::Sink => Box::new(Sink::start()?),
        };
        Ok(match flow {
            Flow::Mailbox(_) => server,
            Flow::Relay => Box::new(Relaying { server, sink: Sink::start()? }),
        })
    }

    /// Why this one cannot be measured here.
    pub(crate) fn missing(&self, peer: Peer) -> Option<String> {
        match (peer, &self.haraka) {
            (Peer::Haraka, Err(why)) => Some(format!("Haraka: not installed, {why}")),
            _ => None,
        }
    }
}

/// Whom messages are sent to, in turns.
pub(crate) fn recipients(flow: Flow) -> Vec<String> {
    match flow {
        Flow::Mailbox(1) => vec![RECIPIENT.to_owned()],
        Flow::Mailbox(count) => (0..count).map(|number| format!("u{number}@example.org")).collect(),
        Flow::Relay => vec![RELAY_RECIPIENT.to_owned()],
    }
}

/// A server that hands everything on to a sink.
struct Relaying {
    server: Box<dyn Contender>,
    sink: Sink,
}

impl Contender for Relaying {
    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn processes(&self) -> ProcessTree {
        self.server.processes()
    }

    /// By the sink's own count.
    fn wait_for_deliveries(&mut self, messages: usize) -> Fallible<Instant> {
        self.sink.wait_for_deliveries(messages)
    }

    fn finish(self: Box<Self>, messages: usize) -> Fallible<Round> {
        let round = self.server.finish(messages)?;
        Box::new(self.sink).finish(messages)?;
        Ok(round)
    }

    fn settings(&self) -> Fallible<String> {
        self.server.settings()
    }
}

/// What tells how many messages have arrived only when asked is asked again and again.
fn poll(messages: usize, mut arrived: impl FnMut() -> Fallible<usize>) -> Fallible<Instant> {
    let deadline = Instant::now() + DELIVERY_LIMIT;
    loop {
        let now = Instant::now();
        let count = arrived()?;
        if count >= messages {
            return exactly(count, messages).map(|()| now);
        }
        if now > deadline {
            return exactly(count, messages).map(|()| now);
        }
        thread::sleep(POLL_PAUSE);
    }
}

fn exactly(arrived: usize, messages: usize) -> Fallible<()> {
    let says = || format!("{arrived} messages arrived where {messages} were sent").into();
    if arrived == messages { Ok(()) } else { Err(says()) }
}

/// Returns when something listens there.
fn wait_for_listener(name: &str, address: SocketAddr) -> Fallible<()> {
    let deadline = Instant::now() + START_LIMIT;
    while TcpStream::connect(address).is_err() {
        if Instant::now() > deadline {
            return Err(format!("{name} does not listen").into());
        }
        thread::sleep(POLL_PAUSE);
    }
    Ok(())
}
