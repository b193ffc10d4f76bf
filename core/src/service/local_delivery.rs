//! Carries out the attempts that the queue hands out.

use std::sync::Arc;

use futures::future::FutureExt;
use futures::select_biased;
use futures::stream::{FuturesUnordered, StreamExt};

use super::Context;
use super::settle::{Ended, overdue, settle};
use crate::mailbox::Letter;
use crate::queue::Work;

/// Runs until the queue ends. How many attempts run at a time is the queue's to say.
pub async fn run(context: Arc<Context>) {
    let work = context.spool.work().clone();
    let mut under_way = FuturesUnordered::new();
    loop {
        select_biased! {
            () = under_way.select_next_some() => {}
            next = work.recv().fuse() => match next {
                Ok(next) => under_way.push(attempt(&context, next)),
                Err(_) => return,
            },
        }
    }
}

async fn attempt(context: &Context, work: Work) {
    let mut ended = Vec::with_capacity(work.recipients.len());
    let verdict = work.envelope.verdict.as_ref();
    for recipient in &work.recipients {
        if let Some(outcome) = overdue(&work.envelope, context.requests.platform().clock.utc()) {
            ended.push(Ended { to: recipient.to, outcome, remote: None });
            continue;
        }
        let named = recipient.alias.as_ref().unwrap_or(&recipient.address);
        let letter = Letter {
            envelope: work.envelope.clone(),
            fresh: work.fresh.clone(),
            make_account: recipient.address.is_postmaster(),
            is_suspicious: verdict.is_some_and(|verdict| verdict.is_suspicious_at(named.domain())),
        };
        let outcome = context.mailboxes.deliver(&recipient.address, letter).await;
        ended.push(Ended { to: recipient.to, outcome, remote: None });
    }
    settle(context, &work, ended).await;
}
