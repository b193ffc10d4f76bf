//! What verification came to: collected until a segment goes anyway, and filed for a report once its batch is complete
//! (see `state::log::observations`, which argues the crashes).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Done, Manager};
use crate::model::dmarc_report::{Row, Rows};
use crate::model::{Event, Incarnation, Nonce};
use crate::platform::{Instant, StoreError};
use crate::queue::open_log::Pending;
use crate::state::layout;
use crate::state::log::{Batch, BatchId, Record};
use crate::state::reports::FiledBatch;
use crate::state::requests::{Created, Purpose};
use crate::state::sweep_mark::day;

/// How long rows wait for a segment that goes for another reason. Those of mail that was refused may be lost with the node until then.
const WAIT: Duration = Duration::from_mins(5);
/// Rows that do not wait for longer, and of which a batch is filed before its day is over.
const BATCH_ROWS: usize = 1_000;
/// Rows that a log holds, those that wait included. Beyond: messages that are like no other so far are not counted.
const ROWS: usize = 5_000;
/// Pause after a batch could not be filed.
const REST: Duration = Duration::from_mins(1);

/// What has been seen, as far as it is on its way.
#[derive(Debug, Default)]
pub(super) struct Observing {
    /// By day; in no segment yet.
    waiting: BTreeMap<u64, Rows>,
    /// Since when.
    since: Option<Instant>,
    /// Messages that were not counted since that was told.
    left_out: u64,
    /// Batches that are being filed, or are filed and the log does not say so yet.
    filing: BTreeSet<BatchId>,
    rest_until: Option<Instant>,
}

impl Observing {
    fn rows(&self) -> usize {
        self.waiting.values().map(|rows| rows.len()).sum()
    }

    /// When they do not wait for company any longer.
    fn due(&self) -> Option<Instant> {
        self.since.map(|since| if self.rows() >= BATCH_ROWS { since } else { since + WAIT })
    }

    fn put(&mut self, day: u64, row: Row, count: u64, now: Instant) {
        *self.waiting.entry(day).or_default().entry(row).or_default() += count;
        self.since.get_or_insert(now);
    }

    /// The log says that a batch is filed.
    pub(super) fn note_filed(&mut self, batch: BatchId) {
        self.filing.remove(&batch);
    }

    /// The log is somebody else's, and with it what is being filed.
    pub(super) fn stop_filing(&mut self) {
        self.filing.clear();
    }
}

impl Manager {
    /// Counts a message.
    pub(super) fn observe(&mut self, row: Row) {
        // Nothing may be written any more after the log's Close record.
        if self.closing.is_some() {
            return;
        }
        let (now, day) = (self.instant(), day(self.requests.platform().clock.utc()));
        let held = self.log.as_ref().map_or(0, |log| log.live.observations.rows());
        let is_known = self.observing.waiting.get(&day).is_some_and(|rows| rows.contains_key(&row));
        if is_known || self.observing.rows() + held < ROWS {
            self.observing.put(day, row, 1, now);
        } else {
            self.observing.left_out += 1;
        }
    }

    /// What the next segment is to carry.
    pub(super) fn take_observed(&mut self) -> BTreeMap<u64, Rows> {
        self.observing.since = None;
        std::mem::take(&mut self.observing.waiting)
    }

    /// Rows of a segment that does not exist go with the next.
    pub(super) fn put_observed_back(&mut self, batches: Vec<Batch>) {
        let now = self.instant();
        for Batch { id, rows } in batches {
            rows.into_iter().for_each(|(row, count)| self.observing.put(id.day, row, count, now));
        }
    }

    /// When a segment is due for rows alone.
    pub(super) fn observed_due(&self) -> Option<Instant> {
        if self.closing.is_some() { self.observing.since } else { self.observing.due() }
    }

    /// Whether rows are on their way that a log is not to be ended before.
    pub(super) fn is_observing(&self) -> bool {
        self.observing.since.is_some() || !self.observing.filing.is_empty()
    }

    /// Begins a log where rows are due that there is none for.
    pub(super) fn begin_for_observed(&mut self) {
        let is_due = self.observing.due().is_some_and(|due| due <= self.instant());
        if is_due && self.log.is_none() && self.closing.is_none() {
            self.open();
        }
    }

    /// Closes the batches that are complete, and files them.
    pub(super) fn file(&mut self, is_retiring: bool) {
        let now = self.instant();
        let today = day(self.requests.platform().clock.utc());
        if self.closing.as_ref().is_some_and(|closing| closing.said) || self.is_ending() {
            return;
        }
        let is_leaving = is_retiring || self.closing.is_some();
        let Some(log) = &mut self.log else { return };
        let (incarnation, cut) = (log.incarnation, log.cut);
        let is_open = |id: &BatchId| id.by == incarnation && id.cut == cut;
        let mut open = log.live.observations.batches().filter(|(id, _)| is_open(id));
        if open.any(|(id, rows)| is_leaving || id.day < today || rows.len() >= BATCH_ROWS) {
            log.cut += 1;
        }
        if self.observing.rest_until.is_some_and(|until| now < until) {
            return;
        }
        let is_complete =
            |id: &BatchId| id.by != incarnation || (id.cut < log.cut && !log.is_writing_batch(id));
        let complete = log.live.observations.batches().filter(|(id, _)| is_complete(id));
        let due: Vec<_> = complete
            .filter(|(id, _)| !self.observing.filing.contains(id))
            .map(|(id, rows)| (id, rows.clone()))
            .collect();
        for (id, rows) in due {
            self.observing.filing.insert(id);
            let (time, entropy) = self.requests.platform().draw();
            let nonce = Nonce::draw(time, entropy);
            let requests = self.requests.of(Purpose::Report);
            self.jobs.push(Box::pin(async move {
                let payload = FiledBatch { nonce, batch: Batch::new(id, &rows) }.encode().payload;
                let result = requests.create(&layout::filed_batch(id), &payload, nonce).await;
                Done::Filed { incarnation, batch: id, result }
            }));
        }
    }

    /// A batch was sent to be filed. One that is there already has the same rows.
    pub(super) fn filed(
        &mut self,
        incarnation: Incarnation,
        batch: BatchId,
        result: Result<Created, StoreError>,
    ) {
        let is_ours = self.log.as_ref().is_some_and(|log| log.incarnation == incarnation);
        let is_over = self.closing.as_ref().is_some_and(|closing| closing.said);
        match result {
            Ok(_) if is_ours && !is_over => self.push(Pending::Note(Record::Filed(batch))),
            _ => {
                self.observing.filing.remove(&batch);
                self.observing.rest_until = Some(self.instant() + REST);
            }
        }
        let left_out = std::mem::take(&mut self.observing.left_out);
        if left_out > 0 {
            let doing = "counting mail for reports".to_owned();
            let error = format!("{left_out} messages were left out: too many that are unlike each other");
            self.requests.journal().report(&Event::Trouble { doing, error });
        }
    }
}
