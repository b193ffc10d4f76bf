//! Takes mail in: from SMTP clients, and from the operator. Recipients are resolved when they are named, the content streams into the queue,
//! and the final reply waits for it to be durable.

mod content;
mod crowd;
mod options;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::Bytes;

pub(super) use self::content::{ContentFault, ContentSink};
pub(crate) use self::crowd::keeps_up;
use self::options::{options, protocol};
use super::{Context, settle};
use crate::conversation::smtp::{Handler, Progress};
use crate::directory::{Resolution, Target};
use crate::model::message::Received;
use crate::model::{
    Address, BodyType, Event, ForwardPath, Incarnation, MailOptions, QueueId, RecipientOptions, Reply,
    ReversePath,
};
use crate::policy::{Origin, may_relay};
use crate::queue::{Acceptance, AcceptedBody, Addressee, Overload, Refusal};
use crate::smtp::Mail;
use crate::smtp::server::{Offers, Query};
use crate::smtp::syntax::Attribute;

/// The recipients of a transaction after expansion.
pub(super) type Recipients = BTreeMap<Address, Addressee>;

/// One client's session.
#[derive(Debug)]
pub struct Reception {
    context: Arc<Context>,
    session: u64,
    peer: SocketAddr,
    transaction: Option<Transaction>,
}

#[derive(Debug)]
struct Transaction {
    mail: Mail,
    recipients: Recipients,
    /// Those that the client named, as long as it is only one.
    named: Vec<Address>,
    content: Option<ContentSink>,
}

impl Reception {
    /// A session, by its number on this node.
    pub fn new(context: Arc<Context>, session: u64, peer: SocketAddr) -> Self {
        Self { context, session, peer, transaction: None }
    }

    fn in_transaction(&mut self) -> Result<&mut Transaction, Reply> {
        // The SMTP session asks in the protocol's order, so this is not seen.
        self.transaction.as_mut().ok_or_else(|| Reply::new(503, (5, 5, 1), "no transaction"))
    }
}

#[async_trait]
impl Handler for Reception {
    async fn hello(&mut self, _name: &str) -> Result<(), Reply> {
        Ok(())
    }

    async fn mail(&mut self, mail: &Mail) -> Result<(), Reply> {
        if !keeps_up(&self.context).await {
            self.context.spool.refuse(Overload::Processor);
            return Err(overloaded(Overload::Processor));
        }
        self.context.spool.admit(self.context.receiving.load(Ordering::Relaxed)).map_err(overloaded)?;
        let (recipients, named) = (Recipients::new(), Vec::new());
        self.transaction = Some(Transaction { mail: mail.clone(), recipients, named, content: None });
        Ok(())
    }

    async fn recipient(
        &mut self,
        forward_path: &ForwardPath,
        options: &RecipientOptions,
    ) -> Result<(), Reply> {
        let context = self.context.clone();
        let origin = Origin::Client(self.peer.ip());
        let address = forward_path.address_at(&context.config.hostname);
        let transaction = self.in_transaction()?;
        let targets = resolve(&context, origin, &address).await?;
        add(&mut transaction.recipients, &address, options, targets, context.config.smtp.recipients)?;
        if transaction.named.len() < 2 && !transaction.named.contains(&address) {
            transaction.named.push(address);
        }
        Ok(())
    }

    async fn data(&mut self) -> Result<(), Reply> {
        let sink = ContentSink::new(self.context.clone());
        self.in_transaction()?.content = Some(sink);
        Ok(())
    }

    async fn content(&mut self, octets: &[u8]) -> Result<(), Reply> {
        let Some(sink) = &mut self.in_transaction()?.content else { return Ok(()) };
        let result = sink.push(octets).await;
        result.map_err(|fault| {
            // What was held is let go at once; the client may send for long yet.
            self.transaction = None;
            reply(fault)
        })
    }

