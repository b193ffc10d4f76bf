//! One server under load.

use std::fmt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fulmar_tests::Fallible;

use crate::servers::Contender;

/// Between two looks at a server's memory.
const SAMPLE_PAUSE: Duration = Duration::from_millis(50);

/// What `smtp-source` sends: one message a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Connections at a time.
    pub(crate) sessions: usize,
    pub(crate) messages: usize,
    /// Of content, in each message.
    pub(crate) octets: usize,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sessions, messages, octets } = self;
        write!(f, "smtp-source -s {sessions} -m {messages} -l {octets}")
    }
}

/// What one round gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// Messages a second until the last `250`.
    pub(crate) accepted: f64,
    /// Messages a second until the last delivery.
    pub(crate) delivered: f64,
    /// Processor seconds of the server for a thousand messages, delivery included.
    pub(crate) cpu: f64,
}

/// Sends the load and waits until everything has arrived; fails where that is not so.
pub(crate) fn run(server: &mut dyn Contender, load: Load) -> Fallible<Round> {
    let cpu_before = server.processes().cpu_time()?;
    let started = Instant::now();
    send(server, load)?;
    let accepted = started.elapsed();
    let delivered = server.wait_for_deliveries(load.messages)? - started;
    let cpu = server.processes().cpu_time()? - cpu_before;
    let messages = load.messages as f64;
    Ok(Round {
        accepted: messages / accepted.as_secs_f64(),
        // The log may tell of the last delivery before `smtp-source` has read its last reply and ended.
        delivered: messages / delivered.max(accepted).as_secs_f64(),
        cpu: cpu.as_secs_f64() / messages * 1_000.0,
    })
}

/// The most memory that the server's processes take together under the load, in words.
pub(crate) fn peak_memory(server: &mut dyn Contender, load: Load) -> Fallible<String> {
    let processes = server.processes();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak = 0;
            while !is_over.load(Ordering::Relaxed) {
                peak = processes.memory().map_or(peak, |now| peak.max(now));
                thread::sleep(SAMPLE_PAUSE);
            }
            peak
        });
        let arrived = send(server, load).and_then(|()| server.wait_for_deliveries(load.messages));
        is_over.store(true, Ordering::Relaxed);
        let peak = sampler.join().map_err(|_| "the sampler panicked")?;
        arrived.map(|_| mebibytes(peak))
    })
}

pub(crate) fn mebibytes(octets: u64) -> String {
    format!("{:.1} MiB", octets as f64 / f64::from(1 << 20))
}

fn send(server: &dyn Contender, load: Load) -> Fallible<()> {
    let mut command = Command::new("smtp-source");
    for (option, value) in [("-s", load.sessions), ("-m", load.messages), ("-l", load.octets)] {
        command.arg(option).arg(value.to_string());
    }
    command.args(["-f", "a@client.test", "-t", server.recipient(), &server.address().to_string()]);
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(())
}
