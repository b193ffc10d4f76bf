//! What follows from how attempts ended: what has been tried for too long fails, and who sent it is told (RFC 5321 §4.5.4.1, §6.1).
//!
//! A message with a null reverse-path is never reported on, so that no report is ever answered by another (RFC 5321 §4.5.5).

use std::time::Duration;

use bytes::Bytes;

use super::Context;
use crate::directory::{Resolution, Target};
use crate::model::date::in_words;
use crate::model::message::{Failure, Report};
use crate::model::{Address, Event, MailOptions, Outcome, RecipientOptions, Reply, ReversePath};
use crate::queue::{Addressee, Bounce, Work};
use crate::state::content::read_part;
use crate::state::log::Recipient;
use crate::state::requests::Purpose;
use crate::state::{StateError, layout};

/// Final recipients, as the queue takes them: address, the alias that led there, and how it is delivered.
type Recipients = Vec<Addressee>;

/// Settles the outcomes of attempts, by the recipients' numbers, and tells the queue. A failure becomes final only together with its report;
/// where the store does not let that be made now, the recipient is tried again later.
pub async fn settle(context: &Context, work: &Work, outcomes: Vec<(u32, Outcome)>) {
    let (now, _) = context.requests.platform().draw();
    let (age, limit) = (now.since(work.envelope.accepted), context.config.queue.expire);
    let mut outcomes: Vec<(u32, Outcome)> =
        outcomes.into_iter().map(|(to, outcome)| (to, expire(outcome, age, limit))).collect();
    let failures = failures(&work.recipients, &outcomes);
    let bounce = match failures.first() {
        None => None,
        Some(first) => match bounce(context, work, first.0, &failures).await {
            Ok(Ok(bounce)) => Some(bounce),
            Ok(Err(reason)) => {
                report_dropped(context, work, &failures, reason);
                None
            }
            Err(error) => {
                let doing = format!("reporting failures of {}", work.envelope.id);
                context.journal.report(&Event::Trouble { doing, error: error.to_string() });
                outcomes.iter_mut().for_each(|(_, outcome)| postpone(outcome));
                None
            }
        },
    };
    for (to, outcome) in &outcomes {
        let Some(recipient) = work.recipients.iter().find(|recipient| recipient.to == *to) else { continue };
        context.journal.report(&Event::Attempted {
            queue_id: work.envelope.id,
            recipient: recipient.address.clone(),
            outcome: outcome.clone(),
            attempts: recipient.attempts + 1,
        });
    }
    context.spool.attempted(work, outcomes, bounce);
}

/// What has been deferred for as long as a message is kept fails (RFC 3463 §3.5).
fn expire(outcome: Outcome, age: Duration, limit: Duration) -> Outcome {
    match outcome {
        Outcome::Deferred(reply) if age >= limit => {
            let text = format!("not delivered within {}: {reply}", in_words(limit));
            Outcome::Failed(Reply::new(554, (5, 4, 7), text))
        }
        outcome => outcome,
    }
}

/// A failure that cannot be reported now is none yet.
fn postpone(outcome: &mut Outcome) {
    if let Outcome::Failed(reply) = outcome {
        let text = format!("storage is not available for the report that this failed: {reply}");
        *outcome = Outcome::Deferred(Reply::new(451, (4, 3, 0), text));
    }
}

