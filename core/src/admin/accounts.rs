//! Accounts.

use std::time::Duration;

use super::{Admin, AdminError};
use crate::model::Address;
use crate::sasl::password::{SALT_OCTETS, verifier};
use crate::state::StateError;
use crate::state::account::{Account, Op};
use crate::state::chain::Draft;
use crate::state::frame::Data;
use crate::state::layout;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSummary {
    /// Its address.
    pub address: Address,
    /// Messages in all its mailboxes.
    pub messages: usize,
    /// Octets in all its messages.
    pub octets: u64,
    /// The object that makes it read-only and why, where there is one.
    pub damaged: Option<String>,
}

impl Admin {
    /// Makes an account in a domain of ours.
    pub async fn account_add(&self, address: &Address, password: &str) -> Result<(), AdminError> {
        let address = address.normalized();
        let is_ours = {
            let chain = self.domains.hold(&layout::domain(address.domain()), Duration::ZERO).await?;
            chain.state().exists
        };
        if !is_ours {
            return Err(Self::no_domain(address.domain()));
        }
        self.ensure_format().await?;
        let verifier = self.verifier(password).await?;
        let was_there = self
            .change(&address, |state| match state.exists {
                true => Vec::new(),
                false => vec![Op::Create { address: address.clone() }, Op::Password(Some(verifier.clone()))],
            })
            .await?;
        if was_there {
            Err(AdminError::Exists(format!("account {address} is there already")))
        } else {
            Ok(())
        }
    }

    /// Gives an account another password.
    pub async fn account_passwd(&self, address: &Address, password: &str) -> Result<(), AdminError> {
        let verifier = self.verifier(password).await?;
        self.change_existing(address, Op::Password(Some(verifier))).await
    }

    /// Removes an account and all that is in it.
    pub async fn account_remove(&self, address: &Address) -> Result<(), AdminError> {
        self.change_existing(address, Op::Remove {}).await
    }

    /// All accounts but those that cannot be read at all, which are reported.
    pub async fn accounts(&self) -> Result<Vec<AccountSummary>, AdminError> {
        let mut accounts = Vec::new();
        for folder in self.folders(layout::ACCOUNTS).await? {
            let Some(chain) = self.readable(&self.accounts, &folder).await? else { continue };
            let damaged = chain.obstacle().map(|(key, reason)| format!("{key}: {reason}"));
            let state = chain.state();
            if let (true, Some(address)) = (state.exists, &state.address) {
                let (address, messages, octets) = (address.clone(), state.message_count(), state.octets);
                accounts.push(AccountSummary { address, messages, octets, damaged });
            }
        }
        accounts.sort_by(|a, b| a.address.cmp(&b.address));
        Ok(accounts)
    }

    async fn change_existing(&self, address: &Address, op: Op) -> Result<(), AdminError> {
        let address = address.normalized();
        let ops = |state: &Account| if state.exists { vec![op.clone()] } else { Vec::new() };
        if self.change(&address, ops).await? {
            return Ok(());
        }
        Err(AdminError::NotFound(format!("no account {address}")))
    }

    /// Appends changes to an account; gives whether it was there before.
    async fn change(
        &self,
        address: &Address,
        mut ops: impl FnMut(&Account) -> Vec<Op> + Send,
    ) -> Result<bool, AdminError> {
        let mut chain = self.accounts.hold(&layout::account(address), Duration::ZERO).await?;
        let mut was_there = false;
        chain
            .append(&self.requests, |state| {
                was_there = state.exists;
                Draft { ops: ops(state), data: Data::default() }
            })
            .await?;
        Ok(was_there)
    }

    /// Hashes off the executor's threads: it is meant to be slow.
    async fn verifier(&self, password: &str) -> Result<String, AdminError> {
        let mut salt = [0; SALT_OCTETS];
        self.platform.entropy.fill(&mut salt);
        let password = password.to_owned();
        let hashed = self.platform.spawn.unblock(move || verifier(&password, salt)).await;
        let hashed = hashed.ok_or_else(|| StateError::Unavailable("hashing was interrupted".to_owned()))?;
        hashed.map_err(|error| AdminError::Invalid(error.to_string()))
    }
}
