//! What follows from how attempts ended.

use super::Context;
use crate::model::{Event, Outcome};
use crate::queue::Work;

/// Reports the outcomes, by the recipients' numbers, and tells the queue.
pub async fn settle(context: &Context, work: &Work, outcomes: Vec<(u32, Outcome)>) {
    for (to, outcome) in &outcomes {
        let Some(recipient) = work.recipients.iter().find(|recipient| recipient.to == *to) else { continue };
        context.journal.report(&Event::Attempted {
            queue_id: work.envelope.id,
            recipient: recipient.address.clone(),
            outcome: outcome.clone(),
            attempts: recipient.attempts + 1,
        });
    }
    context.spool.attempted(work, outcomes, None);
}
