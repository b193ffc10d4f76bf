//! The keys that sign for a domain (DKIM, RFC 6376).
//!
//! Nothing is to be signed that nobody can verify, so that a key goes its way in steps: it is generated and published; once the DNS has its
//! record it becomes active; and when another has taken its place it is retiring, its record left where it is until mail on its way has come.
//! The record is looked for before a key becomes active, unless the operator knows better: name servers may tell the world something else
//! than us.
//!
//! Two operators at once lose nothing: what is written is decided on the state at the chain's tip, and anew where another was faster.

mod changes;

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use self::changes::{activated, added, becomes, check_selector, dated, named, record_name};
use super::{Admin, AdminError};
use crate::authn::dkim::{
    Algorithm, SigningError, SigningKey, check_publication, generate_ed25519, generate_rsa,
    private_key_from_pem,
};
use crate::model::{Domain, UtcTime};
use crate::state::StateError;
use crate::state::domain::keys::{DomainKey, KeyAlgorithm, KeyState, PrivateKey};
use crate::state::domain::{LocalDomain, Op};
use crate::state::layout;

/// A key of a domain, without what is private.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainKeySummary {
    /// Its selector.
    pub selector: String,
    /// What it signs with.
    pub algorithm: KeyAlgorithm,
    /// Whether it signs.
    pub state: KeyState,
    /// When it was made, or came to us.
    pub created: UtcTime,
    /// Since when it has been in this state.
    pub since: UtcTime,
    /// The name in the DNS at which its record belongs.
    pub name: String,
    /// The text of that TXT record, which may be longer than one string of it; nothing where the key cannot be read.
    pub record: Option<String>,
}

/// Keys that are to be made.
#[derive(Clone, Debug, Default)]
pub struct NewKeys {
    /// The selector of the only one; of several, what stands in it before `-rsa` and `-ed25519`. Without it that is the date.
    pub selector: Option<String>,
    /// One for each of these; for all that there are where none is named.
    pub algorithms: BTreeSet<KeyAlgorithm>,
    /// Whether they sign at once.
    pub is_active: bool,
}

/// An algorithm, and a key that signs with it.
type Made = (KeyAlgorithm, PrivateKey);

impl Admin {
    /// The keys of a domain, by selector.
    pub async fn dkim_list(&self, domain: &Domain) -> Result<Vec<DomainKeySummary>, AdminError> {
        let keys = self.dkim_keys(domain).await?;
        Ok(keys.iter().map(|(selector, key)| summary(domain, selector, key)).collect())
    }

    /// Makes keys: published ones, unless they are to sign at once.
    pub async fn dkim_generate(
        &self,
        domain: &Domain,
        order: &NewKeys,
    ) -> Result<Vec<DomainKeySummary>, AdminError> {
        let algorithms = match order.algorithms.is_empty() {
            true => KeyAlgorithm::ALL.into(),
            false => order.algorithms.clone(),
        };
        let chosen = order.selector.as_ref().map(|selector| named(selector, &algorithms));
        for selector in chosen.iter().flatten() {
            check_selector(selector, domain)?;
        }
        // A domain that is not ours costs no key.
        self.dkim_keys(domain).await?;
        let made = self.make_keys(&algorithms).await?;
        let state = if order.is_active { KeyState::Active } else { KeyState::Published };
        let date = self.date();
        let mut selectors = Vec::new();
        self.change_keys(domain, |domain| {
            selectors = chosen.clone().unwrap_or_else(|| dated(&date, domain, &algorithms));
            added(domain, &selectors, &made, state)
        })
        .await?;
        self.summaries(domain, &selectors).await
    }

    /// Takes a private key in PEM form, PKCS#8 or an RSA key of PKCS#1, under the selector at which its record may be already.
    pub async fn dkim_import(
        &self,
        domain: &Domain,
        selector: &str,
        pem: &[u8],
        is_active: bool,
    ) -> Result<DomainKeySummary, AdminError> {
        check_selector(selector, domain)?;
        let der = private_key_from_pem(pem).map_err(invalid)?;
        let algorithm = match SigningKey::from_pkcs8(&der).map_err(invalid)?.algorithm() {
            Algorithm::Ed25519Sha256 => KeyAlgorithm::Ed25519Sha256,
            Algorithm::RsaSha1 | Algorithm::RsaSha256 => KeyAlgorithm::RsaSha256,
        };
        let made = [(algorithm, PrivateKey::new(STANDARD.encode(der)))];
        let state = if is_active { KeyState::Active } else { KeyState::Published };
        let selectors = [selector.to_ascii_lowercase()];
        self.change_keys(domain, |domain| added(domain, &selectors, &made, state)).await?;
        self.only_summary(domain, &selectors).await
    }

