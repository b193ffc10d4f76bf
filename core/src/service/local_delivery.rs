//! Carries out the attempts that the queue hands out.

use std::sync::Arc;

use futures::future::FutureExt;
use futures::select_biased;
use futures::stream::{FuturesUnordered, StreamExt};

use super::Context;
use super::dmarc_reports::{is_inbox, receive};
use super::settle::{Ended, overdue, settle};
use crate::mailbox::Letter;
use crate::model::{Outcome, Reply};
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
    // A report is kept before it is delivered; where it cannot be, both are tried again.
    let unkept = match work.recipients.iter().any(|recipient| is_inbox(context, recipient)) {
        true => receive(context, &work).await.err(),
        false => None,
    };
    for recipient in &work.recipients {
        if let Some(outcome) = overdue(&work.envelope, context.requests.platform().clock.utc()) {
            ended.push(Ended { to: recipient.to, outcome, remote: None });
            continue;
        }
        let named = recipient.alias.as_ref().unwrap_or(&recipient.address);
        if let Some(error) = unkept.as_ref().filter(|_| is_inbox(context, recipient)) {
            let text = format!("a report cannot be stored: {error}");
            let outcome = Outcome::Deferred(Reply::new(451, (4, 3, 0), text));
            ended.push(Ended { to: recipient.to, outcome, remote: None });
            continue;
        }
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
