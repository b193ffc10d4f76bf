//! `live/<ulid>.todo`: what is to be done about mail by whichever nodes hold it.

use std::time::Duration;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::frame::{self, Data, Encoded};
use crate::model::{Domain, Nonce, QueueId, UtcTime};

/// Within so long, what is asked for again for the same domain has been asked for already. There is one object for it.
const SLOT: Duration = Duration::from_mins(1);

/// What the object says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Task {
    /// For the one node that holds a message.
    Message(Order),
    /// For every node.
    Domain(Hastening),
}

/// What an operator wants done about a message. Lies in the folder that every node lists, until it has been carried out or is out of date.
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

/// That what waits for the hosts of a domain is attempted now (ETRN, RFC 1985 §5). Lies there until every node has had time to see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hastening {
    /// Names it, and its object.
    pub nonce: Nonce,
    /// When it was asked for, less up to a minute.
    pub at: UtcTime,
    /// The domain.
    pub domain: Domain,
    /// Whether those below it are meant as well.
    pub with_subdomains: bool,
}

impl Hastening {
    /// Of that time. The name says what it is about, so that nobody can fill the folder by asking for the same again and again.
    pub fn new(domain: Domain, with_subdomains: bool, now: UtcTime) -> Self {
        let slot = SLOT.as_millis() as u64;
        let at = UtcTime(now.0 - now.0 % slot);
        let about = digest(&SHA256, format!("{domain} {with_subdomains}").as_bytes());
        let mut entropy = [0; 10];
        entropy.iter_mut().zip(about.as_ref()).for_each(|(octet, drawn)| *octet = *drawn);
        Self { nonce: Nonce::draw(at, entropy), at, domain, with_subdomains }
    }
}

impl Task {
    /// The object.
    pub fn encode(&self) -> Encoded {
        frame::encode(self, Data::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(task: Task) {
        assert_eq!(frame::decode::<Task>(&task.encode().payload.to_bytes()).unwrap().header, task);
    }

    #[test]
    fn an_order_decodes_to_what_was_encoded() {
        let nonce = Nonce::draw(UtcTime(5), [1; 10]);
        let queue_id = QueueId::draw(UtcTime(6), [2; 10]);
        for action in [Action::Retry, Action::Cancel] {
            check(Task::Message(Order { nonce, at: UtcTime(7), queue_id, action }));
        }
        check(Task::Domain(Hastening::new(Domain::parse("x.test").unwrap(), true, UtcTime(7))));
    }

    #[test]
    fn what_is_asked_for_again_within_a_minute_is_the_same() {
        let of = |domain, with_subdomains, seconds: u64| {
            Hastening::new(Domain::parse(domain).unwrap(), with_subdomains, UtcTime(seconds * 1_000))
        };
        assert_eq!(of("x.test", false, 60), of("X.test", false, 119));
        for other in [of("x.test", false, 120), of("y.test", false, 60), of("x.test", true, 60)] {
            assert_ne!(of("x.test", false, 60).nonce, other.nonce);
        }
    }
}
