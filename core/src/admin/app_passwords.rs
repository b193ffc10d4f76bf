//! Passwords of single programs.

use std::collections::BTreeSet;
use std::time::Duration;

use super::accounts::Verifiers;
use super::{Admin, AdminError};
use crate::model::{Address, UtcTime};
use crate::sasl::{Secret, app_password};
use crate::state::account::Op;
use crate::state::account::credentials::{APP_PASSWORD_NAME, APP_PASSWORDS, AppPassword, Scope};
use crate::state::layout;

/// An app password, without what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppPasswordSummary {
    /// Its number in the account.
    pub id: u32,
    /// What its owner calls it.
    pub name: String,
    /// What it opens.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created: UtcTime,
}

impl Admin {
    /// Makes an app password, and gives its number and what it is: nobody can be told again.
    pub async fn app_password_add(
        &self,
        address: &Address,
        name: &str,
        scopes: &BTreeSet<Scope>,
    ) -> Result<(u32, Secret), AdminError> {
        let is_name =
            !name.is_empty() && name.len() <= APP_PASSWORD_NAME && !name.chars().any(char::is_control);
        if !is_name || scopes.is_empty() {
            let allowed = format!("a name of at most {APP_PASSWORD_NAME} octets, and at least one scope");
            return Err(AdminError::Invalid(format!("an app password has {allowed}")));
        }
        let address = address.normalized();
        let mut entropy = [0; app_password::LENGTH];
        self.platform.entropy.fill(&mut entropy);
        let secret = app_password::make(entropy);
        let Verifiers { password, scram } = self.verifiers(secret.expose()).await?;
        let app = AppPassword {
            name: name.to_owned(),
            scopes: scopes.clone(),
            created: self.platform.clock.utc(),
            selector: app_password::selector(secret.expose()).unwrap_or_default().to_owned(),
            password: password.clone(),
            scram,
        };
        let ops = |exists: bool| if exists { vec![Op::AppPassword(app.clone())] } else { Vec::new() };
        if !self.change(&address, |state| ops(state.exists)).await? {
            return Err(Self::no_account(&address));
        }
        let chain = self.accounts.hold(&layout::account(&address), Duration::from_hours(1)).await?;
        let mut made = chain.state().app_passwords.iter().filter(|(_, app)| app.password == password);
        match made.next() {
            Some((id, _)) => Ok((*id, secret)),
            None => Err(AdminError::Invalid(format!("an account has at most {APP_PASSWORDS} app passwords"))),
        }
    }

    /// The app passwords of an account, by number.
    pub async fn app_passwords(&self, address: &Address) -> Result<Vec<AppPasswordSummary>, AdminError> {
        let address = address.normalized();
        let chain = self.accounts.hold(&layout::account(&address), Duration::ZERO).await?;
        if !chain.state().exists {
            return Err(Self::no_account(&address));
        }
        let summary = |(id, app): (&u32, &AppPassword)| AppPasswordSummary {
            id: *id,
            name: app.name.clone(),
            scopes: app.scopes.iter().copied().collect(),
            created: app.created,
        };
        Ok(chain.state().app_passwords.iter().map(summary).collect())
    }

    /// Takes an app password away.
    pub async fn app_password_remove(&self, address: &Address, id: u32) -> Result<(), AdminError> {
        let address = address.normalized();
        let (mut was_there, remove) = (false, Op::RemoveAppPassword { id });
        let exists = self.change(&address, |state| {
            was_there = state.app_passwords.contains_key(&id);
            if was_there { vec![remove.clone()] } else { Vec::new() }
        });
        match exists.await? {
            false => Err(Self::no_account(&address)),
            true if !was_there => Err(AdminError::NotFound(format!("{address} has no app password {id}"))),
            true => Ok(()),
        }
    }
}
