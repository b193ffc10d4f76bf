//! `fulmar account`, as it may be typed.

use clap::{Args, Subcommand};
use fulmar_core::model::Address;
use fulmar_core::state::account::credentials::Scope;

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Make an account in a domain of ours
    Add(Credentials),
    /// List the accounts
    List,
    /// Set another password
    Passwd {
        #[command(flatten)]
        credentials: Credentials,
        /// Take the password away: only app passwords, tokens and certificates open the account
        #[arg(long, conflicts_with = "password_stdin")]
        none: bool,
    },
    /// Passwords of single programs
    ///
    /// A program that has one of its own is not affected when the others' are changed or taken away. It opens only what it is for.
    #[command(
        subcommand,
        after_help = "Example:\n  fulmar account app-password add alice@example.org phone --scope imap --scope smtp"
    )]
    AppPassword(AppPasswordCommand),
    /// Let nobody log in to an account; its mail is taken all the same
    Disable {
        /// The account's address
        address: Address,
    },
    /// Let its owner log in to an account again
    Enable {
        /// The account's address
        address: Address,
    },
    /// Remove an account and its mail
    Remove {
        /// The account's address
        address: Address,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Credentials {
    /// The account's address
    pub(crate) address: Address,
    /// Read the password from the first line of standard input; without this one is made and printed
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AppPasswordCommand {
    /// Make an app password and print it; it cannot be shown again
    Add {
        /// The account's address
        address: Address,
        /// What it is for, such as phone
        name: String,
        /// What it opens: smtp, imap or pop3; may be given several times. Without this: all of them
        #[arg(long, value_parser = scope)]
        scope: Vec<Scope>,
    },
    /// List the app passwords of an account
    List {
        /// The account's address
        address: Address,
    },
    /// Take an app password away
    Remove {
        /// The account's address
        address: Address,
        /// Its number, as the list shows it
        id: u32,
    },
}

fn scope(text: &str) -> Result<Scope, &'static str> {
    Scope::ALL.into_iter().find(|scope| scope.name() == text).ok_or("allowed: smtp, imap, pop3")
}
