//! `account/<hh>/<name>/`: one user's mailboxes, messages and credentials, as a chain.

pub mod credentials;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::credentials::AppPassword;
use super::chain::{MEMORY, Position, State};
use super::frame::Extent;
use super::log::Piece;
use crate::model::{Address, BodyId, QueueId, UtcTime};
use crate::sasl::scram;

/// The mailbox that every account has (RFC 9051 §5.1).
pub const INBOX: &str = "INBOX";
/// The one for what is suspicious, made when there is something for it (RFC 6154 §2).
pub const JUNK: &str = "Junk";

/// In memory: an account with nothing in it.
const ACCOUNT_OCTETS: usize = 2_000;
/// A message in a mailbox, whose content is not in memory.
const MESSAGE_OCTETS: usize = 160;
/// One of [`Account::delivered`].
const DELIVERY_OCTETS: usize = 40;

/// One change to an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// The account begins, or begins again after it was removed; with an empty INBOX. Nothing where it is there.
    Create {
        /// Its address, in lower case; its key may hold a hash instead.
        address: Address,
    },
    /// The account and all that is in it is no more. Its chain goes on.
    Remove {},
    /// The verifier of its password, in PHC string form; none, and only app passwords open it. The one for SCRAM, which would be of
    /// another password now, goes: [`Op::Scram`] follows in the same commit.
    Password(Option<String>),
    /// The verifier for SCRAM of its password.
    Scram(scram::Verifier),
    /// A program gets a password of its own. Its number is given by replay.
    AppPassword(AppPassword),
    /// An app password is no more. A number that is not there changes nothing.
    RemoveAppPassword {
        /// Its number.
        id: u32,
    },
    /// Whether logins are barred. Mail is taken all the same.
    Disabled(bool),
    /// A mailbox is made, empty. Nothing where it is there.
    MakeMailbox {
        /// Its name.
        name: String,
    },
    /// A message arrives in a mailbox, or in INBOX where that has gone. Its UID is given by replay.
    Append(Arrival),
    /// Messages leave a mailbox for good (RFC 9051 §6.4.3). UIDs that are not there, and a mailbox that is not, change nothing.
    /// Large bodies stay in the store until what nothing names is collected.
    Expunge {
        /// Out of which mailbox.
        mailbox: String,
        /// Which messages.
        uids: Vec<u32>,
    },
    /// Changes nothing: whoever collects bodies that no message names takes a number, so that nobody who decided earlier to name
    /// one can still do so ([`super::collect::chain`]).
    Fence {},
}

/// What an arriving message brings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arrival {
    /// Into which mailbox.
    pub mailbox: String,
    /// The message; one that was delivered before is dropped.
    pub queue_id: Option<QueueId>,
    /// IMAP's internal date.
    pub received: UtcTime,
    /// Flags and keywords.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub flags: Vec<String>,
    /// Its content; the extent counts from the data area.
    pub content: Stored,
}

/// Where a message's content lies in its account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// Header block and, where it is small, the body: in the commit that the message arrived with.
    pub extent: Extent,
    /// Octets of header block at the extent's start.
    pub header: u64,
    /// A large body, in objects of the account.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body: Option<Box<StoredBody>>,
}

/// A body in `account/<hh>/<name>/body/<ulid>/<k>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredBody {
    /// Its folder.
    pub id: BodyId,
    /// Its pieces, in order.
    pub pieces: Vec<Piece>,
}

impl Stored {
    /// Octets of the whole message.
    pub fn size(&self) -> u64 {
        let pieces = self.body.iter().flat_map(|body| &body.pieces);
        self.extent.len + pieces.map(|piece| piece.len).sum::<u64>()
    }
}

/// An account.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    /// Whether it is there at all: it may have been removed, or never made.
    pub exists: bool,
    /// Its address, in lower case.
    pub address: Option<Address>,
    /// The verifier of its password, in PHC string form.
    pub password: Option<String>,
    /// The verifier for SCRAM of the same password; none where that was set before there was SCRAM.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scram: Option<scram::Verifier>,
    /// Passwords of single programs, by number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub app_passwords: BTreeMap<u32, AppPassword>,
    /// The last number given to one. Outlives removal, so that no number means two of them.
    #[serde(default)]
    pub app_passwords_made: u32,
    /// Whether logins are barred.
    #[serde(default)]
    pub disabled: bool,
    /// By name.
    pub mailboxes: BTreeMap<String, Mailbox>,
    /// Octets of all messages.
    pub octets: u64,
    /// What was delivered in the last 30 days, so that nothing is delivered twice. Outlives removal.
    pub delivered: BTreeMap<QueueId, UtcTime>,
}

/// A mailbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mailbox {
    /// The commit that made it (RFC 9051 §2.3.1.1): never used again in this account.
    pub uid_validity: u64,
    /// The UID of the next message.
    pub uid_next: u32,
    /// The commit by which a message came or went last: with those of its messages, what HIGHESTMODSEQ is made of
    /// (RFC 7162 §3.1.2).
    #[serde(default)]
    pub modseq: u64,
    /// By UID. Shared with the sessions that read the mailbox as it was.
    pub messages: BTreeMap<u32, Arc<Message>>,
}

