//! Operators' orders: those about messages in this node's log are carried out.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Event, Nonce, UtcTime};
use crate::platform::Listed;
use crate::queue::Ordered;
use crate::service::Context;
use crate::state::order::Order;
use crate::state::requests::Purpose;
use crate::state::{frame, layout};

/// Orders that are looked at in one round.
const ORDERS: usize = 1_000;
/// How long an order that nobody can carry out is kept.
const ORDER_LIFE: Duration = Duration::from_hours(24);

/// Orders that have been read.
#[derive(Debug, Default)]
pub(super) struct Orders {
    read: BTreeMap<Nonce, Order>,
}

impl Orders {
    /// Carries out those that this node can. `listed` is all of `live/`.
    pub(super) async fn carry_out(&mut self, context: &Context, orders: &[Nonce], listed: &[Listed]) {
        self.read.retain(|nonce, _| orders.contains(nonce));
        // The store's own clock says what is out of date: nothing else is compared with it.
        let now = listed.iter().map(|object| object.modified).max().unwrap_or(UtcTime(0));
        let is_old = |key: &str| {
            let order = listed.iter().find(|object| object.key == key);
            order.is_some_and(|order| now.since(order.modified) >= ORDER_LIFE)
        };
        for nonce in orders.iter().take(ORDERS) {
            let key = layout::order(*nonce);
            match self.carry_out_one(context, *nonce, &key).await {
                Ok(Ordered::NotHere) if !is_old(&key) => {}
                Err(error) if !is_old(&key) => {
                    context.journal.report(&Event::Trouble { doing: format!("carrying out {key}"), error });
                }
                // If that fails it is carried out again, which changes nothing.
                _ => drop(context.requests.of(Purpose::Administer).delete(&[key]).await),
            }
        }
    }

    async fn carry_out_one(&mut self, context: &Context, nonce: Nonce, key: &str) -> Result<Ordered, String> {
        let order = match self.read.get(&nonce) {
            Some(order) => order.clone(),
            None => {
                let found = context
                    .requests
                    .of(Purpose::Administer)
                    .find(key)
                    .await
                    .map_err(|error| error.to_string())?;
                let Some(object) = found else { return Ok(Ordered::Done) };
                let order = frame::decode::<Order>(&object.bytes).map_err(|error| error.to_string())?.header;
                self.read.insert(nonce, order.clone());
                order
            }
        };
        let (queue_id, action) = (order.queue_id, order.action.name());
        let ordered = context.spool.order(order).await.map_err(|refusal| refusal.to_string())?;
        if ordered == Ordered::Done {
            context.journal.report(&Event::Ordered { queue_id, action });
        }
        Ok(ordered)
    }
}
