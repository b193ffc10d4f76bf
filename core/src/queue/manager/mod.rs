//! The task that writes this node's log: group commit, heartbeats, checkpoints, the right to acknowledge, and handing out
//! what is due.
//!
//! It never awaits a store request in its loop: requests run as jobs of its own, and the loop turns on whatever comes first: a finished job, a
//! command, or the next point in time at which something is due.

mod attempts;
mod checkpoints;
mod ending;
mod observing;
mod segments;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures::channel::oneshot;
use futures::future::{BoxFuture, Either, FutureExt, select};
use futures::stream::{FuturesUnordered, StreamExt};
use futures::{pin_mut, select_biased};

use self::observing::Observing;
use self::segments::Company;
use super::command::{Acceptance, AcceptedBody, Command, Current, Fresh, Holdings, Refusal, Work};
use super::intake::Intake;
use super::lines::Lines;
use super::open_log::{OpenLog, Pending, Stamp};
use super::pulse::Pulse;
use super::schedule::Schedule;
use super::spool::Spool;
use crate::config::{Config, QueueSettings, RelaySettings};
use crate::model::{Domain, Event, Incarnation, QueueId, UtcTime};
use crate::platform::{Host, Instant, StoreError};
use crate::state::beat::Beat;
use crate::state::layout;
use crate::state::log::BatchId;
use crate::state::requests::{Created, Purpose, Requests};

/// How long a record that nobody waits for may wait for company.
const NOTE_DELAY: Duration = Duration::from_millis(250);
/// The longest that the loop sleeps.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// A request that ended.
#[derive(Debug)]
enum Done {
    Segment { incarnation: Incarnation, number: u64, result: Result<Created, StoreError> },
    Beat { incarnation: Incarnation, interval: u64, result: Result<(), StoreError> },
    Checkpoint { incarnation: Incarnation, covers: u64, result: Result<Created, StoreError> },
    Filed { incarnation: Incarnation, batch: BatchId, result: Result<Created, StoreError> },
    Ended { incarnation: Incarnation },
}

#[derive(Debug)]
struct Closing {
    attempts_until: Instant,
    done: oneshot::Sender<()>,
    said: bool,
}

#[derive(Debug)]
struct InMemory {
    content: Fresh,
    octets: usize,
    /// Recipients whose first attempt has not ended.
    left: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Manager {
    requests: Requests,
    settings: QueueSettings,
    routing: RelaySettings,
    hostname: Domain,
    host: Host,
    commands: Receiver<Command>,
    work: Sender<Work>,
    relay_work: Sender<Work>,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    log: Option<OpenLog>,
    pulse: Pulse,
    pending: VecDeque<Pending>,
    pending_octets: u64,
    /// The store did not take the last segment; no other is sent before.
    rest_until: Option<Instant>,
    /// When pending records are to be written though company might still come.
    window_end: Option<Instant>,
    /// Who is expected to come before the next segment is sent.
    company: Option<Company>,
    /// Recipients that are accounts of ours.
    local: Schedule,
    /// Recipients of other hosts that are not due yet.
    relay: Schedule,
    /// Those that are.
    lines: Lines,
    intake: Arc<Intake>,
    in_memory: BTreeMap<QueueId, InMemory>,
    in_memory_octets: usize,
    /// Local deliveries handed out and not answered.
    outstanding: usize,
    closing: Option<Closing>,
    /// Messages whose cancellation is being written: what attempts come to does not matter any more.
    cancelled: BTreeSet<QueueId>,
    /// Messages that an operator wants tried now, until that has been done.
    ordered: BTreeSet<QueueId>,
    /// Logs that are being ended.
    ending: BTreeSet<Incarnation>,
    /// Whether this node is to be seen though it has nothing to do.
    belongs: bool,
    /// The latest time that was seen on the store's clock.
    store_now: Option<UtcTime>,
    /// What verification came to.
    observing: Observing,
}

impl Manager {
    /// A manager, and the way to talk to it. [`Manager::run`] must be spawned.
    pub fn new(config: &Config, requests: Requests, host: Host) -> (Self, Spool) {
        let (commands, receiver) = async_channel::unbounded();
        let (work, works) = async_channel::unbounded();
        let (relay_work, relay_works) = async_channel::unbounded();
        let intake = Intake::new(&config.queue);
        let spool = Spool::new(commands, [works, relay_works], requests.clone(), intake.clone());
        let manager = Self {
            requests,
            settings: config.queue.clone(),
            routing: config.relay.clone(),
            hostname: config.hostname.clone(),
            host,
            commands: receiver,
            work,
            relay_work,
            jobs: FuturesUnordered::new(),
            log: None,
            pulse: Pulse::default(),
            pending: VecDeque::new(),
            pending_octets: 0,
            window_end: None,
            company: None,
            local: Schedule::default(),
            relay: Schedule::default(),
            lines: Lines::new(config.relay.attempts, config.relay.attempts_per_destination),
            intake,
            in_memory: BTreeMap::new(),
            in_memory_octets: 0,
            outstanding: 0,
            closing: None,
            cancelled: BTreeSet::new(),
            ordered: BTreeSet::new(),
            ending: BTreeSet::new(),
            belongs: false,
            store_now: None,
            observing: Observing::default(),
            rest_until: None,
        };
        (manager, spool)
    }

