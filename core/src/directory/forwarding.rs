//! Reverse-paths of forwarded mail: with what they are signed, and what they stand for when reports come back.

use std::time::Duration;

use super::{Directory, FRESH};
use crate::authn::srs::{self, SrsFault, SrsKey};
use crate::model::{Address, Domain, UtcTime};
use crate::state::chain::Draft;
use crate::state::domain::srs::SecretText;
use crate::state::domain::{DomainKind, LocalDomain, Op};
use crate::state::frame::Data;
use crate::state::{StateError, layout};

impl Directory {
    /// The key with which a domain signs now, made if there is none yet; none where the domain is not ours.
    pub async fn srs_key(&self, domain: &Domain) -> Result<Option<SrsKey>, StateError> {
        let requests = &self.shared.requests;
        let now = requests.platform().clock.utc();
        let mut chain = self.domain(domain).await?;
        if !chain.state().exists {
            chain.whole()?;
            return Ok(None);
        }
        if chain.state().wants_srs_secret(now) {
            let secret = SecretText::draw(&*requests.platform().entropy);
            let decide = |domain: &LocalDomain| {
                let is_wanted = domain.exists && domain.wants_srs_secret(now);
                let ops = if is_wanted { vec![Op::SrsSecret { secret: secret.clone() }] } else { Vec::new() };
                Draft { ops, data: Data::default() }
            };
            let made = chain.append(requests, decide).await;
            // An old one is better than none.
            if let Err(error) = made
                && chain.state().srs_secrets.is_empty()
            {
                return Err(error);
            }
            chain.snapshot_if_due(requests).await;
        }
        Ok(keys(chain.state()).pop())
    }

    /// What an address of a domain of ours stands for that has the form of a rewritten reverse-path; none where it is to be looked for like all others:
    /// it is the exact name of an alias or of somebody who gets mail, or its domain has never signed any. In a domain of another host's
    /// whose recipients are not known, what is not ours may be that host's.
    pub(super) async fn returned(
        &self,
        address: &Address,
    ) -> Result<Option<Result<Address, SrsFault>>, StateError> {
        let domain = address.domain();
        if !srs::is_rewritten(address.local_part()) || !self.is_local(domain).await? {
            return Ok(None);
        }
        let normal = address.normalized();
        let (is_alias, settings, takes_all) = {
            let chain = self.domain(domain).await?;
            let LocalDomain { aliases, settings, recipients, .. } = chain.state();
            let takes_all = settings.kind == DomainKind::Relay && recipients.is_empty();
            (aliases.contains_key(normal.local_part()), *settings, takes_all)
        };
        if is_alias || (!takes_all && self.has_recipient(&normal, settings).await?) {
            return Ok(None);
        }
        let mut fault = None;
        // Another node may have made a secret that this one has not read.
        for fresh in [FRESH, Duration::ZERO] {
            let keys = keys(self.shared.domains.hold(&layout::domain(domain), fresh).await?.state());
            if keys.is_empty() {
                continue;
            }
            match srs::original(address, &keys, self.now()) {
                Ok(original) => return Ok(Some(Ok(original))),
                Err(found) => fault = Some(found),
            }
        }
        self.is_whole(domain).await?;
        Ok(fault.filter(|_| !takes_all).map(Err))
    }

    fn now(&self) -> UtcTime {
        self.shared.requests.platform().clock.utc()
    }
}

/// The keys of a domain, the one that signs last.
fn keys(domain: &LocalDomain) -> Vec<SrsKey> {
    let secrets = &domain.srs_secrets;
    let replaced = secrets.iter().skip(1).map(|next| Some(next.created)).chain([None]);
    secrets.iter().zip(replaced).map(|(one, end)| SrsKey::new(one.secret.expose().as_bytes(), end)).collect()
}
