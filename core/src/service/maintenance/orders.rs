//! Orders: those about messages in this node's log are carried out, and those for every node once by each. A node that begins anew carries
//! out the latter again, which does no harm.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{Event, Nonce, UtcTime};
use crate::platform::Listed;
use crate::queue::Ordered;
use crate::service::Context;
use crate::state::order::Task;
use crate::state::requests::Purpose;
use crate::state::{frame, layout};

/// Orders that are looked at in one round.
const ORDERS: usize = 1_000;
/// How long an order that nobody can carry out is kept.
const ORDER_LIFE: Duration = Duration::from_hours(24);
/// How long one for every node is kept. Each looks at least once a minute; one that cannot reach the store sees it later, or its queue is
/// another's by then.
const HASTENING_LIFE: Duration = Duration::from_mins(10);

/// Orders that have been read.
#[derive(Debug, Default)]
pub(super) struct Orders {
    read: BTreeMap<Nonce, Task>,
    /// Those for every node that this one has carried out.
    done: BTreeSet<Nonce>,
}

impl Orders {
    /// Carries out those that this node can. `listed` is all of `live/`.
    pub(super) async fn carry_out(&mut self, context: &Context, orders: &[Nonce], listed: &[Listed]) {
        self.read.retain(|nonce, _| orders.contains(nonce));
        self.done.retain(|nonce| orders.contains(nonce));
        // The store's own clock says what is out of date: nothing else is compared with it.
        let now = listed.iter().map(|object| object.modified).max().unwrap_or(UtcTime(0));
        for nonce in orders.iter().take(ORDERS) {
            let key = layout::order(*nonce);
            let result = self.carry_out_one(context, *nonce, &key).await;
            let life = match self.read.get(nonce) {
                Some(Task::Domain(_)) => HASTENING_LIFE,
                Some(Task::Message(_)) | None => ORDER_LIFE,
            };
            let object = listed.iter().find(|object| object.key == key);
            let is_old = object.is_some_and(|object| now.since(object.modified) >= life);
            match result {
                Ok(Ordered::NotHere) if !is_old => {}
                Err(error) if !is_old => {
                    context.journal.report(&Event::Trouble { doing: format!("carrying out {key}"), error });
                }
                // If that fails it is carried out again, which changes nothing.
                _ => drop(context.requests.of(Purpose::Administer).delete(&[key]).await),
            }
        }
    }

    /// Whether nothing more is to be done about it; never for one that others may not have seen yet.
    async fn carry_out_one(&mut self, context: &Context, nonce: Nonce, key: &str) -> Result<Ordered, String> {
        let task = match self.read.get(&nonce) {
            Some(task) => task.clone(),
            None => {
                let found = context
                    .requests
                    .of(Purpose::Administer)
                    .find(key)
                    .await
                    .map_err(|error| error.to_string())?;
                let Some(object) = found else { return Ok(Ordered::Done) };
                let task = frame::decode::<Task>(&object.bytes).map_err(|error| error.to_string())?.header;
                self.read.insert(nonce, task.clone());
                task
            }
        };
        match task {
            Task::Message(order) => {
                let (queue_id, action) = (order.queue_id, order.action.name());
                let ordered = context.spool.order(order).await.map_err(|refusal| refusal.to_string())?;
                if ordered == Ordered::Done {
                    context.journal.report(&Event::Ordered { queue_id, action });
                }
                Ok(ordered)
            }
            Task::Domain(_) if self.done.contains(&nonce) => Ok(Ordered::NotHere),
            Task::Domain(hastening) => {
                let hastened = context.spool.hasten(hastening.domain, hastening.with_subdomains).await;
                hastened.map_err(|refusal| refusal.to_string())?;
                self.done.insert(nonce);
                Ok(Ordered::NotHere)
            }
        }
    }
}
