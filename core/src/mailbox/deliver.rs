//! Delivery into accounts: what is waiting for one account goes into one commit.
//!
//! **Exactly once.** The commit that carries a message carries its queue id, and replay drops a message whose id the
//! account has seen; so the same delivery may be tried any number of times by any number of nodes.
//!
//! **Crashes.** Before the commit: nothing is there but perhaps copies of a large body, under an identity that nobody
//! names. After it: the message is in the mailbox, and the next attempt finds its queue id and succeeds at once.
//!
//! **Collection.** What nobody names is deleted a day after it was copied. So a commit names no copy that was begun more than
//! [`NAMING_RIGHT`] before ([`crate::state::collect::chain`]); such a message waits for its next attempt, which copies anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::channel::oneshot;
use futures::stream::{self, StreamExt};

use crate::model::message::return_path_field;
use crate::model::{Address, BodyId, Outcome, QueueId, Reply, UtcTime};
use crate::platform::Instant;
use crate::state::StateError;
use crate::state::account::{Account, Arrival, INBOX, JUNK, Op, Stored, StoredBody};
use crate::state::chain::Draft;
use crate::state::chains::Chains;
use crate::state::collect::NAMING_RIGHT;
use crate::state::content::{Fresh, missing, read_inline};
use crate::state::frame::Data;
use crate::state::layout;
use crate::state::log::{Body, Envelope, Pieces};
use crate::state::requests::{Purpose, Requests};
use std::time::Duration;

/// Octets of content in one commit, at most, unless a single message has more.
const COMMIT_OCTETS: usize = 4 << 20;
/// Messages in one commit, at most.
const COMMIT_MESSAGES: usize = 500;
/// Messages of one commit whose content is got together at a time, where it is not in memory any more.
const PREPARED_AT_ONCE: usize = 16;
/// From one commit for an account to the next, at least: what comes meanwhile goes into it together. A mailbox that nothing came into
/// lately is written to at once.
const COMMIT_PACE: Duration = Duration::from_millis(25);
/// How old a confirmation of the tip may be for a change to begin on it; appending confirms it anyhow.
pub(super) const FRESH: Duration = Duration::from_hours(1);

/// A message for one account.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The message.
    pub envelope: Arc<Envelope>,
    /// Header block and small body, where they are still in memory.
    pub fresh: Option<Fresh>,
    /// Whether the account is to be made if it is not there: it is a postmaster's, whose mail is never refused.
    pub make_account: bool,
    /// Whether it goes into [`JUNK`] instead of INBOX.
    pub is_suspicious: bool,
}

/// The accounts of this node, and what waits to be delivered into them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Mailboxes {
    requests: Requests,
    accounts: Chains<Account>,
    /// By account; present as long as somebody is delivering into it.
    waiting: Arc<Mutex<BTreeMap<Address, Vec<Waiting>>>>,
}

#[derive(Debug)]
struct Waiting {
    letter: Letter,
    done: oneshot::Sender<Outcome>,
}

/// A message with its content at hand.
struct Prepared {
    id: QueueId,
    make_account: bool,
    is_suspicious: bool,
    received: UtcTime,
    /// Return-Path, header block, and the body where it is small.
    parts: Vec<Bytes>,
    crc: u32,
    header: u64,
    body: Option<Box<StoredBody>>,
    /// When the copying of the body began; of any message, when its content was got together.
    begun: Instant,
    done: oneshot::Sender<Outcome>,
}

impl Prepared {
    /// Whether a commit may still name its body.
    fn may_be_named(&self, now: Instant) -> bool {
        self.body.is_none() || now.since(self.begun) <= NAMING_RIGHT
    }
}

/// What became of a batch.
struct Appended {
    /// Those of its messages that the account has received.
    received: Vec<QueueId>,
    /// Whether the account is there.
    exists: bool,
}

impl Mailboxes {
    /// Mailboxes that share the node's accounts with its directory.
    pub fn new(requests: Requests, accounts: Chains<Account>) -> Self {
        Self { requests, accounts, waiting: Arc::default() }
    }

