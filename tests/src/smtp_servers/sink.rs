//! An SMTP server in this process that takes mail, follows a script, and remembers what it was sent.

#![expect(clippy::expect_used, reason = "what does not go as expected fails the test that asked for it")]

mod session;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_listener::Event;

use self::session::Session;
use super::script::{Act, Phase, Script};
use crate::certificate::Certificate;
use crate::loopback::Loopback;

/// How long something may be waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Free ports that are tried until one is free at all addresses.
const PORT_TRIES: usize = 100;

/// The server. It ends when this is dropped, with all its connections.
#[derive(Debug)]
pub struct Sink {
    listener: Loopback,
    shared: Arc<Shared>,
}

/// One connection, so far.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// Command lines as they came, without their ends.
    pub commands: Vec<String>,
    /// Whether TLS was agreed on.
    pub is_secured: bool,
    /// Contents that came to their final dot, and their envelopes.
    pub messages: Vec<Received>,
    /// Whether the connection is over.
    pub is_closed: bool,
}

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Without brackets.
    pub reverse_path: String,
    /// What stood behind the reverse-path.
    pub parameters: String,
    /// Those whose RCPT was answered positively, without brackets.
    pub forward_paths: Vec<String>,
    /// Without the final dot, and without those that were put before others (RFC 5321 §4.5.2).
    pub content: Vec<u8>,
    /// Whether the final reply is positive.
    pub is_accepted: bool,
}

impl Sink {
    /// Starts one that follows this script.
    pub fn start(script: Script) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), script).expect("a free port on loopback")
    }

    /// Starts one for each script, at 127.0.0.1, 127.0.0.2 and so on, all with the same port.
    pub fn start_side_by_side(scripts: &[Script]) -> Vec<Self> {
        let start = || {
            let mut port = 0;
            let hosts = scripts.iter().zip(1..);
            let sinks = hosts.map(|(script, host)| {
                let sink = Self::start_at((Ipv4Addr::new(127, 0, 0, host), port).into(), script.clone())?;
                port = sink.address().port();
                Ok(sink)
            });
            sinks.collect::<io::Result<Vec<_>>>()
        };
        // The port that was free at the first address may be taken at the next.
        (0..PORT_TRIES).find_map(|_| start().ok()).expect("a port that is free at all addresses")
    }

    /// Starts one at an address, which may be taken.
    pub fn start_at(address: SocketAddr, script: Script) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { script, ..State::default() }),
            changed: Condvar::new(),
            released: Event::new(),
            certificate: Certificate::new("sink.test"),
        });
        let of_sessions = shared.clone();
        let serve = move |stream| Session::serve(stream, of_sessions.clone());
        let listener = Loopback::start_at(address, serve)?;
        Ok(Self { listener, shared })
    }

    /// Follows another script from now on.
    pub fn follow(&self, script: Script) {
        self.shared.state().script = script;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Shown in TLS handshakes; for `sink.test`.
    pub fn certificate(&self) -> &Certificate {
        &self.shared.certificate
    }

    /// Lets everything go on that waits, now and from now on.
    pub fn release(&self) {
        self.shared.state().is_released = true;
        self.shared.released.notify(usize::MAX);
    }

    /// Every connection so far, in the order of their coming.
    pub fn connections(&self) -> Vec<Connection> {
        self.shared.state().connections.clone()
    }

    /// Every message that was accepted, in the order of their final replies.
    pub fn accepted(&self) -> Vec<Received> {
        self.shared.state().accepted.clone()
    }

    /// The highest number of connections that were open at a time.
    pub fn most_at_once(&self) -> usize {
        self.shared.state().most_at_once
    }

    /// Returns once so many messages were accepted, in all.
    pub fn wait_for_accepted(&self, messages: usize) -> Vec<Received> {
        self.wait(&format!("{messages} messages"), |state| state.accepted.len() >= messages);
        self.accepted()
    }

    /// Returns once this can be said of the connections.
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&[Connection]) -> bool) -> Vec<Connection> {
        self.wait(what, |state| is_so(&state.connections));
        self.connections()
    }

    fn wait(&self, what: &str, is_so: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        while !is_so(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the sink waited in vain for {what}: {:?}", state.connections);
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// What all sessions have in common.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    released: Event,
    certificate: Certificate,
}

#[derive(Debug, Default)]
struct State {
    script: Script,
    connections: Vec<Connection>,
    accepted: Vec<Received>,
    most_at_once: usize,
    is_released: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a new connection and gives its number.
    fn open(&self) -> usize {
        let mut state = self.state();
        state.connections.push(Connection::default());
        let open = state.connections.iter().filter(|connection| !connection.is_closed).count();
        state.most_at_once = state.most_at_once.max(open);
        drop(state);
        self.changed.notify_all();
        self.state().connections.len() - 1
    }

    fn record(&self, connection: usize, change: impl FnOnce(&mut Connection)) {
        change(&mut self.state().connections[connection]);
        self.changed.notify_all();
    }

    fn record_message(&self, connection: usize, message: Received) {
        let mut state = self.state();
        if message.is_accepted {
            state.accepted.push(message.clone());
        }
        state.connections[connection].messages.push(message);
        drop(state);
        self.changed.notify_all();
    }

    fn next_act(&self, is_now: impl Fn(Phase) -> bool) -> Option<Act> {
        self.state().script.next(is_now)
    }

    async fn wait_for_release(&self) {
        loop {
            let released = self.released.listen();
            if self.state().is_released {
                return;
            }
            released.await;
        }
    }
}
