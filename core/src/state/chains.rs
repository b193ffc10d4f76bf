//! The chains that a node has in memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::StateError;
use super::chain::{Chain, State};
use super::requests::{Purpose, Requests};
use super::turns::{Turn, Turns};

/// Chains kept, at most; the longest unused go first.
const KEPT: usize = 10_000;

/// Chains of one kind, loaded when asked for and kept. Clones share them, whatever they read them for.
#[derive(Debug)]
pub struct Chains<S> {
    requests: Requests,
    kept: Arc<Kept<S>>,
}

#[derive(Debug)]
struct Kept<S> {
    slots: Mutex<BTreeMap<String, Arc<Slot<S>>>>,
    uses: AtomicU64,
}

#[derive(Debug)]
struct Slot<S> {
    chain: Arc<Turns<Chain<S>>>,
    last_use: AtomicU64,
}

impl<S> Clone for Chains<S> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone(), kept: self.kept.clone() }
    }
}

impl<S: State> Chains<S> {
    /// No chain loaded yet.
    pub fn new(requests: Requests) -> Self {
        Self { requests, kept: Arc::new(Kept { slots: Mutex::default(), uses: AtomicU64::new(0) }) }
    }

    /// The same chains, read for this purpose.
    pub fn of(&self, purpose: Purpose) -> Self {
        Self { requests: self.requests.of(purpose), kept: self.kept.clone() }
    }

    /// Waits for its turn with the chain in this folder, and reads on to its tip unless that was confirmed within
    /// `fresh`, or since it began to wait: of many who wait at once one reads, however slow the store is. Nobody else on this node touches the
    /// chain while the guard lives.
    pub async fn hold(&self, folder: &str, fresh: Duration) -> Result<Turn<Chain<S>>, StateError> {
        let clock = &self.requests.platform().clock;
        let began = clock.instant();
        let mut chain = self.slot(folder).turn().await;
        let now = clock.instant();
        if chain.age(now) > fresh.max(now.since(began)) {
            chain.refresh(&self.requests).await?;
        }
        Ok(chain)
    }

    fn slot(&self, folder: &str) -> Arc<Turns<Chain<S>>> {
        let mut slots = self.kept.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.kept.uses.fetch_add(1, Ordering::Relaxed);
        if slots.len() >= KEPT && !slots.contains_key(folder) {
            make_room(&mut slots);
        }
        let slot = slots.entry(folder.to_owned()).or_insert_with(|| {
            let chain = Arc::new(Turns::new(Chain::new(folder.to_owned())));
            Arc::new(Slot { chain, last_use: AtomicU64::new(now) })
        });
        slot.last_use.store(now, Ordering::Relaxed);
        slot.chain.clone()
    }
}

/// Drops the half of the chains that has been unused for longest.
fn make_room<S>(slots: &mut BTreeMap<String, Arc<Slot<S>>>) {
    let mut uses: Vec<u64> = slots.values().map(|slot| slot.last_use.load(Ordering::Relaxed)).collect();
    let middle = uses.len() / 2;
    let (_, median, _) = uses.select_nth_unstable(middle);
    let median = *median;
    // A slot in use elsewhere stays, lest two copies of one chain be written by this node.
    slots.retain(|_, slot| {
        slot.last_use.load(Ordering::Relaxed) > median || Arc::strong_count(&slot.chain) > 1
    });
}
