//! What of a day is to be merged, and the merging.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::FutureExt;
use futures::stream::{self, StreamExt};
use ring::digest::{SHA256, digest};

use crate::model::dmarc_report::{PublishedPolicy, Rows};
use crate::model::{Event, UtcTime};
use crate::platform::StoreError;
use crate::state::frame;
use crate::state::layout::{self, ReportKey};
use crate::state::reports::{FiledBatch, Run};
use crate::state::requests::Requests;

/// Rows of one run. Beyond: they are left out, and that is told.
const ROWS: usize = 100_000;
/// Rows of one report. Beyond: they are left out, those of the fewest messages first.
const REPORT_ROWS: usize = 10_000;
/// Batches that are read at a time.
const READ_AHEAD: usize = 8;
/// Runs over the same batches, one an hour, after which what could not be sent is given up.
const PATIENCE: u64 = 24;
/// Octets of a report's name.
const NAME_OCTETS: usize = 12;

/// The folder of a day, as listed.
#[derive(Clone, Debug, Default)]
pub(super) struct DayFolder {
    batches: BTreeSet<String>,
    /// When each began, by the store's clock.
    pub(super) runs: BTreeMap<u64, UtcTime>,
    done: BTreeSet<u64>,
}

/// A run that is to be begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) number: u64,
    pub(super) of: u64,
    pub(super) batches: Vec<String>,
}

impl DayFolder {
    pub(super) fn add(&mut self, key: ReportKey, modified: UtcTime) {
        match key {
            ReportKey::Rows(name) => drop(self.batches.insert(name)),
            ReportKey::Run(number) => drop(self.runs.insert(number, modified)),
            ReportKey::Done(number) => drop(self.done.insert(number)),
            ReportKey::Sent(_) => {}
        }
    }

    /// What is to be done with this folder, whose runs these are. Nothing while one of them is under way, or cannot be read.
    pub(super) fn due(
        &self,
        runs: &BTreeMap<u64, &Run>,
        store_now: Option<UtcTime>,
        takeover: Duration,
    ) -> Option<Due> {
        if self.runs.keys().any(|number| !runs.contains_key(number)) {
            return None;
        }
        let number = self.runs.last_key_value().map_or(0, |(last, _)| last + 1);
        if let Some((last, began)) = self.runs.last_key_value()
            && let Some(run) = runs.get(last)
            && !self.done.contains(last)
            && last - run.of < PATIENCE
        {
            let is_abandoned = store_now.is_some_and(|now| now.since(*began) >= takeover);
            return is_abandoned.then(|| Due { number, of: run.of, batches: run.batches.clone() });
        }
        let merged: BTreeSet<&String> = runs.values().flat_map(|run| &run.batches).collect();
        let batches: Vec<String> =
            self.batches.iter().filter(|name| !merged.contains(name)).cloned().collect();
        (!batches.is_empty()).then_some(Due { number, of: number, batches })
    }
}

/// A report: rows of one domain, and of one policy of it.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    /// The same whoever merges the same batches.
    pub(super) id: String,
    pub(super) policy: PublishedPolicy,
    pub(super) rows: Rows,
}

/// Merges the batches of a run. What cannot be read is told of and left out.
pub(super) async fn merge(requests: &Requests, day: u64, run: &Run) -> Result<Vec<Merged>, StoreError> {
    let mut reports: BTreeMap<PublishedPolicy, Rows> = BTreeMap::new();
    let (mut rows, mut left_out) = (0, 0u64);
    let key = |name: &String| layout::report_object(day, ReportKey::Rows(name.clone()));
    let reads: Vec<_> = run.batches.iter().map(|name| read(requests, key(name)).boxed()).collect();
    let mut batches = stream::iter(reads).buffered(READ_AHEAD);
    while let Some(batch) = batches.next().await {
        for (row, count) in batch?.into_iter().flat_map(|filed| filed.batch.rows) {
            let report = reports.entry(row.policy.clone()).or_default();
            match report.get_mut(&row) {
                Some(sum) => *sum += count,
                None if rows < ROWS => {
                    rows += 1;
                    report.insert(row, count);
                }
                None => left_out += count,
            }
        }
    }
    for rows in reports.values_mut().filter(|rows| rows.len() > REPORT_ROWS) {
        left_out += shorten(rows);
    }
    if left_out > 0 {
        let doing = "merging a day's rows".to_owned();
        let error = format!("{left_out} messages were left out: too many that are unlike each other");
        requests.journal().report(&Event::Trouble { doing, error });
    }
    let named = reports.into_iter().filter(|(_, rows)| !rows.is_empty());
    Ok(named.map(|(policy, rows)| Merged { id: name(day, run.of, &policy), policy, rows }).collect())
}

