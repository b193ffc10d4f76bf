//! What becomes of a message at a host that does not offer all that it needs.

use super::slot::Slot;
use crate::delivery::Host;
use crate::delivery::meaning::{self, Verdict};
use crate::model::options::DeliverBy;
use crate::model::{BodyType, MailOptions, Outcome, Reply, ReversePath, UtcTime};
use crate::queue::Work;
use crate::smtp::client::{Extensions, Limits, Needed};

/// How a message goes to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// What is asked of the host, and of what kind the content is that it gets.
    pub(super) options: MailOptions,
    /// What the content is converted to, if it is.
    pub(super) convert_to: Option<BodyType>,
}

/// What has to be known of the content before there is a plan. Looked up only for hosts that lack something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nature {
    /// What a host must take for it as it is.
    pub(super) least: BodyType,
    /// Whether the header block is ASCII.
    pub(super) has_ascii_header: bool,
}

/// Whether the content has to be looked at.
pub(super) fn wants_nature(options: &MailOptions, offered: &Extensions) -> bool {
    options.body > most(offered) || (options.smtputf8 && !offered.smtputf8)
}

/// The plan, or why this host gets none of it.
pub(super) fn plan(
    work: &Work,
    offered: &Extensions,
    nature: Option<Nature>,
    host: &Host,
    now: UtcTime,
) -> Result<Plan, Verdict> {
    let mut options = work.envelope.options.clone();
    if let Some(by) = &options.deliver_by {
        check_time(by, offered, host, now)?;
    }
    let mut convert_to = None;
    if let Some(Nature { least, has_ascii_header }) = nature {
        options.smtputf8 &= offered.smtputf8 || !has_ascii_header;
        options.body = options.body.min(least);
        if options.body > most(offered) {
            options.body = most(offered);
            convert_to = Some(options.body);
        }
    }
    let has_ascii_sender = match &work.envelope.reverse_path {
        ReversePath::Null => true,
        ReversePath::Address(address) => address.is_ascii(),
    };
    if !offered.smtputf8 && (options.smtputf8 || !has_ascii_sender) {
        return Err(meaning::not_offered(Needed::Smtputf8, host));
    }
    Ok(Plan { options, convert_to })
}

/// What a host takes.
fn most(offered: &Extensions) -> BodyType {
    match offered {
        Extensions { binary_mime: true, chunking: true, .. } => BodyType::BinaryMime,
        Extensions { eight_bit_mime: true, .. } => BodyType::EightBitMime,
        _ => BodyType::SevenBit,
    }
}

/// Who wants a message returned when its time is over gives it to nobody who would not do so (RFC 2852 §4.1.4).
fn check_time(by: &DeliverBy, offered: &Extensions, host: &Host, now: UtcTime) -> Result<(), Verdict> {
    if !by.is_return {
        return Ok(());
    }
    let refused = match offered.deliver_by {
        None => "does not offer DELIVERBY",
        Some(least) if by.at.since(now).as_secs() < u64::from(least) => "needs more time than is left",
        Some(_) => return Ok(()),
    };
    let text = format!("{host} {refused}, and the message is to be delivered by {}", by.at.to_rfc5322());
    Err(Verdict::NextHost(Outcome::Failed(Reply::new(554, (5, 4, 7), text))))
}

/// The first of the candidates that go into one transaction (RFC 9422 §4), which has one reverse-path: taken out, in order.
pub(super) fn take_batch(
    candidates: &mut Vec<usize>,
    work: &Work,
    reverse_paths: &[ReversePath],
    limits: &Limits,
) -> Vec<usize> {
    let most = limits.recipients.map_or(usize::MAX, |limit| limit as usize);
    let most_domains = limits.domains.map_or(usize::MAX, |limit| limit as usize);
    let reverse_path = candidates.first().map(|index| &reverse_paths[*index]);
    let mut domains = Vec::new();
    let mut batch = Vec::new();
    candidates.retain(|index| {
        if Some(&reverse_paths[*index]) != reverse_path {
            return true;
        }
        let domain = work.recipients[*index].address.domain();
        let is_known = domains.contains(&domain);
        let has_room = batch.len() < most && (is_known || domains.len() < most_domains);
        if has_room {
            batch.push(*index);
            if !is_known && limits.domains.is_some() {
                domains.push(domain);
            }
        }
        !has_room
    });
    batch
}

/// Settles those whom the host cannot be told, and keeps the others among the candidates (RFC 6531 §3.2).
pub(super) fn leave_out_international(
    candidates: &mut Vec<usize>,
    work: &Work,
    host: &Host,
    slots: &mut [Slot],
) -> Vec<usize> {
    let is_ascii = |index: &usize| work.recipients[*index].address.is_ascii();
    let left_out: Vec<usize> = candidates.iter().copied().filter(|index| !is_ascii(index)).collect();
    candidates.retain(is_ascii);
    let outcome = meaning::not_offered(Needed::Smtputf8, host).into_outcome();
    left_out.iter().for_each(|index| slots[*index].lack(outcome.clone()));
    left_out
}
