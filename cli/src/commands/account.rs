//! `fulmar account`.

use std::io::{self, BufRead};

use fulmar_core::admin::AccountSummary;
use fulmar_core::model::Address;
use fulmar_core::platform::Entropy;
use serde_json::json;

use super::{Context, app_password};
use crate::arguments::{AccountCommand, Credentials};
use crate::failure::Failure;

/// Octets in a password line.
const PASSWORD_LIMIT: u64 = 1024;
/// Characters in a password that we make; five bits each.
const PASSWORD_LENGTH: usize = 20;
/// 32 characters that are not taken for one another.
const PASSWORD_CHARACTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

pub(super) async fn account(context: &Context, command: AccountCommand) -> Result<(), Failure> {
    let (admin, output) = (context.admin(), context.output);
    match command {
        AccountCommand::Add(credentials) => {
            let (address, password) = (&credentials.address, Password::choose(context, &credentials)?);
            let added = admin.account_add(address, &password.text).await;
            added.map_err(|error| Failure::without_domain(error, address.domain()))?;
            password.tell(context, address, "added")?;
        }
        AccountCommand::Passwd { credentials: Credentials { address, .. }, none: true } => {
            admin.account_drop_password(&address).await?;
            output.fact(&format!("{address} has no password"), &json!({"address": address}))?;
        }
        AccountCommand::Passwd { credentials, none: false } => {
            let password = Password::choose(context, &credentials)?;
            admin.account_passwd(&credentials.address, &password.text).await?;
            password.tell(context, &credentials.address, "has a new password")?;
        }
        AccountCommand::AppPassword(command) => app_password::app_password(context, command).await?,
        AccountCommand::Disable { address } => set_disabled(context, &address, true).await?,
        AccountCommand::Enable { address } => set_disabled(context, &address, false).await?,
        AccountCommand::Remove { address } => {
            admin.account_remove(&address).await?;
            output.fact(&format!("{address} removed"), &json!({"address": address, "removed": true}))?;
        }
        AccountCommand::List => output.list(
            &admin.accounts().await?,
            ["ADDRESS", "MESSAGES", "OCTETS", "LOGIN", "DAMAGED"],
            |account| {
                let (messages, octets) = (account.messages.to_string(), account.octets.to_string());
                let damaged = account.damaged.clone().unwrap_or_default();
                [account.address.to_string(), messages, octets, login(account), damaged]
            },
            |account| {
                json!({
                    "address": account.address,
                    "messages": account.messages,
                    "octets": account.octets,
                    "disabled": account.disabled,
                    "password": account.has_password,
                    "app_passwords": account.app_passwords,
                    "damaged": account.damaged,
                })
            },
        )?,
    }
    Ok(())
}

async fn set_disabled(context: &Context, address: &Address, disabled: bool) -> Result<(), Failure> {
    context.admin().account_set_disabled(address, disabled).await?;
    let done = if disabled { "disabled" } else { "enabled" };
    let shown = json!({"address": address, "disabled": disabled});
    Ok(context.output.fact(&format!("{address} {done}"), &shown)?)
}

/// What its owner may log in with, in words.
fn login(account: &AccountSummary) -> String {
    let own = if account.has_password { "password" } else { "" };
    let apps = match account.app_passwords {
        0 => String::new(),
        count => format!("{count} app"),
    };
    match (account.disabled, own.is_empty() || apps.is_empty()) {
        (true, _) => "disabled".to_owned(),
        (false, true) => format!("{own}{apps}"),
        (false, false) => format!("{own}, {apps}"),
    }
}

/// A password of 100 random bits.
pub(super) fn random_password(entropy: &dyn Entropy) -> String {
    let mut octets = [0; PASSWORD_LENGTH];
    entropy.fill(&mut octets);
    octets.iter().map(|octet| char::from(PASSWORD_CHARACTERS[usize::from(octet % 32)])).collect()
}

struct Password {
    text: String,
    made: bool,
}

impl Password {
    fn choose(context: &Context, credentials: &Credentials) -> Result<Self, Failure> {
        if !credentials.password_stdin {
            return Ok(Self { text: random_password(&*context.platform.entropy), made: true });
        }
        let text = first_line(io::stdin().lock()).map_err(Failure::Usage)?;
        Ok(Self { text, made: false })
    }

    /// Says what was done, and the password if nobody knows it yet.
    fn tell(&self, context: &Context, address: &Address, done: &str) -> io::Result<()> {
        if !self.made {
            return context.output.fact(&format!("{address} {done}"), &json!({"address": address}));
        }
        let words = format!("{address} {done}\npassword: {}", self.text);
        context.output.fact(&words, &json!({"address": address, "password": self.text}))
    }
}

/// The first line without its end; never empty.
fn first_line(input: impl BufRead) -> Result<String, String> {
    let mut line = String::new();
    let read = input.take(PASSWORD_LIMIT + 1).read_line(&mut line);
    read.map_err(|error| format!("cannot read the password from standard input: {error}"))?;
    let line = line.strip_suffix('\n').map_or(&*line, |line| line.strip_suffix('\r').unwrap_or(line));
    match line.len() {
        0 => Err("the password on standard input is empty".to_owned()),
        octets if octets as u64 > PASSWORD_LIMIT => {
            Err(format!("a password has at most {PASSWORD_LIMIT} octets"))
        }
        _ => Ok(line.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use fulmar_runtime_smol::SmolEntropy;

    use super::*;

    #[test]
    fn a_password_is_the_first_line_whatever_ends_it() {
        for (input, password) in [("a b", "a b"), ("a\n", "a"), ("a\r\nb\n", "a"), (" a \n", " a ")] {
            assert_eq!(first_line(input.as_bytes()).as_deref(), Ok(password), "{input:?}");
        }
        for input in ["", "\n", "\r\n", &"x".repeat(1025)] {
            assert!(first_line(input.as_bytes()).is_err(), "{input:?}");
        }
    }

    #[test]
    fn passwords_that_we_make_differ() {
        let (one, two) = (random_password(&SmolEntropy), random_password(&SmolEntropy));
        assert_eq!((one.len(), two.len()), (PASSWORD_LENGTH, PASSWORD_LENGTH));
        assert_ne!(one, two);
    }
}
