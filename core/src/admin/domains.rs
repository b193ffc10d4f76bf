//! Domains that we take mail for, and their aliases.

use std::time::Duration;

use super::{Admin, AdminError};
use crate::config::Obedience;
use crate::model::{Address, AliasName, Domain, LocalPattern};
use crate::state::chain::Draft;
use crate::state::domain::srs::SecretText;
use crate::state::domain::{DomainKind, DomainSettings, LocalDomain, Op};
use crate::state::frame::Data;
use crate::state::layout;

/// Targets of one alias.
const TARGETS: usize = 10_000;
/// Patterns of one domain. A client that guesses at names has all of them tried for each.
const PATTERNS: usize = 200;
/// Names on the list of recipients of one domain.
const RECIPIENTS: usize = 100_000;
/// What may part a user from a detail: what a local-part holds without quotes, and no dot, which parts names that belong together.
const SEPARATORS: &str = "!#$%&'+-/=^_|~";

/// A domain that we take mail for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainSummary {
    /// Its name.
    pub domain: Domain,
    /// What holds for it.
    pub settings: DomainSettings,
    /// How many aliases it has, patterns among them.
    pub aliases: usize,
    /// How many names are on its list of recipients.
    pub recipients: usize,
}

/// An alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasSummary {
    /// What mail is addressed to.
    pub alias: AliasName,
    /// Where it goes.
    pub targets: Vec<Address>,
}

/// What is to become different about a domain. What is not said stays.
#[derive(Clone, Debug, Default)]
pub struct DomainChange {
    /// Where its mail ends.
    pub kind: Option<DomainKind>,
    /// What parts a user from a detail; nothing within where there are to be no subaddresses.
    pub separator: Option<Option<char>>,
    /// How far policies of authors' domains are followed; nothing within where it is to be as for all domains.
    pub dmarc: Option<Option<Obedience>>,
    /// Who leaves its list of recipients.
    pub remove_recipients: Vec<Address>,
    /// Who joins it.
    pub add_recipients: Vec<Address>,
}

impl Admin {
    /// Makes a domain ours; false where it was before.
    pub async fn domain_add(&self, domain: &Domain) -> Result<bool, AdminError> {
        self.domain_add_as(domain, DomainSettings::default()).await
    }

    /// The same for a domain for which this holds. Where it was there before nothing changes.
    pub async fn domain_add_as(&self, domain: &Domain, settings: DomainSettings) -> Result<bool, AdminError> {
        if domain.is_literal() {
            return Err(AdminError::Invalid(format!("{domain} is an address literal, not a domain")));
        }
        check_separator(settings.separator)?;
        self.ensure_format().await?;
        let mut chain = self.domains.hold(&layout::domain(domain), Duration::ZERO).await?;
        let mut is_new = false;
        chain
            .append(&self.requests, |state| {
                is_new = !state.exists;
                let mut ops = Vec::new();
                if is_new {
                    ops.push(Op::Create { domain: domain.clone() });
                }
                if is_new && settings != state.settings {
                    ops.push(Op::Settings(settings));
                }
                Draft { ops, data: Data::default() }
            })
            .await?;
        Ok(is_new)
    }

    /// Changes what holds for a domain.
    pub async fn domain_set(&self, domain: &Domain, change: &DomainChange) -> Result<(), AdminError> {
        check_separator(change.separator.flatten())?;
        let remove = local_parts(domain, &change.remove_recipients)?;
        let add = local_parts(domain, &change.add_recipients)?;
        let mut is_too_long = false;
        self.change_domain(domain, |state| {
            let DomainSettings { kind, separator, dmarc } = state.settings;
            let settings = DomainSettings {
                kind: change.kind.unwrap_or(kind),
                separator: change.separator.unwrap_or(separator),
                dmarc: change.dmarc.unwrap_or(dmarc),
            };
            let mut ops = Vec::new();
            if settings != state.settings {
                ops.push(Op::Settings(settings));
            }
            let leaving = remove.iter().filter(|name| state.recipients.contains(*name));
            let joining = add.iter().filter(|name| !state.recipients.contains(*name));
            let (remove, add): (Vec<_>, Vec<_>) = (leaving.cloned().collect(), joining.cloned().collect());
            is_too_long = state.recipients.len() + add.len() > RECIPIENTS + remove.len();
            if is_too_long {
                return Vec::new();
            }
            if !(remove.is_empty() && add.is_empty()) {
                ops.push(Op::Recipients { remove, add });
            }
            ops
        })
        .await?;
        match is_too_long {
            true => Err(AdminError::Invalid(format!("a list of recipients has at most {RECIPIENTS} names"))),
            false => Ok(()),
        }
    }

    /// Has reverse-paths of forwarded mail signed with a new secret. What was signed before stays good, unless it has been as many orders ago as
    /// secrets are kept.
    pub async fn srs_rotate(&self, domain: &Domain) -> Result<(), AdminError> {
        let secret = SecretText::draw(&*self.platform.entropy);
        self.change_domain(domain, |_| vec![Op::SrsSecret { secret: secret.clone() }]).await
    }

    /// Who is on a domain's list of recipients.
    pub async fn recipients(&self, domain: &Domain) -> Result<Vec<Address>, AdminError> {
        let chain = self.domains.hold(&layout::domain(domain), Duration::ZERO).await?;
        if !chain.state().exists {
            return Err(Self::no_domain(domain));
        }
        let recipients = chain.state().recipients.iter();
        recipients.map(|local_part| named(local_part, domain)).collect()
    }

