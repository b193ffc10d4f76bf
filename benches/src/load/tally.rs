//! What became of each message, counted once, and how long it took.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Longest latency that is told from longer ones, in microseconds: an hour.
const MAX_LATENCY: u64 = 3_600_000_000;
/// Of the latencies.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// In open loop, before a session was free.
    Waiting,
    /// From connecting to the greeting.
    Connect,
    /// The handshake of TLS.
    Tls,
    /// EHLO.
    Ehlo,
    /// STARTTLS.
    StartTls,
    /// AUTH.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA, up to the go-ahead.
    Data,
    /// The content and the final reply.
    Content,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Connect => "connect",
            Self::Tls => "TLS",
            Self::Ehlo => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Content => "content",
        })
    }
}

/// Why a session did not get a reply that says what became of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// No connection, or it was cut.
    Cut,
    /// Nothing for too long.
    Timeout,
    /// What came is no reply of SMTP, or answers nothing that was asked.
    Garbage,
    /// A reply that this command never has (RFC 5321 §4.3.2), or an extension missing that was to be used.
    Unexpected,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "cut",
            Self::Timeout => "timeout",
            Self::Garbage => "garbage",
            Self::Unexpected => "unexpected",
        })
    }
}

/// What became of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has its own final 250.
    Accepted(Accepted),
    /// The server refused it.
    Refused {
        /// By its reply to what.
        phase: Phase,
        /// With this reply code.
        code: u16,
        /// When, from the start of the run.
        at: Duration,
    },
    /// Nobody knows, or it was never sent.
    Failed {
        /// Where.
        phase: Phase,
        /// Why.
        trouble: Trouble,
    },
}

/// A message that the server answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// Which one.
    pub(super) number: u64,
    /// When the final reply was read, from the start of the run.
    pub(super) at: Duration,
    /// From the instant at which it was due, or else from its MAIL.
    pub(super) transaction: Duration,
    /// From when the final dot was handed to the kernel.
    pub(super) dot: Duration,
    /// Of its content.
    pub(super) octets: usize,
    /// How many recipients the server agreed to.
    pub(super) recipients: u64,
}

/// The outcomes of a run, or of a part of it.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    accepted: u64,
    refused: BTreeMap<(Phase, u16), u64>,
    failed: BTreeMap<(Phase, Trouble), u64>,
    recipients_accepted: u64,
    recipients_refused: BTreeMap<u16, u64>,
    octets: u64,
    transaction: Histogram<u64>,
    dot: Histogram<u64>,
    /// Accepted in each second of the run.
    per_second: Vec<u64>,
    first_accepted: Option<Duration>,
    last_accepted: Option<Duration>,
    last_reply: Duration,
    /// The accepted ones.
    promised: Vec<u64>,
}

