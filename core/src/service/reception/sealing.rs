//! Seals what a stranger has sent and an alias of ours leads to another host: what was found of it is told to the next one, which would find less
//! (RFC 8617 §5.1).
//!
//! A message is sealed once, as it comes, with a key of an alias's domain; where none of them has one that is active it goes on unsealed. What
//! the chain came to is told in `cv=`. A chain that cannot be judged now, for silence of name servers, is left alone: to call it broken would break it.

use std::collections::BTreeSet;

use super::acceptance::reply;
use super::content::ContentFault;
use super::recipients::Recipients;
use super::verification::{self, Finding};
use crate::authn::dkim::{BodyHashes, BodyMethod};
use crate::model::{Address, Domain, Event, Reply};
use crate::queue::Refusal;
use crate::service::{Context, signing};
use crate::state::log::Class;

/// Whether an alias leads to another host.
pub(super) fn is_forwarded(recipients: &Recipients) -> bool {
    alias_domains(recipients).next().is_some()
}

/// The domains of the aliases that do.
fn alias_domains(recipients: &Recipients) -> impl Iterator<Item = &Domain> {
    let forwarded = recipients.values().filter(|addressee| addressee.class == Class::Relay);
    forwarded.filter_map(|addressee| addressee.alias.as_ref()).map(Address::domain)
}

/// How the body of a message is to be hashed that is verified and may be sealed.
pub(super) fn body_methods(context: &Context, header: &[u8]) -> Vec<BodyMethod> {
    let mut methods = verification::body_methods(context, header);
    methods.push(BodyMethod::SIGNING);
    methods
}

/// The fields of a set, to be put in front of all others; empty where none is added.
pub(super) async fn seal(
    context: &Context,
    recipients: &Recipients,
    finding: &Finding,
    hashes: &BodyHashes,
) -> Result<String, Reply> {
    let Some(chain) = finding.chain() else { return Ok(String::new()) };
    for domain in alias_domains(recipients).collect::<BTreeSet<_>>() {
        let sealed = signing::seal(context, domain, &finding.header, hashes, chain, &finding.results).await;
        match sealed {
            Ok(seal) if seal.is_empty() => {}
            Ok(seal) => return Ok(seal),
            Err(error) => {
                let doing = format!("looking for the keys of {domain}");
                context.journal.report(&Event::Trouble { doing, error: error.to_string() });
                return Err(reply(ContentFault::Refusal(Refusal::Store(error.to_string()))));
            }
        }
    }
    Ok(String::new())
}
