//! Gives mail to whoever owns it.
//!
//! A session sees its INBOX as it was at login: what arrives or goes meanwhile changes nothing in it, and no lock keeps others
//! out. Two sessions may read and delete the same messages at once. Deletions are one commit, at the end.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::Context;
use super::authentication::Attempt;
use crate::conversation::pop3::Handler;
use crate::mailbox::{Mailboxes, MessageReader, ReadError, Snapshot};
use crate::model::{Address, Event};
use crate::pop3::{Credentials, Denial, Entry, Maildrop, Unavailable};
use crate::sasl::{Answer, Failure, Proof, Question, Secret};
use crate::state::account::INBOX;
use crate::state::account::credentials::Scope;
use crate::state::requests::Purpose;

/// One client's session.
#[derive(Debug)]
pub struct Access {
    context: Arc<Context>,
    mailboxes: Mailboxes,
    session: u64,
    peer: SocketAddr,
    /// After the login.
    inbox: Option<Snapshot>,
    /// The message that is being read. Holds up to a megabyte of it.
    reader: Option<MessageReader>,
}

impl Access {
    /// A session, by its number on this node.
    pub fn new(context: Arc<Context>, session: u64, peer: SocketAddr) -> Self {
        let mailboxes = context.mailboxes.of(Purpose::Read);
        Self { context, mailboxes, session, peer, inbox: None, reader: None }
    }

    /// Whether its client may send a password in clear text.
    pub fn allows_password(&self) -> bool {
        self.context.config.pop3.allow_plaintext || self.peer.ip().to_canonical().is_loopback()
    }

    /// What the client is told when something went wrong inside. What that was is the operator's business.
    fn trouble(&self, doing: &str, error: impl ToString) -> Unavailable {
        let doing = format!("{doing} in session {}", self.session);
        self.context.journal.report(&Event::Trouble { doing, error: error.to_string() });
        Unavailable
    }

    /// The maildrop of an account as it is now.
    async fn enter(&mut self, account: &Address) -> Result<Maildrop, ReadError> {
        let inbox = self.mailboxes.snapshot(account, INBOX).await?;
        let messages = inbox.messages().map(|(uid, octets)| Entry { uid, octets }).collect();
        let maildrop = Maildrop { uid_validity: inbox.uid_validity(), messages };
        self.inbox = Some(inbox);
        Ok(maildrop)
    }
}

#[async_trait]
impl Handler for Access {
    async fn log_in(&mut self, credentials: Credentials) -> Result<Maildrop, Denial> {
        let Credentials { name, password } = credentials;
        let (authcid, authzid) = (name, String::new());
        let proof = Proof { authcid: authcid.clone(), authzid: authzid.clone() };
        let question = Question::Password { authcid, authzid, password: Secret::new(password) };
        let mut attempt = Attempt::new(self.context.clone(), self.session, self.peer, Scope::Pop3);
        let end = match attempt.answer(question).await {
            Answer::Granted => Ok(proof),
            Answer::Unavailable => Err(Failure::Unavailable),
            Answer::Refused | Answer::Verifier(_) => Err(Failure::Credentials),
        };
        match attempt.conclude(end).await {
            Ok(identity) => self.enter(&identity.account).await.map_err(|error| {
                self.trouble("logging in", error);
                Denial::Unavailable
            }),
            Err(Failure::Unavailable) => Err(Denial::Unavailable),
            Err(_) => Err(Denial::Credentials),
        }
    }

    async fn open(&mut self, uid: u32) -> Result<(), Unavailable> {
        // The session asks for messages only after a login.
        let inbox = self.inbox.as_ref().ok_or(Unavailable)?;
        let opened = inbox.open(uid).await;
        self.reader = Some(opened.map_err(|error| self.trouble("opening a message", error))?);
        Ok(())
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Unavailable> {
        let reader = self.reader.as_mut().ok_or(Unavailable)?;
        let next = reader.next().await;
        next.map_err(|error| self.trouble("reading a message", error))
    }

    fn release(&mut self) {
        self.reader = None;
    }

    async fn expunge(&mut self, uids: Vec<u32>) -> Result<(), Unavailable> {
        let inbox = self.inbox.as_ref().ok_or(Unavailable)?;
        let expunged = inbox.expunge(uids).await;
        expunged.map_err(|error| self.trouble("deleting messages", error))
    }
}