impl Tally {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            accepted: 0,
            refused: BTreeMap::new(),
            failed: BTreeMap::new(),
            recipients_accepted: 0,
            recipients_refused: BTreeMap::new(),
            octets: 0,
            transaction: histogram(),
            dot: histogram(),
            per_second: Vec::new(),
            first_accepted: None,
            last_accepted: None,
            last_reply: Duration::ZERO,
            promised: Vec::new(),
        }
    }

    /// The numbers of the accepted messages, in no order.
    pub(super) fn promised(&self) -> &[u64] {
        &self.promised
    }

    /// How many messages broke off between their first octet of content and its reply: the server may have taken them.
    pub(super) fn in_doubt(&self) -> u64 {
        self.failed.iter().filter(|((phase, _), _)| *phase == Phase::Content).map(|(_, count)| count).sum()
    }

    /// Counts one message.
    pub(super) fn record(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Accepted(accepted) => self.record_accepted(accepted),
            Outcome::Refused { phase, code, at } => {
                *self.refused.entry((phase, code)).or_default() += 1;
                self.last_reply = self.last_reply.max(at);
            }
            Outcome::Failed { phase, trouble } => *self.failed.entry((phase, trouble)).or_default() += 1,
        }
    }

    /// Counts one recipient that was refused, whatever becomes of its message.
    pub(super) fn record_refused_recipient(&mut self, code: u16) {
        *self.recipients_refused.entry(code).or_default() += 1;
    }

    fn record_accepted(&mut self, message: Accepted) {
        let Accepted { number, at, transaction, dot, octets, recipients } = message;
        self.accepted += 1;
        self.promised.push(number);
        self.recipients_accepted += recipients;
        self.octets += octets as u64;
        self.transaction.saturating_record(micros(transaction));
        self.dot.saturating_record(micros(dot));
        let second = at.as_secs() as usize;
        if self.per_second.len() <= second {
            self.per_second.resize(second + 1, 0);
        }
        self.per_second[second] += 1;
        self.first_accepted = Some(self.first_accepted.map_or(at, |first| first.min(at)));
        self.last_accepted = self.last_accepted.max(Some(at));
        self.last_reply = self.last_reply.max(at);
    }

    /// Adds what another part of the run counted.
    pub(super) fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.promised.extend(&other.promised);
        add(&mut self.refused, &other.refused);
        add(&mut self.failed, &other.failed);
        self.recipients_accepted += other.recipients_accepted;
        add(&mut self.recipients_refused, &other.recipients_refused);
        self.octets += other.octets;
        // Histograms of one shape: nothing is out of range.
        let _ = self.transaction.add(&other.transaction);
        let _ = self.dot.add(&other.dot);
        if self.per_second.len() < other.per_second.len() {
            self.per_second.resize(other.per_second.len(), 0);
        }
        for (sum, more) in self.per_second.iter_mut().zip(&other.per_second) {
            *sum += more;
        }
        self.first_accepted = self.first_accepted.into_iter().chain(other.first_accepted).min();
        self.last_accepted = self.last_accepted.max(other.last_accepted);
        self.last_reply = self.last_reply.max(other.last_reply);
    }

    /// The counts as JSON, for a run that started so many milliseconds after 1970-01-01T00:00:00Z.
    pub(super) fn to_json(&self, started_unix_ms: u64) -> Value {
        let failed: u64 = self.failed.values().sum();
        let seconds = self.last_reply.as_secs_f64();
        let unix_ms = |at: Option<Duration>| at.map(|at| started_unix_ms + at.as_millis() as u64);
        json!({
            "sent": self.accepted + self.refused.values().sum::<u64>() + failed,
            "accepted": self.accepted,
            "refused": keyed(&self.refused, |(phase, code)| format!("{phase} {code}")),
            "failed": failed,
            "failures": keyed(&self.failed, |(phase, trouble)| format!("{phase} {trouble}")),
            "recipients_accepted": self.recipients_accepted,
            "recipients_refused": keyed(&self.recipients_refused, u16::to_string),
            "octets": self.octets,
            "seconds": seconds,
            "accepted_per_second": if self.accepted == 0 { 0.0 } else { self.accepted as f64 / seconds },
            "accepted_in_each_second": self.per_second,
            "first_accepted_unix_ms": unix_ms(self.first_accepted),
            "last_accepted_unix_ms": unix_ms(self.last_accepted),
            "latency_us": {
                "transaction": percentiles(&self.transaction),
                "dot": percentiles(&self.dot),
            },
        })
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

fn histogram() -> Histogram<u64> {
    // The bounds are constants that fit each other, as every test shows: no other can fail.
    #[allow(clippy::expect_used)]
    Histogram::new_with_bounds(1, MAX_LATENCY, SIGNIFICANT_DIGITS).expect("bounds of a histogram")
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn add<K: Ord + Copy>(sums: &mut BTreeMap<K, u64>, more: &BTreeMap<K, u64>) {
    for (key, count) in more {
        *sums.entry(*key).or_default() += count;
    }
}

fn keyed<K>(counts: &BTreeMap<K, u64>, name: impl Fn(&K) -> String) -> Value {
    counts.iter().map(|(key, count)| (name(key), Value::from(*count))).collect()
}

fn percentiles(latencies: &Histogram<u64>) -> Value {
    json!({
        "p50": latencies.value_at_quantile(0.5),
        "p90": latencies.value_at_quantile(0.9),
        "p99": latencies.value_at_quantile(0.99),
        "p99.9": latencies.value_at_quantile(0.999),
        "max": latencies.max(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: u64 = 1_000_000;

    fn accepted(at: u64, transaction: u64) -> Outcome {
        Outcome::Accepted(Accepted {
            number: at,
            at: Duration::from_millis(at),
            transaction: Duration::from_millis(transaction),
            dot: Duration::from_millis(1),
            octets: 100,
            recipients: 2,
        })
    }

    fn refused(phase: Phase, code: u16, at: u64) -> Outcome {
        Outcome::Refused { phase, code, at: Duration::from_millis(at) }
    }

    fn outcomes() -> Vec<Outcome> {
        let mut outcomes: Vec<_> = (1..=100).map(|n| accepted(n * 20, n)).collect();
        outcomes.extend([refused(Phase::Connect, 421, 3), refused(Phase::Mail, 452, 4_000)]);
        outcomes.extend([refused(Phase::Mail, 452, 5)]);
        outcomes.push(Outcome::Failed { phase: Phase::Content, trouble: Trouble::Timeout });
        outcomes
    }

    fn tally(outcomes: &[Outcome]) -> Tally {
        let mut tally = Tally::new();
        outcomes.iter().for_each(|outcome| tally.record(*outcome));
        tally
    }

    #[test]
    fn every_message_is_counted_once_as_what_became_of_it() {
        let json = tally(&outcomes()).to_json(STARTED);
        for (key, expected) in [
            ("sent", json!(104)),
            ("accepted", json!(100)),
            ("refused", json!({"connect 421": 1, "MAIL 452": 2})),
            ("failed", json!(1)),
            ("failures", json!({"content timeout": 1})),
            ("recipients_accepted", json!(200)),
            ("octets", json!(10_000)),
            ("seconds", json!(4.0)),
            ("accepted_per_second", json!(25.0)),
            ("accepted_in_each_second", json!([49, 50, 1])),
            ("first_accepted_unix_ms", json!(STARTED + 20)),
            ("last_accepted_unix_ms", json!(STARTED + 2_000)),
        ] {
            assert_eq!(json[key], expected, "{key}");
        }
    }

    #[test]
    fn latencies_are_told_to_three_digits() {
        let json = tally(&outcomes()).to_json(STARTED);
        for (quantile, expected) in [("p50", 50_000), ("p90", 90_000), ("p99", 99_000), ("max", 100_000)] {
            let value = json["latency_us"]["transaction"][quantile].as_u64().unwrap();
            assert!(value.abs_diff(expected) <= expected / 1_000, "{quantile}: {value}");
        }
        assert_eq!(json["latency_us"]["dot"]["p99.9"], 1_000);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let outcomes = outcomes();
        for cut in [0, 1, 50, outcomes.len()] {
            let mut sum = tally(&outcomes[..cut]);
            sum.add(&tally(&outcomes[cut..]));
            assert_eq!(sum.to_json(STARTED), tally(&outcomes).to_json(STARTED), "{cut}");
        }
    }

    #[test]
    fn a_run_in_which_nothing_was_answered_has_no_rate() {
        let json = Tally::default().to_json(STARTED);
        assert_eq!(
            (&json["accepted_per_second"], &json["first_accepted_unix_ms"]),
            (&json!(0.0), &Value::Null)
        );
    }
}
