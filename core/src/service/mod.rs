//! What a node does all day (rank 7): the only place that puts queue, mailboxes, directory and policy together.

pub mod access;
pub mod authentication;
pub mod certificates;
mod dmarc_reports;
pub mod drain;
pub mod failure_reports;
pub mod local_delivery;
pub mod maintenance;
pub mod pickup;
pub mod reception;
pub mod relay;
pub mod settle;
pub mod signing;
pub mod sweep;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use async_lock::Semaphore;

use self::authentication::Authentication;
use self::failure_reports::FailureReports;
use self::signing::SigningMemory;
use crate::config::Config;
use crate::directory::Directory;
use crate::mailbox::Mailboxes;
use crate::model::event::Journal;
use crate::policy::limits::Limits;
use crate::queue::Spool;
use crate::state::chains::Chains;
use crate::state::requests::{Purpose, Requests};

/// What every service needs. Shared by all sessions of a node.
#[derive(Debug)]
pub struct Context {
    /// The settings.
    pub config: Config,
    /// The store. Whoever asks it for something takes a handle for that purpose.
    pub requests: Requests,
    /// Who is who.
    pub directory: Directory,
    /// The accounts.
    pub mailboxes: Mailboxes,
    /// The queue.
    pub spool: Spool,
    /// Where events go.
    pub journal: Journal,
    /// Sessions of SMTP that there are now.
    pub sessions: Arc<AtomicUsize>,
    /// Octets of content being received that are in memory now.
    pub receiving: Arc<AtomicUsize>,
    /// How much has come from whom lately.
    pub limits: Limits,
    /// Who may log in.
    pub authentication: Authentication,
    /// Whoever compares a password holds a permit: as many as [`authentication::COMPARISONS`].
    pub comparisons: Arc<Semaphore>,
    /// Whoever looks for a report in a message holds a permit: as many as `dmarc_reports::READERS`.
    pub report_readers: Arc<Semaphore>,
    /// What is remembered for signing.
    pub signing: SigningMemory,
    /// What is remembered for reports of single failures.
    pub failure_reports: FailureReports,
    /// The last day that somebody is known to have swept; see [`sweep`].
    pub swept: AtomicU64,
}

impl Context {
    /// What the services of a node share, with nothing looked up yet.
    pub fn new(config: Config, requests: Requests, spool: Spool) -> Self {
        let accounts = Chains::new(requests.of(Purpose::Deliver));
        Self {
            authentication: Authentication::new(&config.auth, requests.clone()),
            limits: Limits::new(config.policy.limits.clone()),
            config,
            directory: Directory::new(requests.of(Purpose::Directory), accounts.of(Purpose::Directory)),
            mailboxes: Mailboxes::new(requests.of(Purpose::Deliver), accounts),
            spool,
            journal: requests.journal().clone(),
            requests,
            sessions: Arc::default(),
            receiving: Arc::default(),
            comparisons: Arc::new(Semaphore::new(authentication::COMPARISONS)),
            report_readers: Arc::new(Semaphore::new(dmarc_reports::READERS)),
            signing: SigningMemory::default(),
            failure_reports: FailureReports::default(),
            swept: AtomicU64::new(0),
        }
    }
}
