//! The log that a node is writing: which numbers are free, under way and vacant, what lives in it, and how long the
//! right to write it lasts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures::channel::oneshot;

use super::command::{Acceptance, AcceptedBody, Addressee, Bounce, Fresh, Ordered, Refusal, Rewritten};
use crate::model::dmarc_report::Rows;
use crate::model::{Incarnation, Nonce, QueueId, UtcTime};
use crate::platform::{Clock, Instant, Payload};
use crate::state::frame::Data;
use crate::state::log::{
    Batch, BatchId, Body, Content, Entry, Envelope, Live, Observed, Part, Recipient, Record, Segment, WINDOW,
};
use std::sync::Arc;

/// How long after the send time of its last successful create (or its birth) an incarnation may write.
pub(super) const RIGHT: Duration = Duration::from_hours(1);
/// Octets of data after which a segment is not added to.
pub(super) const SEGMENT_OCTETS: u64 = 4 << 20;

/// A point in time on three clocks. Elapsed time is what the fastest one says: a clock that stood still must not lengthen a right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    instant: Instant,
    utc: UtcTime,
    /// The latest time by the store's clock that had been seen by then: it was no earlier.
    store: Option<UtcTime>,
}

impl Stamp {
    pub(super) fn now(clock: &dyn Clock, store: Option<UtcTime>) -> Self {
        Self { instant: clock.instant(), utc: clock.utc(), store }
    }

    pub(super) fn instant(&self) -> Instant {
        self.instant
    }

    pub(super) fn elapsed(&self, now: Self) -> Duration {
        // What was seen of the store's clock lags behind by up to a minute, which can only shorten a right.
        let by_store = now.store.zip(self.store).map_or(Duration::ZERO, |(now, then)| now.since(then));
        now.instant.since(self.instant).max(now.utc.since(self.utc)).max(by_store)
    }
}

/// Something that waits to be written.
#[derive(Debug)]
pub(super) enum Pending {
    Accept(Acceptance, oneshot::Sender<Result<Incarnation, Refusal>>),
    Adopt(Record, oneshot::Sender<Result<(), Refusal>>),
    /// Rides on the next segment.
    Note(Record),
    /// The same, soon.
    Urgent(Record),
    /// Final outcomes, and the report of them: they stand in one segment.
    Bounce(Record, Bounce),
    /// An operator's: as a note, but waited for.
    Cancel(Record, oneshot::Sender<Result<Ordered, Refusal>>),
    /// A live message's content anew.
    Rewrite(Rewritten, oneshot::Sender<Result<(), Refusal>>),
    /// Nothing: somebody wants to know that a segment can still be written.
    Proof(oneshot::Sender<Result<(), Refusal>>),
}

impl Pending {
    /// Whether somebody waits for it to be durable.
    pub(super) fn is_awaited(&self) -> bool {
        !matches!(self, Self::Note(_) | Self::Urgent(_) | Self::Bounce(..))
    }

    /// Whether it is to be written soon: for somebody who waits, or because another host has a message that it would be given once
    /// more if this node died now.
    pub(super) fn is_urgent(&self) -> bool {
        match self {
            Self::Urgent(_) => true,
            Self::Bounce(_, bounce) => !bounce.is_failure,
            _ => self.is_awaited(),
        }
    }

    /// Whether it speaks of an entry that another segment may hold.
    fn is_note(&self) -> bool {
        matches!(
            self,
            Self::Note(_) | Self::Urgent(_) | Self::Bounce(..) | Self::Cancel(..) | Self::Rewrite(..)
        )
    }

    /// Octets that it adds to a segment's data.
    pub(super) fn octets(&self) -> u64 {
        match self {
            Self::Accept(acceptance, _) => acceptance.octets() as u64,
            Self::Rewrite(Rewritten { header, body, .. }, _) => {
                (header.0.len() + body.as_ref().map_or(0, |(body, _)| body.len())) as u64
            }
            Self::Bounce(_, bounce) => (bounce.header.len() + bounce.body.len()) as u64,
            Self::Adopt(..) | Self::Note(_) | Self::Urgent(_) | Self::Cancel(..) | Self::Proof(_) => 0,
        }
    }
}

