//! Reading from mailboxes.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::Mailboxes;
use super::content::{read_part, read_piece};
use crate::model::{Address, QueueId, UtcTime};
use crate::state::StateError;
use crate::state::account::Message;

use crate::state::layout;
use crate::state::log::Piece;
use crate::state::requests::Requests;

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
        self.with_mailbox(account, mailbox, |messages| {
            let listing = |(uid, message): (&u32, &Message)| Listing {
                uid: *uid,
                size: message.content.size(),
                received: message.received,
                flags: message.flags.clone(),
                queue_id: message.queue_id,
            };
            messages.iter().map(listing).collect()
        })
        .await
    }

    /// Begins to read a message.
    pub async fn open(&self, account: &Address, mailbox: &str, uid: u32) -> Result<MessageReader, ReadError> {
        let message = self.with_mailbox(account, mailbox, |messages| messages.get(&uid).cloned()).await?;
        let message = message.ok_or_else(|| ReadError::NoMessage(mailbox.to_owned(), uid))?;
        let key = layout::numbered(&format!("{}c/", layout::account(account)), message.commit);
        let mut inline = read_part(self.requests(), &key, &message.content.extent).await?;
        let header = inline.split_to(inline.len().min(message.content.header as usize));
        let pieces = message.content.body.iter().flat_map(|body| {
            let key = |index| layout::account_piece(account, body.id, index);
            body.pieces.iter().enumerate().map(move |(index, piece)| (key(index), *piece))
        });
        Ok(MessageReader {
            requests: self.requests().clone(),
            header: header.clone(),
            ready: [header, inline].into_iter().filter(|part| !part.is_empty()).collect(),
            pieces: pieces.collect(),
        })
    }

    async fn with_mailbox<T>(
        &self,
        account: &Address,
        mailbox: &str,
        look: impl FnOnce(&std::collections::BTreeMap<u32, Message>) -> T,
    ) -> Result<T, ReadError> {
        let chain = self.accounts().hold(&layout::account(account), Duration::ZERO).await?;
        let state = chain.state();
        if !state.exists {
            chain.whole()?;
            return Err(ReadError::NoAccount(account.clone()));
        }
        let found = state.mailboxes.get(mailbox);
        let found = found.ok_or_else(|| ReadError::NoMailbox(account.clone(), mailbox.to_owned()))?;
        Ok(look(&found.messages))
    }
}

/// A message being read, never more of it than a piece at a time.
#[derive(Debug)]
pub struct MessageReader {
    requests: Requests,
    header: Bytes,
    ready: VecDeque<Bytes>,
    pieces: VecDeque<(String, Piece)>,
}

impl MessageReader {
    /// The header block, with the empty line that ends it.
    pub fn header(&self) -> Bytes {
        self.header.clone()
    }

    /// The next part of the whole content, header block first; nothing at its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StateError> {
        if let Some(part) = self.ready.pop_front() {
            return Ok(Some(part));
        }
        match self.pieces.pop_front() {
            Some((key, piece)) => read_piece(&self.requests, &key, &piece).await.map(Some),
            None => Ok(None),
        }
    }
}