    /// Runs until it is told to close.
    pub async fn run(mut self) {
        let clock = self.requests.platform().clock.clone();
        let commands = self.commands.clone();
        loop {
            let wake = self.next_wake();
            let late = clock.sleep_until(wake);
            select_biased! {
                done = self.jobs.select_next_some() => self.finished(done),
                command = commands.recv().fuse() => match command {
                    Ok(command) => self.command(command),
                    Err(_) => return,
                },
                () = late.fuse() => {}
            }
            // Whatever came meanwhile makes company.
            while let Some(Some(done)) = self.jobs.next().now_or_never() {
                self.finished(done);
            }
            while let Ok(command) = commands.try_recv() {
                self.command(command);
            }
            self.pump();
            if self.is_closed() {
                // What came in the last moment would stay in the channel for good, and whoever sent it would wait for an answer.
                commands.close();
                while commands.try_recv().is_ok() {}
                return;
            }
        }
    }

    fn now(&self) -> Stamp {
        Stamp::now(&*self.requests.platform().clock, self.store_now)
    }

    fn instant(&self) -> Instant {
        self.requests.platform().clock.instant()
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Accept { done, .. } if self.closing.is_some() => drop(done.send(Err(Refusal::Closing))),
            Command::Accept { acceptance, done } => self.accept(acceptance, done),
            Command::Attempted(attempted) => self.attempted(attempted),
            Command::Observe(row) => self.observe(*row),
            Command::Conclude { incarnation, done } => self.conclude(incarnation, done),
            Command::Order { order, done } => self.order(&order, done),
            Command::Hasten { domain, with_subdomains, done } => {
                let _ = done.send(self.hasten(&domain, with_subdomains));
            }
            Command::Lease { done } if self.closing.is_some() => drop(done.send(Err(Refusal::Closing))),
            Command::Lease { done } => {
                let log = self.open();
                log.leases += 1;
                log.was_leased = true;
                let incarnation = log.incarnation;
                if done.send(Ok(incarnation)).is_err() {
                    self.unlease(incarnation);
                }
            }
            Command::Unlease { incarnation } => self.unlease(incarnation),
            Command::Stand { done } if self.closing.is_some() => drop(done.send(Err(Refusal::Closing))),
            Command::Stand { done } => {
                let incarnation = self.open().incarnation;
                self.pulse.stand(self.instant(), incarnation, done);
            }
            Command::Current { done } => {
                let current = self.log.as_ref().map(|log| Current {
                    incarnation: log.incarnation,
                    is_holding: self.is_holding(),
                    is_busy: self.is_busy(),
                    entries: log.live.entries.len(),
                    attempts: self.outstanding + self.lines.under_way(),
                    next_due: self.next_due(),
                });
                let _ = done.send(current);
            }
            Command::Holdings { done } => {
                let holdings = self.log.as_ref().map(|log| Holdings {
                    incarnation: log.incarnation,
                    live: log.live.clone(),
                    store_now: self.store_now,
                });
                // Whoever asked may have stopped waiting.
                let _ = done.send(holdings);
            }
            Command::Rewrite { incarnation, rewritten, done } => match &self.log {
                Some(log) if log.incarnation == incarnation && self.closing.is_none() => {
                    self.push(Pending::Rewrite(rewritten, done));
                }
                _ => drop(done.send(Err(Refusal::Fenced))),
            },
            Command::Settled { incarnation, of } => {
                if let Some(log) = self.log.as_mut().filter(|log| log.incarnation == incarnation) {
                    log.live.adopted.remove(&of);
                }
            }
            Command::Forget { incarnation, folder } => {
                if let Some(log) = self.log.as_mut().filter(|log| log.incarnation == incarnation) {
                    log.live.forget(folder);
                }
            }
            // Whoever asked may have stopped waiting.
            Command::StoreNow { done } => drop(done.send(self.store_now)),
            Command::Belong => self.belongs = true,
            Command::Seen { store_now, nodes } => {
                self.store_now = self.store_now.max(store_now);
                self.lines.share(nodes);
            }
            Command::Adopt { incarnation, record, done } => {
                if self.log.as_ref().is_some_and(|log| log.incarnation == incarnation)
                    && self.closing.is_none()
                {
                    self.push(Pending::Adopt(record, done));
                } else {
                    drop(done.send(Err(Refusal::Fenced)));
                }
            }
            Command::HasAdopted { incarnation, of, done } => {
                let log = self.log.as_ref().filter(|log| log.incarnation == incarnation);
                let _ = done.send(log.is_some_and(|log| log.live.adopted.contains_key(&of)));
            }
            Command::Close { attempts_until, done } => {
                // What has just been accepted is due now, and may still be delivered.
                self.dispatch();
                self.closing = Some(Closing { attempts_until, done, said: false });
            }
        }
    }

