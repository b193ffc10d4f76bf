//! What a recipient comes to: aliases are followed until accounts and foreign addresses are left.

use std::collections::{BTreeMap, BTreeSet};

use super::Directory;
use super::lookup::Found;
use crate::authn::srs::SrsFault;
use crate::model::{Address, Domain};
use crate::state::StateError;
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

impl Target {
    /// An address of another host.
    pub fn relay(address: Address) -> Self {
        Self { address, class: Class::Relay }
    }
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
    /// It has the form of a reverse-path that a domain of ours has rewritten, and leads nowhere.
    BadReturn(SrsFault),
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
    ) -> Result<Resolution, StateError> {
        let resolution = match self.returned(recipient).await? {
            Some(Ok(original)) => match self.expand(&original, limit).await? {
                Resolution::Foreign => Resolution::Targets(vec![Target::relay(original)]),
                // Its domain has become ours since.
                found => found,
            },
            Some(Err(fault)) => Resolution::BadReturn(fault),
            None => self.expand(recipient, limit).await?,
        };
        let is_nobody = match resolution {
            Resolution::NoSuchUser => true,
            Resolution::Foreign => recipient.domain() == host,
            _ => false,
        };
        if !(is_nobody && recipient.is_postmaster()) {
            return Ok(resolution);
        }
        if let Some(postmaster) = postmaster {
            match self.expand(postmaster, limit).await? {
                Resolution::Foreign => {
                    return Ok(Resolution::Targets(vec![Target::relay(postmaster.clone())]));
                }
                Resolution::NoSuchUser => {}
                found => return Ok(found),
            }
        }
        // Never refused: the delivery makes the account.
        Ok(Resolution::Targets(vec![Target { address: recipient.normalized(), class: Class::Local }]))
    }

    /// Follows aliases level by level. An address that comes up again, be it in a loop, is not followed again but taken
    /// for the account of that name: so an alias may name itself beside others to keep a copy. A pattern whose targets are ever new
    /// ones that it matches is followed as deep as others are.
    async fn expand(&self, recipient: &Address, limit: usize) -> Result<Resolution, StateError> {
        if !self.is_local(recipient.domain()).await? {
            return Ok(Resolution::Foreign);
        }
        let mut found: BTreeMap<Address, Class> = BTreeMap::new();
        let mut followed = BTreeSet::new();
        let mut level = BTreeSet::from([recipient.clone()]);
        for _ in 0..DEPTH {
            let mut next = BTreeSet::new();
            for address in level {
                let is_new = followed.insert(address.normalized());
                if !self.is_local(address.domain()).await? {
                    found.insert(address, Class::Relay);
                } else {
                    match self.look_up(&address, is_new).await? {
                        Found::Members(members) => next.extend(members),
                        Found::Recipient(target) => {
                            found.insert(target.address, target.class);
                        }
                        Found::Nobody => {}
                    }
                }
                if found.len() > limit {
                    return Ok(Resolution::TooMany);
                }
                if followed.len() + next.len() > LOOKED_AT {
                    return Ok(Resolution::Tangled);
                }
            }
            level = next;
        }
        if !level.is_empty() {
            return Ok(Resolution::Tangled);
        }
        if found.is_empty() {
            for address in &followed {
                self.is_whole(address.domain()).await?;
            }
            self.is_whole(recipient.domain()).await?;
            return Ok(Resolution::NoSuchUser);
        }
        let targets = found.into_iter().map(|(address, class)| Target { address, class });
        Ok(Resolution::Targets(targets.collect()))
    }
}
