//! The load, by the program `load` beside this one: its work is not that of the server, nor of this process.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, SystemTime};

use fulmar_tests::Fallible;
use fulmar_tests::daemon::run;
use serde_json::Value;

use crate::cells::{Load, Size};
use crate::report::{Figure, Round};

const REVERSE_PATH: &str = "a@client.test";

/// What came of it.
#[derive(Debug)]
pub(crate) struct Sent {
    /// From the start to the last `250`.
    pub(crate) seconds: f64,
    /// When the last `250` was read.
    pub(crate) last: SystemTime,
    /// How long the final dots waited for their `250`, as figures.
    pub(crate) latency: Round,
}

/// Sends it, to these recipients in turns; an error where not every message was taken.
pub(crate) fn send(load: Load, to: SocketAddr, recipients: &[String]) -> Fallible<Sent> {
    let mut command = Command::new(std::env::current_exe()?.with_file_name("load"));
    command.args(["--to", &to.to_string()]).args(arguments(load, recipients));
    let printed: Value = serde_json::from_slice(&run(&mut command)?)?;
    read(&printed, load.messages)
}

/// What it is told beside the address: the same for every server. What it leaves out is as `load --help` says.
pub(crate) fn arguments(load: Load, recipients: &[String]) -> Vec<String> {
    let Load { sessions, messages, size, kept } = load;
    let size = match size {
        Size::Octets(octets) => octets.to_string(),
        Size::Typical => "typical".to_owned(),
    };
    let per_connection = if kept { "all" } else { "1" };
    let (sessions, messages) = (sessions.to_string(), messages.to_string());
    let options: [(&str, &str); 5] = [
        ("--sessions", &sessions),
        ("--messages", &messages),
        ("--size", &size),
        ("--per-connection", per_connection),
        ("--from", REVERSE_PATH),
    ];
    let recipients = recipients.iter().map(|recipient| ("--rcpt", recipient.as_str()));
    let options = options.into_iter().chain(recipients);
    options.flat_map(|(name, value)| [name.to_owned(), value.to_owned()]).collect()
}

/// What the generator printed.
fn read(printed: &Value, messages: usize) -> Fallible<Sent> {
    if printed["accepted"] != messages || printed["sent"] != messages {
        return Err(format!("not all of {messages} messages were taken: {printed}").into());
    }
    let number = |value: &Value| value.as_f64().ok_or_else(|| format!("incomplete: {printed}"));
    let last = printed["last_accepted_unix_ms"].as_u64().ok_or_else(|| format!("no last 250: {printed}"))?;
    let latencies = &printed["latency_us"]["dot"];
    let mut latency = Round::new();
    for (name, figure) in [("p50", Figure::P50), ("p99", Figure::P99), ("p99.9", Figure::P999)] {
        latency.insert(figure, number(&latencies[name])? / 1_000.0);
    }
    let last = SystemTime::UNIX_EPOCH + Duration::from_millis(last);
    Ok(Sent { seconds: number(&printed["seconds"])?, last, latency })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(accepted: usize) -> Value {
        json!({"sent": 7, "accepted": accepted, "seconds": 0.5, "last_accepted_unix_ms": 1_500,
            "latency_us": {"dot": {"p50": 1_000, "p99": 2_500, "p99.9": 2_500}}})
    }

    #[test]
    fn a_run_counts_only_if_every_message_was_taken() {
        for (accepted, is_fine) in [(7, true), (6, false), (8, false)] {
            assert_eq!(read(&printed(accepted), 7).is_ok(), is_fine, "{accepted}");
        }
    }

    #[test]
    fn latencies_are_milliseconds() {
        let sent = read(&printed(7), 7).unwrap();
        let expected = [(Figure::P50, 1.0), (Figure::P99, 2.5), (Figure::P999, 2.5)];
        assert_eq!((sent.seconds, sent.latency), (0.5, Round::from(expected)));
    }

    #[test]
    fn the_generator_is_told_the_whole_load() {
        let load = Load { sessions: 3, messages: 5, size: Size::Typical, kept: true };
        let recipients = ["a@x.test".to_owned(), "b@x.test".to_owned()];
        let told = arguments(load, &recipients).join(" ");
        let expected = "--sessions 3 --messages 5 --size typical --per-connection all \
                        --from a@client.test --rcpt a@x.test --rcpt b@x.test";
        assert_eq!(told, expected);
    }
}