    fn accept(&mut self, acceptance: Acceptance, done: oneshot::Sender<Result<Incarnation, Refusal>>) {
        let now = self.instant();
        let incarnation = self.open().incarnation;
        // A body that was uploaded into another log's folder would not be adopted together with its entry.
        let misplaced = acceptance.under.is_some_and(|only| only != incarnation)
            || match &acceptance.body {
                AcceptedBody::Inline(..) => false,
                AcceptedBody::Uploaded(upload) => {
                    upload.incarnation() != incarnation || upload.is_too_old(now)
                }
            };
        if misplaced {
            drop(done.send(Err(Refusal::Fenced)))
        } else if self.pulse.is_unseen() {
            // It would be delivered, and its client told to send it again.
            drop(done.send(Err(Refusal::Store("heartbeats cannot be written".to_owned()))))
        } else {
            self.push(Pending::Accept(acceptance, done))
        }
    }

    fn unlease(&mut self, incarnation: Incarnation) {
        if let Some(log) = self.log.as_mut().filter(|log| log.incarnation == incarnation) {
            log.leases = log.leases.saturating_sub(1);
        }
    }

    fn push(&mut self, item: Pending) {
        let delay = if item.is_urgent() { self.settings.window } else { NOTE_DELAY };
        let end = self.instant() + delay;
        self.window_end = Some(self.window_end.map_or(end, |earlier| earlier.min(end)));
        self.pending_octets += item.octets();
        self.pending.push_back(item);
    }

    /// The open log; begins one where there is none.
    fn open(&mut self) -> &mut OpenLog {
        self.check_right();
        let now = self.now();
        self.log.get_or_insert_with(|| {
            let (time, entropy) = self.requests.platform().draw();
            let incarnation = Incarnation::draw(time, entropy);
            self.requests.journal().report(&Event::IncarnationBegun { incarnation });
            self.pulse.begin_anew();
            OpenLog::new(incarnation, now)
        })
    }

    /// Does everything that can be done now.
    fn pump(&mut self) {
        self.check_right();
        if self.belongs
            && self.log.is_none()
            && self.closing.is_none()
            && self.pulse.may_appear(self.instant())
        {
            self.open();
        }
        self.begin_for_observed();
        while self.is_flush_due() {
            self.flush();
        }
        self.beat();
        self.checkpoint();
        self.file(false);
        self.dispatch();
        self.close();
        self.intake.holds(self.log.as_ref().map_or(0, |log| log.live.entries.len()), self.local.next());
    }

