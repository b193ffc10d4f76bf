//! Reports of single failures (RFC 9991): who asks for it in a record of DMARC is told of a message at once, as far as an operator has it so.
//!
//! | step | where |
//! |---|---|
//! | a message has been verified, refused or not: is it to be told of? | [`report`], `wanted` |
//! | how often was it already? | `rates` |
//! | a job looks for who may be told, and hands the report to the queue | [`Job`] |
//!
//! **The message does not wait.** What is decided before its reply is decided without asking anybody; the job has a copy of the beginning of its header
//! block, and is one of [`JOBS`]. While all of them are under way nothing is told, but for an event.
//!
//! **Crashes.** Nothing is written down before the report is an entry of the queue like any other. *Before that* a node that dies has told nothing, and
//! nobody will: a failure report is an example, and the aggregate reports count every message. *After that* it is sent once. A message that is put off after
//! it was told of, because the store was away, is told of again when it comes again.
//!
//! **Loops.** A report has a null reverse-path, and nothing is told of a message with one; nor of one that says that it is a report or that a program sent
//! it; nor of one for an address that gets reports itself.

mod rates;
mod wanted;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_lock::{Semaphore, SemaphoreGuardArc};
use bytes::Bytes;

use self::rates::{PER_WINDOW, Rates, Turn, WINDOW};
use super::Context;
use super::dmarc_reports::Seen;
use super::reception::acceptance::submit;
use super::reception::recipients::Recipients;
use crate::authn::dmarc::{Destination, NotFoundOut, ReportKind, gets_reports, report_destinations};
use crate::authn::spf::published_record;
use crate::model::dmarc_policy::Policy;
use crate::model::failure_report::{DeliveryResult, Failure, FailureReport, Redactor};
use crate::model::{Address, Domain, Event, QueueId, ReversePath};

/// Reports that are made at a time.
const JOBS: usize = 16;
/// How long a job may look for who is to be told.
const PATIENCE: Duration = Duration::from_mins(1);
/// Octets of a header block that are told of.
const HEADER_LIMIT: usize = 32 << 10;
/// Recipients of a message that is told of. One with more cannot quickly be known not to be for an address that gets reports.
const RECIPIENTS: usize = 100;
/// Octets of the secret that tokens are made with.
const SECRET_OCTETS: usize = 32;

/// What a node remembers for its reports of failures.
#[derive(Debug)]
pub struct FailureReports {
    rates: Mutex<Rates>,
    jobs: Arc<Semaphore>,
    /// With a secret of this node's, drawn for the first report and gone with the process: tokens of two nodes, or of two lives of one, cannot be compared.
    redactor: OnceLock<Redactor>,
}

impl Default for FailureReports {
    fn default() -> Self {
        let jobs = Arc::new(Semaphore::new(JOBS));
        Self { rates: Mutex::default(), jobs, redactor: OnceLock::new() }
    }
}

impl FailureReports {
    fn take(&self, context: &Context, subject: &str) -> Turn {
        let now = context.requests.platform().clock.instant();
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).take(subject, now)
    }

    fn redactor(&self, context: &Context) -> &Redactor {
        self.redactor.get_or_init(|| {
            let mut secret = [0; SECRET_OCTETS];
            context.requests.platform().entropy.fill(&mut secret);
            Redactor::new(&secret)
        })
    }
}

/// Has the owner of its author's domain told of a message that failed, where he wants that. `results` gives an Authentication-Results field. Returns at once.
pub(super) fn report(
    context: &Arc<Context>,
    recipients: &Recipients,
    seen: &Seen<'_>,
    results: impl FnOnce() -> String,
) {
    if !context.config.dmarc_reports.tells_failures {
        return;
    }
    let Some(failure) = failure(context, seen, results) else { return };
    let Some(recipients) = addresses(context, recipients) else { return };
    let reports = &context.failure_reports;
    let domain = failure.author_domain.clone();
    let dropped = |reason: &str| dropped(context, &domain, None, reason.to_owned());
    let Some(place) = reports.jobs.try_acquire_arc() else {
        return dropped("too many reports are being made at the moment");
    };
    let incidents = match reports.take(context, domain.as_str()) {
        Turn::Granted { left_out } => left_out + 1,
        Turn::Exhausted => return dropped(&exhausted()),
        Turn::LeftOut => return,
    };
    let job = Job { context: context.clone(), failure, recipients, incidents, _place: place };
    context.requests.platform().spawn.spawn(Box::pin(job.run()));
}

