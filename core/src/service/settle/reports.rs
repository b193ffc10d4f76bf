//! Reports as messages of their own: to whom they go, what is returned in them, and how they are named.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::Ended;
use crate::authn::dkim::BodyHasher;
use crate::directory::{Resolution, Target};
use crate::model::message::{Action, Report, Returned, Told};
use crate::model::options::{Notify, Ret};
use crate::model::{Address, BodyType, Event, Outcome, QueueId, RecipientOptions, Reply, ReversePath};
use crate::queue::{Acceptance, Addressee, Bounce, Work};
use crate::service::{Context, signing};
use crate::state::content::{read_inline, read_part};
use crate::state::log::Body;
use crate::state::requests::Purpose;
use crate::state::{StateError, layout};

/// Octets of a message that may be returned whole; of a longer one only the header block is (RFC 3461 §6.2 leaves that to the host).
const WHOLE_LIMIT: u64 = 1 << 20;
/// Added to a recipient's number for the name of a report that says only that something is delayed: each recipient is told of once by
/// that, and once by a final one.
const DELAY_SALT: u32 = 1 << 31;
/// The name of a report of expansions: no recipient has this number.
const EXPANSION_SALT: u32 = u32::MAX;

/// The report of these recipients, or why nobody is to get one. Fails where the store is away.
pub(super) async fn of_attempts(
    context: &Context,
    work: &Work,
    told: &[(u32, Action)],
    ended: &[Ended],
) -> Result<Result<Bounce, &'static str>, StateError> {
    let envelope = &work.envelope;
    let ReversePath::Address(reverse_path) = &envelope.reverse_path else {
        return Ok(Err("its reverse-path is null"));
    };
    let recipients = match addressees(context, reverse_path).await? {
        Ok(recipients) => recipients,
        Err(reason) => return Ok(Err(reason)),
    };
    let has_failure = told.iter().any(|(_, action)| *action == Action::Failed);
    let original = original(context, work, has_failure).await?;
    let entries = told.iter().filter_map(|(to, action)| {
        let recipient = work.recipients.iter().find(|recipient| recipient.to == *to)?;
        let ended = ended.iter().find(|ended| ended.to == *to)?;
        Some(Told {
            recipient: &recipient.address,
            alias: recipient.alias.as_ref(),
            original: recipient.options.original.as_ref(),
            action: *action,
            reply: ended.outcome.reply(),
            attempts: recipient.attempts + 1,
            remote_mta: ended.remote.as_ref().map(|remote| remote.name.as_str()),
        })
    });
    let (now, entropy) = context.requests.platform().draw();
    let report = Report {
        id: name(envelope.id, told),
        now,
        reporting_mta: &context.config.hostname,
        original: envelope.id,
        accepted: envelope.accepted,
        reverse_path,
        envid: envelope.options.envid.as_deref(),
        recipients: &entries.collect::<Vec<_>>(),
        returned: match &original {
            None => Returned::Nothing,
            Some((header, None)) => Returned::Header(header),
            Some((header, Some(body))) => Returned::Whole(header, body),
        },
        entropy,
    };
    bounce(context, &report, recipients, has_failure).await.map(Ok)
}

/// The report's name. The same attempts, made again by whoever takes over, give the same one.
pub(super) fn name(id: QueueId, told: &[(u32, Action)]) -> QueueId {
    let is_final = |action: &Action| !matches!(action, Action::Delayed { .. });
    let lowest_final = told.iter().find(|(_, action)| is_final(action)).map(|(to, _)| *to);
    let lowest = told.first().map_or(0, |(to, _)| *to);
    id.derived(lowest_final.unwrap_or(lowest | DELAY_SALT))
}

/// A report as a message, signed where its author's domain, which is this host, is ours and has keys.
async fn bounce(
    context: &Context,
    report: &Report<'_>,
    recipients: Vec<Addressee>,
    is_failure: bool,
) -> Result<Bounce, StateError> {
    let (header, body) = report.compose();
    let mut hasher = BodyHasher::new(signing::body_methods(context, header.as_ref()));
    hasher.push(body.as_ref());
    let signatures = signing::sign_for_author(context, header.as_ref(), &hasher.finish()).await?;
    let header = Bytes::from([signatures.as_bytes(), header.as_ref()].concat());
    let (options, body) = (report.options(), Bytes::from(body));
    Ok(Bounce { id: report.id, recipients, options, header, body, is_failure })
}

/// The report that aliases among the recipients come to several each, where the sender wants to know of success; it becomes durable with the message
/// (RFC 3461 §5.2.7.3). None where there is nothing to be told, or nobody.
pub async fn expansion(context: &Context, acceptance: &Acceptance) -> Result<Option<Bounce>, StateError> {
    let ReversePath::Address(reverse_path) = &acceptance.reverse_path else { return Ok(None) };
    let reply = Reply::new(250, (2, 1, 5), "expanded");
    let aliases = expanded(&acceptance.recipients);
    if aliases.is_empty() {
        return Ok(None);
    }
    let Ok(recipients) = addressees(context, reverse_path).await? else { return Ok(None) };
    let told = aliases.iter().map(|addressee| Told {
        recipient: addressee.alias.as_ref().unwrap_or(&addressee.address),
        alias: None,
        original: addressee.options.original.as_ref(),
        action: Action::Expanded,
        reply: &reply,
        attempts: 1,
        remote_mta: None,
    });
    let (now, entropy) = context.requests.platform().draw();
    let report = Report {
        id: acceptance.id.derived(EXPANSION_SALT),
        now,
        reporting_mta: &context.config.hostname,
        original: acceptance.id,
        accepted: now,
        reverse_path,
        envid: acceptance.options.envid.as_deref(),
        recipients: &told.collect::<Vec<_>>(),
        returned: Returned::Header(&acceptance.header),
        entropy,
    };
    bounce(context, &report, recipients, false).await.map(Some)
}

