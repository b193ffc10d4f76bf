//! The chains that a node has in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::StateError;
use super::chain::{Chain, State};
use super::requests::{Purpose, Requests};
use super::turns::{Turn, Turns};

/// Chains kept, at most; the longest unused go first.
const KEPT: usize = 10_000;
/// Octets in memory of all that are kept but the heaviest, at most, as far as nobody has a turn with them: a million messages in mailboxes and
/// more. The heaviest does not count, lest one that is heavier than that had all others read anew whenever it is used.
const KEPT_OCTETS: usize = 256 << 20;

/// Chains of one kind, loaded when asked for and kept. Clones share them, whatever they read them for.
#[derive(Debug)]
pub struct Chains<S> {
    requests: Requests,
    kept: Arc<Mutex<Kept<S>>>,
}

#[derive(Debug)]
struct Kept<S> {
    slots: BTreeMap<String, Slot<S>>,
    /// How often a chain was asked for.
    uses: u64,
    /// What all slots weigh.
    octets: usize,
    /// What the heaviest weighs, or one weighed that is lighter or gone since.
    heaviest: usize,
}

#[derive(Debug)]
struct Slot<S> {
    chain: Arc<Turns<Chain<S>>>,
    last_use: u64,
    /// [`State::octets`] when somebody last had a turn.
    octets: usize,
}

impl<S> Clone for Chains<S> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone(), kept: self.kept.clone() }
    }
}

impl<S: State> Chains<S> {
    /// No chain loaded yet.
    pub fn new(requests: Requests) -> Self {
        let kept = Kept { slots: BTreeMap::new(), uses: 0, octets: 0, heaviest: 0 };
        Self { requests, kept: Arc::new(Mutex::new(kept)) }
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
        self.kept().weigh(folder, chain.state().octets());
        Ok(chain)
    }

    fn slot(&self, folder: &str) -> Arc<Turns<Chain<S>>> {
        let mut kept = self.kept();
        kept.uses += 1;
        let now = kept.uses;
        if kept.slots.len() >= KEPT && !kept.slots.contains_key(folder) {
            kept.make_room();
        }
        let slot = kept.slots.entry(folder.to_owned()).or_insert_with(|| {
            let chain = Arc::new(Turns::new(Chain::new(folder.to_owned())));
            Slot { chain, last_use: now, octets: 0 }
        });
        slot.last_use = now;
        slot.chain.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept<S>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Kept<S> {
    /// Notes what the chain in a folder weighs.
    fn weigh(&mut self, folder: &str, octets: usize) {
        let Some(slot) = self.slots.get_mut(folder) else { return };
        self.octets = self.octets - slot.octets + octets;
        slot.octets = octets;
        self.heaviest = self.heaviest.max(octets);
        if self.octets > KEPT_OCTETS + self.heaviest {
            self.make_room();
        }
    }

    /// Drops the chains that have been unused for longest, till at most half of either bound is left.
    fn make_room(&mut self) {
        let mut by_use: Vec<(u64, String)> =
            self.slots.iter().map(|(folder, slot)| (slot.last_use, folder.clone())).collect();
        by_use.sort_unstable();
        for (_, folder) in by_use {
            if self.slots.len() <= KEPT / 2 && self.octets <= KEPT_OCTETS / 2 + self.heaviest {
                break;
            }
            // A slot in use elsewhere stays, lest two copies of one chain be written by this node.
            if let Some(slot) = self.slots.get(&folder)
                && Arc::strong_count(&slot.chain) == 1
            {
                self.octets -= slot.octets;
                self.slots.remove(&folder);
            }
        }
        self.heaviest = self.slots.values().map(|slot| slot.octets).max().unwrap_or(0);
    }
}

#[cfg(test)]
mod tests;