    /// The same mailboxes, asked for this purpose.
    pub fn of(&self, purpose: Purpose) -> Self {
        let (requests, accounts) = (self.requests.of(purpose), self.accounts.of(purpose));
        Self { requests, accounts, waiting: self.waiting.clone() }
    }

    /// The node's accounts.
    pub fn accounts(&self) -> &Chains<Account> {
        &self.accounts
    }

    pub(super) fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Delivers a message into an account. Messages that come while another commit is under way go into the next one together.
    pub async fn deliver(&self, account: &Address, letter: Letter) -> Outcome {
        let (done, outcome) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let is_first = !waiting.contains_key(account);
            waiting.entry(account.clone()).or_default().push(Waiting { letter, done });
            is_first
        };
        if is_first {
            let (mailboxes, account) = (self.clone(), account.clone());
            // A job of its own: whoever asked for the first delivery may go away before the last one is done.
            self.requests.platform().spawn.spawn(Box::pin(async move { mailboxes.work(account).await }));
        }
        outcome
            .await
            .unwrap_or_else(|_| Outcome::Deferred(Reply::new(451, (4, 3, 0), "the delivery was interrupted")))
    }

    /// Delivers until nothing waits for the account, and nothing has come for as long as commits are apart.
    async fn work(&self, account: Address) {
        let clock = self.requests.platform().clock.clone();
        while let Some(batch) = self.next_batch(&account) {
            let next = clock.instant() + COMMIT_PACE;
            let preparing = batch.into_iter().map(|waiting| self.prepare(&account, waiting));
            let prepared = stream::iter(preparing).buffered(PREPARED_AT_ONCE).collect::<Vec<_>>().await;
            let prepared: Vec<Prepared> = prepared.into_iter().flatten().collect();
            if !prepared.is_empty() {
                self.commit(&account, prepared).await;
            }
            clock.sleep_until(next).await;
        }
    }

    /// What goes into the next commit; nothing, and nobody delivering any more, where nothing waits.
    fn next_batch(&self, account: &Address) -> Option<Vec<Waiting>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = waiting.get_mut(account)?;
        if queue.is_empty() {
            waiting.remove(account);
            return None;
        }
        let mut octets = 0;
        let fits = queue.iter().take(COMMIT_MESSAGES).take_while(|next| {
            let before = octets;
            octets += inline_octets(&next.letter.envelope);
            before == 0 || octets <= COMMIT_OCTETS
        });
        let count = fits.count();
        Some(queue.drain(..count).collect())
    }

    /// Gets a message's content together; nothing where that failed, which its sender has then been told.
    async fn prepare(&self, account: &Address, waiting: Waiting) -> Option<Prepared> {
        let Waiting { letter, done } = waiting;
        let begun = self.requests.platform().clock.instant();
        match self.gather(account, &letter).await {
            Ok((parts, crc, header, body)) => Some(Prepared {
                id: letter.envelope.id,
                make_account: letter.make_account,
                is_suspicious: letter.is_suspicious,
                received: letter.envelope.accepted,
                parts,
                crc,
                header,
                body,
                begun,
                done,
            }),
            Err(error) => {
                // Damage does not mend, but an operator may mend it; the entry stays until it expires.
                let reply = Reply::new(451, (4, 3, 0), format!("content cannot be read: {error}"));
                let _ = done.send(Outcome::Deferred(reply));
                None
            }
        }
    }

    async fn gather(
        &self,
        account: &Address,
        letter: &Letter,
    ) -> Result<(Vec<Bytes>, u32, u64, Option<Box<StoredBody>>), StateError> {
        let content = &letter.envelope.content;
        let return_path = Bytes::from(return_path_field(&letter.envelope.reverse_path));
        let mut parts = vec![return_path];
        parts.extend(read_inline(&self.requests, &letter.envelope, letter.fresh.as_ref()).await?);
        let body = match &content.body {
            Body::Inline(_) => None,
            Body::Pieces(pieces) => Some(Box::new(self.copy_body(account, pieces).await?)),
        };
        let mut hasher = crc32fast::Hasher::new();
        parts.iter().for_each(|part| hasher.update(part));
        let header = (parts[0].len() + content.header.extent.len as usize) as u64;
        Ok((parts, hasher.finalize(), header, body))
    }

    /// Copies a large body out of the spool into the account, under an identity drawn for this attempt.
    async fn copy_body(&self, account: &Address, pieces: &Pieces) -> Result<StoredBody, StateError> {
        let (now, entropy) = self.requests.platform().draw();
        let id = BodyId::draw(now, entropy);
        for (index, piece) in pieces.pieces.iter().enumerate() {
            let from = layout::spool_piece(pieces.inc, pieces.body, index);
            let to = layout::account_piece(account, id, index);
            self.requests.copy(&from, &to, piece.len).await.map_err(|error| missing(&from, error))?;
        }
        Ok(StoredBody { id, pieces: pieces.pieces.clone() })
    }

    async fn commit(&self, account: &Address, batch: Vec<Prepared>) {
        let result = self.append(account, &batch).await;
        for message in batch {
            let outcome = match &result {
                Ok(appended) if appended.received.contains(&message.id) => {
                    Outcome::Delivered(Reply::new(250, (2, 1, 5), "delivered"))
                }
                Ok(Appended { exists: true, .. }) => {
                    Outcome::Deferred(Reply::new(451, (4, 3, 0), "copying the message took too long"))
                }
                Ok(_) => Outcome::Failed(Reply::new(550, (5, 1, 1), "the account is not there any more")),
                Err(StateError::Unavailable(error) | StateError::Refused(error)) => {
                    Outcome::Deferred(Reply::new(451, (4, 3, 0), error.clone()))
                }
                Err(error) => {
                    Outcome::Deferred(Reply::new(451, (4, 3, 0), format!("the account is damaged: {error}")))
                }
            };
            // The scheduler may have ended; the adopter of its log will ask again.
            let _ = message.done.send(outcome);
        }
    }

    /// Appends the messages that the account has not received yet.
    async fn append(&self, account: &Address, batch: &[Prepared]) -> Result<Appended, StateError> {
        let clock = self.requests.platform().clock.clone();
        let mut chain = self.accounts.hold(&layout::account(account), FRESH).await?;
        chain.append(&self.requests, |state| draft(account, state, batch, clock.instant())).await?;
        if batch.iter().any(|message| !chain.state().has_received(message.id)) {
            // That the account is not there is said for good, and may have been known from a while ago.
            chain.refresh(&self.requests).await?;
            chain.append(&self.requests, |state| draft(account, state, batch, clock.instant())).await?;
        }
        let state = chain.state();
        let received = batch.iter().map(|message| message.id).filter(|id| state.has_received(*id)).collect();
        let exists = state.exists;
        chain.snapshot_if_due(&self.requests).await;
        Ok(Appended { received, exists })
    }
}

