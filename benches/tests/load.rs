//! The load generator against the sink, as the processes that they are.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "what does not go as expected fails the test")]

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A running sink, killed when it is dropped.
struct Sink {
    child: Child,
    output: BufReader<ChildStdout>,
    address: String,
}

impl Sink {
    fn start(options: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sink"));
        command.args(["--listen", "127.0.0.1:0"]).args(options.split_whitespace());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening ").expect("an address").to_owned();
        Self { child, output, address }
    }

    /// Ends it, and gives the last of its counts.
    fn stop(mut self) -> Value {
        drop(self.child.stdin.take());
        let last = (&mut self.output).lines().map(Result::unwrap).last().expect("a line of counts");
        assert!(self.child.wait().unwrap().success());
        serde_json::from_str(&last).unwrap()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It may have ended as it should.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn load(sink: &Sink, options: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    command.args(["--to", &sink.address, "--rcpt", "a@sink.invalid"]).args(options.split_whitespace());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Both sides must have counted the same, and this.
fn check(sink: &str, options: &str, expected: &Value) -> Value {
    let sink = Sink::start(sink);
    let sent = load(&sink, options);
    let taken = sink.stop();
    for (key, expected) in expected.as_object().unwrap() {
        assert_eq!(sent[key], *expected, "{key} with {options}: {sent}");
    }
    for (of_load, of_sink) in
        [("accepted", "messages"), ("recipients_accepted", "recipients"), ("octets", "octets")]
    {
        assert_eq!(sent[of_load], taken[of_sink], "{of_sink} with {options}: {sent} {taken}");
    }
    sent
}

#[test]
fn every_message_is_counted_once_on_both_sides_however_it_is_sent() {
    let all = json!({"sent": 200, "accepted": 200, "refused": {}, "failed": 0});
    for options in [
        "--sessions 1",
        "--sessions 20",
        "--sessions 20 --no-pipelining",
        "--sessions 7 --per-connection 3",
        "--sessions 7 --per-connection 3 --no-pipelining",
        "--sessions 7 --per-connection all --threads 2",
        "--sessions 5 --size typical --per-connection all",
        "--sessions 5 --recipients 100",
        "--sessions 5 --rate 2000",
        "--sessions 300 --from=",
    ] {
        let sent = check("", &format!("--messages 200 {options}"), &all);
        assert_eq!(
            sent["accepted_in_each_second"].as_array().unwrap().iter().filter_map(Value::as_u64).sum::<u64>(),
            200
        );
    }
}

#[test]
fn messages_that_the_server_refuses_are_counted_by_reply_code() {
    for (sink, refused) in [
        ("--error 452 --every 10", json!({"content 452": 20})),
        ("--error 554 --every 7", json!({"content 554": 28})),
        ("--error 421 --every 100", json!({"content 421": 2})),
        ("--error 550 --every 1", json!({"content 550": 200})),
    ] {
        let count: u64 = refused.as_object().unwrap().values().filter_map(Value::as_u64).sum();
        let expected = json!({"sent": 200, "accepted": 200 - count, "refused": refused, "failed": 0});
        for options in ["", "--per-connection all", "--per-connection 4 --no-pipelining"] {
            check(sink, &format!("--messages 200 --sessions 4 {options}"), &expected);
        }
    }
}

#[test]
fn messages_without_an_answer_fail_after_the_timeout() {
    let expected = json!({"sent": 20, "accepted": 15, "failed": 5, "failures": {"content timeout": 5}});
    check("--stall-every 4", "--messages 20 --sessions 2 --timeout 0.2", &expected);
}

#[test]
fn in_open_loop_latency_counts_from_when_a_message_was_due() {
    // Two sessions at 100 ms a message take 20 a second; 60 messages become due in 0.6 s, and the last leaves 2.4 s late.
    let expected = json!({"sent": 60, "accepted": 60, "failed": 0});
    let options = "--messages 60 --sessions 2 --per-connection all";
    let sent = check("--delay 100", &format!("{options} --rate 100"), &expected);
    let micros = |run: &Value, of: &str, quantile: &str| run["latency_us"][of][quantile].as_u64().unwrap();
    assert!(micros(&sent, "transaction", "max") >= 2_300_000, "{sent}");
    assert!(micros(&sent, "transaction", "p50") >= 1_100_000, "{sent}");
    assert!(micros(&sent, "dot", "p50") < 1_100_000, "{sent}");
    assert!(micros(&sent, "dot", "p50") >= 100_000, "{sent}");
    let sent = check("--delay 100", options, &expected);
    assert!(micros(&sent, "transaction", "p50") < 1_100_000, "{sent}");
}

#[test]
fn a_message_that_finds_no_free_session_in_time_is_given_up() {
    let sent =
        check("--delay 100", "--messages 100 --sessions 1 --rate 1000 --timeout 1", &json!({"sent": 100}));
    let waited = sent["failures"]["waiting timeout"].as_u64().unwrap();
    assert_eq!(sent["accepted"].as_u64().unwrap() + waited, 100, "{sent}");
    assert!(waited >= 85, "{sent}");
}

#[test]
fn a_run_ends_with_its_time() {
    let sent = check("", "--seconds 0.5 --sessions 3", &json!({"failed": 0, "refused": {}}));
    assert!(sent["accepted"].as_u64().unwrap() > 0, "{sent}");
    check("", "--seconds 0.5 --rate 100 --sessions 3", &json!({"sent": 50, "accepted": 50}));
}

#[test]
fn idle_sessions_are_opened_and_watched() {
    let expected = json!({"accepted": 10, "idle": {"asked": 40, "opened": 40, "kept": 40}});
    check("", "--messages 10 --idle 40", &expected);
}

#[test]
fn a_server_that_is_not_there_fails_every_message() {
    let sink = Sink::start("");
    let address = sink.address.clone();
    sink.stop();
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    command.args(["--to", &address, "--rcpt", "a@b", "--messages", "5"]);
    let output = command.output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success());
    assert_eq!((&json["sent"], &json["failures"]), (&json!(5), &json!({"connect cut": 5})));
}

#[test]
fn options_that_cannot_be_met_are_wrong_usage() {
    for options in ["--messages 1 --size 10", "--rcpt a@b", "--messages 1 --threads 0"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
        command.args(["--to", "127.0.0.1:1", "--rcpt", "a@b"]).args(options.split_whitespace());
        assert_eq!(command.output().unwrap().status.code(), Some(2), "{options}");
    }
}
