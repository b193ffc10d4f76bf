//! What an operator asks and orders (rank 8), from any machine with the store's credentials: whether nodes run does not
//! matter. Everything goes in and out as plain values.

mod accounts;
mod app_passwords;
mod certificates;
mod domain_keys;
mod domains;
mod fsck;
pub mod prices;
mod queue;
mod reports;

use std::time::Duration;

pub use accounts::AccountSummary;
pub use app_passwords::AppPasswordSummary;
pub use certificates::CertificateSummary;
pub use domain_keys::{DomainKeySummary, NewKeys};
pub use domains::{AliasSummary, DomainChange, DomainSummary};
pub use fsck::{Amount, Audit, Finding, Found};
pub use queue::{Action, QueueItem, QueueState};
pub use reports::ReceivedSummary;

use crate::config::Config;
pub use crate::mailbox::{Listing, MessageReader};
use crate::mailbox::{Mailboxes, ReadError};
use crate::model::event::Journal;
use crate::model::{Address, Domain, Event};
use crate::platform::{Platform, StoreError};
pub use crate::service::reception::{Arrival, verify};
use crate::state::StateError;
use crate::state::account::Account;
use crate::state::chain::{Chain, State};
use crate::state::chains::Chains;
use crate::state::contract::{self, Verdict};
use crate::state::domain::LocalDomain;
pub use crate::state::domain::keys::{KeyAlgorithm, KeyState};
pub use crate::state::domain::{DomainKind, DomainSettings};
use crate::state::format::{self, FormatError};
use crate::state::layout;
use crate::state::requests::{Purpose, RequestCounts, Requests};
use crate::state::turns::Turn;

/// Why an order was not carried out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AdminError {
    /// What it names is not there.
    #[error("{0}")]
    NotFound(String),
    /// What it would make is there already.
    #[error("{0}")]
    Exists(String),
    /// It makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// It waits for something outside, which may come.
    #[error("{0}")]
    NotYet(String),
    /// The store is away, or holds something that is not what it should be.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        Self::State(error.into())
    }
}

impl From<ReadError> for AdminError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::State(error) => error.into(),
            missing => Self::NotFound(missing.to_string()),
        }
    }
}

impl From<FormatError> for AdminError {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::Store(error) => error.into(),
            FormatError::Foreign(reason) => {
                Self::State(StateError::Damaged { key: layout::FORMAT.to_owned(), reason })
            }
        }
    }
}

/// An operator's hands.
#[derive(Debug)]
pub struct Admin {
    platform: Platform,
    requests: Requests,
    accounts: Chains<Account>,
    domains: Chains<LocalDomain>,
    mailboxes: Mailboxes,
}

impl Admin {
    /// Orders to the platform's store.
    pub fn new(config: Config, platform: Platform, journal: Journal) -> Self {
        let requests = Requests::new(platform.clone(), config.store, journal);
        let accounts = Chains::new(requests.clone());
        let domains = Chains::new(requests.clone());
        let mailboxes = Mailboxes::new(requests.clone(), accounts.clone());
        Self { platform, requests, accounts, domains, mailboxes }
    }

    /// The messages of a mailbox, by UID.
    pub async fn mailbox(&self, account: &Address, mailbox: &str) -> Result<Vec<Listing>, AdminError> {
        Ok(self.mailboxes.list(&account.normalized(), mailbox).await?)
    }

    /// Begins to read a message.
    pub async fn message(
        &self,
        account: &Address,
        mailbox: &str,
        uid: u32,
    ) -> Result<MessageReader, AdminError> {
        Ok(self.mailboxes.open(&account.normalized(), mailbox, uid).await?)
    }

    /// Asks of the store whatever Fulmar relies on, and tells what that took. Writes only below a folder of its own, and removes
    /// that again.
    pub async fn store_check(&self) -> (Vec<Verdict>, RequestCounts) {
        let requests = self.requests.of(Purpose::Probe);
        let verdicts = contract::check(&requests.metered(), "", self.platform.draw()).await;
        (verdicts, requests.meter().by_purpose().of(Purpose::Probe))
    }

    /// Before anything is written: the store is ours to write.
    async fn ensure_format(&self) -> Result<(), AdminError> {
        Ok(format::ensure(&self.requests).await?)
    }

    /// The folders below a root that hold a chain each. Each folder is skipped as soon as it is seen.
    async fn folders(&self, root: &str) -> Result<Vec<String>, AdminError> {
        let mut folders: Vec<String> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.requests.page(root, after.as_deref()).await?;
            for object in &page.objects {
                if let Some(folder) = layout::folder(root, &object.key)
                    && folders.last().is_none_or(|last| last != folder)
                {
                    folders.push(folder.to_owned());
                }
            }
            match page.objects.last() {
                Some(last) if page.more => {
                    // What lies in no folder is not ours, and is passed by.
                    let key = || last.key.clone();
                    after = Some(layout::folder(root, &last.key).map_or_else(key, layout::past));
                }
                _ => return Ok(folders),
            }
        }
    }

    /// The chain in a folder; nothing, and a report, where not even its beginning can be read.
    async fn readable<S: State>(
        &self,
        chains: &Chains<S>,
        folder: &str,
    ) -> Result<Option<Turn<Chain<S>>>, AdminError> {
        let damage = match chains.hold(folder, Duration::ZERO).await {
            Ok(chain) if chain.tip() > 0 => return Ok(Some(chain)),
            Ok(chain) => chain.whole(),
            Err(error) => Err(error),
        };
        match damage {
            Err(StateError::Damaged { key, reason }) => {
                self.requests.journal().report(&Event::ObjectDamaged { key, reason });
                Ok(None)
            }
            Err(error) => Err(error.into()),
            Ok(()) => Ok(None),
        }
    }

    fn no_domain(domain: &Domain) -> AdminError {
        AdminError::NotFound(format!("domain {domain} is not one of ours"))
    }
}
