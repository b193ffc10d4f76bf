//! Group commit: when a segment is sent, and what follows from how that ended.

use std::time::Duration;

use super::attempts::enter;
use super::{Done, InMemory, Manager};
use crate::model::{Event, Nonce, QueueId};
use crate::platform::{Instant, StoreError};
use crate::queue::command::{Fresh, Ordered, Refusal};
use crate::queue::open_log::{Pending, RIGHT, SEGMENT_OCTETS, Waiter};
use crate::queue::schedule::Schedule;
use crate::state::layout;
use crate::state::log::{Class, Record};
use crate::state::requests::Purpose;

/// A log that holds entries writes at least this often, to keep its right.
const KEEPALIVE: Duration = Duration::from_mins(30);
/// Pause after the store has not taken a segment, beyond those between single requests.
const STORE_REST: Duration = Duration::from_secs(1);

/// Segments under way at a time, of those that company was waited for, where the store is far.
const FAR_AT_ONCE: usize = 2;

/// Clients whom a segment answered come back with their next message while others wait already: the next segment takes them all, if they
/// come in time, instead of half of them each time. A lone client is expected alone, and never waits.
///
/// Where the store is another machine, everybody in one segment means that nobody does anything while it is written. There two halves take
/// turns: one comes back while the other is written. A disk of ours would write both one behind the other.
#[derive(Debug)]
pub(super) struct Company {
    /// Records that are waited for. At least 1.
    expected: usize,
    /// As many are waited for until then, one window after the last segment stood.
    until: Instant,
}

impl Manager {
    /// Whether a segment is to be sent now.
    pub(super) fn is_flush_due(&self) -> bool {
        let Some(log) = &self.log else { return false };
        let now = self.instant();
        if !log.has_room() || self.rest_until.is_some_and(|until| now < until) {
            return false;
        }
        let is_window_over = self.window_end.is_some_and(|end| end <= now);
        if log.has_vacancy() {
            return true;
        }
        if self.observed_due().is_some_and(|due| due <= now) {
            return true;
        }
        if self.pending.is_empty() {
            return self.is_holding() && log.under_way.is_empty() && now.since(log.last_sent) >= KEEPALIVE;
        }
        (self.is_quiet() && self.is_company_here(now))
            || is_window_over
            || self.pending_octets >= SEGMENT_OCTETS
            || self.closing.is_some()
    }

