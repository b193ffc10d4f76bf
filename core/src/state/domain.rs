//! `domain/<hh>/<name>/`: one domain that we take mail for, its aliases and its settings, as a chain.
//!
//! What later versions added is optional in snapshots, and has operations of its own in commits. A node that does not know such an
//! operation reads the chain up to it and no further: it delivers to whom it finds and puts the others off.

pub mod keys;
pub mod srs;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use self::keys::{DomainKey, KeyAlgorithm, KeyState, PrivateKey};
use self::srs::{SECRETS, SecretText, SrsSecret};
use super::chain::{Position, State};
use crate::config::Obedience;
use crate::model::{Address, Domain, LocalPattern, UtcTime};

/// In memory: a domain with its keys and nothing else.
const DOMAIN_OCTETS: usize = 8_000;
/// One of [`LocalDomain::aliases`], with a target.
const ALIAS_OCTETS: usize = 200;
/// One of [`LocalDomain::recipients`].
const RECIPIENT_OCTETS: usize = 60;

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
    /// Local-parts like this stand for these addresses; none removes it.
    Pattern {
        /// Which local-parts.
        pattern: LocalPattern,
        /// What they stand for, with references to the pattern's groups.
        targets: Vec<Address>,
    },
    /// What holds for the domain from now on.
    Settings(DomainSettings),
    /// The list of recipients loses and gains local-parts, in lower case.
    Recipients {
        /// Those who leave it, first.
        #[serde(default)]
        remove: Vec<String>,
        /// Those who join it.
        #[serde(default)]
        add: Vec<String>,
    },
    /// A key comes that is to sign for the domain, now or later.
    Key {
        /// Its name in the DNS, before `._domainkey`; in lower case.
        selector: String,
        /// What it signs with.
        algorithm: KeyAlgorithm,
        /// Whether it does so from the beginning.
        state: KeyState,
        /// The key.
        private_key: PrivateKey,
    },
    /// A key signs from now on, or no more. Nothing where it is gone.
    KeyState {
        /// Which.
        selector: String,
        /// What it is from now on.
        state: KeyState,
    },
    /// A key is gone.
    RemoveKey {
        /// Which.
        selector: String,
    },
    /// From now on this secret signs reverse-paths of forwarded mail.
    SrsSecret {
        /// The secret.
        secret: SecretText,
    },
}

/// A domain.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LocalDomain {
    /// Whether we take mail for it.
    pub exists: bool,
    /// Its name.
    pub domain: Option<Domain>,
    /// By local-part in lower case.
    pub aliases: BTreeMap<String, Vec<Address>>,
    /// Patterns and what they stand for, in the order in which they are tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<(LocalPattern, Vec<Address>)>,
    /// What holds for it.
    #[serde(default)]
    pub settings: DomainSettings,
    /// Who gets mail in a domain of the kind [`DomainKind::Relay`], by local-part in lower case; everybody where this is empty.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub recipients: BTreeSet<String>,
    /// The keys that sign for it, by selector.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, DomainKey>,
    /// The secrets for reverse-paths of forwarded mail, the one that signs last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub srs_secrets: Vec<SrsSecret>,
}

/// What holds for a whole domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DomainSettings {
    /// Where its mail ends.
    pub kind: DomainKind,
    /// What parts a user from a detail in subaddresses (RFC 5233 §1); none where there are no such addresses.
    pub separator: Option<char>,
    /// How far policies of authors' domains are followed for its recipients; as for all domains where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dmarc: Option<Obedience>,
}

impl Default for DomainSettings {
    fn default() -> Self {
        Self { kind: DomainKind::Local, separator: Some('+'), dmarc: None }
    }
}

/// Where the mail of a domain ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DomainKind {
    /// In accounts of ours.
    #[default]
    Local,
    /// At another host, for which we take it: the domain's route, or those of its exchanges that are preferred to us (RFC 5321 §5.1),
    /// which makes us its backup.
    Relay,
}

impl DomainKind {
    /// Its name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Relay => "relay",
        }
    }
}

impl State for LocalDomain {
    type Op = Op;

    fn apply(&mut self, op: &Op, at: &Position) {
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
            Op::Pattern { pattern, targets } => self.set_pattern(pattern, targets),
            Op::Settings(settings) => self.settings = *settings,
            Op::Recipients { remove, add } => {
                remove.iter().for_each(|local_part| {
                    self.recipients.remove(local_part);
                });
                self.recipients.extend(add.iter().cloned());
            }
            Op::Key { selector, algorithm, state, private_key } => {
                let (algorithm, state, private_key) = (*algorithm, *state, private_key.clone());
                let key = DomainKey { algorithm, state, created: at.time, since: at.time, private_key };
                self.keys.insert(selector.clone(), key);
            }
            Op::KeyState { selector, state } => {
                if let Some(key) = self.keys.get_mut(selector) {
                    (key.state, key.since) = (*state, at.time);
                }
            }
            Op::RemoveKey { selector } => {
                self.keys.remove(selector);
            }
            Op::SrsSecret { secret } => {
                self.srs_secrets.push(SrsSecret { created: at.time, secret: secret.clone() });
                let too_many = self.srs_secrets.len().saturating_sub(SECRETS);
                self.srs_secrets.drain(..too_many);
            }
        }
    }

    fn summary(&self) -> serde_json::Value {
        serde_json::json!({ "exists": self.exists, "aliases": self.aliases.len() + self.patterns.len() })
    }

    fn octets(&self) -> usize {
        DOMAIN_OCTETS + self.aliases.len() * ALIAS_OCTETS + self.recipients.len() * RECIPIENT_OCTETS
    }
}

impl LocalDomain {
    /// The targets of a pattern, if it is there.
    pub fn pattern(&self, pattern: &LocalPattern) -> Option<&[Address]> {
        let found = self.patterns.iter().find(|(known, _)| known == pattern);
        found.map(|(_, targets)| targets.as_slice())
    }

    /// What the first pattern that a local-part in normal form matches stands for.
    pub fn matching(&self, local_part: &str) -> Option<Vec<Address>> {
        self.patterns.iter().find_map(|(pattern, targets)| pattern.expand(local_part, targets))
    }

    /// The keys that sign now, by selector.
    pub fn active_keys(&self) -> impl Iterator<Item = (&String, &DomainKey)> {
        self.keys.iter().filter(|(_, key)| key.state == KeyState::Active)
    }

    /// Whether a secret for reverse-paths is to be made before one signs: there is none yet, or it has signed for long.
    pub fn wants_srs_secret(&self, now: UtcTime) -> bool {
        self.srs_secrets.last().is_none_or(|secret| now.since(secret.created) >= srs::SIGNING_TIME)
    }

    /// A pattern that is given other targets keeps its place.
    fn set_pattern(&mut self, pattern: &LocalPattern, targets: &[Address]) {
        match self.patterns.iter_mut().find(|(known, _)| known == pattern) {
            _ if targets.is_empty() => self.patterns.retain(|(known, _)| known != pattern),
            Some((_, known)) => *known = targets.to_vec(),
            None => {
                self.patterns.push((pattern.clone(), targets.to_vec()));
                // Stable: expressions keep the order in which they came.
                self.patterns.sort_by_cached_key(|(pattern, _)| pattern.rank());
            }
        }
    }
}
