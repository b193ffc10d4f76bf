//! Locks go from node to node: written at most once in [`PAUSE`], and only where there is a new one; read from the listing of `live/` that
//! every node makes anyhow.
//!
//! **Crashes.** The object is whole or not there. A node that dies before it is written has locked somebody out for itself alone.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Authentication, lock};
use crate::model::{Event, Nonce, UtcTime};
use crate::platform::{Instant, Listed};
use crate::service::Context;
use crate::state::layout::{self, LiveKey};
use crate::state::lock::Locks;
use crate::state::requests::Purpose;
use crate::state::{frame, requests::Requests};

/// Between two versions of a node's object.
const PAUSE: Duration = Duration::from_secs(10);
/// Objects of others that are read in one round.
const READ: usize = 32;

/// This node's own object.
#[derive(Debug, Default)]
pub(super) struct Publication {
    /// Drawn with the first lock.
    nonce: Option<Nonce>,
    seq: u64,
    last: Option<Instant>,
    /// Whether somebody is about to write it.
    is_due: bool,
}

impl Authentication {
    /// Somebody has been locked out: the others will be told, by a job of its own. Whoever caused it may be gone by then.
    pub(super) fn publish(&self) {
        let platform = self.requests.platform().clone();
        let now = platform.clock.instant();
        let at = {
            let mut publication = self.publication.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::replace(&mut publication.is_due, true) {
                return;
            }
            publication.last.map_or(now, |last| last + PAUSE)
        };
        let (guard, publication) = (self.guard.clone(), self.publication.clone());
        let requests = self.requests.of(Purpose::Watch);
        platform.spawn.spawn(Box::pin(async move {
            let platform = requests.platform();
            platform.clock.sleep_until(at).await;
            let now = platform.clock.instant();
            let (nonce, seq) = next(&publication, &requests, now);
            let Some(locks) = guard.take_news(now) else { return };
            let object = Locks { nonce, seq, locks }.encode();
            // What could not be written goes with the next lock: a store that is away has other troubles.
            if requests.put(&layout::lock(nonce), &object.payload).await.is_err() {
                guard.put_back_news();
            }
        }));
    }

    /// Whether an object is this node's own.
    fn is_own(&self, lock: Nonce) -> bool {
        self.publication.lock().unwrap_or_else(PoisonError::into_inner).nonce == Some(lock)
    }
}

/// The identity and number of the version that is written now. What is locked from now on needs another.
fn next(publication: &Mutex<Publication>, requests: &Requests, now: Instant) -> (Nonce, u64) {
    let mut publication = publication.lock().unwrap_or_else(PoisonError::into_inner);
    let nonce = *publication.nonce.get_or_insert_with(|| {
        let (now, entropy) = requests.platform().draw();
        Nonce::draw(now, entropy)
    });
    publication.seq += 1;
    publication.last = Some(now);
    publication.is_due = false;
    (nonce, publication.seq)
}

/// What this node has read of the others' locks.
#[derive(Debug, Default)]
pub(in crate::service) struct LockWatch {
    /// The ETag of each object when it was read.
    read: BTreeMap<Nonce, String>,
}

impl LockWatch {
    /// Reads what is new in `live/`, of which this is all. Nothing is asked of the store where there is nothing new.
    pub(in crate::service) async fn round(&mut self, context: &Context, listed: &[Listed]) {
        let locks: Vec<(Nonce, &Listed)> = listed
            .iter()
            .filter_map(|object| match layout::parse_live(&object.key) {
                Some(LiveKey::Lock(nonce)) => Some((nonce, object)),
                _ => None,
            })
            .collect();
        self.read.retain(|nonce, _| locks.iter().any(|(listed, _)| listed == nonce));
        // The store's own clock says what is out of date: nothing else is compared with it.
        let now = listed.iter().map(|object| object.modified).max().unwrap_or(UtcTime(0));
        let requests = context.requests.of(Purpose::Watch);
        let mut reads = if context.authentication.is_used.load(Ordering::Relaxed) { READ } else { 0 };
        for (nonce, object) in locks {
            if now.since(object.modified) >= lock::LIFE {
                // If that fails, the next round finds it again. Its node writes it anew with its next lock.
                drop(requests.delete(std::slice::from_ref(&object.key)).await);
            } else if !context.authentication.is_own(nonce)
                && self.read.get(&nonce).is_none_or(|etag| *etag != object.etag)
                && reads > 0
            {
                reads -= 1;
                if read(context, &requests, &object.key).await {
                    self.read.insert(nonce, object.etag.clone());
                }
            }
        }
    }
}

/// Learns what an object says; whether it need not be read again.
async fn read(context: &Context, requests: &Requests, key: &str) -> bool {
    let object = match requests.find(key).await {
        Ok(Some(object)) => object,
        Ok(None) => return true,
        // Reported where requests are repeated.
        Err(_) => return false,
    };
    let now = requests.platform().clock.instant();
    match frame::decode::<Locks>(&object.bytes) {
        Ok(frame) => {
            let locks = frame.header.locks.iter().take(lock::LOCKS);
            locks.for_each(|lock| context.authentication.guard.learn(lock, now));
        }
        Err(error) => {
            let (key, reason) = (key.to_owned(), error.to_string());
            context.journal.report(&Event::ObjectDamaged { key, reason });
        }
    }
    true
}
