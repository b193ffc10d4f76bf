//! The queue, as it stands in the store.

use std::collections::BTreeMap;
use std::fmt;

use super::{Admin, AdminError};
use crate::model::verdict::Judgement;
use crate::model::{Address, Event, Incarnation, Nonce, QueueId, ReversePath, UtcTime};
use crate::platform::StoreError;
use crate::state::layout::{self, LiveKey};
use crate::state::log::{Live, ScanError, read_log};
pub use crate::state::order::Action;
use crate::state::order::{Order, Task};

/// Times that a log which is compacted meanwhile is read anew.
const READS: usize = 5;

/// What is being done about a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueState {
    /// It waits for its next attempt.
    Queued,
}

impl fmt::Display for QueueState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queued => f.write_str("queued"),
        }
    }
}

/// One recipient of one message that is not done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueItem {
    /// The message.
    pub queue_id: QueueId,
    /// Where reports go.
    pub reverse_path: ReversePath,
    /// The recipient, after expansion.
    pub forward_path: Address,
    /// What is being done about it.
    pub state: QueueState,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next one is due.
    pub next_attempt: UtcTime,
    /// What the last one was told.
    pub last_reply: Option<String>,
    /// The log that holds it.
    pub node: Incarnation,
    /// Octets of content.
    pub size: u64,
    /// When it was accepted.
    pub accepted: UtcTime,
    /// What its verification came to, where it was verified.
    pub verdict: Option<Judgement>,
}

impl Admin {
    /// All recipients that are not done with, of all nodes, by message.
    pub async fn queue(&self) -> Result<Vec<QueueItem>, AdminError> {
        let mut items = BTreeMap::new();
        let listed = self.requests.list(layout::LIVE, None).await?;
        let logs = listed.iter().filter_map(|object| match layout::parse_live(&object.key)? {
            LiveKey::Beat(incarnation) | LiveKey::Free(incarnation) => Some(incarnation),
            LiveKey::Order(_) | LiveKey::Lock(_) => None,
        });
        for node in logs {
            let Some(live) = self.live(node).await? else { continue };
            for entry in live.entries.iter() {
                let envelope = &entry.envelope;
                for recipient in &entry.recipients {
                    // While it is being adopted an entry stands in two logs.
                    items.insert(
                        (envelope.id, recipient.to),
                        QueueItem {
                            queue_id: envelope.id,
                            reverse_path: envelope.reverse_path.clone(),
                            forward_path: recipient.address.clone(),
                            state: QueueState::Queued,
                            attempts: recipient.attempts,
                            next_attempt: recipient.next,
                            last_reply: recipient.last_reply.as_ref().map(ToString::to_string),
                            node,
                            size: envelope.size,
                            accepted: envelope.accepted,
                            verdict: envelope.verdict.clone(),
                        },
                    );
                }
            }
        }
        Ok(items.into_values().collect())
    }

    /// Orders whichever node holds a message to do something about it. It is done when that node next looks: within 10 s,
    /// or when a node runs again.
    pub async fn order(&self, queue_id: QueueId, action: Action) -> Result<(), AdminError> {
        if !self.queue().await?.iter().any(|item| item.queue_id == queue_id) {
            let reason =
                format!("{queue_id} is not in the queue: nothing is left to do for it, or it never was");
            return Err(AdminError::NotFound(reason));
        }
        let (at, entropy) = self.platform.draw();
        let nonce = Nonce::draw(at, entropy);
        let order = Task::Message(Order { nonce, at, queue_id, action });
        // Under an identity drawn for it alone.
        Ok(self.requests.put(&layout::order(nonce), &order.encode().payload).await?)
    }

    /// What lives in a log; nothing where a newer version wrote it, which is reported.
    async fn live(&self, log: Incarnation) -> Result<Option<Live>, AdminError> {
        for _ in 0..READS {
            match read_log(&self.requests, log, None).await {
                Ok(scanned) => return Ok(Some(scanned.live)),
                Err(ScanError::Moved(_)) => {}
                Err(ScanError::Newer { key, error }) => {
                    self.requests.journal().report(&Event::ObjectDamaged { key, reason: error.to_string() });
                    return Ok(None);
                }
                Err(ScanError::Store(error)) => return Err(error.into()),
            }
        }
        Err(StoreError::Unavailable(format!("log {log} changes faster than it can be read")).into())
    }
}
