//! Logins: who is known by a bare name, and how often may be guessed.

use std::time::Duration;

use bytes::Bytes;

use super::{Introspection, Issuer};
use crate::model::Domain;

/// Settings of logins. A failure counts for the address that it comes from, for its network, and for the name that was tried, be there
/// such an account or not.
///
/// Whoever is locked out is told the same as with a wrong password, after the same time, and his guesses are not looked at: he learns
/// neither that he is locked out nor whether he guessed right.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// The domain of login names without one. Without it: the only domain of ours, where there is but one.
    pub default_domain: Option<Domain>,
    /// Failures from one address (of IPv6: one /64) that lock it out.
    pub failures_per_address: u32,
    /// Failures from one network (/24; of IPv6: /48) that lock it out.
    pub failures_per_network: u32,
    /// Failures at one name, from wherever, that lock it: for addresses that it was not logged in from lately.
    pub failures_per_account: u32,
    /// How long after the last failure a count is forgotten.
    pub failure_window: Duration,
    /// How long a lock holds.
    pub lock: Duration,
    /// Failures of one address, and at one name, that cost no more than the usual 1 to 3 s.
    pub free_failures: u32,
    /// What each further one adds to the delay of its refusal.
    pub delay_step: Duration,
    /// How much that is at most.
    pub delay_limit: Duration,
    /// How long an address counts as an account's usual one after a login from there. Then only what fails from there at that account
    /// counts against it: nobody can lock a user out from elsewhere.
    pub familiar_for: Duration,
    /// Whose tokens are taken.
    pub issuers: Vec<Issuer>,
    /// Who is asked about other tokens.
    pub introspection: Option<Introspection>,
    /// Certificates, in DER, that those of issuers and introspection servers must lead to.
    pub roots: Vec<Bytes>,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            default_domain: None,
            failures_per_address: 10,
            failures_per_network: 100,
            failures_per_account: 50,
            failure_window: Duration::from_mins(15),
            lock: Duration::from_mins(15),
            free_failures: 3,
            delay_step: Duration::from_secs(1),
            delay_limit: Duration::from_secs(15),
            familiar_for: Duration::from_hours(30 * 24),
            issuers: Vec::new(),
            introspection: None,
            roots: Vec::new(),
        }
    }
}