    async fn end_of_content(&mut self) -> Result<Reply, Reply> {
        let none = || Reply::new(503, (5, 5, 1), "no transaction");
        let Transaction { mail, recipients, named, content } = self.transaction.take().ok_or_else(none)?;
        let (header, body) = content.ok_or_else(none)?.finish().await.map_err(reply)?;
        let (now, entropy) = self.context.requests.platform().draw();
        let submission = Submission {
            id: QueueId::draw(now, entropy),
            under: None,
            session: Some(self.session),
            received_from: Some((mail.greeting.as_str(), self.peer)),
            with: Some(protocol(mail.hello)),
            reverse_path: mail.reverse_path.clone(),
            options: options(&mail.parameters, now),
            recipients,
            named,
        };
        let id = accept(&self.context, submission, header, body)
            .await
            .map_err(|r| reply(ContentFault::Refusal(r)))?;
        Ok(Reply::new(250, (2, 0, 0), format!("{id} queued")))
    }

    async fn reset(&mut self) {
        self.transaction = None;
    }

    async fn auth(&mut self, _mechanism: &str, _initial: Option<Vec<u8>>) -> Progress {
        Progress::Done(Err(Reply::new(504, (5, 5, 4), "mechanism not offered")))
    }

    async fn auth_response(&mut self, _response: Vec<u8>) -> Progress {
        Progress::Done(Err(Reply::new(503, (5, 5, 1), "no challenge to respond to")))
    }

    fn auth_cancelled(&mut self) {}

    async fn query(&mut self, _query: &Query) -> Reply {
        // RFC 5321 §3.5.3: a server that does not verify says so, and never a falsehood.
        Reply::new(252, (2, 1, 5), "addresses are not verified here; send and see")
    }

    async fn xclient(&mut self, _attributes: &[Attribute]) -> Result<Offers, Reply> {
        Err(Reply::new(550, (5, 7, 1), "not from you"))
    }

    fn refused(&mut self, recipient: Option<&ForwardPath>, reply: &Reply) {
        let recipient = recipient.map(ToString::to_string);
        self.context.journal.report(&Event::Refused {
            session: self.session,
            recipient,
            reply: reply.clone(),
        });
    }
}

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
    let mut sink = ContentSink::new(context.clone());
    sink.push(content).await.map_err(reply)?;
    let (header, body) = sink.finish().await.map_err(reply)?;
    let (now, entropy) = context.requests.platform().draw();
    let submission = Submission {
        id: QueueId::draw(now, entropy),
        under: None,
        session: None,
        received_from: None,
        with: None,
        reverse_path,
        options,
        recipients,
        named,
    };
    accept(context, submission, header, body).await.map_err(|refusal| reply(ContentFault::Refusal(refusal)))
}

/// What content must be declared as, going by its octets.
fn body_type(content: &[u8]) -> BodyType {
    if content.is_ascii() { BodyType::SevenBit } else { BodyType::EightBitMime }
}

/// What all recipients that an operator names come to. None where one is refused.
pub(super) async fn resolve_all(context: &Context, named: &[Address]) -> Result<Recipients, Reply> {
    let mut recipients = Recipients::new();
    for address in named {
        let targets = resolve(context, Origin::Operator, address).await?;
        let options = RecipientOptions::default();
        add(&mut recipients, address, &options, targets, context.config.smtp.recipients)?;
    }
    Ok(recipients)
}

