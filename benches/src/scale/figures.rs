//! What was found of one cluster, and what it costs.

use std::time::Duration;

use fulmar_core::admin::prices::{
    MAILBOX_KEPT, SPOOL_KEPT, THOUSAND_READS, THOUSAND_WRITES, dollars_to_keep,
};

use super::meter::{ACCOUNTS, Counts, Kind, SPOOL, Visits};

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

    /// What the requests of a million messages cost, in dollars. A 503 is free.
    pub fn dollars_per_million(&self) -> f64 {
        let of = |kind| self.per_message(self.requests.all(kind));
        price(of(Kind::Put) + of(Kind::List), of(Kind::Get))
    }

    /// The same, if every message met an account as these visits did.
    pub fn dollars_per_million_of(&self, visits: &Visits) -> f64 {
        let elsewhere = |kind| self.requests.all(kind) - self.requests.below(ACCOUNTS, kind);
        let writes = self.per_message(self.requests.all(Kind::Put) + elsewhere(Kind::List));
        price(
            writes + visits.each(visits.lists),
            self.per_message(elsewhere(Kind::Get)) + visits.each(visits.reads),
        )
    }

    /// What keeping a million messages costs, in dollars.
    pub fn storage_dollars_per_million(&self) -> f64 {
        let of = |folder, kept| dollars_to_keep(self.requests.written(folder), kept);
        (of(SPOOL, SPOOL_KEPT) + of(ACCOUNTS, MAILBOX_KEPT)) * MILLION / (self.messages as f64).max(1.0)
    }

    /// Of the messages, those that came to accounts to which their node had written before; of 1.
    pub fn warm_share(&self) -> f64 {
        let Counts { cold, warm, .. } = self.requests;
        warm.commits as f64 / ((cold.commits + warm.commits) as f64).max(1.0)
    }
}

impl Visits {
    /// So many of something, for each commit.
    pub fn each(&self, count: u64) -> f64 {
        count as f64 / (self.commits as f64).max(1.0)
    }
}

/// What a million times so many requests cost, in dollars.
fn price(writes: f64, reads: f64) -> f64 {
    (writes * THOUSAND_WRITES + reads * THOUSAND_READS) / 1_000.0 * MILLION
}
