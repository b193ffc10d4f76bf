//! Aggregate reports (RFC 9990): what DMARC came to for each message is counted, and the owner of the domain is told of each day once.
//!
//! | step | where |
//! |---|---|
//! | a message has been verified: a row | [`observe`] |
//! | rows ride in segments, and are filed in batches | `queue`, `state::log` |
//! | the day is over: one node wins a run, and merges the batches | `merging` |
//! | a report for each destination that wants it | `sending` |
//!
//! Which day a row belongs to, and that a day is over, each node says by its own clock; nothing hangs on it but in which report a row stands, since a batch
//! that comes late is merged by a later run. Which run is whose is decided by creates alone.
//!
//! **A run** names its batches, and no other run but one that takes it over names them. It is taken over once it has stood for [`TAKEOVER`] without an end; its
//! owner stops well before ([`RIGHT`], by a clock that counts suspension).
//!
//! **Crashes.** *Before a report is in the queue:* nothing shows that it was sent, and whoever takes the run over sends it. *After that, before its mark:* it is sent
//! once more, with the same Report-ID, file name and Message-ID, by which its reader knows that (RFC 9990 §3.5.3): an address that has no account of ours knows
//! no other way, and to mark first would lose reports. *After the mark:* it is passed over. *Before the run's end is written:* it is taken over, and everything passed over.

mod merging;
mod observing;
mod receiving;
mod sending;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use self::merging::{DayFolder, Due};
pub(super) use self::observing::{Seen, observe};
pub(super) use self::receiving::{READERS, is_inbox, receive};
use super::Context;
use crate::model::dmarc_report::Period;
use crate::model::{Event, Nonce, UtcTime};
use crate::platform::{Instant, StoreError};
use crate::state::frame;
use crate::state::layout::{self, ReportKey};
use crate::state::reports::{Mark, Run};
use crate::state::requests::{Created, Purpose, Requests};
use crate::state::sweep_mark::{DAY, day};

/// Pause between looks at what has been filed.
const LOOK: Duration = Duration::from_mins(30);
/// How long after its end a day is merged: nodes file what they have as soon as it is over, and logs of the dead are adopted within minutes.
const SLACK: Duration = Duration::from_hours(1);
/// How long a run is left to whoever began it.
const TAKEOVER: Duration = Duration::from_hours(1);
/// How long after its create a run is worked at.
const RIGHT: Duration = Duration::from_mins(45);
/// Days after which nothing is made of a batch any more. Runs are kept longer than that, so no batch that comes once more is merged twice.
const DAYS: u64 = 14;

/// Merges what is due, again and again.
pub(super) async fn run(context: &Arc<Context>) -> Infallible {
    let clock = context.requests.platform().clock.clone();
    let mut reporter = Reporter::default();
    loop {
        clock.sleep(LOOK).await;
        if let Err(error) = reporter.round(context).await {
            trouble(context, "making reports of a day", &error);
        }
    }
}

fn trouble(context: &Context, doing: &str, error: &dyn std::fmt::Display) {
    context.journal.report(&Event::Trouble { doing: doing.to_owned(), error: error.to_string() });
}

/// What a node remembers between looks.
#[derive(Debug, Default)]
struct Reporter {
    /// Runs that have been read, by day and number: they do not change.
    runs: BTreeMap<(u64, u64), Run>,
}

impl Reporter {
    async fn round(&mut self, context: &Arc<Context>) -> Result<(), StoreError> {
        let requests = context.requests.of(Purpose::Report);
        let clock = &requests.platform().clock;
        let today = day(clock.utc());
        // A day that ended just now is still being filed.
        let newest = day(UtcTime(clock.utc().0.saturating_sub(SLACK.as_millis() as u64))).saturating_sub(1);
        let mut days: BTreeMap<u64, DayFolder> = BTreeMap::new();
        for object in requests.list(layout::DMARC_REPORTS, None).await? {
            let Some((day, key)) = layout::parse_report(&object.key) else { continue };
            days.entry(day).or_default().add(key, object.modified);
        }
        self.runs.retain(|(day, _), _| days.contains_key(day));
        for (day, folder) in days.iter().filter(|(day, _)| **day <= newest && **day + DAYS > today) {
            self.read_runs(&requests, *day, folder).await?;
            let runs = self.runs.range((*day, 0)..=(*day, u64::MAX)).map(|((_, number), run)| (*number, run));
            let Some(due) = folder.due(&runs.collect(), context.spool.store_now().await, TAKEOVER) else {
                continue;
            };
            self.take(context, &requests, *day, due).await?;
        }
        Ok(())
    }

    async fn read_runs(
        &mut self,
        requests: &Requests,
        day: u64,
        folder: &DayFolder,
    ) -> Result<(), StoreError> {
        for number in folder
            .runs
            .keys()
            .filter(|number| !self.runs.contains_key(&(day, **number)))
            .collect::<BTreeSet<_>>()
        {
            let key = layout::report_object(day, ReportKey::Run(*number));
            let Some(object) = requests.find(&key).await? else { continue };
            let run = match frame::decode::<Run>(&object.bytes) {
                Ok(frame) => frame.header,
                Err(error) => {
                    let reason = error.to_string();
                    requests.journal().report(&Event::ObjectDamaged { key, reason });
                    continue;
                }
            };
            self.runs.insert((day, *number), run);
        }
        Ok(())
    }

    /// Begins a run, if nobody is faster, and does it.
    async fn take(
        &mut self,
        context: &Arc<Context>,
        requests: &Requests,
        day: u64,
        due: Due,
    ) -> Result<(), StoreError> {
        let began = requests.platform().clock.instant();
        let (at, entropy) = requests.platform().draw();
        let run = Run { nonce: Nonce::draw(at, entropy), at, of: due.of, batches: due.batches };
        let key = layout::report_object(day, ReportKey::Run(due.number));
        let Created::Ours = requests.create(&key, &run.encode().payload, run.nonce).await? else {
            return Ok(());
        };
        self.runs.insert((day, due.number), run.clone());
        let work = Work { context, requests, day, run: &run, until: began + RIGHT };
        if work.complete().await? {
            work.mark(ReportKey::Done(due.number)).await?;
        }
        Ok(())
    }
}

/// A run that this node does.
struct Work<'a> {
    context: &'a Arc<Context>,
    requests: &'a Requests,
    day: u64,
    run: &'a Run,
    /// When somebody else may soon go on with it.
    until: Instant,
}

impl Work<'_> {
    /// Sends the reports of all domains. Whether nothing is left to another run.
    async fn complete(&self) -> Result<bool, StoreError> {
        let sent = self.requests.list(&format!("{}sent/", layout::report_day(self.day)), None).await?;
        let sent: BTreeSet<String> = sent.into_iter().map(|object| object.key).collect();
        let mut is_complete = true;
        for report in merging::merge(self.requests, self.day, self.run).await? {
            if self.requests.platform().clock.instant() >= self.until {
                return Ok(false);
            }
            is_complete &= self.send(&report, &sent).await?;
        }
        Ok(is_complete)
    }

    async fn mark(&self, object: ReportKey) -> Result<(), StoreError> {
        let (at, entropy) = self.requests.platform().draw();
        let mark = Mark { nonce: Nonce::draw(at, entropy), at };
        self.requests.put(&layout::report_object(self.day, object), &mark.encode().payload).await
    }

    /// The day in seconds since 1970.
    fn period(&self) -> Period {
        let begin = self.day * DAY.as_secs();
        Period { begin, end: begin + DAY.as_secs() - 1 }
    }
}
