//! What a node asks of the store, counted by what it is asked for: by the node itself, and beside it by whoever stands between
//! the node and its store.

use std::sync::Arc;
use std::time::Duration;

use fulmar_core::state::layout;
use fulmar_core::state::requests::{Purpose, PurposeCounts, RequestCounts};
use fulmar_tests::faults::Verb;
use fulmar_tests::runtime::Runtime;

use super::on_every_runtime;
use super::world::{ALICE, Node, World};

on_every_runtime![every_request_is_counted_once_and_under_its_purpose];

const MESSAGE: &[u8] = b"Subject: metered\r\n\r\nsome text\r\n";
const FAR: &str = "one@other.test";
/// The domain of that.
const OTHER: &str = "other.test";
const GRACE: Duration = Duration::from_secs(10);

/// Whether a request is one of a group, by verb and key.
type Belongs = fn(Verb, &str) -> bool;

/// Purposes whose requests can be told from all others.
const GROUPS: [(&[Purpose], Belongs); 6] = [
    (&[Purpose::Accept], |verb, key| verb == Verb::Put && key.contains("/log/")),
    (&[Purpose::Heartbeat], |verb, key| {
        verb.is_write() && (key.starts_with(layout::LIVE) || key.contains("/own/"))
    }),
    (&[Purpose::Watch], |verb, key| !verb.is_write() && key.starts_with(layout::LIVE)),
    (&[Purpose::Pickup], |_, key| key.starts_with(layout::PICKUP)),
    (&[Purpose::Administer], |_, key| key == layout::FORMAT),
    (&[Purpose::Directory, Purpose::Deliver, Purpose::Read], |_, key| {
        key.starts_with(layout::ACCOUNTS) || key.starts_with(layout::DOMAINS)
    }),
];

async fn every_request_is_counted_once_and_under_its_purpose(runtime: Arc<dyn Runtime>) {
    let mut world = World::new(runtime, |_| ()).await;
    let sink = world.sink(OTHER);
    let mut node = world.start(1).await;
    let stored = octets(&world, layout::ACCOUNTS, "").await;
    let mut sender = world.smtp(&node).await;
    sender.deliver(&[ALICE], MESSAGE).await;
    sender.deliver(&[FAR], MESSAGE).await;
    sender.quit("221 ").await;
    world.until_done().await;
    assert_eq!(sink.taken().len(), 1);
    let sent = counts(&node);
    let mut reader = world.pop3(&node, ALICE).await;
    let retrieved = reader.multi_line("RETR 1").await;
    reader.command("DELE 1", "+OK ").await;
    reader.quit("+OK ").await;
    let read = counts(&node);
    node.shut_down(GRACE).await;
    // A listing may have been on its way.
    world
        .until("every answer", || async {
            counts(&node).total().requests() == seen(&node, |_, _| true).requests()
        })
        .await;
    let counted = counts(&node);

    for (purposes, belongs) in GROUPS {
        let group: RequestCounts = purposes.iter().map(|purpose| without_octets(counted.of(*purpose))).sum();
        assert_eq!(group, seen(&node, belongs), "{purposes:?}");
    }
    let all: RequestCounts = counted.iter().map(|(_, counts)| counts).sum();
    assert_eq!((all, without_octets(all)), (node.engine.statistics().store, seen(&node, |_, _| true)));
    // Mail that is still in memory costs its relay nothing, and one commit to be delivered.
    assert_eq!((sent.of(Purpose::Relay), sent.of(Purpose::Maintain)), Default::default());
    assert_eq!((sent.of(Purpose::Deliver).put, sent.of(Purpose::Directory).put), (1, 0));
    assert!(sent.of(Purpose::Directory).requests() > 0 && sent.of(Purpose::Heartbeat).put > 0, "{sent:?}");
    // A session that reads and deletes: its content, and one commit.
    assert_eq!(sent.of(Purpose::Read), RequestCounts::default());
    assert_eq!((read.of(Purpose::Read).put, read.of(Purpose::Deliver)), (1, sent.of(Purpose::Deliver)));
    assert!(read.of(Purpose::Read).get_bytes >= retrieved.len() as u64, "{read:?}");
    // What was written is there, to the octet.
    assert_eq!(counted.of(Purpose::Accept).put_bytes, octets(&world, layout::SPOOL, "/log/").await);
    let committed = counted.of(Purpose::Deliver).put_bytes + counted.of(Purpose::Read).put_bytes;
    assert_eq!(stored + committed, octets(&world, layout::ACCOUNTS, "").await);
}

fn counts(node: &Node) -> PurposeCounts {
    node.engine.statistics().by_purpose
}

/// What has reached the store.
fn seen(node: &Node, belongs: Belongs) -> RequestCounts {
    let requests = node.faults.requests();
    requests.iter().filter(|(verb, key)| belongs(*verb, key)).map(|(verb, _)| verb.counted()).sum()
}

fn without_octets(counts: RequestCounts) -> RequestCounts {
    RequestCounts { put_bytes: 0, get_bytes: 0, copy_bytes: 0, ..counts }
}

/// Octets of all objects in a folder whose names have this part.
async fn octets(world: &World, folder: &str, part: &str) -> u64 {
    let (keys, objects) = (world.keys(folder).await, world.objects(folder).await);
    let meant = keys.iter().zip(&objects).filter(|(key, _)| key.contains(part));
    meant.map(|(_, object)| object.len() as u64).sum()
}
