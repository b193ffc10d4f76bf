//! What is done now and then: the log that this node writes is rid of what nothing needs any more, and once a day one node sweeps the
//! whole store, and one makes the reports of DMARC.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures::future::{Either, join3, select};
use futures::pin_mut;

use crate::model::{Event, Incarnation};
use crate::queue::compaction::Compaction;
use crate::service::Context;
use crate::service::dmarc_reports;
use crate::service::sweep::sweep_if_due;
use crate::state::requests::Purpose;

/// Pause between looks at the store's clock, of which the node is told without a request of its own.
const LOOK: Duration = Duration::from_mins(1);
/// Pause between compactions.
const COMPACTION: Duration = Duration::from_hours(1);

/// Runs until the node shuts down. What is under way then is left to the next round, of this node or another. Logs that nobody looks after
/// are told of.
pub(super) async fn keep_house(
    context: Arc<Context>,
    shutdown: Receiver<Infallible>,
    unattended: Sender<Incarnation>,
) {
    // A sweep of a large store takes long, and compaction is not to wait for it.
    let work = join3(sweep(&context, &shutdown, &unattended), compact(&context), report(&context));
    let end = shutdown.recv();
    pin_mut!(work, end);
    if let Either::Left(((never, ..), _)) = select(work, end).await {
        match never {}
    }
}

async fn sweep(
    context: &Context,
    shutdown: &Receiver<Infallible>,
    unattended: &Sender<Incarnation>,
) -> Infallible {
    loop {
        context.requests.platform().clock.sleep(LOOK).await;
        let Some(store_now) = context.spool.store_now().await else { continue };
        match sweep_if_due(context, store_now, shutdown).await {
            Ok(swept) => {
                for log in swept.unattended {
                    // Whoever watches ends with the node.
                    let _ = unattended.try_send(log);
                }
            }
            Err(error) => trouble(context, "sweeping the store", error),
        }
    }
}

async fn report(context: &Arc<Context>) -> Infallible {
    match context.config.dmarc_reports.is_on {
        true => Box::pin(dmarc_reports::run(context)).await,
        false => std::future::pending().await,
    }
}

async fn compact(context: &Context) -> Infallible {
    let mut compaction = Compaction::default();
    let requests = context.requests.of(Purpose::Maintain);
    loop {
        requests.platform().clock.sleep(COMPACTION).await;
        if let Err(error) = compaction.round(&requests, &context.spool).await {
            trouble(context, "compacting the log", error);
        }
    }
}

fn trouble(context: &Context, doing: &str, error: impl ToString) {
    context.journal.report(&Event::Trouble { doing: doing.to_owned(), error: error.to_string() });
}
