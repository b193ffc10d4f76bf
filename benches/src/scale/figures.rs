//! What was found of one cluster, and what it costs.

use std::time::Duration;

use super::meter::{Counts, Kind};

/// List prices of S3 in US East, in dollars per request. DELETE is free, and so is a 503.
const WRITE_PRICE: f64 = 0.005 / 1_000.0;
const READ_PRICE: f64 = 0.0004 / 1_000.0;
const MILLION: f64 = 1e6;

/// What was found of one cluster, within the window unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Messages that were answered `250`.
    pub messages: usize,
    /// How long was measured.
    pub window: Duration,
    /// Half of all transactions had their `354` within this time of MAIL, RCPT and DATA, sent together.
    pub begun: Duration,
    /// Of the times from the final dot to its `250`.
    pub median: Duration,
    /// See `median`.
    pub p99: Duration,
    /// Transactions that failed.
    pub refused: usize,
    /// Requests of all nodes from the first one's start until mail came.
    pub arrival: Counts,
    /// Requests of all nodes.
    pub requests: Counts,
    /// From the kill at the end of the window to the moment at which another node had the dead one's queue; none where nobody took it.
    pub takeover: Option<Duration>,
    /// Messages in that queue.
    pub adopted: usize,
    /// Messages of the whole run that were answered `250` and that no mailbox has at its end. Must be none.
    pub undelivered: usize,
}

impl Figures {
    /// Messages a second.
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.window.as_secs_f64()
    }

    /// So many of something, per message.
    pub fn per_message(&self, count: u64) -> f64 {
        count as f64 / (self.messages as f64).max(1.0)
    }

    /// What a million messages cost, in dollars.
    pub fn dollars_per_million(&self) -> f64 {
        let of = |kind| self.requests.all(kind) as f64;
        let dollars = (of(Kind::Put) + of(Kind::List)) * WRITE_PRICE + of(Kind::Get) * READ_PRICE;
        dollars * MILLION / (self.messages as f64).max(1.0)
    }
}
