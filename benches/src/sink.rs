//! `smtp-sink`: the next hop that stores nothing, and counts what it was given.

use std::io::{BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use fulmar_tests::Fallible;

/// Where it listens: both servers are told once.
pub(crate) const SINK_ADDRESS: &str = "127.0.0.1:21026";
/// How long it may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(10);
const POLL_PAUSE: Duration = Duration::from_millis(10);
/// What stands before the number of messages in the counters that it prints.
const MESSAGES: &str = "mesg=";

/// A running sink; ended when it is dropped.
#[derive(Debug)]
pub(crate) struct Sink {
    child: Child,
    /// How many messages it had taken in all, each time that it said so.
    counts: Receiver<(Instant, usize)>,
}

impl Sink {
    /// Starts it, and returns when it listens.
    pub(crate) fn start() -> Fallible<Self> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "smtp-sink", "-u", "nobody", "-c", SINK_ADDRESS, "1000"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("no stdout")?;
        let (sender, counts) = channel();
        thread::spawn(move || read_counts(stdout, &sender));
        let mut sink = Self { child, counts };
        let address: SocketAddr = SINK_ADDRESS.parse()?;
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline || sink.child.try_wait()?.is_some() {
                return Err("smtp-sink does not listen".into());
            }
            thread::sleep(POLL_PAUSE);
        }
        Ok(sink)
    }

    /// When it had taken so many messages, and not one more.
    pub(crate) fn wait_for(&self, messages: usize, limit: Duration) -> Fallible<Instant> {
        let deadline = Instant::now() + limit;
        let mut last = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok((at, count)) = self.counts.recv_timeout(left) else {
                return Err(format!("{last} of {messages} messages arrived at the sink").into());
            };
            last = count;
            if count > messages {
                return Err(format!("{count} messages arrived where {messages} were sent").into());
            }
            if count == messages {
                return Ok(at);
            }
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // Nothing can be done about a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// It prints `sess=N quit=N mesg=N` and a carriage return, over and over.
fn read_counts(stdout: ChildStdout, counts: &Sender<(Instant, usize)>) {
    let mut line = Vec::new();
    for octet in BufReader::new(stdout).bytes().map_while(Result::ok) {
        if octet != b'\r' {
            line.push(octet);
            continue;
        }
        let text = String::from_utf8_lossy(&line);
        let count = text.split_once(MESSAGES).and_then(|(_, number)| number.trim().parse().ok());
        if let Some(count) = count
            && counts.send((Instant::now(), count)).is_err()
        {
            return;
        }
        line.clear();
    }
}