    /// All domains of ours but those that cannot be read at all, which are reported.
    pub async fn domains(&self) -> Result<Vec<DomainSummary>, AdminError> {
        let mut domains = Vec::new();
        for folder in self.folders(layout::DOMAINS).await? {
            let Some(chain) = self.readable(&self.domains, &folder).await? else { continue };
            let LocalDomain { exists, domain, aliases, patterns, settings, recipients, .. } = chain.state();
            if let (true, Some(domain)) = (exists, domain) {
                domains.push(DomainSummary {
                    domain: domain.clone(),
                    settings: *settings,
                    aliases: aliases.len() + patterns.len(),
                    recipients: recipients.len(),
                });
            }
        }
        domains.sort_by(|a, b| a.domain.cmp(&b.domain));
        Ok(domains)
    }

    /// Makes an alias of one address, or gives one other targets.
    pub async fn alias_add(&self, alias: &Address, targets: &[Address]) -> Result<(), AdminError> {
        check_targets(targets)?;
        self.set_alias(alias, targets.to_vec()).await.map(|_| ())
    }

    /// Removes an alias of one address.
    pub async fn alias_remove(&self, alias: &Address) -> Result<(), AdminError> {
        if self.set_alias(alias, Vec::new()).await? {
            return Ok(());
        }
        Err(AdminError::NotFound(format!("no alias {alias}")))
    }

    /// Makes a pattern of a domain stand for addresses, or for other ones.
    pub async fn pattern_add(
        &self,
        pattern: &LocalPattern,
        domain: &Domain,
        targets: &[Address],
    ) -> Result<(), AdminError> {
        check_targets(targets)?;
        pattern.check(targets).map_err(|error| AdminError::Invalid(error.to_string()))?;
        let mut is_too_many = false;
        self.change_domain(domain, |state| {
            is_too_many = state.pattern(pattern).is_none() && state.patterns.len() >= PATTERNS;
            let op = Op::Pattern { pattern: pattern.clone(), targets: targets.to_vec() };
            if is_too_many { Vec::new() } else { vec![op] }
        })
        .await?;
        match is_too_many {
            true => Err(AdminError::Invalid(format!("a domain has at most {PATTERNS} patterns"))),
            false => Ok(()),
        }
    }

    /// Removes a pattern.
    pub async fn pattern_remove(&self, pattern: &LocalPattern, domain: &Domain) -> Result<(), AdminError> {
        let mut was_there = false;
        self.change_domain(domain, |state| {
            was_there = state.pattern(pattern).is_some();
            let op = Op::Pattern { pattern: pattern.clone(), targets: Vec::new() };
            if was_there { vec![op] } else { Vec::new() }
        })
        .await?;
        let name = AliasName::Pattern(pattern.clone(), domain.clone());
        if was_there { Ok(()) } else { Err(AdminError::NotFound(format!("no alias {name}"))) }
    }

    /// Aliases of one domain or of all, in each the patterns last, in the order in which they are tried.
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
                let alias = AliasName::Exact(named(local_part, &domain)?);
                aliases.push(AliasSummary { alias, targets: targets.clone() });
            }
            aliases.extend(chain.state().patterns.iter().map(|(pattern, targets)| AliasSummary {
                alias: AliasName::Pattern(pattern.clone(), domain.clone()),
                targets: targets.clone(),
            }));
        }
        Ok(aliases)
    }

    /// Gives an alias its targets; gives whether it was there before.
    async fn set_alias(&self, alias: &Address, targets: Vec<Address>) -> Result<bool, AdminError> {
        let alias = alias.normalized();
        let mut was_there = false;
        self.change_domain(alias.domain(), |state| {
            was_there = state.aliases.contains_key(alias.local_part());
            let op = Op::Alias { local_part: alias.local_part().to_owned(), targets: targets.clone() };
            let is_change = was_there || !targets.is_empty();
            if is_change { vec![op] } else { Vec::new() }
        })
        .await?;
        Ok(was_there)
    }

    /// Changes a domain of ours by what `decide` makes of it.
    pub(super) async fn change_domain(
        &self,
        domain: &Domain,
        mut decide: impl FnMut(&LocalDomain) -> Vec<Op> + Send,
    ) -> Result<(), AdminError> {
        self.ensure_format().await?;
        let mut chain = self.domains.hold(&layout::domain(domain), Duration::ZERO).await?;
        let mut is_ours = false;
        chain
            .append(&self.requests, |state| {
                is_ours = state.exists;
                let ops = if is_ours { decide(state) } else { Vec::new() };
                Draft { ops, data: Data::default() }
            })
            .await?;
        if is_ours { Ok(()) } else { Err(Self::no_domain(domain)) }
    }
}

fn check_targets(targets: &[Address]) -> Result<(), AdminError> {
    match targets.len() {
        1..=TARGETS => Ok(()),
        _ => Err(AdminError::Invalid(format!("an alias has 1 to {TARGETS} targets"))),
    }
}

fn check_separator(separator: Option<char>) -> Result<(), AdminError> {
    match separator {
        Some(separator) if !SEPARATORS.contains(separator) => {
            Err(AdminError::Invalid(format!("{separator:?} is no separator; allowed: one of {SEPARATORS}")))
        }
        _ => Ok(()),
    }
}

/// The names of recipients in a domain, as the list keeps them.
fn local_parts(domain: &Domain, recipients: &[Address]) -> Result<Vec<String>, AdminError> {
    let local_part = |recipient: &Address| match recipient.domain() == domain {
        true => Ok(recipient.normalized().local_part().to_owned()),
        false => Err(AdminError::Invalid(format!("{recipient} is not at {domain}"))),
    };
    recipients.iter().map(local_part).collect()
}

fn named(local_part: &str, domain: &Domain) -> Result<Address, AdminError> {
    Address::with_local_part(local_part, domain.clone())
        .map_err(|error| AdminError::Invalid(format!("{local_part}@{domain}: {error}")))
}