/// A message in a mailbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// Under which it went through the queue.
    pub queue_id: Option<QueueId>,
    /// IMAP's internal date.
    pub received: UtcTime,
    /// The commit that changed it last (RFC 7162 §3.1).
    pub modseq: u64,
    /// The commit that it arrived with, which holds its content.
    pub commit: u64,
    /// Flags and keywords.
    #[serde(skip_serializing_if = "<[String]>::is_empty", default)]
    pub flags: Box<[String]>,
    /// Its content; the extent counts from the start of the commit's object.
    pub content: Stored,
}

impl Mailbox {
    fn made_by(commit: u64) -> Self {
        Self { uid_validity: commit, uid_next: 1, modseq: commit, messages: BTreeMap::new() }
    }
}

impl State for Account {
    type Op = Op;

    fn apply(&mut self, op: &Op, at: &Position) {
        match op {
            Op::Create { .. } if self.exists => {}
            Op::Create { address } => {
                self.exists = true;
                self.address = Some(address.clone());
                self.mailboxes.insert(INBOX.to_owned(), Mailbox::made_by(at.commit));
            }
            Op::Remove {} => {
                let (delivered, app_passwords_made) =
                    (std::mem::take(&mut self.delivered), self.app_passwords_made);
                *self = Self { delivered, app_passwords_made, ..Self::default() };
            }
            Op::Password(verifier) => {
                self.password.clone_from(verifier);
                self.scram = None;
            }
            Op::Scram(verifier) => self.scram = Some(verifier.clone()),
            Op::AppPassword(app) => self.add_app_password(app),
            Op::RemoveAppPassword { id } => drop(self.app_passwords.remove(id)),
            Op::Disabled(disabled) => self.disabled = *disabled,
            Op::MakeMailbox { name } => self.make_mailbox(name, at),
            Op::Append(arrival) => self.arrive(arrival, at),
            Op::Expunge { mailbox, uids } => self.expunge(mailbox, uids, at),
            Op::Fence {} => {}
        }
        self.forget(at.time);
    }

    fn summary(&self) -> serde_json::Value {
        serde_json::json!({ "exists": self.exists, "messages": self.message_count(), "octets": self.octets })
    }

    fn octets(&self) -> usize {
        ACCOUNT_OCTETS + self.message_count() * MESSAGE_OCTETS + self.delivered.len() * DELIVERY_OCTETS
    }
}

impl Account {
    /// Whether this message has been delivered here, whatever became of it since.
    pub fn has_received(&self, queue_id: QueueId) -> bool {
        self.delivered.contains_key(&queue_id)
    }

    /// Messages in all mailboxes.
    pub fn message_count(&self) -> usize {
        self.mailboxes.values().map(|mailbox| mailbox.messages.len()).sum()
    }

    fn make_mailbox(&mut self, name: &str, at: &Position) {
        if self.exists && !self.mailboxes.contains_key(name) {
            self.mailboxes.insert(name.to_owned(), Mailbox::made_by(at.commit));
        }
    }

    fn arrive(&mut self, arrival: &Arrival, at: &Position) {
        if !self.exists || arrival.queue_id.is_some_and(|id| self.has_received(id)) {
            return;
        }
        if let Some(id) = arrival.queue_id {
            self.delivered.insert(id, at.time);
        }
        let name = if self.mailboxes.contains_key(&arrival.mailbox) { &arrival.mailbox } else { INBOX };
        let mailbox = self.mailboxes.entry(name.to_owned()).or_insert_with(|| Mailbox::made_by(at.commit));
        let mut content = arrival.content.clone();
        content.extent.at += at.data_at;
        let message = Message {
            queue_id: arrival.queue_id,
            received: arrival.received,
            modseq: at.commit,
            commit: at.commit,
            flags: arrival.flags.clone().into(),
            content,
        };
        self.octets += message.content.size();
        mailbox.messages.insert(mailbox.uid_next, Arc::new(message));
        mailbox.uid_next += 1;
        mailbox.modseq = at.commit;
    }

    fn expunge(&mut self, mailbox: &str, uids: &[u32], at: &Position) {
        let Some(mailbox) = self.mailboxes.get_mut(mailbox) else { return };
        for message in uids.iter().filter_map(|uid| mailbox.messages.remove(uid)) {
            self.octets -= message.content.size();
            mailbox.modseq = at.commit;
        }
    }

    /// Drops deliveries that the queue cannot bring again. Keys are ULIDs, so the oldest come first, if roughly.
    fn forget(&mut self, now: UtcTime) {
        while let Some(oldest) = self.delivered.first_entry()
            && now.since(*oldest.get()) > MEMORY
        {
            oldest.remove();
        }
    }
}
