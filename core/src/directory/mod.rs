//! Who is who (rank 6): domains, aliases and accounts, and what a recipient comes to ([`Directory::resolve`]).

mod forwarding;
mod lookup;
mod resolve;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use resolve::{Resolution, Target};

use crate::model::{Address, Domain};
use crate::platform::Instant;
use crate::state::StateError;
use crate::state::account::Account;
use crate::state::chain::Chain;
use crate::state::chains::Chains;
use crate::state::domain::keys::DomainKey;
use crate::state::domain::{DomainSettings, LocalDomain};
use crate::state::layout;
use crate::state::requests::Requests;
use crate::state::turns::Turn;
use std::sync::Arc;

/// How long what was found is believed.
pub const FRESH: Duration = Duration::from_secs(10);
/// How long it is believed that something is not there: an operator who has just added it should not have to wait.
const FRESH_ABSENCE: Duration = Duration::from_secs(2);
/// How long it is believed which domain is the only one.
const FRESH_ONLY: Duration = Duration::from_mins(1);
/// Accounts whose existence is remembered.
const REMEMBERED: usize = 100_000;

/// Domains and accounts as this node knows them.
#[derive(Clone, Debug)]
pub struct Directory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    requests: Requests,
    domains: Chains<LocalDomain>,
    accounts: Chains<Account>,
    /// Whether an account was there, and when that was found. Kept apart from the accounts so that asking does not wait for a delivery into one.
    existing: Mutex<BTreeMap<Address, (bool, Instant)>>,
    /// The only domain of ours, if there is but one, and when that was found.
    only: Mutex<Option<(Option<Domain>, Instant)>>,
}

impl Directory {
    /// A directory that shares the node's accounts with its mailboxes.
    pub fn new(requests: Requests, accounts: Chains<Account>) -> Self {
        let domains = Chains::new(requests.clone());
        Self {
            shared: Arc::new(Shared {
                requests,
                domains,
                accounts,
                existing: Mutex::default(),
                only: Mutex::default(),
            }),
        }
    }

    /// Whether we take mail for a domain, be it in the end ours or another host's.
    pub async fn is_local(&self, domain: &Domain) -> Result<bool, StateError> {
        let chain = self.domain(domain).await?;
        if !chain.state().exists {
            chain.whole()?;
        }
        Ok(chain.state().exists)
    }

    /// The keys of a domain by selector, in whatever state; none where it is not ours.
    pub async fn keys(&self, domain: &Domain) -> Result<BTreeMap<String, DomainKey>, StateError> {
        let chain = self.domain(domain).await?;
        if !chain.state().exists {
            chain.whole()?;
            return Ok(BTreeMap::new());
        }
        Ok(chain.state().keys.clone())
    }

    /// What holds for a domain of ours; none where it is not ours.
    pub async fn settings(&self, domain: &Domain) -> Result<Option<DomainSettings>, StateError> {
        let chain = self.domain(domain).await?;
        if !chain.state().exists {
            chain.whole()?;
        }
        Ok(chain.state().exists.then_some(chain.state().settings))
    }

    /// The only domain of ours, where there is but one.
    pub async fn only_domain(&self) -> Result<Option<Domain>, StateError> {
        let now = self.shared.requests.platform().clock.instant();
        let known = self.shared.only.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((domain, found)) = known
            && now.since(found) <= FRESH_ONLY
        {
            return Ok(domain);
        }
        let page = self.shared.requests.page(layout::DOMAINS, None).await?;
        let mut folders =
            page.objects.iter().filter_map(|object| layout::folder(layout::DOMAINS, &object.key));
        let domain = match folders.next() {
            // One with so many objects that there is another page counts as several: that cannot go on for long.
            Some(folder) if !page.more && folders.all(|other| other == folder) => {
                let chain = self.shared.domains.hold(folder, FRESH).await?;
                chain.state().domain.clone().filter(|_| chain.state().exists)
            }
            _ => None,
        };
        *self.shared.only.lock().unwrap_or_else(PoisonError::into_inner) = Some((domain.clone(), now));
        Ok(domain)
    }

    /// Fails where a domain of ours cannot be read to its end, so that nobody can say who is not there.
    async fn is_whole(&self, domain: &Domain) -> Result<(), StateError> {
        self.domain(domain).await?.whole()
    }

    /// A domain as it is now. Nobody else on this node touches it while this lives.
    async fn domain(&self, domain: &Domain) -> Result<Turn<Chain<LocalDomain>>, StateError> {
        self.shared.domains.hold(&layout::domain(domain), FRESH).await
    }

    /// Whether an account is there.
    async fn has_account(&self, address: &Address) -> Result<bool, StateError> {
        let now = self.shared.requests.platform().clock.instant();
        if let Some((exists, found)) = self.existing().get(address) {
            let fresh = if *exists { FRESH } else { FRESH_ABSENCE };
            if now.since(*found) <= fresh {
                return Ok(*exists);
            }
        }
        let exists = {
            let chain = self.shared.accounts.hold(&layout::account(address), FRESH_ABSENCE).await?;
            if !chain.state().exists {
                chain.whole()?;
            }
            chain.state().exists
        };
        let mut existing = self.existing();
        if existing.len() >= REMEMBERED {
            existing.clear();
        }
        existing.insert(address.clone(), (exists, now));
        Ok(exists)
    }

    fn existing(&self) -> std::sync::MutexGuard<'_, BTreeMap<Address, (bool, Instant)>> {
        self.shared.existing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