/// The recipients that failed, by number, the lowest first.
fn failures<'a>(recipients: &'a [Recipient], outcomes: &'a [(u32, Outcome)]) -> Vec<(u32, Failure<'a>)> {
    let mut failures: Vec<(u32, Failure<'a>)> = outcomes
        .iter()
        .filter_map(|(to, outcome)| {
            let Outcome::Failed(reply) = outcome else { return None };
            let recipient = recipients.iter().find(|recipient| recipient.to == *to)?;
            let (alias, attempts) = (recipient.alias.as_ref(), recipient.attempts + 1);
            Some((*to, Failure { recipient: &recipient.address, alias, reply, attempts }))
        })
        .collect();
    failures.sort_by_key(|(to, _)| *to);
    failures
}

/// The report of these failures, or why nobody is to get one. Fails where the store is away.
async fn bounce(
    context: &Context,
    work: &Work,
    lowest: u32,
    failures: &[(u32, Failure<'_>)],
) -> Result<Result<Bounce, &'static str>, StateError> {
    let (config, envelope) = (&context.config, &work.envelope);
    let ReversePath::Address(reverse_path) = &envelope.reverse_path else {
        return Ok(Err("its reverse-path is null"));
    };
    let (postmaster, limit) = (config.postmaster.as_ref(), config.smtp.recipients);
    let resolution = context.directory.resolve(reverse_path, &config.hostname, postmaster, limit).await?;
    let recipients = match addressees(reverse_path, resolution) {
        Ok(recipients) => recipients,
        Err(reason) => return Ok(Err(reason)),
    };
    let original = original_header(context, work).await?;
    let (now, entropy) = context.requests.platform().draw();
    let failures: Vec<Failure<'_>> = failures.iter().map(|(_, failure)| *failure).collect();
    let report = Report {
        id: envelope.id.derived(lowest),
        now,
        reporting_mta: &config.hostname,
        original: envelope.id,
        accepted: envelope.accepted,
        reverse_path,
        failures: &failures,
        header: original.as_deref(),
        entropy,
    };
    let (header, body) = report.compose();
    let (header, body) = (Bytes::from(header), Bytes::from(body));
    Ok(Ok(Bounce { id: report.id, recipients, options: MailOptions::default(), header, body }))
}

/// Who gets a report that is addressed to a reverse-path, or why nobody does.
fn addressees(reverse_path: &Address, resolution: Resolution) -> Result<Recipients, &'static str> {
    let targets = match resolution {
        Resolution::Targets(targets) => targets,
        Resolution::Foreign => vec![Target::relay(reverse_path.clone())],
        Resolution::NoSuchUser => return Err("its sender is nobody here"),
        Resolution::TooMany => return Err("its sender is an alias of too many"),
        Resolution::Tangled => return Err("its sender is an alias that leads through too many others"),
    };
    let recipient = |target: Target| {
        let alias = (target.address != *reverse_path).then(|| reverse_path.clone());
        let Target { address, class } = target;
        Addressee { address, alias, class, options: RecipientOptions::default() }
    };
    Ok(targets.into_iter().map(recipient).collect())
}

/// The header block of the message; nothing where it is damaged.
async fn original_header(context: &Context, work: &Work) -> Result<Option<Bytes>, StateError> {
    if let Some(fresh) = &work.fresh {
        return Ok(Some(fresh.header.clone()));
    }
    let part = &work.envelope.content.header;
    let key = layout::segment(part.inc, part.seq);
    let purpose = if work.destination.is_some() { Purpose::Relay } else { Purpose::Deliver };
    match read_part(&context.requests.of(purpose), &key, &part.extent).await {
        Ok(header) => Ok(Some(header)),
        Err(StateError::Damaged { key, reason }) => {
            context.journal.report(&Event::ObjectDamaged { key, reason });
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn report_dropped(context: &Context, work: &Work, failures: &[(u32, Failure<'_>)], reason: &'static str) {
    for (_, failure) in failures {
        context.journal.report(&Event::BounceDropped {
            queue_id: work.envelope.id,
            recipient: failure.recipient.clone(),
            reason,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UtcTime;
    use crate::state::log::Class;

    const LIMIT: Duration = Duration::from_hours(5 * 24);

    fn recipient(to: u32) -> Recipient {
        Recipient {
            to,
            address: Address::parse(&format!("u{to}@home.test")).unwrap(),
            alias: None,
            class: Class::Local,
            attempts: to,
            next: UtcTime(0),
            last_reply: None,
            options: RecipientOptions::default(),
        }
    }

    #[test]
    fn only_what_was_deferred_for_too_long_expires() {
        let later = Reply::new(451, (4, 3, 0), "later");
        let expired = Reply::new(554, (5, 4, 7), "not delivered within 5 days: 451 4.3.0 later");
        let (deferred, second) = (Outcome::Deferred(later.clone()), Duration::from_secs(1));
        for (outcome, age, expected) in [
            (deferred.clone(), LIMIT - second, deferred.clone()),
            (deferred, LIMIT, Outcome::Failed(expired)),
            (Outcome::Delivered(later.clone()), LIMIT, Outcome::Delivered(later.clone())),
            (Outcome::Failed(later.clone()), LIMIT, Outcome::Failed(later)),
        ] {
            assert_eq!(expire(outcome.clone(), age, LIMIT), expected, "{outcome:?} after {age:?}");
        }
    }

    #[test]
    fn failures_are_those_that_failed_the_lowest_number_first() {
        let recipients = [recipient(1), recipient(4), recipient(7), recipient(8)];
        let reply = Reply::new(550, (5, 1, 1), "nobody");
        let outcomes = [
            (7, Outcome::Failed(reply.clone())),
            (1, Outcome::Delivered(reply.clone())),
            (4, Outcome::Failed(reply.clone())),
            (8, Outcome::Deferred(reply.clone())),
            (9, Outcome::Failed(reply)),
        ];
        let failures = failures(&recipients, &outcomes);
        let found: Vec<(u32, u32)> = failures.iter().map(|(to, failure)| (*to, failure.attempts)).collect();
        assert_eq!(found, [(4, 5), (7, 8)]);
    }

    #[test]
    fn a_failure_whose_report_must_wait_waits_with_it() {
        let reply = Reply::new(550, (5, 1, 1), "nobody");
        let mut outcomes = [Outcome::Failed(reply.clone()), Outcome::Delivered(reply.clone())];
        outcomes.iter_mut().for_each(postpone);
        assert!(matches!(&outcomes[0], Outcome::Deferred(reply) if reply.code == 451), "{outcomes:?}");
        assert_eq!(outcomes[1], Outcome::Delivered(reply));
    }

    #[test]
    fn a_report_goes_where_its_address_leads() {
        let sender = Address::parse("Team@home.test").unwrap();
        let local = |text: &str| Target { address: Address::parse(text).unwrap(), class: Class::Local };
        let two = vec![local("a@home.test"), Target::relay(Address::parse("b@far.test").unwrap())];
        let leads_to = |resolution| {
            let recipients = addressees(&sender, resolution)?;
            let classes = recipients.into_iter().map(|to| (to.address.to_string(), to.alias, to.class));
            Ok::<_, &str>(classes.collect::<Vec<_>>())
        };
        let alias = Some(sender.clone());
        let expected = [("a@home.test", Class::Local), ("b@far.test", Class::Relay)]
            .map(|(to, class)| (to.to_owned(), alias.clone(), class));
        assert_eq!(leads_to(Resolution::Targets(two)).unwrap(), expected);
        let itself = (sender.to_string(), None, Class::Relay);
        assert_eq!(leads_to(Resolution::Foreign).unwrap(), [itself]);
        for nobody in [Resolution::NoSuchUser, Resolution::TooMany, Resolution::Tangled] {
            assert!(leads_to(nobody.clone()).is_err(), "{nobody:?}");
        }
    }
}
