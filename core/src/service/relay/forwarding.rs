//! Under which reverse-path a message is sent on.
//!
//! What an alias of ours leads to another host's domain goes under an address of the alias's domain where the message has the reverse-path of
//! a stranger ([`srs`]). A null reverse-path stays null, and one of a domain of ours stays what it is: that domain names us. So does all
//! that goes to a domain of ours which another host serves, since that host takes its mail from us.
//!
//! The address is made anew for each attempt, so that it is not older than that, and is written down nowhere: the entry keeps the original one, to
//! which our own reports go. Where it cannot be made because the store is away, nothing is sent: under the original reverse-path the mail
//! might be refused for good.

use std::collections::BTreeMap;

use crate::authn::srs;
use crate::model::{Address, Domain, Event, Outcome, Reply, ReversePath};
use crate::queue::Work;
use crate::service::Context;
use crate::state::StateError;

/// The reverse-paths that are not the message's own, by the index of their recipient, or what becomes of the recipient for want of one.
pub(super) async fn reverse_paths(
    context: &Context,
    work: &Work,
) -> Vec<(usize, Result<ReversePath, Outcome>)> {
    let ReversePath::Address(original) = &work.envelope.reverse_path else { return Vec::new() };
    if !context.config.forwarding.rewrites {
        return Vec::new();
    }
    let mut by_domain: BTreeMap<Domain, Result<ReversePath, Outcome>> = BTreeMap::new();
    let mut found = Vec::new();
    for (index, recipient) in work.recipients.iter().enumerate() {
        let Some(alias) = &recipient.alias else { continue };
        let at = alias.domain();
        let rewritten = match (is_away(context, original, &recipient.address).await, by_domain.get(at)) {
            (Ok(false), _) => continue,
            (Ok(true), Some(known)) => known.clone(),
            (Ok(true), None) => {
                let rewritten = rewrite(context, original, at).await;
                by_domain.insert(at.clone(), rewritten.clone());
                rewritten
            }
            (Err(error), _) => Err(defer(context, at, &error)),
        };
        found.push((index, rewritten));
    }
    found
}

/// Whether mail from here to there only passes by.
async fn is_away(context: &Context, from: &Address, to: &Address) -> Result<bool, StateError> {
    let directory = &context.directory;
    Ok(!directory.is_local(to.domain()).await? && !directory.is_local(from.domain()).await?)
}

async fn rewrite(context: &Context, original: &Address, at: &Domain) -> Result<ReversePath, Outcome> {
    let key = match context.directory.srs_key(at).await {
        Ok(Some(key)) => key,
        // The postmaster of this host, whose name is no domain of ours: no report would come back.
        Ok(None) => return Ok(ReversePath::Address(original.clone())),
        Err(error) => return Err(defer(context, at, &error)),
    };
    let rewritten = srs::rewrite(original, at, &key, context.requests.platform().clock.utc());
    rewritten.map(ReversePath::Address).map_err(|error| {
        let text = format!("<{original}> cannot be rewritten to an address at {at}: {error}");
        // RFC 3463 §3.2: bad sender's mailbox address syntax.
        Outcome::Failed(Reply::new(553, (5, 1, 7), text))
    })
}

fn defer(context: &Context, at: &Domain, error: &StateError) -> Outcome {
    let doing = format!("rewriting a reverse-path at {at}");
    context.journal.report(&Event::Trouble { doing, error: error.to_string() });
    Outcome::Deferred(Reply::new(451, (4, 3, 0), "storage is not available to rewrite the reverse-path"))
}
