//! A log's live entries, in the order of their queue ids.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Attempt, Entry};
use crate::model::QueueId;

/// Entries by queue id. What is given out is a copy; what is put back has to be put back by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Entries {
    by_id: BTreeMap<QueueId, Entry>,
}

impl Entries {
    /// How many.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Whether a message is not done with.
    pub fn contains(&self, id: QueueId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// A message with all its recipients.
    pub fn get(&self, id: QueueId) -> Option<Entry> {
        self.by_id.get(&id).cloned()
    }

    /// A message with those of these recipients that are not done with.
    pub fn part(&self, id: QueueId, numbers: &[u32]) -> Option<Entry> {
        let entry = self.by_id.get(&id)?;
        let numbers = BTreeSet::from_iter(numbers);
        let recipients = numbers.into_iter().filter_map(|to| entry.recipient(*to).cloned()).collect();
        Some(Entry { envelope: entry.envelope.clone(), recipients })
    }

    /// How many recipients of a message are not done with.
    pub fn recipients_left(&self, id: QueueId) -> usize {
        self.by_id.get(&id).map_or(0, |entry| entry.recipients.len())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Entry> + '_ {
        self.by_id.values().cloned()
    }

    /// Puts an entry in, in place of one of its name.
    pub fn insert(&mut self, entry: &Entry) {
        self.by_id.insert(entry.envelope.id, entry.clone());
    }

    /// Puts all entries of another log in.
    pub fn merge(&mut self, others: &Self) {
        self.by_id.extend(others.by_id.iter().map(|(id, entry)| (*id, entry.clone())));
    }

    /// Notes how attempts ended. Recipients that are done with leave, and the entry with the last of them.
    pub fn attempted(&mut self, id: QueueId, outcomes: &[Attempt]) {
        let Some(entry) = self.by_id.get_mut(&id) else { return };
        for attempt in outcomes {
            let Ok(index) = entry.recipients.binary_search_by_key(&attempt.to, |recipient| recipient.to)
            else {
                continue;
            };
            if attempt.outcome.is_final() {
                entry.recipients.remove(index);
            } else {
                let recipient = &mut entry.recipients[index];
                recipient.attempts += 1;
                recipient.next = attempt.next;
                recipient.last_reply = Some(attempt.outcome.reply().clone());
            }
        }
        if entry.recipients.is_empty() {
            self.by_id.remove(&id);
        }
    }
}

impl FromIterator<Entry> for Entries {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        Self { by_id: entries.into_iter().map(|entry| (entry.envelope.id, entry)).collect() }
    }
}