/// Who waits for a segment.
#[derive(Debug)]
pub(super) enum Waiter {
    Accept(QueueId, Fresh, oneshot::Sender<Result<Incarnation, Refusal>>),
    Adopt(oneshot::Sender<Result<(), Refusal>>),
    Cancel(oneshot::Sender<Result<Ordered, Refusal>>),
    Proof(oneshot::Sender<Result<(), Refusal>>),
}

impl Waiter {
    pub(super) fn refuse(self, refusal: Refusal) {
        // Who has stopped waiting has been told 451 already.
        match self {
            Self::Accept(.., done) => drop(done.send(Err(refusal))),
            Self::Adopt(done) | Self::Proof(done) => drop(done.send(Err(refusal))),
            Self::Cancel(done) => drop(done.send(Err(refusal))),
        }
    }
}

/// A segment whose create has been sent.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) nonce: Nonce,
    pub(super) payload: Payload,
    pub(super) records: Vec<Record>,
    /// Reports among the records, each with the place of the record whose outcomes it tells of; its own is the next.
    pub(super) bounces: BTreeMap<usize, Bounce>,
    pub(super) waiters: Vec<Waiter>,
    pub(super) sent: Stamp,
}

/// See the module.
#[derive(Debug)]
pub(super) struct OpenLog {
    pub(super) incarnation: Incarnation,
    /// The first number that was never used.
    next: u64,
    /// Numbers whose create certainly failed: to be filled before the log can grow by more than the window.
    vacant: BTreeSet<u64>,
    pub(super) under_way: BTreeMap<u64, UnderWay>,
    pub(super) live: Live,
    /// From when the right to write counts.
    pub(super) right: Stamp,
    /// When the last create was sent.
    pub(super) last_sent: Instant,
    /// Closed, by being dropped, when the log is not written any more: its heartbeats are not repeated after that.
    written: (Sender<Infallible>, Receiver<Infallible>),
    /// Uploads into the log's folder.
    pub(super) leases: usize,
    /// Whether anything may have been uploaded into the folder.
    pub(super) was_leased: bool,
    /// Segments below are covered by a checkpoint.
    pub(super) covered: u64,
    /// Batches of rows that were closed.
    pub(super) cut: u32,
}

impl OpenLog {
    pub(super) fn new(incarnation: Incarnation, now: Stamp) -> Self {
        Self {
            incarnation,
            next: 0,
            vacant: BTreeSet::new(),
            under_way: BTreeMap::new(),
            live: Live::default(),
            right: now,
            last_sent: now.instant,
            written: async_channel::bounded(1),
            leases: 0,
            was_leased: false,
            covered: 0,
            cut: 0,
        }
    }

    /// Ends when the log is not written any more.
    pub(super) fn end_of_writing(&self) -> impl Future<Output = ()> + Send + use<> {
        let written = self.written.1.clone();
        async move {
            let _ = written.recv().await;
        }
    }

    /// Whether nothing was written but a heartbeat: there is no folder.
    pub(super) fn is_unwritten(&self) -> bool {
        self.next == 0 && !self.was_leased
    }

    /// The lowest number that is not known to hold a segment.
    pub(super) fn lowest_unacknowledged(&self) -> u64 {
        let lowest = [self.under_way.keys().next(), self.vacant.first(), Some(&self.next)];
        lowest.into_iter().flatten().copied().min().unwrap_or(self.next)
    }

    /// Whether a number is waiting to be filled.
    pub(super) fn has_vacancy(&self) -> bool {
        !self.vacant.is_empty()
    }

