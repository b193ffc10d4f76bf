//! What is done every hour: the log that this node writes is rid of what nothing needs any more.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_channel::Receiver;
use futures::future::{Either, select};
use futures::pin_mut;

use crate::model::Event;
use crate::queue::compaction::Compaction;
use crate::service::Context;

/// Pause between rounds.
const ROUND: Duration = Duration::from_hours(1);

/// Runs until the node shuts down. What is under way then is left to the next round, of this node or another.
pub async fn keep_house(context: Arc<Context>, shutdown: Receiver<Infallible>) {
    let clock = context.requests.platform().clock.clone();
    let mut compaction = Compaction::default();
    loop {
        let (rest, end) = (clock.sleep_until(clock.instant() + ROUND), shutdown.recv());
        pin_mut!(rest, end);
        if let Either::Right(_) = select(rest, end).await {
            return;
        }
        let (work, end) = (compaction.round(&context.requests, &context.spool), shutdown.recv());
        pin_mut!(work, end);
        match select(work, end).await {
            Either::Left((Ok(_), _)) => {}
            Either::Left((Err(error), _)) => {
                let (doing, error) = ("compacting the log".to_owned(), error.to_string());
                context.journal.report(&Event::Trouble { doing, error });
            }
            Either::Right(_) => return,
        }
    }
}