/// One of each alias that comes to several and whose success is to be reported.
fn expanded(recipients: &[Addressee]) -> Vec<&Addressee> {
    let several = aliases_of_several(recipients);
    let asked = recipients.iter().filter(|addressee| addressee.options.reports_success());
    let with_alias = asked.filter_map(|addressee| Some((addressee.alias.as_ref()?, addressee)));
    let one_each: BTreeMap<&Address, &Addressee> =
        with_alias.filter(|(alias, _)| several.contains(*alias)).collect();
    one_each.into_values().collect()
}

fn aliases_of_several(recipients: &[Addressee]) -> BTreeSet<Address> {
    let mut counts: BTreeMap<&Address, usize> = BTreeMap::new();
    recipients
        .iter()
        .filter_map(|one| one.alias.as_ref())
        .for_each(|alias| *counts.entry(alias).or_default() += 1);
    counts.into_iter().filter(|(_, count)| *count > 1).map(|(alias, _)| alias.clone()).collect()
}

/// Success is told of once, by the report of the expansion, and not by whoever gets the message (RFC 3461 §5.2.7.3).
pub fn strip_success(recipients: &mut [Addressee]) {
    let several = aliases_of_several(recipients);
    let is_of_several = |one: &Addressee| one.alias.as_ref().is_some_and(|alias| several.contains(alias));
    let of_several = recipients.iter_mut().filter(|addressee| is_of_several(addressee));
    for notify in of_several.filter_map(|addressee| addressee.options.notify.as_mut()) {
        *notify = Notify { success: false, ..*notify };
    }
}

/// Who gets a report that is addressed to a reverse-path, or why nobody does.
async fn addressees(
    context: &Context,
    reverse_path: &Address,
) -> Result<Result<Vec<Addressee>, &'static str>, StateError> {
    let config = &context.config;
    let (postmaster, limit) = (config.postmaster.as_ref(), config.smtp.recipients);
    let resolution = context.directory.resolve(reverse_path, &config.hostname, postmaster, limit).await?;
    Ok(leads_to(reverse_path, resolution))
}

pub(super) fn leads_to(
    reverse_path: &Address,
    resolution: Resolution,
) -> Result<Vec<Addressee>, &'static str> {
    let targets = match resolution {
        Resolution::Targets(targets) => targets,
        Resolution::Foreign => vec![Target::relay(reverse_path.clone())],
        Resolution::NoSuchUser | Resolution::BadReturn(_) => return Err("its sender is nobody here"),
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

/// The header block of the message, and its body where that is returned, too; nothing where it is damaged.
async fn original(
    context: &Context,
    work: &Work,
    has_failure: bool,
) -> Result<Option<(Bytes, Option<Vec<Bytes>>)>, StateError> {
    let (envelope, options) = (&work.envelope, &work.envelope.options);
    let purpose = if work.destination.is_some() { Purpose::Relay } else { Purpose::Deliver };
    let requests = context.requests.of(purpose);
    // Only failures return the whole (RFC 3461 §4.3); never what was to go over verified TLS only (RFC 8689 §5), nor what is no lines.
    let is_whole = has_failure
        && options.ret == Some(Ret::Full)
        && envelope.size <= WHOLE_LIMIT
        && matches!(envelope.content.body, Body::Inline(_))
        && !options.require_tls
        && options.body != BodyType::BinaryMime
        && (!options.smtputf8 || is_international(&envelope.reverse_path));
    let read = match is_whole {
        true => read_inline(&requests, envelope, work.fresh.as_ref()).await.map(|mut parts| {
            let header = if parts.is_empty() { Bytes::new() } else { parts.remove(0) };
            (header, Some(parts))
        }),
        false => match &work.fresh {
            Some(fresh) => Ok((fresh.header.clone(), None)),
            None => {
                let part = &envelope.content.header;
                let key = layout::segment(part.inc, part.seq);
                read_part(&requests, &key, &part.extent).await.map(|header| (header, None))
            }
        },
    };
    match read {
        Ok(original) => Ok(Some(original)),
        Err(StateError::Damaged { key, reason }) => {
            context.journal.report(&Event::ObjectDamaged { key, reason });
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_international(reverse_path: &ReversePath) -> bool {
    matches!(reverse_path, ReversePath::Address(address) if !address.is_ascii())
}

/// Failures of which the sender does not want to know.
pub(super) fn drop_unwanted(context: &Context, work: &Work, ended: &[Ended]) {
    for one in ended.iter().filter(|one| matches!(one.outcome, Outcome::Failed(_))) {
        let recipient = work.recipients.iter().find(|recipient| recipient.to == one.to);
        if let Some(recipient) = recipient.filter(|recipient| !recipient.options.reports_failure()) {
            report_dropped(context, work, &recipient.address, "its sender does not want to be told");
        }
    }
}

/// Nobody can be told.
pub(super) fn drop_all(context: &Context, work: &Work, told: &[(u32, Action)], reason: &'static str) {
    for (to, action) in told {
        let recipient = work.recipients.iter().find(|recipient| recipient.to == *to);
        if let (Some(recipient), Action::Failed) = (recipient, action) {
            report_dropped(context, work, &recipient.address, reason);
        }
    }
}

fn report_dropped(context: &Context, work: &Work, recipient: &Address, reason: &'static str) {
    let (queue_id, recipient) = (work.envelope.id, recipient.clone());
    context.journal.report(&Event::BounceDropped { queue_id, recipient, reason });
}
