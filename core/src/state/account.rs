//! `account/<hh>/<name>/`: one user's mailboxes, messages and credentials, as a chain.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::chain::{MEMORY, Position, State};
use super::frame::Extent;
use super::log::Piece;
use crate::model::{Address, BodyId, QueueId, UtcTime};

/// The mailbox that every account has (RFC 9051 §5.1).
pub const INBOX: &str = "INBOX";

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
    /// The verifier of its password, in PHC string form; none bars every login.
    Password(Option<String>),
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
    pub body: Option<StoredBody>,
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
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub flags: Vec<String>,
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
                *self = Self { delivered: std::mem::take(&mut self.delivered), ..Self::default() };
            }
            Op::Password(verifier) => self.password.clone_from(verifier),
            Op::Append(arrival) => self.arrive(arrival, at),
            Op::Expunge { mailbox, uids } => self.expunge(mailbox, uids, at),
            Op::Fence {} => {}
        }
        self.forget(at.time);
    }

    fn summary(&self) -> serde_json::Value {
        serde_json::json!({ "exists": self.exists, "messages": self.message_count(), "octets": self.octets })
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
            flags: arrival.flags.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn create() -> Op {
        Op::Create { address: Address::parse("u@example.org").unwrap() }
    }

    fn arrival(n: u8) -> Op {
        let content = Stored { extent: Extent { at: 5, len: 10, crc: 0 }, header: 4, body: None };
        let queue_id = Some(QueueId::draw(UtcTime(u64::from(n)), [n; 10]));
        Op::Append(Arrival { mailbox: INBOX.into(), queue_id, received: UtcTime(0), flags: vec![], content })
    }

    fn replay(ops: &[(u64, Op)]) -> Account {
        let mut account = Account::default();
        for (commit, op) in ops {
            account.apply(op, &Position { commit: *commit, time: UtcTime(*commit), data_at: 100 });
        }
        account
    }

    #[test]
    fn uids_rise_by_replay_and_a_message_arrives_once() {
        let account =
            replay(&[(1, create()), (2, arrival(1)), (3, arrival(1)), (4, arrival(2)), (5, arrival(1))]);
        let inbox = &account.mailboxes[INBOX];
        assert_eq!(inbox.messages.keys().copied().collect::<Vec<_>>(), [1, 2]);
        assert_eq!((inbox.uid_validity, inbox.uid_next), (1, 3));
        assert_eq!(inbox.messages[&1].content.extent.at, 105);
        assert_eq!(inbox.messages[&2].modseq, 4);
    }

    #[test]
    fn what_begins_again_has_a_new_uid_validity_and_still_knows_what_it_received() {
        let account = replay(&[
            (1, create()),
            (2, arrival(1)),
            (3, Op::Remove {}),
            (4, arrival(2)),
            (5, create()),
            (6, arrival(1)),
        ]);
        assert_eq!(account.mailboxes[INBOX].uid_validity, 5);
        assert!(account.mailboxes[INBOX].messages.is_empty());
    }

    fn expunge(uids: &[u32]) -> Op {
        Op::Expunge { mailbox: INBOX.into(), uids: uids.to_vec() }
    }

    #[test]
    fn what_is_expunged_is_gone_once_and_its_uid_is_never_given_again() {
        let mut ops = vec![(1, create()), (2, arrival(1)), (3, arrival(2)), (4, arrival(3))];
        ops.extend([(5, expunge(&[2, 3, 3, 9])), (6, expunge(&[3, 2])), (7, arrival(4)), (8, arrival(2))]);
        let account = replay(&ops);
        let inbox = &account.mailboxes[INBOX];
        assert_eq!(inbox.messages.keys().copied().collect::<Vec<_>>(), [1, 4]);
        assert_eq!((inbox.uid_next, inbox.modseq, account.octets), (5, 7, 20));
    }

    #[test]
    fn an_expunge_that_finds_nothing_changes_nothing() {
        let elsewhere = Op::Expunge { mailbox: "Archive".into(), uids: vec![1] };
        let account = replay(&[(1, create()), (2, arrival(1)), (3, expunge(&[7])), (4, elsewhere)]);
        assert_eq!((account.mailboxes[INBOX].modseq, account.octets, account.mailboxes.len()), (2, 10, 1));
    }

    #[test]
    fn a_mailbox_written_before_expunges_were_known_is_still_read() {
        let mailbox: Mailbox =
            serde_json::from_str(r#"{"uid_validity":1,"uid_next":1,"messages":{}}"#).unwrap();
        assert_eq!((mailbox.uid_validity, mailbox.modseq), (1, 0));
    }

    #[test]
    fn an_operation_of_a_later_version_is_not_taken_for_another() {
        assert!(serde_json::from_str::<Op>(r#"{"rename":{"mailbox":"INBOX"}}"#).is_err());
    }
}