/// What is told of the message, as far as that is known without asking; none where nothing is to be told.
fn failure(context: &Context, seen: &Seen<'_>, results: impl FnOnce() -> String) -> Option<Failure> {
    let published = wanted::asking(seen)?;
    let kind = wanted::failure(published.record.fo, seen.dmarc, seen.dkim, seen.spf.result)?;
    let reverse_path = wanted::answerable(seen)?.clone();
    let author_domain = seen.dmarc.author_domain.clone()?;
    let beginning = &seen.header[..seen.header.len().min(HEADER_LIMIT)];
    let whole_lines = beginning.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    Some(Failure {
        kind,
        owner: published.domain.clone(),
        source: seen.client,
        arrived: context.requests.platform().clock.utc(),
        reverse_path,
        delivery: match seen.done {
            Policy::None => DeliveryResult::Delivered,
            Policy::Quarantine => DeliveryResult::Spam,
            Policy::Reject => DeliveryResult::Reject,
        },
        is_dkim_unaligned: !seen.dmarc.is_dkim_aligned,
        is_spf_unaligned: !seen.dmarc.is_spf_aligned,
        signature: wanted::signature(seen.dkim, &author_domain),
        spf: Domain::parse(&seen.spf.domain).ok().map(|domain| (domain, String::new())),
        author_domain,
        results: results(),
        header: beginning[..whole_lines].to_vec(),
    })
}

/// Whom the message is for, as it was named and as it is delivered; none where they are too many, or one of them is the author of our own reports.
fn addresses(context: &Context, recipients: &Recipients) -> Option<Vec<Address>> {
    if recipients.len() > RECIPIENTS {
        return None;
    }
    let own = context.config.dmarc_reports.author(&context.config.hostname).normalized();
    let named = recipients.values().flat_map(|one| one.alias.iter().chain([&one.address]));
    let mut addresses: Vec<Address> = named.map(Address::normalized).collect();
    addresses.sort();
    addresses.dedup();
    (!addresses.contains(&own)).then_some(addresses)
}

fn exhausted() -> String {
    format!("{PER_WINDOW} have been sent in the last {} minutes", WINDOW.as_secs() / 60)
}

fn dropped(context: &Context, domain: &Domain, to: Option<Address>, reason: String) {
    context.journal.report(&Event::DmarcReportDropped { domain: domain.to_string(), to, reason });
}

/// One report on its way to the queue.
struct Job {
    context: Arc<Context>,
    failure: Failure,
    /// Of the message, normalised.
    recipients: Vec<Address>,
    incidents: u64,
    _place: SemaphoreGuardArc,
}

impl Job {
    async fn run(mut self) {
        let clock = self.context.requests.platform().clock.clone();
        let found = clock.before(clock.instant() + PATIENCE, self.destinations()).await;
        let reason = match found {
            Some(Ok(destinations)) => {
                for destination in destinations {
                    self.tell(&destination).await;
                }
                return;
            }
            Some(Err(error)) => error.to_string(),
            None => "looking for who wants it took too long".to_owned(),
        };
        self.give_up(None, reason);
    }

    /// Who is told; nobody where the message is for somebody who gets reports. What is still missing of the report is looked up, too.
    async fn destinations(&mut self) -> Result<Vec<Destination>, NotFoundOut> {
        let dns = self.context.requests.platform().dns.clone();
        for recipient in &self.recipients {
            if gets_reports(recipient, &*dns).await? {
                return Ok(Vec::new());
            }
        }
        let destinations = report_destinations(&self.failure.owner, ReportKind::Failure, &*dns).await?;
        if !destinations.is_empty()
            && let Some((domain, _)) = self.failure.spf.take()
        {
            let record = published_record(&domain, &*dns).await;
            self.failure.spf =
                record.filter(|_| self.failure.is_spf_unaligned).map(|record| (domain, record));
        }
        Ok(destinations)
    }

    async fn tell(&self, destination: &Destination) {
        let Self { context, failure, .. } = self;
        let to = &destination.address;
        match context.failure_reports.take(context, &to.to_string()) {
            Turn::Granted { .. } => {}
            Turn::Exhausted => return self.give_up(Some(to), exhausted()),
            Turn::LeftOut => return,
        }
        let config = &context.config;
        let from = config.dmarc_reports.author(&config.hostname);
        let (now, entropy) = context.requests.platform().draw();
        let report = FailureReport {
            id: &QueueId::draw(now, entropy).to_string(),
            now,
            reporting_mta: &config.hostname,
            from: &from,
            to,
            failure,
            incidents: self.incidents,
            redactor: context.failure_reports.redactor(context),
        };
        let content = Bytes::from(report.compose());
        if !destination.takes(content.len()) {
            let reason = format!("it has {} octets, and the record sets a limit", content.len());
            return self.give_up(Some(to), reason);
        }
        match submit(context, ReversePath::Null, std::slice::from_ref(to), &content).await {
            Ok(queue_id) => {
                let (domain, to) = (failure.author_domain.to_string(), to.clone());
                context.journal.report(&Event::DmarcFailureReported { queue_id, domain, to });
            }
            Err(reply) => self.give_up(Some(to), reply.to_string()),
        }
    }

    fn give_up(&self, to: Option<&Address>, reason: String) {
        dropped(&self.context, &self.failure.author_domain, to.cloned(), reason);
    }
}
