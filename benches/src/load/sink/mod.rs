//! An SMTP server that keeps nothing and counts everything: the next hop of a relay under load, and the ceiling of what
//! any server could take here.

mod session;

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_io::{Async, Timer};
use clap::Parser;
use fulmar_runtime_smol::{TcpListener, accept, listen};
use serde_json::{Value, json};
use smol::LocalExecutor;
use smol::future::or;

use super::allow_descriptors;
use super::stream::Stream;

/// How many connections there may be at a time; each takes 32 KiB.
const MAX_CONNECTIONS: usize = 20_000;
/// How many connections wait to be accepted: clients that come all at once are not turned away.
const BACKLOG: i32 = 4_096;
/// Between two lines of counts.
const LINE_PAUSE: Duration = Duration::from_millis(100);

/// Takes mail, counts it and forgets it.
///
/// Ends by SIGTERM or SIGINT, and when its standard input ends if that is a pipe; the last line of counts comes then.
#[derive(Clone, Debug, Parser)]
#[command(name = "sink")]
pub struct Options {
    /// Where to listen; port 0 is any free one.
    #[arg(long)]
    pub listen: SocketAddr,
    /// Milliseconds before each final reply.
    #[arg(long, default_value_t = 0)]
    pub delay: u64,
    /// The reply code of each message that is refused; 421 closes the connection too.
    #[arg(long, requires = "every", value_parser = clap::value_parser!(u16).range(400..=599))]
    pub error: Option<u16>,
    /// Which messages are refused: each Nth of all connections.
    #[arg(long, requires = "error")]
    pub every: Option<NonZeroU64>,
    /// Which messages are never answered: each Nth of all connections.
    #[arg(long)]
    pub stall_every: Option<NonZeroU64>,
}

/// What the sink was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that it answered 250, counted just before the answer.
    pub messages: u64,
    /// Of these messages.
    pub recipients: u64,
    /// Of the contents of these messages, as they were before dots were doubled for transport.
    pub octets: u64,
    /// Messages that it refused.
    pub errors: u64,
    /// When the last of all these was counted, in milliseconds since 1970-01-01T00:00:00Z; 0 before.
    pub unix_ms: u64,
}

impl Counts {
    /// As it is printed.
    pub fn to_json(&self) -> Value {
        let Self { messages, recipients, octets, errors, unix_ms } = self;
        json!({"messages": messages, "recipients": recipients, "octets": octets, "errors": errors, "unix_ms": unix_ms})
    }
}

/// A sink that listens.
#[derive(Debug)]
pub struct Sink {
    listener: TcpListener,
    options: Options,
}

impl Sink {
    /// Begins to listen.
    pub fn listen(options: Options) -> io::Result<Self> {
        allow_descriptors()?;
        let listener = listen(options.listen)?;
        // Listening again only changes the backlog, which the standard library has no say in.
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(Self { listener, options })
    }

    /// Where.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `end` is done. `report` hears of the counts when they have changed, not too often, and once more at the end.
    pub async fn serve(self, end: impl Future<Output = ()>, mut report: impl FnMut(Counts)) {
        let state = Rc::new(State::new(self.options));
        let executor = LocalExecutor::new();
        let accepting = accept(self.listener, end, |stream, _| {
            if state.connections.get() == MAX_CONNECTIONS {
                return;
            }
            state.connections.set(state.connections.get() + 1);
            let state = Rc::clone(&state);
            let mut stream = Stream::plain(Arc::<Async<std::net::TcpStream>>::from(stream));
            let serving = async move {
                // A client that hangs up is as good as one that says QUIT.
                let _ = session::serve(&mut stream, &state).await;
                state.connections.set(state.connections.get() - 1);
            };
            executor.spawn(serving).detach();
        });
        let reporting = async {
            let mut last = Counts::default();
            loop {
                Timer::after(LINE_PAUSE).await;
                if last != state.counts.get() {
                    last = state.counts.get();
                    report(last);
                }
            }
        };
        executor.run(or(accepting, reporting)).await;
        report(state.counts.get());
    }
}

/// What all sessions share.
#[derive(Debug)]
struct State {
    delay: Duration,
    error: Option<(u16, NonZeroU64)>,
    stall_every: Option<NonZeroU64>,
    connections: Cell<usize>,
    /// Messages whose final dot has come.
    finished: Cell<u64>,
    counts: Cell<Counts>,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accept,
    Refuse(u16),
    Stall,
}

impl State {
    fn new(options: Options) -> Self {
        Self {
            delay: Duration::from_millis(options.delay),
            error: options.error.zip(options.every),
            stall_every: options.stall_every,
            connections: Cell::new(0),
            finished: Cell::new(0),
            counts: Cell::new(Counts::default()),
        }
    }

    /// Decides on the next message.
    fn verdict(&self) -> Verdict {
        let number = self.finished.get() + 1;
        self.finished.set(number);
        if self.stall_every.is_some_and(|every| number % every == 0) {
            return Verdict::Stall;
        }
        match self.error {
            Some((code, every)) if number % every == 0 => Verdict::Refuse(code),
            _ => Verdict::Accept,
        }
    }

    fn count(&self, add: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        add(&mut counts);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        counts.unix_ms = since.as_millis() as u64;
        self.counts.set(counts);
    }
}