    /// Whether so little is under way that a segment may go before its window is over.
    fn is_quiet(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.under_way.len() < self.at_once())
    }

    /// How many segments those share who come back again and again.
    fn at_once(&self) -> usize {
        if self.requests.settings().endpoint.is_some() { FAR_AT_ONCE } else { 1 }
    }

    /// Whether somebody waits for a segment, and nobody else is expected to join them.
    fn is_company_here(&self, now: Instant) -> bool {
        let expected = self.company.as_ref().filter(|company| now < company.until);
        self.awaited() >= expected.map_or(1, |company| company.expected)
    }

    /// Pending records that somebody waits for.
    fn awaited(&self) -> usize {
        self.pending.iter().filter(|item| item.is_awaited()).count()
    }

    /// When a segment is due for which company is waited for.
    pub(super) fn company_until(&self) -> Option<Instant> {
        let company = self.company.as_ref().filter(|_| self.is_quiet() && self.awaited() > 0)?;
        Some(company.until)
    }

    /// Sends a segment with what is pending.
    pub(super) fn flush(&mut self) {
        let now = self.now();
        let (time, entropy) = self.requests.platform().draw();
        if self.log.is_none() {
            return;
        }
        let observed = self.take_observed();
        let Some(log) = &mut self.log else { return };
        let number = log.assemble(&mut self.pending, observed, Nonce::draw(time, entropy), now);
        self.pending_octets = self.pending.iter().map(Pending::octets).sum();
        if self.pending.is_empty() {
            self.window_end = None;
        }
        self.send_segment(number, Duration::ZERO);
    }

    fn send_segment(&mut self, number: u64, pause: Duration) {
        let Some(log) = &self.log else { return };
        let Some(segment) = log.under_way.get(&number) else { return };
        let (incarnation, nonce, payload) = (log.incarnation, segment.nonce, segment.payload.clone());
        let requests = self.requests.of(Purpose::Accept);
        self.jobs.push(Box::pin(async move {
            requests.platform().clock.sleep(pause).await;
            let result = requests.create(&layout::segment(incarnation, number), &payload, nonce).await;
            Done::Segment { incarnation, number, result }
        }));
    }

    /// A segment stands. Its waiters are told once the heartbeat stands, too.
    pub(super) fn written(&mut self, number: u64) {
        let (now, at_once) = (self.now(), self.at_once());
        let Some(log) = &mut self.log else { return };
        if log.right.elapsed(now) > RIGHT {
            return self.fence("a write succeeded only after the hour was over");
        }
        let Some(segment) = log.under_way.remove(&number) else { return };
        if log.right.elapsed(segment.sent) > Duration::ZERO {
            log.right = segment.sent;
        }
        for record in &segment.records {
            log.live.apply(record);
            match record {
                Record::Accept(entry) => enter(&mut self.local, &mut self.relay, entry),
                Record::Adopt { entries, .. } => {
                    for (id, to, class, at) in entries.due() {
                        let schedule = match class {
                            Class::Local => &mut self.local,
                            Class::Relay => &mut self.relay,
                        };
                        schedule.again(id, to, at);
                    }
                }
                Record::Filed(batch) => self.observing.note_filed(*batch),
                _ => {}
            }
        }
        let under_way: usize = log.under_way.values().map(|segment| segment.waiters.len()).sum();
        let pending = self.pending.iter().filter(|item| item.is_awaited()).count();
        let awaited = segment.waiters.len() + under_way + pending;
        let until = self.requests.platform().clock.instant() + self.settings.window;
        self.company = Some(Company { expected: awaited.div_ceil(at_once).max(1), until });
        let live = &log.live.entries;
        self.cancelled.retain(|id| live.contains(*id));
        let incarnation = log.incarnation;
        for (record, bounce) in segment.bounces {
            let about = match segment.records.get(record) {
                Some(Record::Attempted { id, .. }) => Some(*id),
                Some(Record::Accept(entry)) => Some(entry.envelope.id),
                _ => None,
            };
            about.into_iter().for_each(|id| self.requests.journal().report(&bounce.event(id)));
            self.keep(bounce.id, Fresh { header: bounce.header, body: vec![bounce.body] });
        }
        for waiter in segment.waiters {
            match waiter {
                Waiter::Adopt(done) | Waiter::Proof(done) => drop(done.send(Ok(()))),
                Waiter::Cancel(done) => drop(done.send(Ok(Ordered::Done))),
                Waiter::Accept(id, content, done) => {
                    self.keep(id, content);
                    self.pulse.tell(incarnation, done);
                }
            }
        }
    }

    /// Keeps a message's content for its first attempts, if there is room.
    fn keep(&mut self, id: QueueId, content: Fresh) {
        let octets = content.header.len() + content.body.iter().map(bytes::Bytes::len).sum::<usize>();
        if self.in_memory_octets + octets > self.settings.memory {
            return;
        }
        let left = self.log.as_ref().map_or(0, |log| log.live.entries.recipients_left(id));
        if left > 0 {
            self.in_memory_octets += octets;
            self.in_memory.insert(id, InMemory { content, octets, left });
        }
    }

    /// A create that may still happen: the same octets are sent again until it is known. Clients are not kept waiting.
    pub(super) fn unanswered(&mut self, number: u64) {
        if let Some(segment) = self.log.as_mut().and_then(|log| log.under_way.get_mut(&number)) {
            let waiters = std::mem::take(&mut segment.waiters);
            for waiter in waiters {
                match waiter {
                    // Whoever adopts for us must know what became of it.
                    Waiter::Adopt(_) => segment.waiters.push(waiter),
                    Waiter::Accept(..) | Waiter::Cancel(_) | Waiter::Proof(_) => {
                        waiter.refuse(Refusal::Unknown)
                    }
                }
            }
        }
        self.send_segment(number, STORE_REST);
    }

    /// A create that certainly did not happen: those who wait are told, and what else was in it goes into another.
    pub(super) fn unwritten(&mut self, number: u64, error: &StoreError) {
        let rest_until = self.instant() + STORE_REST;
        let Some(log) = &mut self.log else { return };
        let Some(segment) = log.under_way.remove(&number) else { return };
        log.vacate(number);
        self.rest_until = Some(rest_until);
        segment.waiters.into_iter().for_each(|waiter| waiter.refuse(Refusal::Store(error.to_string())));
        let mut bounces = segment.bounces;
        let mut observed = Vec::new();
        let notes = segment.records.into_iter().enumerate().filter_map(|(place, record)| match record {
            Record::Attempted { .. } => Some(match bounces.remove(&place) {
                Some(bounce) => Pending::Bounce(record, bounce),
                None => Pending::Note(record),
            }),
            Record::Close {} | Record::Filed(_) => Some(Pending::Note(record)),
            Record::Observed(rows) => {
                observed.extend(rows.batches);
                None
            }
            _ => None,
        });
        let notes: Vec<_> = notes.collect();
        notes.into_iter().rev().for_each(|note| self.pending.push_front(note));
        self.put_observed_back(observed);
        if !self.pending.is_empty() {
            self.window_end = self.window_end.or(Some(rest_until));
        }
    }

    /// The log is somebody else's, or soon will be. Nothing of it may be acknowledged or attempted from now on.
    pub(super) fn fence(&mut self, reason: &str) {
        let Some(log) = self.log.take() else { return };
        let incarnation = log.incarnation;
        self.requests.journal().report(&Event::Fenced { incarnation, reason: reason.to_owned() });
        let waiters = log.under_way.into_values().flat_map(|segment| segment.waiters);
        waiters.for_each(|waiter| waiter.refuse(Refusal::Fenced));
        self.pulse.fence();
        self.observing.stop_filing();
        self.local = Schedule::default();
        self.relay = Schedule::default();
        self.lines.clear();
        self.cancelled.clear();
        self.ordered.clear();
        self.in_memory.clear();
        self.in_memory_octets = 0;
        self.pending_octets = 0;
        self.window_end = None;
        for item in std::mem::take(&mut self.pending) {
            match item {
                // These were in no segment yet: the next incarnation takes them.
                Pending::Accept(acceptance, done) => self.accept(acceptance, done),
                Pending::Adopt(_, done) | Pending::Proof(done) | Pending::Rewrite(_, done) => {
                    drop(done.send(Err(Refusal::Fenced)));
                }
                Pending::Cancel(_, done) => drop(done.send(Err(Refusal::Fenced))),
                Pending::Note(_) | Pending::Urgent(_) | Pending::Bounce(..) => {}
            }
        }
    }
}
