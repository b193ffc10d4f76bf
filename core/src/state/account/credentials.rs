//! What opens an account: its own password, and passwords of single programs.
//!
//! | login with | PLAIN, LOGIN, USER | SCRAM |
//! |---|---|---|
//! | the account's own password | yes | yes |
//! | an app password | within its scopes | only where the account has no password of its own, and one app password for that protocol |
//!
//! SCRAM tells us a name and no password, so that there is nothing to choose among several by.
//!
//! An account that is disabled lets nobody in. Its mail is taken all the same, and is there when it is enabled again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Account;
use crate::model::UtcTime;
use crate::sasl::{app_password, scram};

/// App passwords of one account, at most.
pub const APP_PASSWORDS: usize = 100;
/// Octets in the name of one, at most.
pub const APP_PASSWORD_NAME: usize = 64;

/// What an app password opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Sending.
    Smtp,
    /// Reading.
    Imap,
    /// Fetching.
    Pop3,
}

impl Scope {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Smtp, Self::Imap, Self::Pop3];

    /// As an operator types it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
        }
    }
}

/// A password of one program, by which the others are not affected when it is taken away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppPassword {
    /// What its owner calls it.
    pub name: String,
    /// What it opens.
    pub scopes: BTreeSet<Scope>,
    /// When it was made.
    pub created: UtcTime,
    /// Its first characters ([`app_password::selector`]).
    pub selector: String,
    /// Its verifier, in PHC string form.
    pub password: String,
    /// Its verifier for SCRAM.
    pub scram: scram::Verifier,
}

impl Account {
    /// Whether somebody may log in at all.
    pub fn lets_in(&self) -> bool {
        self.exists && !self.disabled
    }

    /// The verifiers, in PHC string form, that a password may fit: the numbers of app passwords, and none for the account's own. Mostly
    /// one, never more than two unless two app passwords begin alike.
    pub fn verifiers(&self, password: &str, scope: Scope) -> Vec<(Option<u32>, String)> {
        let selector = app_password::selector(password);
        let apps = self
            .app_passwords
            .iter()
            .filter(|(_, app)| selector == Some(app.selector.as_str()) && app.scopes.contains(&scope));
        let apps = apps.map(|(id, app)| (Some(*id), app.password.clone()));
        apps.chain(self.password.clone().map(|verifier| (None, verifier))).collect()
    }

    /// The verifier for SCRAM, with the number of the app password that it is of; none for the account's own.
    pub fn scram_verifier(&self, scope: Scope) -> Option<(Option<u32>, scram::Verifier)> {
        if self.password.is_some() {
            return self.scram.clone().map(|verifier| (None, verifier));
        }
        let mut apps = self.app_passwords.iter().filter(|(_, app)| app.scopes.contains(&scope));
        match (apps.next(), apps.next()) {
            (Some((id, app)), None) => Some((Some(*id), app.scram.clone())),
            _ => None,
        }
    }

    /// An app password comes; it takes the next number, and none where there are too many.
    pub(super) fn add_app_password(&mut self, app: &AppPassword) {
        if self.exists && self.app_passwords.len() < APP_PASSWORDS {
            self.app_passwords_made += 1;
            self.app_passwords.insert(self.app_passwords_made, app.clone());
        }
    }
}
