//! What one address of a domain of ours is, before its aliases are followed.
//!
//! | | what is looked for |
//! |---|---|
//! | 1 | an alias of exactly this name |
//! | 2 | an account; in a domain that we relay for, a recipient on its list, or anybody where there is no list |
//! | 3 | an alias or an account for what stands before the first separator (subaddress, RFC 5233 §1) |
//! | 4 | the wildcard with the most characters of its own |
//! | 5 | the first expression, in the order in which they were added |
//! | 6 | the catch-all |
//!
//! Case makes no difference in any of them. What stood behind the separator is not lost: the queue keeps the address that was named
//! beside the one that it comes to, and other hosts get it as it was.
//!
//! A recipient that has the form of a rewritten reverse-path is taken for one before 3 to 6 are looked at (`forwarding`).

use super::{Directory, Target};
use crate::model::Address;
use crate::state::StateError;
use crate::state::domain::{DomainKind, DomainSettings, LocalDomain};
use crate::state::log::Class;

/// What an address is.
pub(super) enum Found {
    /// An alias of these.
    Members(Vec<Address>),
    /// Somebody who gets mail.
    Recipient(Target),
    /// Neither.
    Nobody,
}

impl Directory {
    /// What an alias stands for, its own aliases not followed: the answer to EXPN (RFC 5321 §3.5.2). Nothing where the address is no
    /// alias.
    pub async fn members(&self, address: &Address) -> Result<Option<Vec<Address>>, StateError> {
        if !self.is_local(address.domain()).await? {
            return Ok(None);
        }
        match self.look_up(address, true).await? {
            Found::Members(members) => Ok(Some(members)),
            Found::Recipient(_) => Ok(None),
            Found::Nobody => self.is_whole(address.domain()).await.map(|()| None),
        }
    }

    /// What an address of a domain that we take mail for is, by the module's table. Aliases count only where they `may_lead` on.
    pub(super) async fn look_up(&self, address: &Address, may_lead: bool) -> Result<Found, StateError> {
        let normal = address.normalized();
        let domain = normal.domain();
        let (exact, settings) = {
            let chain = self.domain(domain).await?;
            let domain = chain.state();
            (domain.aliases.get(normal.local_part()).filter(|_| may_lead).cloned(), domain.settings)
        };
        if let Some(members) = exact {
            return Ok(Found::Members(members));
        }
        if self.has_recipient(&normal, settings).await? {
            return Ok(Found::Recipient(target(address, &normal, settings)));
        }
        if let Some(base) = base(&normal, settings) {
            let members = {
                let chain = self.domain(domain).await?;
                chain.state().aliases.get(base.local_part()).filter(|_| may_lead).cloned()
            };
            if let Some(members) = members {
                return Ok(Found::Members(members));
            }
            if self.has_recipient(&base, settings).await? {
                return Ok(Found::Recipient(target(address, &base, settings)));
            }
        }
        if !may_lead {
            return Ok(Found::Nobody);
        }
        let chain = self.domain(domain).await?;
        Ok(chain.state().matching(normal.local_part()).map_or(Found::Nobody, Found::Members))
    }

    /// Whether somebody gets mail at an address in normal form.
    pub(super) async fn has_recipient(
        &self,
        address: &Address,
        settings: DomainSettings,
    ) -> Result<bool, StateError> {
        match settings.kind {
            DomainKind::Local => self.has_account(address).await,
            DomainKind::Relay => {
                let chain = self.domain(address.domain()).await?;
                let LocalDomain { recipients, .. } = chain.state();
                Ok(recipients.is_empty() || recipients.contains(address.local_part()))
            }
        }
    }
}

/// What stands before the first separator of an address in normal form, where somebody is named there.
fn base(address: &Address, settings: DomainSettings) -> Option<Address> {
    let (base, _) = address.local_part().split_once(settings.separator?)?;
    Address::with_local_part(base, address.domain().clone()).ok()
}

/// The case of another host's local-part is its own business (RFC 5321 §2.4), and so is what stands behind its separator.
fn target(address: &Address, account: &Address, settings: DomainSettings) -> Target {
    match settings.kind {
        DomainKind::Local => Target { address: account.clone(), class: Class::Local },
        DomainKind::Relay => Target::relay(address.clone()),
    }
}
