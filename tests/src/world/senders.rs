//! Those who send: clients of SMTP, and nodes that come for one message.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::client::Client;
use super::crew::{Crew, machine_name};
use super::history::{Answer, Fact, Node, Offer, Place, Turn};
use super::plan::Message;

/// Pause of a client before it tries again; it doubles up to the limit.
const CLIENT_PAUSE: Duration = Duration::from_secs(3);
const CLIENT_PAUSE_LIMIT: Duration = Duration::from_mins(2);
/// Places of nodes that send one message and end.
pub const SENDERS: Place = 1_000;
/// How long such a node has to end.
const SENDER_GRACE: Duration = Duration::from_secs(20);

/// A client that goes from one machine to the next until it is told that its message was taken, or never will be.
pub async fn send_by_smtp(crew: &Arc<Crew>, number: usize, message: Arc<Message>, content: Arc<Vec<u8>>) {
    let simulator = &crew.simulator;
    let net = crew.simulation.outside(&crew.zone).net;
    let client = Client { simulator: simulator.clone(), message: message.clone(), content };
    let mut pause = CLIENT_PAUSE;
    for attempt in 0.. {
        let place = (message.place.unwrap_or(0) + attempt as usize) % crew.plan.machines.len();
        let (server, _) = crew.addresses(place);
        let made = client.attempt(&*net, server, attempt < message.cuts).await;
        let is_last = !matches!(made.answer, Answer::Later(_));
        let offer = Offer { number, attempt, place, is_whole: made.is_whole, answer: made.answer };
        crew.recorder.record(Fact::Offered(offer));
        if is_last {
            return;
        }
        let spread = simulator.between(Duration::ZERO, pause);
        simulator.sleep(pause + spread).await;
        pause = (pause * 2).min(CLIENT_PAUSE_LIMIT);
    }
}

/// `fulmar send`: a node of its own, which commits the message and releases it.
pub async fn send_by_node(crew: &Arc<Crew>, number: usize, message: &Message, content: &[u8]) {
    let node = Node { place: SENDERS + number, life: 1 };
    let machine = crew.simulation.machine(&machine_name(node.place), &crew.zone);
    let (theirs, sender) = (crew.clone(), machine.clone());
    let (reverse_path, recipients) = (message.reverse_path.clone(), message.recipients.clone());
    let content = Bytes::copy_from_slice(content);
    let sent = machine.run(async move {
        let engine = theirs.visitor(&sender, node).await;
        theirs.recorder.record(Fact::Life(node, Turn::Started));
        let sent = engine.send(reverse_path, recipients, content).await;
        let answer = match sent {
            Ok(queue_id) => Answer::Taken(queue_id),
            Err(reply) if reply.code >= 500 => Answer::Refused(reply.to_string()),
            Err(reply) => Answer::Later(reply.to_string()),
        };
        let offer = Offer { number, attempt: 0, place: node.place, is_whole: true, answer };
        theirs.recorder.record(Fact::Offered(offer));
        engine.shutdown(SENDER_GRACE).await;
    });
    sent.await;
    machine.kill();
    crew.recorder.record(Fact::Life(node, Turn::Stopped));
}
