//! `live/<ulid>.todo`: what an operator wants done about a message, by whichever node holds it.

use serde::{Deserialize, Serialize};

use super::frame::{self, Data, Encoded};
use crate::model::{Nonce, QueueId, UtcTime};

/// An order. Lies in the folder that every node lists, until it has been carried out or is out of date.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Names it, and its object.
    pub nonce: Nonce,
    /// When it was given.
    pub at: UtcTime,
    /// The message.
    pub queue_id: QueueId,
    /// What is to be done.
    pub action: Action,
}

/// What can be done about a message in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Attempt it now, all its recipients.
    Retry,
    /// Deliver it to nobody any more. No report goes to its sender.
    Cancel,
}

impl Action {
    /// As an operator types it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
        }
    }
}

impl Order {
    /// The object.
    pub fn encode(&self) -> Encoded {
        frame::encode(self, Data::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_decodes_to_what_was_encoded() {
        let nonce = Nonce::draw(UtcTime(5), [1; 10]);
        let queue_id = QueueId::draw(UtcTime(6), [2; 10]);
        for action in [Action::Retry, Action::Cancel] {
            let order = Order { nonce, at: UtcTime(7), queue_id, action };
            assert_eq!(frame::decode::<Order>(&order.encode().payload.to_bytes()).unwrap().header, order);
        }
    }
}
