//! What records do to a log's live entries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Entries, Observations, Record};
use crate::model::Incarnation;

/// The live entries of a log, and what hangs on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// Messages that are not done with.
    #[serde(skip)]
    pub entries: Entries,
    /// Spool folders that belong to this log besides its own: those of logs that it adopted.
    pub folders: BTreeSet<Incarnation>,
    /// The logs that it adopted and that are not known to be closed, with the epoch of their chain of owners.
    pub adopted: BTreeMap<Incarnation, u64>,
    /// Objects in those folders which could not be read, and are never deleted.
    pub damaged: BTreeSet<String>,
    /// Whether the writer has said that it writes no more.
    pub closed: bool,
    /// What verification came to, as far as it is not filed yet.
    #[serde(skip_serializing_if = "Observations::is_default", default)]
    pub observations: Observations,
}

impl Live {
    /// Applies one record. What it names and is not there has been done with before.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Accept(entry) => self.entries.insert(entry),
            Record::Attempted { id, outcomes } => self.entries.attempted(*id, outcomes),
            Record::Adopt { of, epoch, folders, damaged, entries, observed } => {
                self.folders.insert(*of);
                self.folders.extend(folders);
                self.adopted.insert(*of, *epoch);
                self.damaged.extend(damaged.iter().cloned());
                self.entries.merge(entries);
                self.observations.adopt(observed);
            }
            Record::Moved { id, content } => {
                if let Some(mut entry) = self.entries.get(*id) {
                    Arc::make_mut(&mut entry.envelope).content = content.clone();
                    self.entries.insert(&entry);
                }
            }
            Record::Observed(observed) => self.observations.count(observed),
            Record::Filed(batch) => self.observations.drop(*batch),
            Record::Close {} => self.closed = true,
            Record::Seal { .. } => {}
        }
    }

    /// A folder is not this log's affair any more: nothing that lives has content in it.
    pub fn forget(&mut self, folder: Incarnation) {
        self.folders.remove(&folder);
    }

    /// Whether no mail is left in this log.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether nothing at all is left to do in it.
    pub fn is_done_with(&self) -> bool {
        self.entries.is_empty() && self.observations.is_empty()
    }
}
