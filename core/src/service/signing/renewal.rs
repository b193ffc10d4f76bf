//! What we have signed, signed anew where it is converted for a host that does not take it as it is.
//!
//! A message is signed as it came (invariant 2), though RFC 6376 §5.3 would have it converted to 7 bits first: nearly every host takes it as it is,
//! what is signed within it cannot be converted at all (RFC 1847 §2.1), and mail that waits is signed with the keys of when it leaves.
//! It is the relay that breaks our signatures by converting, for the host it talks to, and it puts new ones in their place: of the
//! domain of the author with all keys active then, and the newest set of a chain where that is ours, which tells what it told. What
//! strangers have signed stays and fails; nobody but them can mend that.
//!
//! That a field bears our name proves nothing: the old signature, or the old set with its seal, must hold over the message as it lies in the
//! queue, by the keys that the domain's chain has, retiring ones among them. No name server is asked.

use bytes::Bytes;

use super::{Named, author_domain, for_seal, is_slow, read_keys, report, run, signatory};
use crate::authn::arc;
use crate::authn::dkim::{self, BodyHash, BodyHashes, BodyMethod, Claim, Encodings, Signatory, SigningError};
use crate::model::{Domain, UtcTime};
use crate::service::Context;
use crate::state::StateError;
use crate::state::domain::keys::KeyState;

/// Whose signatures are to be made anew, with all that this takes but the message.
#[derive(Debug)]
pub struct Renewal {
    author: Option<Owner>,
    sealer: Option<Owner>,
}

/// A domain of ours that is said to have signed.
#[derive(Debug)]
struct Owner {
    domain: Domain,
    /// All its keys.
    known: Vec<Named>,
    /// Those that sign now.
    active: Vec<Named>,
}

/// A message before and after its conversion: header blocks, and hashes of the bodies by [`BodyMethod::SIGNING`].
#[derive(Debug)]
pub struct Converted {
    /// As it lies in the queue.
    pub before: (Bytes, BodyHashes),
    /// As it would leave.
    pub after: (Vec<u8>, BodyHashes),
}

impl Renewal {
    /// Going by a header block; nothing where no field of it is said to be signed by us.
    pub async fn of(context: &Context, header: &[u8]) -> Result<Option<Self>, StateError> {
        let author = match author_domain(header) {
            Some(domain) => {
                let claims = dkim::signers(header).into_iter().filter(|claim| claim.domain == domain);
                Owner::of(context, domain.clone(), &claims.collect::<Vec<_>>()).await?
            }
            None => None,
        };
        let sealer = match arc::newest_sealer(header) {
            Some(claim) => Owner::of(context, claim.domain.clone(), &[claim]).await?,
            None => None,
        };
        Ok((author.is_some() || sealer.is_some()).then_some(Self { author, sealer }))
    }

    /// The header block with which the message leaves; nothing where it has nothing of ours that holds.
    pub async fn make(self, context: &Context, message: Converted) -> Result<Option<Vec<u8>>, StateError> {
        let Some(body) = message.after.1.find(BodyMethod::SIGNING).copied() else { return Ok(None) };
        let at = context.requests.platform().clock.utc();
        let owners = [&self.author, &self.sealer].into_iter().flatten();
        let is_slow = owners.flat_map(|owner| &owner.active).any(is_slow);
        let made = run(context, is_slow, move || self.header(&message, &body, at)).await?;
        Ok(made.unwrap_or_else(|(domain, error)| {
            report(context, &domain, &error);
            None
        }))
    }

    fn header(
        &self,
        message: &Converted,
        body: &BodyHash,
        at: UtcTime,
    ) -> Result<Option<Vec<u8>>, (Domain, SigningError)> {
        let before = (&*message.before.0, &message.before.1);
        let mut header = None;
        if let Some(author) = &self.author {
            let message = Encodings { before, after: (&message.after.0, body) };
            let signed = dkim::renew(&message, &author.known(), &author.active(), at);
            header = signed.map_err(|error| (author.domain.clone(), error))?;
        }
        // A set covers the signatures (RFC 8617 §4.1.2).
        if let Some(sealer) = &self.sealer
            && let Some(key) = for_seal(&sealer.active)
        {
            let after = header.as_deref().unwrap_or(&message.after.0);
            let message = Encodings { before, after: (after, body) };
            let sealed = arc::renew(&message, &sealer.known(), &signatory(&sealer.domain, key), at);
            header = sealed.map_err(|error| (sealer.domain.clone(), error))?.or(header);
        }
        Ok(header)
    }
}

impl Owner {
    /// Nothing where none of the claims names a key of the domain.
    async fn of(context: &Context, domain: Domain, claims: &[Claim]) -> Result<Option<Self>, StateError> {
        if claims.is_empty() {
            return Ok(None);
        }
        let keys = context.directory.keys(&domain).await?;
        let is_known = |claim: &Claim| keys.keys().any(|key| key.eq_ignore_ascii_case(&claim.selector));
        if !claims.iter().any(is_known) {
            return Ok(None);
        }
        let active = keys.iter().filter(|(_, key)| key.state == KeyState::Active);
        let (known, active) = (read_keys(context, &domain, &keys), read_keys(context, &domain, active));
        Ok(Some(Self { domain, known, active }))
    }

    fn known(&self) -> Vec<Signatory<'_>> {
        self.known.iter().map(|key| signatory(&self.domain, key)).collect()
    }

    fn active(&self) -> Vec<Signatory<'_>> {
        self.active.iter().map(|key| signatory(&self.domain, key)).collect()
    }
}