    /// Has a key sign from now on. Where that `is_checked`, only once the DNS has its record, and no other.
    pub async fn dkim_activate(
        &self,
        domain: &Domain,
        selector: &str,
        is_checked: bool,
    ) -> Result<DomainKeySummary, AdminError> {
        let selectors = [selector.to_ascii_lowercase()];
        let keys = self.dkim_keys(domain).await?;
        let found = keys.iter().find(|(known, _)| *known == selectors[0]);
        let (_, key) = found.ok_or_else(|| no_key(domain, selector))?;
        if is_checked && key.state != KeyState::Active {
            self.check_published(domain, &selectors[0], key).await?;
        }
        self.change_keys(domain, |domain| activated(domain, &selectors, 0)).await?;
        self.only_summary(domain, &selectors).await
    }

    /// Takes the next step in changing the keys of a domain, and gives those that it touched. Where no key waits to become active, it makes
    /// published ones, for the algorithms of those that sign now. Otherwise these become active, once the DNS has the records of all where that
    /// `is_checked`, and what has signed with the same algorithms is retiring.
    pub async fn dkim_rotate(
        &self,
        domain: &Domain,
        is_checked: bool,
    ) -> Result<Vec<DomainKeySummary>, AdminError> {
        let keys = self.dkim_keys(domain).await?;
        let waiting: Vec<_> = keys.iter().filter(|(_, key)| key.state == KeyState::Published).collect();
        if waiting.is_empty() {
            let signing = keys.iter().filter(|(_, key)| key.state == KeyState::Active);
            let algorithms: BTreeSet<_> = signing.map(|(_, key)| key.algorithm).collect();
            let all = || KeyAlgorithm::ALL.into();
            return self.publish_next(domain, &if algorithms.is_empty() { all() } else { algorithms }).await;
        }
        if is_checked {
            for (selector, key) in &waiting {
                self.check_published(domain, selector, key).await?;
            }
        }
        let selectors: Vec<_> = waiting.iter().map(|(selector, _)| selector.clone()).collect();
        let algorithms: BTreeSet<_> = waiting.iter().map(|(_, key)| key.algorithm).collect();
        let mut touched = Vec::new();
        self.change_keys(domain, |domain| {
            let is_replaced = |(selector, key): &(&String, &DomainKey)| {
                algorithms.contains(&key.algorithm) && !selectors.contains(selector)
            };
            let replaced = domain.active_keys().filter(is_replaced).map(|(selector, _)| selector.clone());
            let retiring: Vec<_> = replaced.collect();
            touched = [&selectors[..], &retiring].concat();
            let mut ops = activated(domain, &selectors, retiring.len())?;
            ops.extend(retiring.into_iter().map(|selector| becomes(selector, KeyState::Retiring)));
            Ok(ops)
        })
        .await?;
        self.summaries(domain, &touched).await
    }

    /// Has a key sign no more. Its record should stay for a week or so: mail on its way has its signatures.
    pub async fn dkim_retire(&self, domain: &Domain, selector: &str) -> Result<DomainKeySummary, AdminError> {
        let selectors = [selector.to_ascii_lowercase()];
        self.change_keys(domain, |state| match state.keys.get(&selectors[0]).map(|key| key.state) {
            Some(KeyState::Active) => Ok(vec![becomes(selectors[0].clone(), KeyState::Retiring)]),
            Some(KeyState::Retiring) => Ok(Vec::new()),
            Some(KeyState::Published) => {
                let text = format!("{selector} of {domain} has never signed: remove it");
                Err(AdminError::Invalid(text))
            }
            None => Err(no_key(domain, selector)),
        })
        .await?;
        self.only_summary(domain, &selectors).await
    }

    /// Removes a key that does not sign.
    pub async fn dkim_remove(&self, domain: &Domain, selector: &str) -> Result<(), AdminError> {
        let known = selector.to_ascii_lowercase();
        self.change_keys(domain, |state| match state.keys.get(&known).map(|key| key.state) {
            Some(KeyState::Active) => {
                Err(AdminError::Invalid(format!("{selector} of {domain} is active: retire it first")))
            }
            Some(_) => Ok(vec![Op::RemoveKey { selector: known.clone() }]),
            None => Err(no_key(domain, selector)),
        })
        .await
    }

