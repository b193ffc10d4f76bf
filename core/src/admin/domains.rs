//! Domains and their aliases.

use std::time::Duration;

use super::{Admin, AdminError};
use crate::model::{Address, Domain};
use crate::state::chain::Draft;
use crate::state::domain::Op;
use crate::state::frame::Data;
use crate::state::layout;

/// Targets of one alias.
const TARGETS: usize = 10_000;

/// A domain of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainSummary {
    /// Its name.
    pub domain: Domain,
    /// How many aliases it has.
    pub aliases: usize,
}

/// An alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasSummary {
    /// What mail is addressed to.
    pub alias: Address,
    /// Where it goes.
    pub targets: Vec<Address>,
}

impl Admin {
    /// Makes a domain ours; false where it was before.
    pub async fn domain_add(&self, domain: &Domain) -> Result<bool, AdminError> {
        if domain.is_literal() {
            return Err(AdminError::Invalid(format!("{domain} is an address literal, not a domain")));
        }
        self.ensure_format().await?;
        let mut chain = self.domains.hold(&layout::domain(domain), Duration::ZERO).await?;
        let mut is_new = false;
        chain
            .append(&self.requests, |state| {
                is_new = !state.exists;
                let ops = if state.exists { Vec::new() } else { vec![Op::Create { domain: domain.clone() }] };
                Draft { ops, data: Data::default() }
            })
            .await?;
        Ok(is_new)
    }

    /// All domains of ours but those that cannot be read at all, which are reported.
    pub async fn domains(&self) -> Result<Vec<DomainSummary>, AdminError> {
        let mut domains = Vec::new();
        for folder in self.folders(layout::DOMAINS).await? {
            let Some(chain) = self.readable(&self.domains, &folder).await? else { continue };
            if let (true, Some(domain)) = (chain.state().exists, &chain.state().domain) {
                domains.push(DomainSummary { domain: domain.clone(), aliases: chain.state().aliases.len() });
            }
        }
        domains.sort_by(|a, b| a.domain.cmp(&b.domain));
        Ok(domains)
    }

    /// Makes an alias, or gives one other targets.
    pub async fn alias_add(&self, alias: &Address, targets: &[Address]) -> Result<(), AdminError> {
        if targets.is_empty() || targets.len() > TARGETS {
            return Err(AdminError::Invalid(format!("an alias has 1 to {TARGETS} targets")));
        }
        self.set_alias(alias, targets.to_vec()).await.map(|_| ())
    }

    /// Removes an alias.
    pub async fn alias_remove(&self, alias: &Address) -> Result<(), AdminError> {
        if self.set_alias(alias, Vec::new()).await? {
            return Ok(());
        }
        Err(AdminError::NotFound(format!("no alias {alias}")))
    }

    /// Aliases of one domain or of all.
    pub async fn aliases(&self, domain: Option<&Domain>) -> Result<Vec<AliasSummary>, AdminError> {
        let domains = match domain {
            Some(domain) => vec![domain.clone()],
            None => self.domains().await?.into_iter().map(|summary| summary.domain).collect(),
        };
        let mut aliases = Vec::new();
        for domain in domains {
            let chain = self.domains.hold(&layout::domain(&domain), Duration::ZERO).await?;
            if !chain.state().exists {
                return Err(Self::no_domain(&domain));
            }
            for (local_part, targets) in &chain.state().aliases {
                let alias = Address::with_local_part(local_part, domain.clone())
                    .map_err(|error| AdminError::Invalid(format!("{local_part}@{domain}: {error}")))?;
                aliases.push(AliasSummary { alias, targets: targets.clone() });
            }
        }
        Ok(aliases)
    }

    /// Gives an alias its targets; gives whether it was there before.
    async fn set_alias(&self, alias: &Address, targets: Vec<Address>) -> Result<bool, AdminError> {
        self.ensure_format().await?;
        let alias = alias.normalized();
        let mut chain = self.domains.hold(&layout::domain(alias.domain()), Duration::ZERO).await?;
        let (mut is_ours, mut was_there) = (false, false);
        chain
            .append(&self.requests, |state| {
                is_ours = state.exists;
                was_there = state.aliases.contains_key(alias.local_part());
                let op = Op::Alias { local_part: alias.local_part().to_owned(), targets: targets.clone() };
                let is_change = is_ours && (was_there || !targets.is_empty());
                Draft { ops: if is_change { vec![op] } else { Vec::new() }, data: Data::default() }
            })
            .await?;
        if is_ours { Ok(was_there) } else { Err(Self::no_domain(alias.domain())) }
    }
}