fn draft(address: &Address, account: &Account, batch: &[Prepared], now: Instant) -> Draft<Op> {
    let mut draft = Draft { ops: Vec::new(), data: Data::default() };
    let batch = batch.iter().filter(|message| message.may_be_named(now));
    if !account.exists {
        if !batch.clone().any(|message| message.make_account) {
            return draft;
        }
        draft.ops.push(Op::Create { address: address.clone() });
    }
    let mut has_junk = account.mailboxes.contains_key(JUNK);
    for message in batch.filter(|message| !account.has_received(message.id)) {
        if message.is_suspicious && !std::mem::replace(&mut has_junk, true) {
            draft.ops.push(Op::MakeMailbox { name: JUNK.to_owned() });
        }
        let extent = draft.data.push(&message.parts, message.crc);
        draft.ops.push(Op::Append(Arrival {
            mailbox: if message.is_suspicious { JUNK } else { INBOX }.to_owned(),
            queue_id: Some(message.id),
            received: message.received,
            flags: Vec::new(),
            content: Stored { extent, header: message.header, body: message.body.clone() },
        }));
    }
    draft
}

fn inline_octets(envelope: &Envelope) -> usize {
    let body = match &envelope.content.body {
        Body::Inline(part) => part.extent.len,
        Body::Pieces(_) => 0,
    };
    (envelope.content.header.extent.len + body) as usize
}
