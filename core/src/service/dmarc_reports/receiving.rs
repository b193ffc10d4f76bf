//! Reports that others send: what comes to an address for them is read and stored, and delivered like other mail.
//!
//! No other mail is looked into. What is no report that can be read, or is about a domain that is none of ours, is only mail.
//!
//! Anybody can write a report. What verification of the message came to is therefore part of the object and of its name: who cannot pass for a reporter
//! cannot take the name of that one's report either. A reporter who gives two reports of the same time one Report-ID sent the same one twice (RFC 9990 §3.5.3),
//! whatever is in them: the first stays.
//!
//! **Crashes.** The object is created before the message is delivered, under a name that follows from the report, its author and its verdict. A message that is
//! attempted or sent again finds it there, and is delivered. One that was stored and not delivered yet is delivered by the next attempt.

use bytes::Bytes;

use super::merging::hash;
use crate::model::dmarc_report::{Feedback, find_report};
use crate::model::verdict::DmarcResult;
use crate::model::{Address, Domain, Event, Nonce};
use crate::queue::Work;
use crate::service::Context;
use crate::state::content::ContentReader;
use crate::state::frame::Extent;
use crate::state::log::Recipient;
use crate::state::reports::ReceivedReport;
use crate::state::requests::{Created, Purpose};
use crate::state::{StateError, layout};

/// Octets of a message that is looked into.
const MESSAGE_LIMIT: u64 = 16 << 20;
/// Messages of a node that are looked into at a time: a document takes many times its octets once it is read.
pub(in crate::service) const READERS: usize = 1;
/// Characters of what a reporter calls itself and its report, and of what is told of a message that is none.
const WORDS_LIMIT: usize = 200;
/// Names above the domain of a report that are looked for among ours.
const ABOVE: usize = 8;

/// Whether a recipient is an address that reports are to come to.
pub(in crate::service) fn is_inbox(context: &Context, recipient: &Recipient) -> bool {
    let is_inbox = |address: &Address| {
        let address = address.normalized();
        context.config.dmarc_reports.inbox.iter().any(|inbox| inbox.normalized() == address)
    };
    is_inbox(&recipient.address) || recipient.alias.as_ref().is_some_and(is_inbox)
}

/// Stores the report in a message. One without a report is told of, and nothing else.
///
/// # Errors
/// The store is away, or refuses.
pub(in crate::service) async fn receive(context: &Context, work: &Work) -> Result<(), StateError> {
    // Until it is stored, for as long as it takes memory.
    let _permit = context.report_readers.acquire().await;
    let reason = match read(context, work).await {
        Ok(None) => return Ok(()),
        Ok(Some(reason)) => reason,
        // The message, or a domain of ours; who delivers it sees what is wrong.
        Err(error @ StateError::Damaged { .. }) => error.to_string(),
        Err(error) => return Err(error),
    };
    let queue_id = work.envelope.id;
    context.journal.report(&Event::DmarcReportIgnored { queue_id, reason: words(&reason) });
    Ok(())
}

/// Why nothing is stored, if so.
async fn read(context: &Context, work: &Work) -> Result<Option<String>, StateError> {
    if work.envelope.size > MESSAGE_LIMIT {
        return Ok(Some("it is too long".to_owned()));
    }
    let requests = context.requests.of(Purpose::Report);
    let mut reader = ContentReader::open(&requests, &work.envelope, work.fresh.as_ref()).await?;
    let mut message = Vec::new();
    while let Some(part) = reader.next().await? {
        message.extend_from_slice(&part);
    }
    let spawn = &requests.platform().spawn;
    let Some(found) = spawn.unblock(move || find_report(&message)).await else {
        return Err(StateError::Unavailable("reading was interrupted".to_owned()));
    };
    let (attachment, report) = match found {
        Ok(found) => found,
        Err(why) => return Ok(Some(why)),
    };
    let about = match Domain::parse(&report.policy_published.domain) {
        Ok(about) => about,
        Err(error) => return Ok(Some(error.to_string())),
    };
    if !is_ours(context, &about).await? {
        return Ok(Some(format!("it is about {about}, no domain of ours")));
    }
    store(context, work, about, report, attachment).await
}

