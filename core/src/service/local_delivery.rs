//! Carries out the attempts that the queue hands out.

use std::sync::Arc;

use futures::future::FutureExt;
use futures::select_biased;
use futures::stream::{FuturesUnordered, StreamExt};

use super::Context;
use crate::mailbox::Letter;
use crate::model::{Event, Outcome, Reply};
use crate::queue::Work;
use crate::state::log::Class;

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
    let recipient = &work.recipient;
    let outcome = match recipient.class {
        Class::Local => {
            let letter = Letter {
                envelope: work.envelope.clone(),
                fresh: work.fresh.clone(),
                make_account: recipient.address.is_postmaster(),
            };
            context.mailboxes.deliver(&recipient.address, letter).await
        }
        Class::Relay => {
            Outcome::Deferred(Reply::new(451, (4, 4, 0), "this version does not relay to other hosts yet"))
        }
    };
    context.journal.report(&Event::Attempted {
        queue_id: work.envelope.id,
        recipient: recipient.address.clone(),
        outcome: outcome.clone(),
        attempts: recipient.attempts + 1,
    });
    context.spool.attempted(&work, outcome);
}
