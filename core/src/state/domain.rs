//! `domain/<hh>/<name>/`: one domain of ours and its aliases, as a chain.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::chain::{Position, State};
use crate::model::{Address, Domain};

/// One change to a domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// The domain becomes ours.
    Create {
        /// Its name; its key may hold a hash instead.
        domain: Domain,
    },
    /// A local-part, in lower case, stands for these addresses; none removes it.
    Alias {
        /// The local-part.
        local_part: String,
        /// What it stands for.
        targets: Vec<Address>,
    },
}

/// A domain.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LocalDomain {
    /// Whether it is ours.
    pub exists: bool,
    /// Its name.
    pub domain: Option<Domain>,
    /// By local-part in lower case.
    pub aliases: BTreeMap<String, Vec<Address>>,
}

impl State for LocalDomain {
    type Op = Op;

    fn apply(&mut self, op: &Op, _at: &Position) {
        match op {
            Op::Create { domain } => {
                self.exists = true;
                self.domain = Some(domain.clone());
            }
            Op::Alias { local_part, targets } if targets.is_empty() => {
                self.aliases.remove(local_part);
            }
            Op::Alias { local_part, targets } => {
                self.aliases.insert(local_part.clone(), targets.clone());
            }
        }
    }

    fn summary(&self) -> serde_json::Value {
        serde_json::json!({ "exists": self.exists, "aliases": self.aliases.len() })
    }
}
