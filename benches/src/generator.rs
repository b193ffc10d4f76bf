//! The load, by a program of its own: its work is not that of the server, nor of this process.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Instant, SystemTime};

use fulmar_tests::Fallible;

use crate::cells::{Load, Size};
use crate::report::Round;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Sent {
    /// From the first connection to the last `250`.
    pub(crate) seconds: f64,
    /// When the last `250` was read.
    pub(crate) last: SystemTime,
    /// How long each waited for its `250`, as figures.
    pub(crate) latency: Round,
}

/// Sends it, to these recipients in turns; an error where not every message was taken.
pub(crate) fn send(load: Load, to: SocketAddr, recipients: &[String]) -> Fallible<Sent> {
    let Load { sessions, messages, size, kept } = load;
    let octets = match size {
        Size::Octets(octets) => octets,
        Size::Typical => 50_000,
    };
    let mut command = Command::new("smtp-source");
    for (option, value) in [("-s", sessions), ("-m", messages), ("-l", octets)] {
        command.arg(option).arg(value.to_string());
    }
    if kept {
        command.arg("-d");
    }
    command.args(["-f", "a@client.test", "-t", &recipients[0], &to.to_string()]);
    let started = Instant::now();
    let output = command.output()?;
    let seconds = started.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(Sent { seconds, last: SystemTime::now(), latency: Round::new() })
}
