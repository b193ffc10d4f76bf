//! Takes mail in: from SMTP clients, and from the operator. Recipients are resolved when they are named, the content streams into the queue,
//! and the final reply waits for it to be durable.

pub(super) mod acceptance;
mod client;
mod content;
mod crowd;
mod following;
mod options;
mod queries;
pub(super) mod recipients;
mod sealing;
mod submission;
mod trial;
mod verification;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

pub(super) use self::acceptance::{Submission, accept};
use self::acceptance::{reply, signatures};
pub use self::acceptance::{submit, submit_with};
use self::client::Client;
pub(crate) use self::client::service;
pub(super) use self::content::{Content, ContentFault, ContentSink};
pub(crate) use self::crowd::keeps_up;
use self::following::Following;
use self::options::{options, protocol};
pub(super) use self::recipients::{Recipients, resolve_all};
use self::recipients::{add, resolve};
pub use self::trial::{Arrival, verify};
use self::verification::{Observer, Origin, Place};
use super::{Context, signing};
use crate::authn::results::without_forged;
use crate::config::Listener;
use crate::conversation::smtp::{Handler, Progress};
use crate::model::{Address, Event, ForwardPath, QueueId, RecipientOptions, Reply};
use crate::policy::access::Screening;
use crate::queue::Overload;
use crate::smtp::Mail;
use crate::smtp::server::{Offers, Query, Service};
use crate::smtp::syntax::Attribute;
use crate::transport::TlsFacts;

/// One client's session.
#[derive(Debug)]
pub struct Reception<'a> {
    context: &'a Arc<Context>,
    client: Client<'a>,
    transaction: Option<Transaction>,
}

#[derive(Debug)]
struct Transaction {
    mail: Mail,
    recipients: Recipients,
    /// Those that the client named, as long as it is only one.
    named: Vec<Address>,
    /// Where it comes from, if that is verified.
    origin: Option<Origin>,
    content: Option<ContentSink>,
}

impl<'a> Reception<'a> {
    /// A session, by its number on this node. `tls` says how it is encrypted from its first octet on, `may_encrypt` whether it can be later.
    pub fn new(
        context: &'a Arc<Context>,
        listener: &'a Listener,
        session: u64,
        peer: SocketAddr,
        tls: Option<TlsFacts>,
        may_encrypt: bool,
    ) -> Self {
        let client = Client::new(context, listener, session, peer, tls, may_encrypt);
        Self { context, client, transaction: None }
    }

    /// What is offered to the client as it connects.
    pub fn offers(&self) -> Offers {
        self.client.offers()
    }

    /// Whether the client may speak to us at all.
    pub fn admit(&mut self) -> Result<(), Reply> {
        self.client.screen(Screening::at_connect)
    }

    /// Whether the domain of its author is to sign a message, which nobody may use to sign as somebody else.
    async fn may_sign(&self, header: &[u8]) -> bool {
        let client = &self.client;
        match (client.service(), &client.identity) {
            // It has been taken from others already, by a host that may relay for them.
            (Service::Lmtp, _) => false,
            // Its authors were checked when it was completed.
            (Service::Submission, Some(_)) => true,
            (Service::Transfer, Some(identity)) => {
                submission::check_authors(self.context, &identity.account, header).await.is_ok()
            }
            (_, None) => client.is_trusted(),
        }
    }

    fn in_transaction(&mut self) -> Result<&mut Transaction, Reply> {
        // The SMTP session asks in the protocol's order, so this is not seen.
        self.transaction.as_mut().ok_or_else(|| Reply::new(503, (5, 5, 1), "no transaction"))
    }
}

