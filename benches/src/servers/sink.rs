//! `smtp-sink`: stores nothing, and counts what it was given. The next hop of every server, and what the rig itself can do.

use std::io::{BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use fulmar_tests::Fallible;

use super::{Contender, DELIVERY_LIMIT, SURPLUS_WAIT, exactly, wait_for_listener};
use crate::process_tree::ProcessTree;
use crate::report::Round;

/// Where it listens: all servers are told once.
pub(super) const SINK_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 21026);
/// Connections that may wait until it takes them.
const BACKLOG: &str = "1000";
/// What stands before the number of messages in the counters that it prints.
const MESSAGES: &str = "mesg=";

/// A running sink; ended when it is dropped.
#[derive(Debug)]
pub(super) struct Sink {
    child: Child,
    /// How many messages it had taken in all, each time that it said so.
    counts: Receiver<(Instant, usize)>,
}

impl Sink {
    /// Starts it, and returns when it listens.
    pub(super) fn start() -> Fallible<Self> {
        // It lets others listen at the same address, and would share the messages with them.
        if TcpStream::connect(SINK_ADDRESS).is_ok() {
            return Err(format!("something else listens at {SINK_ADDRESS}").into());
        }
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "smtp-sink", "-u", "nobody", "-c"]);
        command.arg(SINK_ADDRESS.to_string()).arg(BACKLOG);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("no stdout")?;
        let (sender, counts) = channel();
        thread::spawn(move || read_counts(stdout, &sender));
        let sink = Self { child, counts };
        wait_for_listener("smtp-sink", SINK_ADDRESS)?;
        Ok(sink)
    }
}

impl Contender for Sink {
    fn address(&self) -> SocketAddr {
        SINK_ADDRESS
    }

    fn processes(&self) -> ProcessTree {
        ProcessTree { root: self.child.id() }
    }

    fn wait_for_deliveries(&mut self, messages: usize) -> Fallible<Instant> {
        let deadline = Instant::now() + DELIVERY_LIMIT;
        let mut last = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok((at, count)) = self.counts.recv_timeout(left) else {
                return Err(format!("{last} of {messages} messages arrived at the sink").into());
            };
            last = count;
            if count >= messages {
                return exactly(count, messages).map(|()| at);
            }
        }
    }

    fn finish(self: Box<Self>, messages: usize) -> Fallible<Round> {
        let deadline = Instant::now() + SURPLUS_WAIT;
        while let Ok((_, count)) =
            self.counts.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            exactly(count, messages)?;
        }
        Ok(Round::new())
    }

    fn settings(&self) -> Fallible<String> {
        Ok(format!("smtp-sink -u nobody -c {SINK_ADDRESS} {BACKLOG}"))
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
