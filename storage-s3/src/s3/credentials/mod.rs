//! The credentials that requests are signed with, refreshed before they expire.
//!
//! object_store's own providers are not used: they know no profile, fail as soon as a refresh fails although what they
//! hold is still valid, and cannot be told that the server has called the credentials expired.

mod source;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_lock::Mutex as AsyncMutex;
use async_trait::async_trait;
use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Clock, Instant, Spawn, StoreError};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;

pub(super) use self::source::Source;
use super::exchange::Exchange;
use super::failure::Failure;

/// How long before they expire credentials are refreshed.
const REFRESH_BEFORE: Duration = Duration::from_secs(5 * 60);

/// How long after a refresh was tried the next one may be.
const REFRESH_PAUSE: Duration = Duration::from_secs(2);

/// How long fetching credentials may take, all requests for it together.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Credentials, and where fresh ones come from.
pub(super) struct Credentials {
    source: Source,
    exchange: Exchange,
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
    held: Mutex<Held>,
    /// Held by the one that refreshes.
    refreshing: AsyncMutex<()>,
}

/// Credentials as they were issued.
#[derive(Clone, Debug)]
pub(in crate::s3) struct Issued {
    credential: Arc<AwsCredential>,
    /// Never, where nothing is said.
    expires: Option<UtcTime>,
}

#[derive(Debug, Default)]
struct Held {
    issued: Option<Issued>,
    /// Whether the server called these expired.
    is_rejected: bool,
    /// When a refresh was last tried.
    tried: Option<Instant>,
    /// Why that failed, if it did.
    failed: Option<String>,
}

/// What can be done with what is held.
enum Outlook {
    Good(Arc<AwsCredential>),
    /// Still valid; a refresh is due.
    Due(Arc<AwsCredential>),
    /// None, or none that are valid; a refresh is due.
    Gone,
    /// The same, and a refresh failed just now.
    Failed(String),
}

impl Credentials {
    pub(super) fn new(
        source: Source,
        exchange: Exchange,
        clock: Arc<dyn Clock>,
        spawn: Arc<dyn Spawn>,
    ) -> Self {
        Self { source, exchange, clock, spawn, held: Mutex::default(), refreshing: AsyncMutex::new(()) }
    }

    /// Credentials that are valid as far as is known. `Unavailable` where there are none now.
    pub(super) async fn current(&self) -> Result<Arc<AwsCredential>, StoreError> {
        match self.outlook() {
            Outlook::Good(credential) => return Ok(credential),
            Outlook::Due(credential) => {
                let Some(_refreshing) = self.refreshing.try_lock() else { return Ok(credential) };
                self.refresh().await;
                // Where that failed, they are good for the while.
                if !matches!(self.outlook(), Outlook::Gone | Outlook::Failed(_)) {
                    return self.after_refresh();
                }
            }
            Outlook::Gone | Outlook::Failed(_) => {}
        }
        let _refreshing = self.refreshing.lock().await;
        // Somebody else may have refreshed them meanwhile.
        if matches!(self.outlook(), Outlook::Gone) {
            self.refresh().await;
        }
        self.after_refresh()
    }

    /// Notes that the server has called what it was sent expired. Where these are fresh, it was sent something older.
    pub(super) fn reject(&self) {
        let now = self.clock.instant();
        let mut held = self.held();
        held.is_rejected |= held.is_rested(now);
    }

    fn after_refresh(&self) -> Result<Arc<AwsCredential>, StoreError> {
        match self.outlook() {
            Outlook::Good(credential) | Outlook::Due(credential) => Ok(credential),
            Outlook::Gone => Err(StoreError::Unavailable("no valid credentials".into())),
            Outlook::Failed(reason) => Err(StoreError::Unavailable(format!("no credentials: {reason}"))),
        }
    }

    async fn refresh(&self) {
        let now = self.clock.instant();
        self.held().tried = Some(now);
        let fetch = self.source.fetch(&self.exchange, &self.spawn);
        let fetched = self.clock.before(now + FETCH_TIMEOUT, fetch).await;
        let fetched = fetched.unwrap_or_else(|| Err(format!("no answer within {FETCH_TIMEOUT:?}")));
        let mut held = self.held();
        match fetched {
            Ok(issued) => {
                *held = Held { issued: Some(issued), is_rejected: false, tried: Some(now), failed: None };
            }
            Err(reason) => held.failed = Some(format!("{}: {reason}", self.source)),
        }
    }

    fn outlook(&self) -> Outlook {
        let (utc, now) = (self.clock.utc(), self.clock.instant());
        let held = self.held();
        let is_rested = held.is_rested(now);
        match (&held.issued, &held.failed) {
            (Some(issued), _) if !held.is_rejected && issued.is_valid(utc) => {
                let credential = issued.credential.clone();
                let is_due = is_rested && !issued.is_valid(utc.after(REFRESH_BEFORE));
                if is_due { Outlook::Due(credential) } else { Outlook::Good(credential) }
            }
            (_, Some(reason)) if !is_rested => Outlook::Failed(reason.clone()),
            _ => Outlook::Gone,
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing panics while it is held.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn is_rested(&self, now: Instant) -> bool {
        self.tried.is_none_or(|tried| now.since(tried) >= REFRESH_PAUSE)
    }
}

impl Issued {
    fn is_valid(&self, utc: UtcTime) -> bool {
        self.expires.is_none_or(|expires| expires > utc)
    }
}

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        self.current().await.map_err(|error| object_store::Error::Generic {
            store: "S3",
            source: Box::new(Failure::Store(error)),
        })
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.source)
    }
}

#[cfg(test)]
mod tests;