async fn read(requests: &Requests, key: String) -> Result<Option<FiledBatch>, StoreError> {
    let Some(object) = requests.find(&key).await? else { return Ok(None) };
    Ok(match frame::decode::<FiledBatch>(&object.bytes) {
        Ok(frame) => Some(frame.header),
        Err(error) => {
            requests.journal().report(&Event::ObjectDamaged { key, reason: error.to_string() });
            None
        }
    })
}

/// Leaves the rows of the most messages. Gives how many messages the others stand for.
fn shorten(rows: &mut Rows) -> u64 {
    let mut all: Vec<_> = std::mem::take(rows).into_iter().collect();
    all.sort_by(|(a, many), (b, more)| more.cmp(many).then_with(|| a.cmp(b)));
    let left_out = all.split_off(REPORT_ROWS.min(all.len()));
    rows.extend(all);
    left_out.iter().map(|(_, count)| count).sum()
}

/// Letters and digits that name a report (RFC 9990 §3.5.1).
fn name(day: u64, of: u64, policy: &PublishedPolicy) -> String {
    hash(&format!("{day} {of} {policy:?}"))
}

/// Lower-case hexadecimal digits that hardly any other text has.
pub(super) fn hash(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref()[..NAME_OCTETS].iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Nonce;

    const HOUR: Duration = Duration::from_hours(1);

    fn run(of: u64, batches: &[&str]) -> Run {
        let batches = batches.iter().map(ToString::to_string).collect();
        Run { nonce: Nonce::draw(UtcTime(1), [1; 10]), at: UtcTime(1), of, batches }
    }

    fn due(number: u64, of: u64, batches: &[&str]) -> Option<Due> {
        Some(Due { number, of, batches: batches.iter().map(ToString::to_string).collect() })
    }

    #[test]
    fn each_batch_is_in_one_run_and_a_run_that_was_left_is_taken_over() {
        let began = UtcTime(1_000);
        let late = Some(began.after(HOUR));
        let early = Some(began.after(HOUR / 2));
        let a = run(0, &["a"]);
        let again = run(0, &["a"]);
        let b = run(1, &["b"]);
        let runs_of = |runs: &[&Run]| runs.iter().map(|run| (*run).clone()).collect::<Vec<_>>();
        for (batches, runs, done, now, expected) in [
            (vec![], vec![], vec![], late, None),
            (vec!["a", "b"], vec![], vec![], None, due(0, 0, &["a", "b"])),
            (vec!["a"], runs_of(&[&a]), vec![0], late, None),
            (vec!["a", "b"], runs_of(&[&a]), vec![0], None, due(1, 1, &["b"])),
            (vec!["a", "b"], runs_of(&[&a]), vec![], early, None),
            (vec!["a", "b"], runs_of(&[&a]), vec![], None, None),
            (vec!["a", "b"], runs_of(&[&a]), vec![], late, due(1, 0, &["a"])),
            (vec!["a", "b"], runs_of(&[&a, &again]), vec![0], early, None),
            (vec!["a", "b"], runs_of(&[&a, &again]), vec![1], early, due(2, 2, &["b"])),
            // One that was deleted, and came again.
            (vec!["a", "b"], runs_of(&[&a, &b]), vec![1], late, None),
            (vec!["a"], vec![a.clone(); 25], vec![], late, None),
        ] {
            let mut folder = DayFolder::default();
            batches.iter().for_each(|name| folder.add(ReportKey::Rows((*name).to_owned()), began));
            runs.iter().zip(0..).for_each(|(_, number)| folder.add(ReportKey::Run(number), began));
            done.iter().for_each(|number| folder.add(ReportKey::Done(*number), began));
            let known = runs.iter().zip(0..).map(|(run, number)| (number, run)).collect();
            assert_eq!(folder.due(&known, now, HOUR), expected, "{batches:?} {runs:?} {done:?}");
            if !runs.is_empty() {
                assert_eq!(folder.due(&BTreeMap::new(), now, HOUR), None);
            }
        }
    }
}
