//! Reading from mailboxes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Mailboxes;
use crate::model::{Address, QueueId, UtcTime};
use crate::state::StateError;
use crate::state::account::{Mailbox, Message};
use crate::state::content::{ContentReader, read_part};
use crate::state::layout;

/// What a mailbox holds, one line a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// IMAP's unique identifier (RFC 9051 §2.3.1.1).
    pub uid: u32,
    /// Octets.
    pub size: u64,
    /// IMAP's internal date.
    pub received: UtcTime,
    /// Flags and keywords.
    pub flags: Vec<String>,
    /// Under which it went through the queue.
    pub queue_id: Option<QueueId>,
}

/// Why something could not be read.
#[derive(Clone, Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ReadError {
    #[error("no account {0}")]
    NoAccount(Address),
    #[error("account {0} has no mailbox {1}")]
    NoMailbox(Address, String),
    #[error("mailbox {0} has no message with UID {1}")]
    NoMessage(String, u32),
    #[error(transparent)]
    State(#[from] StateError),
}

impl Mailboxes {
    /// The messages of a mailbox, by UID.
    pub async fn list(&self, account: &Address, mailbox: &str) -> Result<Vec<Listing>, ReadError> {
        self.with_mailbox(account, mailbox, |mailbox| {
            let listing = |(uid, message): (&u32, &Arc<Message>)| Listing {
                uid: *uid,
                size: message.content.size(),
                received: message.received,
                flags: message.flags.to_vec(),
                queue_id: message.queue_id,
            };
            mailbox.messages.iter().map(listing).collect()
        })
        .await
    }

    /// Begins to read a message.
    pub async fn open(&self, account: &Address, mailbox: &str, uid: u32) -> Result<MessageReader, ReadError> {
        let message =
            self.with_mailbox(account, mailbox, |mailbox| mailbox.messages.get(&uid).cloned()).await?;
        let message = message.ok_or_else(|| ReadError::NoMessage(mailbox.to_owned(), uid))?;
        self.read_or_miss(account, mailbox, uid, &message).await
    }

    /// A mailbox as it is now.
    pub async fn snapshot(&self, account: &Address, mailbox: &str) -> Result<Snapshot, ReadError> {
        self.with_mailbox(account, mailbox, |found| Snapshot {
            mailboxes: self.clone(),
            account: account.clone(),
            mailbox: mailbox.to_owned(),
            uid_validity: found.uid_validity,
            messages: found.messages.iter().map(|(uid, message)| (*uid, message.clone())).collect(),
        })
        .await
    }

    /// Begins to read a message that was in a mailbox a moment ago, or longer. Content that is gone is no damage where the message was
    /// expunged meanwhile: it stays for a day only.
    async fn read_or_miss(
        &self,
        account: &Address,
        mailbox: &str,
        uid: u32,
        message: &Message,
    ) -> Result<MessageReader, ReadError> {
        let error = match self.read(account, message).await {
            Err(error @ StateError::Damaged { .. }) => error,
            read => return Ok(read?),
        };
        let is_there =
            |found: &Mailbox| found.messages.get(&uid).is_some_and(|now| now.commit == message.commit);
        match self.with_mailbox(account, mailbox, is_there).await {
            Ok(true) => Err(error.into()),
            Ok(false) | Err(ReadError::NoMailbox(..) | ReadError::NoAccount(_)) => {
                Err(ReadError::NoMessage(mailbox.to_owned(), uid))
            }
            Err(error) => Err(error),
        }
    }

    async fn read(&self, account: &Address, message: &Message) -> Result<MessageReader, StateError> {
        let key = layout::numbered(&format!("{}c/", layout::account(account)), message.commit);
        let mut inline = read_part(self.requests(), &key, &message.content.extent).await?;
        let header = inline.split_to(inline.len().min(message.content.header as usize));
        let pieces = message.content.body.iter().flat_map(|body| {
            let key = |index| layout::account_piece(account, body.id, index);
            body.pieces.iter().enumerate().map(move |(index, piece)| (key(index), *piece))
        });
        let content = ContentReader::new(self.requests().clone(), [header.clone(), inline], pieces);
        Ok(MessageReader { header, content })
    }

    async fn with_mailbox<T>(
        &self,
        account: &Address,
        mailbox: &str,
        look: impl FnOnce(&Mailbox) -> T,
    ) -> Result<T, ReadError> {
        let chain = self.accounts().hold(&layout::account(account), Duration::ZERO).await?;
        let state = chain.state();
        if !state.exists {
            chain.whole()?;
            return Err(ReadError::NoAccount(account.clone()));
        }
        let found = state.mailboxes.get(mailbox);
        let found = found.ok_or_else(|| ReadError::NoMailbox(account.clone(), mailbox.to_owned()))?;
        Ok(look(found))
    }
}

/// A mailbox as it was at one moment. Its messages can be read whatever happens to the mailbox, until the store lets go of
/// what nothing names. Holds a UID and a reference for each message.
#[derive(Clone, Debug)]
pub struct Snapshot {
    mailboxes: Mailboxes,
    account: Address,
    mailbox: String,
    uid_validity: u64,
    messages: Vec<(u32, Arc<Message>)>,
}

impl Snapshot {
    /// UIDs of another validity name other messages (RFC 9051 §2.3.1.1).
    pub fn uid_validity(&self) -> u64 {
        self.uid_validity
    }

    /// UID and octets of each message, by UID.
    pub fn messages(&self) -> impl Iterator<Item = (u32, u64)> {
        self.messages.iter().map(|(uid, message)| (*uid, message.content.size()))
    }

    /// Begins to read a message.
    pub async fn open(&self, uid: u32) -> Result<MessageReader, ReadError> {
        let found = self.messages.binary_search_by_key(&uid, |(uid, _)| *uid);
        let at = found.map_err(|_| ReadError::NoMessage(self.mailbox.clone(), uid))?;
        self.mailboxes.read_or_miss(&self.account, &self.mailbox, uid, &self.messages[at].1).await
    }

    /// Removes messages from the mailbox for good, in one commit. Those that are gone by now are left as they are.
    pub async fn expunge(&self, uids: Vec<u32>) -> Result<(), StateError> {
        self.mailboxes.expunge(&self.account, &self.mailbox, self.uid_validity, uids).await
    }
}

/// A message being read, never more of it than a piece at a time.
#[derive(Debug)]
pub struct MessageReader {
    header: Bytes,
    content: ContentReader,
}

impl MessageReader {
    /// The header block, with the empty line that ends it.
    pub fn header(&self) -> Bytes {
        self.header.clone()
    }

    /// The next part of the whole content, header block first; nothing at its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StateError> {
        self.content.next().await
    }
}