/// Whether we take mail for a domain, for one above it, or for one below it at which reports come in: policies stand at hosts, and at organizational domains.
async fn is_ours(context: &Context, about: &Domain) -> Result<bool, StateError> {
    if context.config.dmarc_reports.inbox.iter().any(|inbox| is_at_or_below(inbox.domain(), about)) {
        return Ok(true);
    }
    let mut name = about.as_str();
    for _ in 0..=ABOVE {
        if let Ok(domain) = Domain::parse(name)
            && context.directory.is_local(&domain).await?
        {
            return Ok(true);
        }
        // A top-level domain is above everybody's.
        match name.split_once('.') {
            Some((_, above)) if above.contains('.') => name = above,
            _ => break,
        }
    }
    Ok(false)
}

fn is_at_or_below(domain: &Domain, above: &Domain) -> bool {
    let rest = domain.as_str().strip_suffix(above.as_str());
    rest.is_some_and(|rest| rest.is_empty() || (rest.ends_with('.') && above.as_str().contains('.')))
}

async fn store(
    context: &Context,
    work: &Work,
    about: Domain,
    report: Feedback,
    attachment: Vec<u8>,
) -> Result<Option<String>, StateError> {
    let requests = context.requests.of(Purpose::Report);
    let verdict = work.envelope.verdict.as_ref();
    let (at, entropy) = requests.platform().draw();
    let (nonce, metadata) = (Nonce::draw(at, entropy), &report.report_metadata);
    let received = ReceivedReport {
        nonce,
        queue_id: work.envelope.id,
        received: work.envelope.accepted,
        domain: about,
        dmarc: verdict.map(|verdict| verdict.result),
        author_domain: verdict.and_then(|verdict| verdict.author_domain.clone()),
        organization: words(&metadata.org_name),
        report_id: words(&metadata.report_id),
        begin: metadata.date_range.begin,
        end: metadata.date_range.end,
        messages: report.messages(),
        attachment: Extent { at: 0, len: 0, crc: 0 },
    };
    let reporter = received.author_domain.as_ref().filter(|_| received.dmarc == Some(DmarcResult::Pass));
    // Each of them quoted, so that no two reports make the same text.
    let name = hash(&format!(
        "{reporter:?} {:?} {:?} {:?} {:?}",
        received.domain, received.begin, metadata.org_name, metadata.report_id
    ));
    let key = layout::received_report(&received.domain, received.begin, &name);
    let event = Event::DmarcReportReceived {
        queue_id: received.queue_id,
        domain: received.domain.to_string(),
        organization: received.organization.clone(),
        dmarc: received.dmarc,
        messages: received.messages,
    };
    drop(report);
    Ok(match requests.create(&key, &received.encode(Bytes::from(attachment)).payload, nonce).await? {
        Created::Ours => {
            context.journal.report(&event);
            None
        }
        Created::Foreign => Some("it is stored already".to_owned()),
    })
}

/// Text of a stranger's, on one line.
fn words(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORDS_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inbox_speaks_for_its_domain_and_those_above_it_but_the_top() {
        for (inbox, about, expected) in [
            ("x.test", "x.test", true),
            ("mail.x.test", "x.test", true),
            ("x.test", "mail.x.test", false),
            ("mail.x.test", "test", false),
            ("x.test", "test", false),
            ("ax.test", "x.test", false),
            ("test", "test", true),
        ] {
            let (inbox, about) = (Domain::parse(inbox).unwrap(), Domain::parse(about).unwrap());
            assert_eq!(is_at_or_below(&inbox, &about), expected, "{inbox} {about}");
        }
    }

    #[test]
    fn words_of_a_stranger_stay_on_one_line_and_are_few() {
        assert_eq!(words("a\r\nb\u{1b}[31m\u{85}"), "ab[31m");
        assert_eq!(words(&"\u{e4}".repeat(1_000)).chars().count(), WORDS_LIMIT);
    }
}
