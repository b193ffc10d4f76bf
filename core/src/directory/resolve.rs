//! What a recipient comes to: aliases are followed until accounts and foreign addresses are left.

use std::collections::{BTreeMap, BTreeSet};

use super::Directory;
use crate::model::{Address, Domain};
use crate::state::chain::ChainError;
use crate::state::log::Class;

/// Aliases that lead to aliases are followed this deep.
const DEPTH: usize = 10;

/// One address that mail for a recipient goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The address; in lower case where it is an account of ours.
    pub address: Address,
    /// How it is delivered to.
    pub class: Class,
}

/// What a recipient comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// These, each once. A recipient that is no alias comes to itself.
    Targets(Vec<Target>),
    /// More than were asked for at most.
    TooMany,
    /// Its domain is ours and there is nobody of that name.
    NoSuchUser,
    /// Its domain is not ours.
    Foreign,
}

impl Directory {
    /// What a recipient comes to; at most `limit` addresses. `postmaster` is who gets mail for postmasters that nobody made
    /// (RFC 5321 §4.5.1): those of domains of ours, and of `host` itself.
    pub async fn resolve(
        &self,
        recipient: &Address,
        host: &Domain,
        postmaster: Option<&Address>,
        limit: usize,
    ) -> Result<Resolution, ChainError> {
        if !self.is_local(recipient.domain()).await? {
            let is_ours = recipient.is_postmaster() && recipient.domain() == host;
            return if is_ours {
                self.postmaster(recipient, postmaster).await
            } else {
                Ok(Resolution::Foreign)
            };
        }
        let mut found: BTreeMap<Address, Class> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut level = vec![recipient.normalized()];
        for _ in 0..DEPTH {
            let mut next = Vec::new();
            for address in std::mem::take(&mut level) {
                if !seen.insert(address.clone()) {
                    continue;
                }
                if !self.is_local(address.domain()).await? {
                    found.insert(address, Class::Relay);
                } else if let Some(targets) = self.alias(&address).await? {
                    next.extend(targets);
                } else if self.has_account(&address.normalized()).await? {
                    found.insert(address.normalized(), Class::Local);
                }
                if found.len() + next.len() > limit {
                    return Ok(Resolution::TooMany);
                }
            }
            level = next;
        }
        if !found.is_empty() {
            let targets = found.into_iter().map(|(address, class)| Target { address, class });
            return Ok(Resolution::Targets(targets.collect()));
        }
        if recipient.is_postmaster() {
            self.postmaster(recipient, postmaster).await
        } else {
            for address in &seen {
                self.is_whole(address.domain()).await?;
            }
            Ok(Resolution::NoSuchUser)
        }
    }

    /// Where mail for a postmaster goes that is neither account nor alias: it is never refused.
    async fn postmaster(
        &self,
        asked: &Address,
        postmaster: Option<&Address>,
    ) -> Result<Resolution, ChainError> {
        let (address, class) = match postmaster {
            Some(address) if !self.is_local(address.domain()).await? => (address.clone(), Class::Relay),
            Some(address) => (address.normalized(), Class::Local),
            None => (asked.normalized(), Class::Local),
        };
        Ok(Resolution::Targets(vec![Target { address, class }]))
    }
}
