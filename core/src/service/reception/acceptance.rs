//! Hands a message that is whole to the queue.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::content::{ContentFault, ContentSink};
use super::recipients::{Recipients, resolve_all};
use crate::authn::dkim::BodyHashes;
use crate::model::message::Received;
use crate::model::verdict::Judgement;
use crate::model::{
    Address, BodyType, Domain, Event, Incarnation, MailOptions, QueueId, RecipientOptions, Reply, ReversePath,
};
use crate::queue::{Acceptance, AcceptedBody, Refusal};
use crate::service::{Context, settle, signing};

/// Takes a message of the operator's, whole. Refuses it whole where one recipient is refused.
pub async fn submit(
    context: &Arc<Context>,
    reverse_path: ReversePath,
    named: &[Address],
    content: &Bytes,
) -> Result<QueueId, Reply> {
    let named =
        named.iter().map(|address| (address.clone(), RecipientOptions::default())).collect::<Vec<_>>();
    submit_with(context, reverse_path, MailOptions::of(body_type(content)), &named, content).await
}

/// The same with what a client would ask for by parameters.
pub async fn submit_with(
    context: &Arc<Context>,
    reverse_path: ReversePath,
    options: MailOptions,
    asked: &[(Address, RecipientOptions)],
    content: &Bytes,
) -> Result<QueueId, Reply> {
    let named: Vec<Address> = asked.iter().map(|(address, _)| address.clone()).collect();
    let mut recipients = resolve_all(context, &named).await?;
    for addressee in recipients.values_mut() {
        let name = addressee.alias.as_ref().unwrap_or(&addressee.address);
        if let Some((_, options)) = asked.iter().find(|(address, _)| address == name) {
            addressee.options = options.clone();
        }
    }
    let mut sink = ContentSink::hashing(context.clone(), signing::body_methods);
    sink.push(content).await.map_err(reply)?;
    let content = sink.finish().await.map_err(reply)?;
    let signatures = signatures(context, &content.header, &content.hashes).await?;
    let (now, entropy) = context.requests.platform().draw();
    let submission = Submission {
        id: QueueId::draw(now, entropy),
        under: None,
        session: None,
        received_from: None,
        by: &context.config.hostname,
        with: None,
        cipher: None,
        reverse_path,
        options,
        recipients,
        named,
        verdict: None,
        results: signatures,
    };
    accept(context, submission, content.header, content.body)
        .await
        .map_err(|refusal| reply(ContentFault::Refusal(refusal)))
}

/// The signatures of the author's domain, where that is ours and has keys.
pub(super) async fn signatures(
    context: &Context,
    header: &[u8],
    hashes: &BodyHashes,
) -> Result<String, Reply> {
    signing::sign_for_author(context, header, hashes).await.map_err(|error| {
        let doing = "looking for the keys of an author's domain".to_owned();
        context.journal.report(&Event::Trouble { doing, error: error.to_string() });
        reply(ContentFault::Refusal(Refusal::Store(error.to_string())))
    })
}

/// What content must be declared as, going by its octets.
fn body_type(content: &[u8]) -> BodyType {
    if content.is_ascii() { BodyType::SevenBit } else { BodyType::EightBitMime }
}

/// A message that has come in whole.
pub(in crate::service) struct Submission<'a> {
    pub(in crate::service) id: QueueId,
    /// The only log that may take it, where it is promised to one.
    pub(in crate::service) under: Option<Incarnation>,
    pub(in crate::service) session: Option<u64>,
    pub(in crate::service) received_from: Option<(&'a str, SocketAddr)>,
    /// The name of this host.
    pub(in crate::service) by: &'a Domain,
    pub(in crate::service) with: Option<&'a str>,
    /// The cipher suite, where it came encrypted.
    pub(in crate::service) cipher: Option<&'a str>,
    pub(in crate::service) reverse_path: ReversePath,
    pub(in crate::service) options: MailOptions,
    pub(in crate::service) recipients: Recipients,
    pub(in crate::service) named: Vec<Address>,
    /// What its verification came to, where it was verified.
    pub(in crate::service) verdict: Option<Judgement>,
    /// Fields to stand above our own trace field: what its verification came to (RFC 7208 §9.1), or our signatures.
    pub(in crate::service) results: String,
}

/// Puts the trace field in front and hands the message to the queue. Returns when it is durable.
pub(in crate::service) async fn accept(
    context: &Context,
    submission: Submission<'_>,
    header: Vec<u8>,
    body: AcceptedBody,
) -> Result<QueueId, Refusal> {
    let (id, now) = (submission.id, context.requests.platform().clock.utc());
    let received = Received {
        helo: submission.received_from.map(|(helo, _)| helo),
        peer: submission.received_from.map(|(_, peer)| peer.ip()),
        by: submission.by,
        with: submission.with,
        cipher: submission.cipher,
        id,
        only_recipient: if let [only] = &submission.named[..] { Some(only) } else { None },
        at: now,
    };
    let header =
        Bytes::from([submission.results.as_bytes(), received.to_field().as_bytes(), &header].concat());
    let body_octets = match &body {
        AcceptedBody::Inline(pieces, _) => pieces.iter().map(|piece| piece.len() as u64).sum(),
        AcceptedBody::Uploaded(upload) => upload.len(),
    };
    let (reverse_path, recipients) = (submission.reverse_path.clone(), submission.recipients.len());
    let size = header.len() as u64 + body_octets;
    let mut acceptance = Acceptance {
        id,
        under: submission.under,
        reverse_path: submission.reverse_path,
        options: submission.options,
        verdict: submission.verdict,
        recipients: submission.recipients.into_values().collect(),
        header_crc: crc32fast::hash(&header),
        header,
        body,
        report: None,
    };
    // A report is not worth refusing a message for; without it, whoever gets the message reports.
    if let Ok(Some(report)) = settle::expansion(context, &acceptance).await {
        acceptance.report = Some(Box::new(report));
        settle::strip_success(&mut acceptance.recipients);
    }
    let incarnation = context.spool.accept(acceptance).await?;
    let session = submission.session;
    context.journal.report(&Event::Accepted {
        queue_id: id,
        incarnation,
        session,
        reverse_path,
        recipients,
        size,
    });
    Ok(id)
}

/// What the client is told. What went wrong inside is the operator's business and stands in the events.
pub(super) fn reply(fault: ContentFault) -> Reply {
    match fault {
        ContentFault::Reply(reply) => reply,
        ContentFault::Refusal(Refusal::Closing) => {
            Reply::new(451, (4, 3, 2), "shutting down, try again later")
        }
        ContentFault::Refusal(_) => Reply::new(451, (4, 3, 0), "storage is not available, try again later"),
    }
}
