//! What DMARC came to for mail that this node has seen, on its way into a report (RFC 9990): counted in the log, filed in batches.
//!
//! Every segment may carry an [`Observed`] record with rows and counts, so that none costs a request. Rows lie in batches, each named by the log
//! that they were seen in, the day, and how many batches that log had closed before. What a batch holds is determined by the
//! segments alone:
//!
//! 1. The writer closes a batch by giving later rows another number. It waits until every segment with rows of it stands.
//! 2. It creates the batch's object (see [`reports`](crate::state::reports)).
//! 3. It writes a [`Filed`](super::Record::Filed) record, and the batch leaves the log's state.
//!
//! **Crashes.** Before 2, whoever adopts the log reads all rows of the batch, as the log is sealed, takes them over in its Adopt record under the same name, and files
//! them. Between 2 and 3 it does the same, and finds the object there with the same rows in it, as no segment with rows of a batch can be added once the object
//! was sent. After 3 there is nothing to do. So a row that stands in a segment is filed once, however often the log changes hands.
//!
//! Counting is no idempotent act, and replay must be one: a checkpoint may hold effects of segments that it does not cover. Hence each record
//! bears the number of its segment, and the numbers that were counted last are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::WINDOW;
use crate::model::Incarnation;
use crate::model::dmarc_report::{Row, Rows};

/// Names a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BatchId {
    /// The log that it was seen in.
    pub by: Incarnation,
    /// The day, counted from 1970 by the clock of the node that saw it.
    pub day: u64,
    /// Batches that the log had closed before.
    pub cut: u32,
}

/// Rows of one day and log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Its name.
    #[serde(flatten)]
    pub id: BatchId,
    /// The rows, each with the messages that it stands for.
    pub rows: Vec<(Row, u64)>,
}

/// Rows that a segment carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// The segment's number.
    pub segment: u64,
    /// Parts of batches.
    pub batches: Vec<Batch>,
}

/// What has been counted and is not known to be filed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Observations {
    /// Shared, so that a checkpoint copies none of it.
    batches: BTreeMap<BatchId, Arc<Rows>>,
    counted: BTreeSet<u64>,
}

/// The form in which they stand in a checkpoint.
#[derive(Clone, Serialize, Deserialize)]
struct Written {
    batches: Vec<Batch>,
    counted: BTreeSet<u64>,
}

impl Observations {
    /// Counts what a segment carries, unless that was done before.
    pub fn count(&mut self, observed: &Observed) {
        // The writer sends a number only once all that are so far below it stand.
        let oldest = self.counted.last().map_or(0, |latest| (latest + 1).saturating_sub(WINDOW));
        if observed.segment < oldest || !self.counted.insert(observed.segment) {
            return;
        }
        while self.counted.len() > WINDOW as usize {
            self.counted.pop_first();
        }
        for Batch { id, rows } in &observed.batches {
            let counts = Arc::make_mut(self.batches.entry(*id).or_default());
            for (row, count) in rows {
                *counts.entry(row.clone()).or_default() += count;
            }
        }
    }

    /// Takes over batches of another log. They are complete.
    pub fn adopt(&mut self, batches: &[Batch]) {
        for Batch { id, rows } in batches {
            self.batches.insert(*id, Arc::new(rows.iter().cloned().collect()));
        }
    }

    /// A batch is filed.
    pub fn drop(&mut self, id: BatchId) {
        self.batches.remove(&id);
    }

    /// The batches, in order.
    pub fn batches(&self) -> impl Iterator<Item = (BatchId, &Arc<Rows>)> {
        self.batches.iter().map(|(id, rows)| (*id, rows))
    }

    /// The same by value.
    pub fn to_batches(&self) -> Vec<Batch> {
        self.batches().map(|(id, rows)| Batch::new(id, rows)).collect()
    }

    /// Rows in all.
    pub fn rows(&self) -> usize {
        self.batches.values().map(|rows| rows.len()).sum()
    }

    /// Whether nothing is to be filed.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Whether there is nothing to be written of it.
    pub fn is_default(&self) -> bool {
        self.batches.is_empty() && self.counted.is_empty()
    }
}

impl Batch {
    /// Its name, and what it holds.
    pub fn new(id: BatchId, rows: &Rows) -> Self {
        Self { id, rows: rows.iter().map(|(row, count)| (row.clone(), *count)).collect() }
    }
}

impl From<Written> for Observations {
    fn from(Written { batches, counted }: Written) -> Self {
        let mut observations = Self { counted, ..Self::default() };
        observations.adopt(&batches);
        observations
    }
}

impl From<Observations> for Written {
    fn from(observations: Observations) -> Self {
        Self { batches: observations.to_batches(), counted: observations.counted }
    }
}
