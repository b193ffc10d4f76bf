//! What may be typed about keys of domains.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use fulmar_core::admin::KeyAlgorithm;
use fulmar_core::model::Domain;

pub(super) const EXAMPLES: &str = "\
Examples:
  fulmar domain dkim rotate example.org      makes keys and prints the records for the DNS
  fulmar domain dkim rotate example.org      once they are there: the new keys sign, the old ones retire
  fulmar domain dkim remove example.org 20260115-rsa      a week later; then take its record away
  fulmar domain dkim import example.org mail /etc/opendkim/mail.private --active";

#[derive(Debug, Subcommand)]
pub(crate) enum DkimCommand {
    /// List the keys of a domain
    List {
        /// The domain
        domain: Domain,
    },
    /// Make keys, and print their records
    Generate {
        /// The domain
        domain: Domain,
        /// The name of the key; that of several begins with it. Default: the date
        #[arg(long)]
        selector: Option<String>,
        /// Only this kind of key; may be given several times. Default: one of each
        #[arg(long, value_enum)]
        algorithm: Vec<Algorithm>,
        /// Sign with them at once, whatever the DNS has
        #[arg(long)]
        active: bool,
    },
    /// Take a private key that another program made
    Import {
        /// The domain
        domain: Domain,
        /// The name of the key, under which its record may be in the DNS already
        selector: String,
        /// The key in PEM form, RSA of 2048 to 4096 bits or Ed25519
        #[arg(value_name = "KEY.pem")]
        key: PathBuf,
        /// Sign with it at once, whatever the DNS has
        #[arg(long)]
        active: bool,
    },
    /// Sign with a key from now on; fails with 75 as long as its record is not in the DNS
    Activate {
        /// The domain
        domain: Domain,
        /// The name of the key
        selector: String,
        /// Do not look whether its record is in the DNS
        #[arg(long)]
        unchecked: bool,
    },
    /// Take the next step in changing keys
    ///
    /// Makes keys, unless some are published already. Those become active, and what has signed with the same algorithms retires; fails
    /// with 75 as long as one of their records is not in the DNS.
    Rotate {
        /// The domain
        domain: Domain,
        /// Do not look whether the records are in the DNS
        #[arg(long)]
        unchecked: bool,
    },
    /// Sign with a key no more
    Retire {
        /// The domain
        domain: Domain,
        /// The name of the key
        selector: String,
    },
    /// Remove a key that does not sign
    Remove {
        /// The domain
        domain: Domain,
        /// The name of the key
        selector: String,
    },
}

/// A kind of key.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Algorithm {
    /// RSA of 2048 bits, which everybody verifies
    Rsa,
    /// Ed25519, shorter and faster
    Ed25519,
}

impl From<Algorithm> for KeyAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rsa => Self::RsaSha256,
            Algorithm::Ed25519 => Self::Ed25519Sha256,
        }
    }
}