    fn finished(&mut self, done: Done) {
        let current = self.log.as_ref().map(|log| log.incarnation);
        match done {
            Done::Segment { incarnation, number, result } if Some(incarnation) == current => match result {
                Ok(Created::Ours) => self.written(number),
                Ok(Created::Foreign) => self.fence("another node has sealed it"),
                Err(StoreError::Unknown(_)) => self.unanswered(number),
                Err(error) => self.unwritten(number, &error),
            },
            Done::Beat { incarnation, interval, result } if Some(incarnation) == current => {
                self.pulse.answered(self.instant(), incarnation, interval, result.is_ok());
            }
            Done::Checkpoint { incarnation, covers, result } if Some(incarnation) == current => {
                if let (Some(log), Ok(_)) = (&mut self.log, result) {
                    log.covered = covers;
                }
            }
            Done::Filed { incarnation, batch, result } => self.filed(incarnation, batch, result),
            Done::Ended { incarnation } => {
                self.ending.remove(&incarnation);
                if Some(incarnation) == current {
                    self.log = None;
                }
            }
            // Of a log that is not ours any more.
            Done::Segment { .. } | Done::Beat { .. } | Done::Checkpoint { .. } => {}
        }
    }

    /// Whether the log must be seen to be alive: somebody else would have to take over if we were gone.
    fn is_holding(&self) -> bool {
        let Some(log) = &self.log else { return false };
        !(log.live.is_empty()
            && log.under_way.is_empty()
            && log.leases == 0
            && !log.has_vacancy()
            && self.pending.is_empty()
            && !self.pulse.is_wanted(self.instant()))
    }

    /// When the next heartbeat is to be sent, if none is under way and the log is not being ended.
    fn beat_due(&self) -> Option<Instant> {
        self.log.as_ref()?;
        if self.is_ending() { None } else { self.pulse.due(self.is_holding()) }
    }

    /// Sends a heartbeat if one is due.
    fn beat(&mut self) {
        let (now, is_holding) = (self.instant(), self.is_holding());
        let Some(log) = &self.log else { return };
        if self.beat_due().is_none_or(|due| now < due) {
            return;
        }
        let (seq, interval) = self.pulse.send(now, is_holding);
        let beat = Beat {
            inc: log.incarnation,
            seq,
            interval,
            next_due: self.next_due(),
            queued: log.live.entries.len() as u64,
            hostname: self.hostname.clone(),
            process: self.host.process.clone(),
        };
        let (incarnation, payload) = (log.incarnation, beat.encode().payload);
        let (requests, end) = (self.requests.of(Purpose::Heartbeat), log.end_of_writing());
        self.jobs.push(Box::pin(async move {
            let key = layout::beat(incarnation);
            let (writing, end) = (requests.put(&key, &payload), end);
            pin_mut!(writing, end);
            let result = match select(writing, end).await {
                Either::Left((result, _)) => result,
                // A log that is somebody else's shows no more signs of life.
                Either::Right(_) => Err(StoreError::Unknown("the log is not written any more".to_owned())),
            };
            Done::Beat { incarnation, interval, result }
        }));
    }

    /// When the loop has to turn though nothing comes.
    fn next_wake(&self) -> Instant {
        let now = self.instant();
        let utc = self.requests.platform().clock.utc();
        let mut wake = now + LONGEST_SLEEP;
        let mut at = |instant: Instant| wake = wake.min(instant);
        if let Some(log) = &self.log {
            if let (Some(end), true) = (self.window_end, log.has_room()) {
                at(end.max(self.rest_until.unwrap_or(end)));
            }
            if let Some(until) = self.company_until() {
                at(until.max(self.rest_until.unwrap_or(until)));
            }
            if let (Some(until), true) = (self.rest_until, log.has_vacancy()) {
                at(until);
            }
            if let (Some(due), true) = (self.observed_due(), log.has_room()) {
                at(due.max(self.rest_until.unwrap_or(due)).max(now));
            }
            if let Some(due) = self.beat_due() {
                at(due.max(now));
            }
            if self.closing.is_none() {
                let local = self.local.next().filter(|_| self.outstanding < self.settings.local_attempts);
                [local, self.relay.next()].into_iter().flatten().for_each(|due| at(now + due.since(utc)));
            }
        }
        if let Some(closing) = &self.closing {
            at(closing.attempts_until.max(now + Duration::from_millis(10)));
        }
        wake
    }
}
