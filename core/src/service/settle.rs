//! What follows from how attempts ended: what has been tried for too long fails, and who sent it is told what it wants to know (RFC 5321 §4.5.4.1,
//! §6.1; RFC 3461 §5.2).
//!
//! A message with a null reverse-path is never reported on, so that no report is ever answered by another (RFC 5321 §4.5.5). A failure that
//! cannot be reported now is none yet. What has been delivered cannot be taken back for want of a report: that report is dropped.

mod reports;
#[cfg(test)]
mod tests;

pub use self::reports::{expansion, strip_success};
use super::Context;
use crate::config::QueueSettings;
use crate::model::date::in_words;
use crate::model::message::Action;
use crate::model::options::DeliverBy;
use crate::model::{Event, Outcome, Reply, UtcTime};
use crate::queue::Work;
use crate::state::log::{Envelope, Recipient};

/// How an attempt at one recipient ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// The recipient's number.
    pub to: u32,
    /// How.
    pub outcome: Outcome,
    /// The host that said so, where it was another one.
    pub remote: Option<Remote>,
}

/// Another host that was asked to take a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its name, or its address where it has none.
    pub name: String,
    /// Whether it reports what becomes of the message (RFC 3461 §5.2.1), and was asked to.
    pub offers_dsn: bool,
}

/// Settles how attempts ended, and tells the queue. A failure becomes final only together with its report; where the store does not let that
/// be made now, the recipient is tried again later.
pub async fn settle(context: &Context, work: &Work, mut ended: Vec<Ended>) {
    let (now, _) = context.requests.platform().draw();
    for one in &mut ended {
        one.outcome = expire(one.outcome.clone(), &work.envelope, &context.config.queue, now);
    }
    let mut told = tell(work, &ended, &context.config.queue, now);
    reports::drop_unwanted(context, work, &ended);
    let bounce = match told.is_empty() {
        true => None,
        false => match reports::of_attempts(context, work, &told, &ended).await {
            Ok(Ok(bounce)) => Some(bounce),
            Ok(Err(reason)) => {
                reports::drop_all(context, work, &told, reason);
                None
            }
            Err(error) => {
                let doing = format!("reporting on {}", work.envelope.id);
                context.journal.report(&Event::Trouble { doing, error: error.to_string() });
                ended.iter_mut().for_each(|one| postpone(&mut one.outcome));
                told.clear();
                None
            }
        },
    };
    for one in &ended {
        let Some(recipient) = work.recipients.iter().find(|recipient| recipient.to == one.to) else {
            continue;
        };
        context.journal.report(&Event::Attempted {
            queue_id: work.envelope.id,
            recipient: recipient.address.clone(),
            outcome: one.outcome.clone(),
            attempts: recipient.attempts + 1,
        });
    }
    let is_delay = |action: &Action| matches!(action, Action::Delayed { .. });
    let delays: Vec<u32> = told.iter().filter(|(_, action)| is_delay(action)).map(|(to, _)| *to).collect();
    let outcomes = ended.into_iter().map(|one| (one.to, one.outcome)).collect();
    context.spool.attempted(work, outcomes, bounce, &delays);
}

/// What a message is not even tried for any more: it was to be returned when this time was over (RFC 2852 §4.1).
pub fn overdue(envelope: &Envelope, now: UtcTime) -> Option<Outcome> {
    let by = envelope.options.deliver_by.as_ref().filter(|by| by.is_return && by.at <= now)?;
    Some(too_late(by, None))
}

/// 5.4.7: delivery time expired (RFC 3463 §3.5, RFC 2852 §4.1.1).
fn too_late(by: &DeliverBy, reply: Option<&Reply>) -> Outcome {
    let why = reply.map(|reply| format!(": {reply}")).unwrap_or_default();
    let text = format!("not delivered by {}, as its sender wanted{why}", by.at.to_rfc5322());
    Outcome::Failed(Reply::new(554, (5, 4, 7), text))
}

/// What has been deferred for as long as a message is kept, or as its sender lets it be, fails (RFC 3463 §3.5).
fn expire(outcome: Outcome, envelope: &Envelope, settings: &QueueSettings, now: UtcTime) -> Outcome {
    let Outcome::Deferred(reply) = outcome else { return outcome };
    let limit = settings.expire;
    match &envelope.options.deliver_by {
        Some(by) if by.is_return && by.at <= now => too_late(by, Some(&reply)),
        _ if now.since(envelope.released()) >= limit => {
            let text = format!("not delivered within {}: {reply}", in_words(limit));
            Outcome::Failed(Reply::new(554, (5, 4, 7), text))
        }
        _ => Outcome::Deferred(reply),
    }
}

/// A failure that cannot be reported now is none yet.
fn postpone(outcome: &mut Outcome) {
    if let Outcome::Failed(reply) = outcome {
        let text = format!("storage is not available for the report that this failed: {reply}");
        *outcome = Outcome::Deferred(Reply::new(451, (4, 3, 0), text));
    }
}

/// Of whom the sender is to be told, by number, the lowest first, and what.
fn tell(work: &Work, ended: &[Ended], settings: &QueueSettings, now: UtcTime) -> Vec<(u32, Action)> {
    let mut told: Vec<(u32, Action)> = ended
        .iter()
        .filter_map(|one| {
            let recipient = work.recipients.iter().find(|recipient| recipient.to == one.to)?;
            Some((one.to, action(recipient, one, &work.envelope, settings, now)?))
        })
        .collect();
    told.sort_by_key(|(to, _)| *to);
    told
}

/// What is told of one recipient, if anything.
fn action(
    recipient: &Recipient,
    ended: &Ended,
    envelope: &Envelope,
    settings: &QueueSettings,
    now: UtcTime,
) -> Option<Action> {
    let (options, by) = (&recipient.options, &envelope.options.deliver_by);
    match &ended.outcome {
        Outcome::Failed(_) => options.reports_failure().then_some(Action::Failed),
        Outcome::Delivered(_) => match &ended.remote {
            None => options.reports_success().then_some(Action::Delivered),
            // RFC 3461 §5.2.2; RFC 2852 §4 for who wants a trace.
            Some(remote) => {
                let is_traced = by.as_ref().is_some_and(|by| by.is_traced) && !options.is_never();
                let is_last_word = options.reports_success() && !remote.offers_dsn;
                (is_last_word || is_traced).then_some(Action::Relayed)
            }
        },
        Outcome::Deferred(_) => {
            let until = envelope.released().after(settings.expire);
            envelope.is_delay_due(recipient, settings.delay_notice, now).then_some(Action::Delayed { until })
        }
        Outcome::Cancelled(_) => None,
    }
}
