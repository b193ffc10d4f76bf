//! What a recipient comes to: aliases are followed until accounts and foreign addresses are left.

use std::collections::{BTreeMap, BTreeSet};

use super::Directory;
use crate::model::{Address, Domain};
use crate::state::chain::ChainError;
use crate::state::log::Class;

/// Aliases that lead to aliases are followed this deep.
const DEPTH: usize = 10;
/// Addresses that are looked at for one recipient, aliases among them.
const LOOKED_AT: usize = 50_000;

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
    /// Aliases lead to more aliases than are followed, so that not all addresses are known.
    Tangled,
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
                self.postmaster(recipient, postmaster, limit).await
            } else {
                Ok(Resolution::Foreign)
            };
        }
        match self.expand(recipient, limit).await? {
            Resolution::NoSuchUser if recipient.is_postmaster() => {
                self.postmaster(recipient, postmaster, limit).await
            }
            resolution => Ok(resolution),
        }
    }

    /// Follows aliases, as far as addresses are of domains of ours.
    async fn expand(&self, recipient: &Address, limit: usize) -> Result<Resolution, ChainError> {
        let mut found: BTreeMap<Address, Class> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut level = BTreeSet::from([recipient.clone()]);
        for _ in 0..DEPTH {
            let mut next = BTreeSet::new();
            for address in level {
                if !self.is_local(address.domain()).await? {
                    found.insert(address, Class::Relay);
                } else if let address = address.normalized()
                    && seen.insert(address.clone())
                {
                    if let Some(targets) = self.alias(&address).await? {
                        next.extend(targets);
                    } else if self.has_account(&address).await? {
                        found.insert(address, Class::Local);
                    }
                }
                if found.len() > limit {
                    return Ok(Resolution::TooMany);
                }
                if seen.len() + next.len() > LOOKED_AT {
                    return Ok(Resolution::Tangled);
                }
            }
            level = next;
        }
        if !level.is_empty() {
            return Ok(Resolution::Tangled);
        }
        if found.is_empty() {
            return Ok(Resolution::NoSuchUser);
        }
        let targets = found.into_iter().map(|(address, class)| Target { address, class });
        Ok(Resolution::Targets(targets.collect()))
    }

    /// Where mail for a postmaster goes that is neither account nor alias: it is never refused. An account that is still
    /// missing then is made on delivery.
    async fn postmaster(
        &self,
        asked: &Address,
        configured: Option<&Address>,
        limit: usize,
    ) -> Result<Resolution, ChainError> {
        if let Some(configured) = configured {
            let resolution = self.expand(configured, limit).await?;
            if resolution != Resolution::NoSuchUser {
                return Ok(resolution);
            }
        }
        let address = configured.filter(|address| address.is_postmaster()).unwrap_or(asked).normalized();
        Ok(Resolution::Targets(vec![Target { address, class: Class::Local }]))
    }
}
