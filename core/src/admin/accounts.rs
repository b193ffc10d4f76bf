//! Accounts.

use std::time::Duration;

use super::{Admin, AdminError};
use crate::model::Address;
use crate::sasl::{password, scram};
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
    /// Whether logins are barred.
    pub disabled: bool,
    /// Whether it has a password of its own.
    pub has_password: bool,
    /// Passwords of single programs.
    pub app_passwords: usize,
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
        let Verifiers { password, scram } = self.verifiers(password).await?;
        let was_there = self
            .change(&address, |state| match state.exists {
                true => Vec::new(),
                false => vec![
                    Op::Create { address: address.clone() },
                    Op::Password(Some(password.clone())),
                    Op::Scram(scram.clone()),
                ],
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
        let Verifiers { password, scram } = self.verifiers(password).await?;
        self.change_existing(address, &[Op::Password(Some(password)), Op::Scram(scram)]).await
    }

    /// Takes an account's own password away: only app passwords, tokens and certificates open it.
    pub async fn account_drop_password(&self, address: &Address) -> Result<(), AdminError> {
        self.change_existing(address, &[Op::Password(None)]).await
    }

    /// Bars logins to an account, or allows them again. Mail is taken all the same.
    pub async fn account_set_disabled(&self, address: &Address, disabled: bool) -> Result<(), AdminError> {
        self.change_existing(address, &[Op::Disabled(disabled)]).await
    }

    /// Removes an account and all that is in it.
    pub async fn account_remove(&self, address: &Address) -> Result<(), AdminError> {
        self.change_existing(address, &[Op::Remove {}]).await
    }

    /// All accounts but those that cannot be read at all, which are reported.
    pub async fn accounts(&self) -> Result<Vec<AccountSummary>, AdminError> {
        let mut accounts = Vec::new();
        for folder in self.folders(layout::ACCOUNTS).await? {
            let Some(chain) = self.readable(&self.accounts, &folder).await? else { continue };
            let damaged = chain.obstacle().map(|(key, reason)| format!("{key}: {reason}"));
            let state = chain.state();
            if let (true, Some(address)) = (state.exists, &state.address) {
                accounts.push(AccountSummary {
                    address: address.clone(),
                    messages: state.message_count(),
                    octets: state.octets,
                    disabled: state.disabled,
                    has_password: state.password.is_some(),
                    app_passwords: state.app_passwords.len(),
                    damaged,
                });
            }
        }
        accounts.sort_by(|a, b| a.address.cmp(&b.address));
        Ok(accounts)
    }

    async fn change_existing(&self, address: &Address, ops: &[Op]) -> Result<(), AdminError> {
        let address = address.normalized();
        let ops = |state: &Account| if state.exists { ops.to_vec() } else { Vec::new() };
        if self.change(&address, ops).await? {
            return Ok(());
        }
        Err(Self::no_account(&address))
    }

    /// Appends changes to an account; gives whether it was there before.
    pub(super) async fn change(
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
    pub(super) async fn verifiers(&self, text: &str) -> Result<Verifiers, AdminError> {
        let (mut salt, mut scram_salt) = ([0; password::SALT_OCTETS], [0; scram::SALT_OCTETS]);
        self.platform.entropy.fill(&mut salt);
        self.platform.entropy.fill(&mut scram_salt);
        let text = text.to_owned();
        let hash = move || {
            let (password, scram) =
                (password::verifier(&text, salt)?, scram::Verifier::of(&text, scram_salt)?);
            Ok(Verifiers { password, scram })
        };
        let hashed = self.platform.spawn.unblock(hash).await;
        let hashed = hashed.ok_or_else(|| StateError::Unavailable("hashing was interrupted".to_owned()))?;
        hashed.map_err(|error: password::PasswordError| AdminError::Invalid(error.to_string()))
    }

    pub(super) fn no_account(address: &Address) -> AdminError {
        AdminError::NotFound(format!("no account {address}"))
    }
}

/// Both forms in which one password is kept.
pub(super) struct Verifiers {
    /// In PHC string form.
    pub(super) password: String,
    pub(super) scram: scram::Verifier,
}