#[async_trait]
impl Handler for Reception<'_> {
    async fn hello(&mut self, name: &str) -> Result<(), Reply> {
        self.client.screen(|screening| screening.at_hello(name))
    }

    async fn mail(&mut self, mail: &Mail) -> Result<(), Reply> {
        let context = self.context;
        if !keeps_up(context).await {
            context.spool.refuse(Overload::Processor);
            return Err(overloaded(Overload::Processor));
        }
        context.spool.admit(context.receiving.load(Ordering::Relaxed)).map_err(overloaded)?;
        self.client.screen(|screening| screening.at_mail(&mail.reverse_path))?;
        if let Some(identity) = &self.client.identity {
            submission::check_sender(context, &identity.account, &mail.reverse_path).await?;
        }
        context.limits.message(self.client.sender(), context.requests.platform().clock.instant())?;
        let (recipients, named) = (Recipients::new(), Vec::new());
        self.transaction =
            Some(Transaction { mail: mail.clone(), recipients, named, origin: None, content: None });
        Ok(())
    }

    async fn recipient(
        &mut self,
        forward_path: &ForwardPath,
        options: &RecipientOptions,
    ) -> Result<(), Reply> {
        let context = self.context;
        let address = forward_path.address_at(&context.config.hostname);
        self.client.screen(|screening| screening.at_recipient(&address))?;
        let targets = resolve(context, self.client.origin(), &address).await?;
        context.limits.recipient(self.client.sender(), context.requests.platform().clock.instant())?;
        let transaction = self.in_transaction()?;
        add(&mut transaction.recipients, &address, options, targets, context.config.smtp.recipients)?;
        if transaction.named.len() < 2 && !transaction.named.contains(&address) {
            transaction.named.push(address);
        }
        Ok(())
    }

    async fn data(&mut self) -> Result<(), Reply> {
        let (context, client) = (self.context.clone(), self.client.stranger());
        let may_sign = self.client.is_trusted() && self.client.service() != Service::Lmtp;
        let hostname = self.client.hostname();
        let transaction = self.in_transaction()?;
        let Some(client) = client else {
            transaction.content = Some(match may_sign {
                true => ContentSink::hashing(context, signing::body_methods),
                false => ContentSink::new(context),
            });
            return Ok(());
        };
        let (platform, settings) = (context.requests.platform(), &context.config.verification);
        transaction.origin =
            Some(Origin::check(platform, settings, client, &transaction.mail, hostname).await?);
        transaction.content = Some(match sealing::is_forwarded(&transaction.recipients) {
            true => ContentSink::hashing(context, sealing::body_methods),
            false => ContentSink::hashing(context, verification::body_methods),
        });
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
        let Transaction { mail, recipients, named, origin, content } =
            self.transaction.take().ok_or_else(none)?;
        let content = content.ok_or_else(none)?.finish().await.map_err(reply)?;
        if origin.is_some() {
            verification::check_block(&self.context.config.verification, &content)?;
        }
        let Content { mut header, body, hashes } = content;
        let (now, entropy) = self.context.requests.platform().draw();
        let id = QueueId::draw(now, entropy);
        let client = &self.client;
        if client.service() == Service::Submission {
            header = submission::complete(self.context, client, &header, id, now).await?;
        }
        let authserv_id = self.context.config.verification.authserv_id.as_ref().unwrap_or(client.hostname());
        let (mut results, mut verdict) = (String::new(), None);
        if client.identity.is_some() {
            // Readers of ours would believe it.
            header = without_forged(&header, authserv_id);
        }
        if let Some(origin) = origin {
            let (platform, settings) = (self.context.requests.platform(), &self.context.config.verification);
            let place = Place {
                platform,
                settings,
                following: Following::Recipients(self.context, &recipients),
                authserv_id,
                observer: Some(Observer { context: self.context, recipients: &recipients }),
            };
            let finding = origin.conclude(&place, &header, &hashes).await?;
            self.context.journal.report(&finding.event(id));
            let seal = sealing::seal(self.context, &recipients, &finding, &hashes).await?;
            (header, results, verdict) = (finding.header, seal + &finding.fields, Some(finding.judgement));
        } else if self.may_sign(&header).await {
            results = signatures(self.context, &header, &hashes).await?;
        }
        let submission = Submission {
            id,
            under: None,
            session: Some(client.session),
            received_from: Some((mail.greeting.as_str(), client.peer)),
            by: client.hostname(),
            with: Some(protocol(
                mail.hello,
                mail.parameters.smtputf8.is_some(),
                client.tls.is_some(),
                client.identity.is_some(),
            )),
            cipher: client.tls.as_ref().map(|tls| tls.cipher.as_str()),
            reverse_path: mail.reverse_path.clone(),
            options: options(&mail.parameters, now),
            recipients,
            named,
            verdict,
            results,
        };
        let id = accept(self.context, submission, header, body)
            .await
            .map_err(|r| reply(ContentFault::Refusal(r)))?;
        Ok(Reply::new(250, (2, 0, 0), format!("{id} queued")))
    }

    async fn reset(&mut self) {
        self.transaction = None;
    }

    fn encrypted(&mut self, facts: TlsFacts) -> Offers {
        self.client.encrypted(facts);
        self.client.offers()
    }

    async fn auth(&mut self, mechanism: &str, initial: Option<Vec<u8>>) -> Progress {
        self.client.log_in(mechanism, initial).await
    }

    async fn auth_response(&mut self, response: Vec<u8>) -> Progress {
        self.client.respond(&response).await
    }

    fn auth_cancelled(&mut self) {
        self.client.give_up_login();
    }

    async fn query(&mut self, query: &Query) -> Reply {
        queries::answer(self.context, &self.client, query).await
    }

    async fn xclient(&mut self, attributes: &[Attribute]) -> Result<Offers, Reply> {
        self.client.stand_for(attributes)?;
        Ok(self.client.offers())
    }

    fn refused(&mut self, recipient: Option<&ForwardPath>, reply: &Reply) {
        let recipient = recipient.map(ToString::to_string);
        let session = self.client.session;
        self.context.journal.report(&Event::Refused { session, recipient, reply: reply.clone() });
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
