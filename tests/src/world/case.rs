//! What a run leaves behind, to be judged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fulmar_core::engine::Statistics;
use fulmar_core::model::{Address, QueueId, UtcTime};
use fulmar_core::state::requests::RequestCounts;

use super::answers::Answers;
use super::archive::{Archive, Waiting};
use super::history::{History, Place};
use super::plan::Plan;

/// What a run leaves behind.
#[derive(Clone, Debug)]
pub struct Case {
    /// What was to happen.
    pub plan: Arc<Plan>,
    /// When it began, by the bucket's clock.
    pub began: UtcTime,
    /// When it ended, since it began.
    pub ended: Duration,
    /// What has happened.
    pub history: History,
    /// Everything that was in the bucket.
    pub archive: Archive,
    /// The queue at the end.
    pub queue: Vec<Waiting>,
    /// When the mailboxes were read, by the bucket's clock. What came after that need not be in them.
    pub read_at: UtcTime,
    /// The mailboxes at the end.
    pub mailboxes: BTreeMap<Address, Vec<Held>>,
    /// Mail that was due for too long after everything was healed: when it was seen, and for how long.
    pub overdue: Vec<(Duration, Waiting, Duration)>,
    /// What could not be read at the end though nothing fails any more.
    pub troubles: Vec<String>,
    /// What the nodes that live at the end have done.
    pub statistics: Vec<Statistics>,
    /// Requests of each machine while it was left alone, and for how long that was.
    pub idle: (Duration, Vec<(Place, RequestCounts)>),
    /// How the nodes' requests ended.
    pub answers: Answers,
}

/// A message in a mailbox.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its UID.
    pub uid: u32,
    /// Under which it went through the queue.
    pub queue_id: Option<QueueId>,
    /// The whole message.
    pub octets: Vec<u8>,
}