    /// Makes published keys for these algorithms, unless another operator just has, whose keys it gives then.
    async fn publish_next(
        &self,
        domain: &Domain,
        algorithms: &BTreeSet<KeyAlgorithm>,
    ) -> Result<Vec<DomainKeySummary>, AdminError> {
        let made = self.make_keys(algorithms).await?;
        let date = self.date();
        let mut selectors = Vec::new();
        self.change_keys(domain, |domain| {
            let waiting = domain.keys.iter().filter(|(_, key)| key.state == KeyState::Published);
            selectors = waiting.map(|(selector, _)| selector.clone()).collect();
            if !selectors.is_empty() {
                return Ok(Vec::new());
            }
            selectors = dated(&date, domain, algorithms);
            added(domain, &selectors, &made, KeyState::Published)
        })
        .await?;
        self.summaries(domain, &selectors).await
    }

    async fn make_keys(&self, algorithms: &BTreeSet<KeyAlgorithm>) -> Result<Vec<Made>, AdminError> {
        let mut made = Vec::new();
        for algorithm in algorithms {
            let entropy = self.platform.entropy.clone();
            let der = match algorithm {
                KeyAlgorithm::Ed25519Sha256 => generate_ed25519(&*entropy),
                // The search for primes takes a good part of a second.
                KeyAlgorithm::RsaSha256 => {
                    let generated = self.platform.spawn.unblock(move || generate_rsa(&*entropy)).await;
                    let interrupted =
                        || StateError::Unavailable("the search for a key was interrupted".to_owned());
                    generated.ok_or_else(interrupted)?.map_err(invalid)?
                }
            };
            made.push((*algorithm, PrivateKey::new(STANDARD.encode(der))));
        }
        Ok(made)
    }

    async fn check_published(
        &self,
        domain: &Domain,
        selector: &str,
        key: &DomainKey,
    ) -> Result<(), AdminError> {
        let name = record_name(selector, domain);
        let place = Domain::parse(&name).map_err(|error| AdminError::Invalid(format!("{name}: {error}")))?;
        let key = signing_key(key).map_err(invalid)?;
        let checked = check_publication(&place, &key, &*self.platform.dns).await;
        checked
            .map_err(|error| AdminError::NotYet(format!("the record of {name} is not in the DNS: {error}")))
    }

    async fn dkim_keys(&self, domain: &Domain) -> Result<Vec<(String, DomainKey)>, AdminError> {
        let chain = self.domains.hold(&layout::domain(domain), Duration::ZERO).await?;
        if !chain.state().exists {
            return Err(Self::no_domain(domain));
        }
        let keys = chain.state().keys.iter();
        Ok(keys.map(|(selector, key)| (selector.clone(), key.clone())).collect())
    }

    /// Changes the keys of a domain by what `decide` makes of it, or not at all where it fails.
    async fn change_keys(
        &self,
        domain: &Domain,
        mut decide: impl FnMut(&LocalDomain) -> Result<Vec<Op>, AdminError> + Send,
    ) -> Result<(), AdminError> {
        let mut decided = Ok(());
        self.change_domain(domain, |state| match decide(state) {
            Ok(ops) => {
                decided = Ok(());
                ops
            }
            Err(error) => {
                decided = Err(error);
                Vec::new()
            }
        })
        .await?;
        decided
    }

    async fn summaries(
        &self,
        domain: &Domain,
        selectors: &[String],
    ) -> Result<Vec<DomainKeySummary>, AdminError> {
        let mut keys = self.dkim_list(domain).await?;
        keys.retain(|key| selectors.contains(&key.selector));
        Ok(keys)
    }

    async fn only_summary(
        &self,
        domain: &Domain,
        selectors: &[String; 1],
    ) -> Result<DomainKeySummary, AdminError> {
        // Gone where another operator has removed it meanwhile.
        self.summaries(domain, selectors).await?.pop().ok_or_else(|| no_key(domain, &selectors[0]))
    }

    /// `20261122`
    fn date(&self) -> String {
        self.platform.clock.utc().to_rfc3339().chars().take(10).filter(char::is_ascii_digit).collect()
    }
}

fn summary(domain: &Domain, selector: &str, key: &DomainKey) -> DomainKeySummary {
    DomainKeySummary {
        selector: selector.to_owned(),
        algorithm: key.algorithm,
        state: key.state,
        created: key.created,
        since: key.since,
        name: record_name(selector, domain),
        record: signing_key(key).ok().map(|key| key.public_record()),
    }
}

fn signing_key(key: &DomainKey) -> Result<SigningKey, SigningError> {
    SigningKey::from_base64(key.private_key.expose())
}

fn no_key(domain: &Domain, selector: &str) -> AdminError {
    AdminError::NotFound(format!("{domain} has no key {selector}"))
}

fn invalid(error: SigningError) -> AdminError {
    AdminError::Invalid(error.to_string())
}