    /// Whether another segment may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.has_vacancy() || self.next < self.lowest_unacknowledged() + WINDOW
    }

    /// Whether a segment with rows of that batch may yet come to stand.
    pub(super) fn is_writing_batch(&self, id: &BatchId) -> bool {
        let records = self.under_way.values().flat_map(|segment| &segment.records);
        let observed = records.filter_map(|record| match record {
            Record::Observed(observed) => Some(observed),
            _ => None,
        });
        observed.flat_map(|observed| &observed.batches).any(|batch| batch.id == *id)
    }

    /// Marks a number whose create certainly did not happen.
    pub(super) fn vacate(&mut self, number: u64) {
        self.vacant.insert(number);
    }

    /// Puts together the next segment from what is pending, as much as one holds. Gives its number.
    ///
    /// A note may speak of an entry that stands under any number in use, and is replayed after it only under a number
    /// above all of those: a vacant number below takes none.
    ///
    /// `observed` are rows by day, which may stand under any number.
    pub(super) fn assemble(
        &mut self,
        pending: &mut VecDeque<Pending>,
        observed: BTreeMap<u64, Rows>,
        nonce: Nonce,
        now: Stamp,
    ) -> u64 {
        let number = self.vacant.pop_first().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        let mut data = Data::default();
        let mut segment = Segment {
            inc: self.incarnation,
            seq: number,
            nonce,
            at: now.utc,
            records: Vec::with_capacity(pending.len() + 1),
        };
        if !observed.is_empty() {
            let id = |day| BatchId { by: self.incarnation, day, cut: self.cut };
            let batches = observed.iter().map(|(day, rows)| Batch::new(id(*day), rows)).collect();
            segment.records.push(Record::Observed(Observed { segment: number, batches }));
        }
        let mut waiters = Vec::new();
        let mut bounces = BTreeMap::new();
        let takes_notes = number + 1 == self.next;
        let mut left = VecDeque::new();
        while data.len() < SEGMENT_OCTETS
            && let Some(item) = pending.pop_front()
        {
            match item {
                _ if item.is_note() && !takes_notes => left.push_back(item),
                Pending::Note(record) | Pending::Urgent(record) => segment.records.push(record),
                Pending::Cancel(record, done) => {
                    segment.records.push(record);
                    waiters.push(Waiter::Cancel(done));
                }
                Pending::Bounce(record, bounce) => {
                    let entry = self.enter(Acceptance::from(&bounce), number, now.utc, &mut data).0;
                    bounces.insert(segment.records.len(), bounce);
                    segment.records.extend([record, Record::Accept(entry)]);
                }
                Pending::Proof(done) => waiters.push(Waiter::Proof(done)),
                Pending::Rewrite(rewritten, done) => {
                    segment.records.extend(self.move_here(rewritten, number, &mut data));
                    waiters.push(Waiter::Proof(done));
                }
                Pending::Adopt(record, done) => {
                    segment.records.push(record);
                    waiters.push(Waiter::Adopt(done));
                }
                Pending::Accept(mut acceptance, done) => {
                    let report = acceptance.report.take().map(|report| *report);
                    let (entry, fresh) = self.enter(acceptance, number, now.utc, &mut data);
                    waiters.push(Waiter::Accept(entry.envelope.id, fresh, done));
                    let place = segment.records.len();
                    segment.records.push(Record::Accept(entry));
                    if let Some(report) = report {
                        let entry = self.enter(Acceptance::from(&report), number, now.utc, &mut data).0;
                        segment.records.push(Record::Accept(entry));
                        bounces.insert(place, report);
                    }
                }
            }
        }
        left.append(pending);
        *pending = left;
        let object = segment.encode(data);
        let mut records = segment.records;
        records.iter_mut().for_each(|record| record.move_content(object.data_at));
        self.last_sent = now.instant;
        self.under_way.insert(
            number,
            UnderWay { nonce, payload: object.payload, records, bounces, waiters, sent: now },
        );
        number
    }

    /// The record that a live message's content lies here from now on.
    fn move_here(&self, rewritten: Rewritten, number: u64, data: &mut Data) -> Option<Record> {
        let Rewritten { id, header: (header, header_crc), body } = rewritten;
        let entry = self.live.entries.get(id)?;
        let part = |extent| Part { inc: self.incarnation, seq: number, extent };
        let header = part(data.push(&[header], header_crc));
        let body = match body {
            Some((body, crc)) => Body::Inline(part(data.push(&[body], crc))),
            None => entry.envelope.content.body.clone(),
        };
        Some(Record::Moved { id, content: Content { header, body } })
    }

    /// The entry that an acceptance makes; its content goes into the segment's data.
    fn enter(&self, acceptance: Acceptance, number: u64, now: UtcTime, data: &mut Data) -> (Entry, Fresh) {
        let Acceptance { id, reverse_path, options, verdict, recipients, header, header_crc, body, .. } =
            acceptance;
        let part = |extent| Part { inc: self.incarnation, seq: number, extent };
        let header_part = part(data.push(std::slice::from_ref(&header), header_crc));
        let (body, pieces, body_len) = match body {
            AcceptedBody::Inline(pieces, crc) => {
                let extent = data.push(&pieces, crc);
                (Body::Inline(part(extent)), pieces, extent.len)
            }
            AcceptedBody::Uploaded(upload) => {
                (Body::Pieces(upload.pieces().clone()), Vec::new(), upload.len())
            }
        };
        // Held for as long as the client wants it (RFC 4865 §5).
        let next = options.hold_until.map_or(now, |until| until.max(now));
        let recipients = recipients.into_iter().zip(0..).map(|(addressee, to)| {
            let Addressee { address, alias, class, options } = addressee;
            Recipient { to, address, alias, class, attempts: 0, next, last_reply: None, options }
        });
        let envelope = Envelope {
            id,
            accepted: now,
            reverse_path,
            options,
            verdict,
            size: header.len() as u64 + body_len,
            content: Content { header: header_part, body },
        };
        let entry = Entry { envelope: Arc::new(envelope), recipients: recipients.collect() };
        (entry, Fresh { header, body: pieces })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::log::Entries;

    fn stamp() -> Stamp {
        Stamp { instant: Instant::from_origin(Duration::ZERO), utc: UtcTime(1), store: None }
    }

    fn note(n: u8) -> Pending {
        let id = QueueId::draw(UtcTime(1), [n; 10]);
        Pending::Note(Record::Attempted { id, outcomes: Vec::new() })
    }

    fn adopt() -> Pending {
        let of = Incarnation::draw(UtcTime(1), [9; 10]);
        let record = Record::Adopt {
            of,
            epoch: 1,
            folders: Vec::new(),
            damaged: Vec::new(),
            entries: Entries::default(),
            observed: Vec::new(),
        };
        Pending::Adopt(record, oneshot::channel().0)
    }

    #[test]
    fn a_vacant_number_below_others_takes_no_notes_and_the_next_one_takes_them_in_order() {
        let mut log = OpenLog::new(Incarnation::draw(UtcTime(1), [1; 10]), stamp());
        let nonce = Nonce::draw(UtcTime(1), [1; 10]);
        let mut nothing = VecDeque::new();
        assert_eq!(log.assemble(&mut nothing, BTreeMap::new(), nonce, stamp()), 0);
        assert_eq!(log.assemble(&mut nothing, BTreeMap::new(), nonce, stamp()), 1);
        log.under_way.clear();
        log.vacate(0);

        let mut pending = VecDeque::from([note(1), adopt(), note(2)]);
        assert_eq!(log.assemble(&mut pending, BTreeMap::new(), nonce, stamp()), 0);
        assert!(matches!(log.under_way[&0].records[..], [Record::Adopt { .. }]));
        let Pending::Note(first) = note(1) else { return };
        assert_eq!(log.assemble(&mut pending, BTreeMap::new(), nonce, stamp()), 2);
        assert!(pending.is_empty());
        assert_eq!(log.under_way[&2].records[0], first);
        assert_eq!(log.under_way[&2].records.len(), 2);

        // The last number in use may take notes again.
        log.under_way.clear();
        log.vacate(2);
        pending.push_back(note(3));
        assert_eq!(log.assemble(&mut pending, BTreeMap::new(), nonce, stamp()), 2);
        assert_eq!(log.under_way[&2].records.len(), 1);
    }
}