/// What one recipient comes to, or what its client is told (RFC 5321 §3.3, RFC 3463 §3.2).
async fn resolve(context: &Context, origin: Origin, address: &Address) -> Result<Vec<Target>, Reply> {
    let config = &context.config;
    let (postmaster, limit) = (config.postmaster.as_ref(), config.smtp.recipients);
    match context.directory.resolve(address, &config.hostname, postmaster, limit).await {
        Ok(Resolution::Targets(targets)) => Ok(targets),
        Ok(Resolution::TooMany) => {
            let text = format!("<{address}> comes to more recipients than a message may have");
            Err(Reply::new(452, (4, 5, 3), text))
        }
        Ok(Resolution::Tangled) => {
            Err(Reply::new(451, (4, 2, 4), format!("<{address}> leads through too many aliases")))
        }
        Ok(Resolution::NoSuchUser) => Err(Reply::new(550, (5, 1, 1), format!("<{address}> is nobody here"))),
        Ok(Resolution::Foreign) if may_relay(config, origin) => Ok(vec![Target::relay(address.clone())]),
        Ok(Resolution::Foreign) => Err(Reply::new(550, (5, 7, 1), format!("<{address}>: relaying denied"))),
        Err(error) => {
            let doing = format!("resolving {address}");
            context.journal.report(&Event::Trouble { doing, error: error.to_string() });
            Err(Reply::new(451, (4, 3, 0), "storage is not available, try again later"))
        }
    }
}

/// Two recipients that come to the same address get one copy. All targets are taken or, beyond the limit, none.
fn add(
    recipients: &mut Recipients,
    named: &Address,
    options: &RecipientOptions,
    targets: Vec<Target>,
    limit: usize,
) -> Result<(), Reply> {
    let new = targets.iter().filter(|target| !recipients.contains_key(&target.address)).count();
    if recipients.len() + new > limit {
        let text = "too many recipients; send the rest in another transaction";
        return Err(Reply::new(452, (4, 5, 3), text));
    }
    for target in targets {
        let alias = (target.address != *named).then(|| named.clone());
        let Target { address, class } = target;
        let options = options.clone();
        recipients.entry(address.clone()).or_insert(Addressee { address, alias, class, options });
    }
    Ok(())
}

/// A message that has come in whole.
pub(super) struct Submission<'a> {
    pub(super) id: QueueId,
    /// The only log that may take it, where it is promised to one.
    pub(super) under: Option<Incarnation>,
    pub(super) session: Option<u64>,
    pub(super) received_from: Option<(&'a str, SocketAddr)>,
    pub(super) with: Option<&'a str>,
    pub(super) reverse_path: ReversePath,
    pub(super) options: MailOptions,
    pub(super) recipients: Recipients,
    pub(super) named: Vec<Address>,
}

/// Puts the trace field in front and hands the message to the queue. Returns when it is durable.
pub(super) async fn accept(
    context: &Context,
    submission: Submission<'_>,
    header: Vec<u8>,
    body: AcceptedBody,
) -> Result<QueueId, Refusal> {
    let (id, now) = (submission.id, context.requests.platform().clock.utc());
    let received = Received {
        helo: submission.received_from.map(|(helo, _)| helo),
        peer: submission.received_from.map(|(_, peer)| peer.ip()),
        by: &context.config.hostname,
        with: submission.with,
        id,
        only_recipient: if let [only] = &submission.named[..] { Some(only) } else { None },
        at: now,
    };
    let header = Bytes::from([received.to_field().as_bytes(), &header].concat());
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
fn reply(fault: ContentFault) -> Reply {
    match fault {
        ContentFault::Reply(reply) => reply,
        ContentFault::Refusal(Refusal::Closing) => {
            Reply::new(451, (4, 3, 2), "shutting down, try again later")
        }
        ContentFault::Refusal(_) => Reply::new(451, (4, 3, 0), "storage is not available, try again later"),
    }
}

/// What a client is told that comes when there is too much to do (RFC 5321 §4.3.2, RFC 3463 §3.4).
fn overloaded(overload: Overload) -> Reply {
    let text = match overload {
        Overload::Processor => "too much to do at the moment, try again later",
        Overload::CommitWait => "storage takes long at the moment, try again later",
        Overload::Intake => "too much mail is coming in at the moment, try again later",
        Overload::Entries => "the queue is full, try again later",
        Overload::DeliveryWait => "too much is to be delivered at the moment, try again later",
    };
    Reply::new(452, (4, 3, 1), text)
}
