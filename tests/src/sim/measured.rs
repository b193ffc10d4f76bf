//! A store as it was measured: how long its requests take, and how many of them it takes.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::time::Duration;

use super::executor::Simulator;
use crate::dice::Dice;
use crate::faults::Verb;

/// The 99th percentile of the standard normal distribution.
const NORMAL_P99: f64 = 2.326_347_874;

/// What is known of a store by measurement. Times are those from the sending of a small request to the end of its answer; they
/// are taken to be log-normal, which two quantiles determine.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Half of all requests take no longer.
    pub median: Duration,
    /// 99 of 100 requests take no longer.
    pub p99: Duration,
    /// Octets a second that one request carries, either way.
    pub octets_per_second: f64,
    /// PUT, COPY and DELETE that one partition takes in a second. Beyond: 503.
    pub writes_per_second: f64,
    /// GET, HEAD and LIST that one partition takes in a second. Beyond: 503.
    pub reads_per_second: f64,
    /// Folders at the beginning of a key that make a partition, at most: the store has split by them already.
    pub partition_folders: usize,
}

/// One request, as far as the time that it takes depends on it.
#[derive(Clone, Copy)]
pub(super) struct Sent<'a> {
    pub(super) verb: Verb,
    pub(super) key: &'a str,
    /// Of content, either way.
    pub(super) octets: u64,
}

impl Measured {
    /// Draws the time from the sending of a request to the end of its answer.
    pub(super) fn round(&self, simulator: &Simulator, sent: Sent<'_>) -> Duration {
        let latency = simulator.chance(|dice| self.latency(dice));
        latency + Duration::from_secs_f64(sent.octets as f64 / self.octets_per_second)
    }

    fn latency(&self, dice: &mut Dice) -> Duration {
        let spread = (self.p99.as_secs_f64() / self.median.as_secs_f64()).ln() / NORMAL_P99;
        self.median.mul_f64((spread * normal(dice)).exp())
    }

    /// The part of the store that a key lies in: its first folders.
    fn partition<'a>(&self, key: &'a str) -> &'a str {
        let ends = key.match_indices('/').take(self.partition_folders);
        ends.last().map_or("", |(end, _)| &key[..end])
    }

    fn per_second(&self, verb: Verb) -> f64 {
        if verb.is_write() { self.writes_per_second } else { self.reads_per_second }
    }
}

/// A draw from the standard normal distribution (Box and Muller 1958).
fn normal(dice: &mut Dice) -> f64 {
    // Never zero, which has no logarithm.
    let [one, other] = [(); 2].map(|()| ((dice.draw() >> 11) + 1) as f64 / (1_u64 << 53) as f64);
    (-2.0 * one.ln()).sqrt() * (TAU * other).cos()
}

/// What each partition of a store may still be asked for.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// By partition, reads and writes apart.
    partitions: BTreeMap<(String, bool), TokenBucket>,
}

impl Throttle {
    /// Whether a request is one too many.
    pub(super) fn turns_away(&mut self, store: &Measured, verb: Verb, key: &str, now: Duration) -> bool {
        let partition = (store.partition(key).to_owned(), verb.is_write());
        let rate = store.per_second(verb);
        let bucket = self.partitions.entry(partition).or_insert(TokenBucket { tokens: rate, filled: now });
        !bucket.take(rate, now)
    }
}

/// Fills at a rate, and holds what comes in one second.
#[derive(Clone, Copy, Debug)]
struct TokenBucket {
    tokens: f64,
    filled: Duration,
}

impl TokenBucket {
    /// Takes a token, if there is one.
    fn take(&mut self, per_second: f64, now: Duration) -> bool {
        let come = now.saturating_sub(self.filled).as_secs_f64() * per_second;
        self.tokens = (self.tokens + come).min(per_second);
        self.filled = now;
        let is_there = self.tokens >= 1.0;
        if is_there {
            self.tokens -= 1.0;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: Measured = Measured {
        median: Duration::from_millis(55),
        p99: Duration::from_millis(230),
        octets_per_second: 90e6,
        writes_per_second: 3_500.0,
        reads_per_second: 5_500.0,
        partition_folders: 2,
    };

    #[test]
    fn times_have_the_quantiles_that_were_measured() {
        const DRAWS: usize = 100_000;
        let mut dice = Dice::new(7);
        let mut times: Vec<_> = (0..DRAWS).map(|_| STORE.latency(&mut dice)).collect();
        times.sort_unstable();
        for (drawn, measured) in [(times[DRAWS / 2], STORE.median), (times[DRAWS / 100 * 99], STORE.p99)] {
            let ratio = drawn.as_secs_f64() / measured.as_secs_f64();
            assert!((0.95..1.05).contains(&ratio), "{drawn:?} for {measured:?}");
        }
    }

    #[test]
    fn a_key_lies_in_its_first_two_folders() {
        for (key, partition) in [
            ("spool/3f/01ARZ3/log/0000000000000000", "spool/3f"),
            ("account/a0/u1@home.test/c/0000000000000001", "account/a0"),
            ("live/01ARZ3.beat", "live"),
            ("live/", "live"),
            ("format", ""),
        ] {
            assert_eq!(STORE.partition(key), partition, "{key}");
        }
        let whole = Measured { partition_folders: 0, ..STORE };
        assert_eq!(whole.partition("spool/3f/01ARZ3"), "");
    }

    #[test]
    fn a_partition_takes_its_rate_and_turns_the_rest_away() {
        // Requests a second, for four seconds, and how many of them are taken: one second's worth more than the rate allows.
        for (sent, taken) in [(1_000, 4_000), (3_500, 14_000), (7_000, 5 * 3_500)] {
            let mut throttle = Throttle::default();
            let moments = (0..4 * sent).map(|number| Duration::from_secs(1) * number / sent);
            let is_taken = |now: &Duration| !throttle.turns_away(&STORE, Verb::Put, "spool/3f/a", *now);
            let count = moments.filter(is_taken).count();
            assert!(count.abs_diff(taken) <= 4, "{sent} a second: {count} of {taken}");
        }
    }

    #[test]
    fn partitions_and_reads_do_not_count_against_one_another() {
        let mut throttle = Throttle::default();
        let mut asked = |verb, key| throttle.turns_away(&STORE, verb, key, Duration::ZERO);
        assert!((0..3_500).all(|_| !asked(Verb::Put, "spool/3f/a")));
        assert!(asked(Verb::Put, "spool/3f/b") && asked(Verb::Delete, "spool/3f/b"));
        assert!(!asked(Verb::Put, "spool/40/a") && !asked(Verb::Get, "spool/3f/a"));
    }
}
