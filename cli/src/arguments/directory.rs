//! What may be typed about domains and aliases.

use clap::{Args, Subcommand};
use fulmar_core::admin::DomainKind;
use fulmar_core::config::Obedience;
use fulmar_core::model::{Address, AliasName, Domain};

use super::DkimCommand;

pub(super) const DOMAIN_EXAMPLES: &str = "\
Examples:
  fulmar domain add example.org
  fulmar domain add example.net --backup-mx
  fulmar domain set example.net --add-recipient info@example.net
  fulmar domain set example.org --separator -
  fulmar domain dkim rotate example.org";

pub(super) const ALIAS_EXAMPLES: &str = "\
Examples:
  fulmar alias add sales@example.org alice@example.org bob@example.org
  fulmar alias add 'sales-*@example.org' sales@example.org
  fulmar alias add '/(.+)-request/@example.org' 'owner-$1@example.org'
  fulmar alias add '*@example.org' postmaster@example.org

An address comes to the first of these that there is: the alias of just this name; the account; the
alias or account of what stands before the separator; the wildcard with the most characters of its
own; the first expression; the catch-all.";

const NO_SEPARATOR: &str = "none";
/// That a domain says nothing of its own.
const DEFAULT: &str = "default";

#[derive(Debug, Subcommand)]
pub(crate) enum DomainCommand {
    /// Take in mail for a domain; does nothing where it is there already
    Add {
        /// The domain, such as example.org
        domain: Domain,
        #[command(flatten)]
        options: DomainOptions,
    },
    /// Change what holds for a domain
    Set(Set),
    /// List the domains
    List,
    /// List who gets mail in a domain that is relayed, where that is not everybody
    Recipients {
        /// The domain
        domain: Domain,
    },
    /// Sign the return addresses of forwarded mail with a new secret (SRS)
    ///
    /// That happens by itself every 90 days. Addresses that are out stay good until they expire; where a secret has leaked, say this three
    /// times, and no older address leads back any more.
    RotateSrs {
        /// The domain
        domain: Domain,
    },
    /// The keys that sign its mail (DKIM)
    ///
    /// A key is published first: put its record into the DNS. Once the DNS has it, the key can become active: every message of the
    /// domain is signed with all keys that are. A key whose place another has taken is retiring: it signs no more, and its record stays
    /// for a week or so, until mail on its way has come.
    #[command(subcommand, after_help = super::dkim::EXAMPLES)]
    Dkim(DkimCommand),
}

/// What holds for a domain.
#[derive(Debug, Args)]
pub(crate) struct DomainOptions {
    /// Its mail ends here, in accounts; the default
    #[arg(long)]
    pub(crate) local: bool,
    /// Its mail goes on to another host: its route, or its exchanges that are preferred to us
    #[arg(long, visible_alias = "backup-mx", conflicts_with = "local")]
    pub(crate) relay: bool,
    /// What parts a user from a detail, as in alice+lists@example.org; 'none' for nothing. Default: +
    #[arg(long, value_name = "CHARACTER", value_parser = separator, allow_hyphen_values = true)]
    pub(crate) separator: Option<Separator>,
    /// How far DMARC policies of authors' domains are followed for its recipients: obey, quarantine, report; 'default' as [verification] says
    #[arg(long, value_name = "HOW", value_parser = dmarc)]
    pub(crate) dmarc: Option<Dmarc>,
}

/// Something said for the domain alone, or nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dmarc(pub(crate) Option<Obedience>);

/// A character or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Separator(pub(crate) Option<char>);

impl DomainOptions {
    /// The kind that was asked for.
    pub(crate) fn kind(&self) -> Option<DomainKind> {
        match (self.local, self.relay) {
            (true, _) => Some(DomainKind::Local),
            (_, true) => Some(DomainKind::Relay),
            _ => None,
        }
    }
}

#[derive(Debug, Args)]
#[group(id = "change", required = true, multiple = true, args = ["local", "relay", "separator", "dmarc", "add_recipient", "remove_recipient"])]
pub(crate) struct Set {
    /// The domain
    pub(crate) domain: Domain,
    #[command(flatten)]
    pub(crate) options: DomainOptions,
    /// Relay to this recipient, and to nobody who is not on the list
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    pub(crate) add_recipient: Vec<Address>,
    /// Take this recipient off the list; once it is empty everybody gets mail
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    pub(crate) remove_recipient: Vec<Address>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AliasCommand {
    /// Make an alias in a domain of ours, or replace its targets
    Add {
        /// The address that stands for others, or a pattern: sales-*@DOMAIN, /EXPRESSION/@DOMAIN, *@DOMAIN
        alias: AliasName,
        /// Who gets its mail, here or elsewhere; for a pattern, $0 is what it matched and $1 to $9 are its groups
        #[arg(required = true, value_name = "TARGET")]
        targets: Vec<Address>,
    },
    /// List the aliases, of one domain or of all
    List {
        /// Only those of this domain
        domain: Option<Domain>,
    },
    /// Remove an alias
    Remove {
        /// The alias, as the list shows it
        alias: AliasName,
    },
}

fn dmarc(text: &str) -> Result<Dmarc, String> {
    if text == DEFAULT {
        return Ok(Dmarc(None));
    }
    let known = Obedience::ALL.into_iter().find(|obedience| obedience.name() == text);
    known
        .map(|obedience| Dmarc(Some(obedience)))
        .ok_or_else(|| "none of obey, quarantine, report, default".to_owned())
}

fn separator(text: &str) -> Result<Separator, String> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        _ if text == NO_SEPARATOR => Ok(Separator(None)),
        (Some(separator), None) => Ok(Separator(Some(separator))),
        _ => Err(format!("not one character, nor {NO_SEPARATOR:?}")),
    }
}
