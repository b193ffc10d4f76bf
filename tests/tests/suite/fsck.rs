//! `fulmar fsck`: that it finds what is wrong and nothing else, and deletes what is not needed and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use fulmar_core::admin::{Admin, Audit, Finding, Found};
use fulmar_core::model::{Incarnation, RecipientOptions};
use fulmar_core::state::frame::Data;
use fulmar_core::state::layout;
use fulmar_core::state::log::{Body, Class, Entry, Envelope, Recipient, Record, Segment};
use fulmar_core::state::owner::{Claim, Owner};
use fulmar_tests::sim::run;
use futures::join;

use crate::collection::spool::Spool;
use crate::collection::world::{DAY, World, account, folder};

async fn audit(admin: &Admin, repair: bool) -> (Audit, Vec<Found>) {
    let mut all = Vec::new();
    let audit = admin.fsck(repair, &mut |found| all.push(found.clone())).await.unwrap();
    (audit, all)
}

/// An account of 70 messages and one large one, and a log with one more, which lies in pieces.
async fn prepare(world: &World) -> Incarnation {
    let node = world.node();
    node.deliver(world.letter("large", true).await).await;
    node.deliver_some(world, "some", 70).await;
    let envelope: Arc<Envelope> = world.letter("queued", true).await.envelope;
    let Body::Pieces(pieces) = &envelope.content.body else { panic!("{envelope:?}") };
    let log = pieces.inc;
    let recipient = Recipient {
        to: 0,
        address: account(),
        alias: None,
        class: Class::Local,
        attempts: 0,
        next: world.utc(),
        last_reply: None,
        options: RecipientOptions::default(),
    };
    let records = vec![Record::Accept(Entry { envelope: envelope.clone(), recipients: vec![recipient] })];
    let segment = Segment { inc: log, seq: 0, nonce: world.nonce(), at: world.utc(), records };
    let mut payload = segment.encode(Data::default()).payload;
    payload.push(Bytes::from(vec![b'x'; envelope.content.header.extent.len as usize]));
    world.put(&layout::segment(log, 0), payload).await;
    log
}

#[test]
fn a_sound_store_is_found_sound_and_left_as_it_is() {
    run(1, async |simulator| {
        let world = World::new(simulator);
        prepare(&world).await;
        let before = world.keys("").await;
        for repair in [false, true] {
            let (audit, found) = audit(&world.admin(), repair).await;
            assert_eq!(found, []);
            assert!(audit.is_sound());
            assert_eq!(audit.total.objects, before.len() as u64);
            assert_eq!(world.keys("").await, before);
        }
    });
}

/// Does some harm to a store, and says which key is found to have what.
type Harm = for<'a> fn(&'a World, Incarnation) -> futures::future::BoxFuture<'a, (Finding, String)>;

#[test]
fn whatever_is_missing_or_damaged_or_foreign_is_named() {
    let delete: Harm = |world, _| {
        Box::pin(async move {
            let key = layout::numbered(&layout::commits(&folder()), 7);
            world.delete(&key).await;
            (Finding::Dangling, key)
        })
    };
    let hole: Harm = |world, _| {
        Box::pin(async move {
            let key = layout::numbered(&layout::commits(&folder()), 67);
            world.delete(&key).await;
            (Finding::Dangling, key)
        })
    };
    let damage: Harm = |world, _| {
        Box::pin(async move {
            let key = layout::numbered(&layout::commits(&folder()), 9);
            let mut octets = world.get(&key).await.to_vec();
            octets[20] ^= 1;
            world.put(&key, Bytes::from(octets)).await;
            (Finding::Damaged, key)
        })
    };
    let exchange: Harm = |world, _| {
        Box::pin(async move {
            let key = layout::numbered(&layout::commits(&folder()), 68);
            let other = world.get(&layout::numbered(&layout::commits(&folder()), 69)).await;
            world.put(&key, other).await;
            (Finding::Damaged, key)
        })
    };
    let piece: Harm = |world, _| {
        Box::pin(async move {
            let key = world.keys(&format!("{}body/", folder())).await.remove(0);
            world.put(&key, Bytes::from_static(b"short")).await;
            (Finding::Dangling, key)
        })
    };
    let queued: Harm = |world, log| {
        Box::pin(async move {
            let key = world.keys(&format!("{}body/", layout::spool(log))).await.remove(0);
            world.delete(&key).await;
            (Finding::Dangling, key)
        })
    };
    let version: Harm = |world, log| {
        Box::pin(async move {
            let key = layout::segment(log, 0);
            let mut octets = world.get(&key).await.to_vec();
            octets[4] = 9;
            world.put(&key, Bytes::from(octets)).await;
            (Finding::Damaged, key)
        })
    };
    let foreign: Harm = |world, log| {
        Box::pin(async move {
            let key = layout::log(log) + "readme";
            world.put(&key, Bytes::from_static(b"hello")).await;
            (Finding::Foreign, key)
        })
    };
    let nowhere: Harm = |world, log| {
        Box::pin(async move {
            let into = world.incarnation();
            let claim = Claim::Closed;
            let link = Owner { nonce: world.nonce(), of: log, at: world.utc(), claim, into: Some(into) };
            world.put(&layout::owner(log, 1), link.encode().payload).await;
            (Finding::Dangling, layout::spool(into))
        })
    };
    let harms = [delete, hole, damage, exchange, piece, queued, version, foreign, nowhere];
    for (number, harm) in harms.into_iter().enumerate() {
        run(number as u64, async |simulator| {
            let world = World::new(simulator);
            let log = prepare(&world).await;
            let (finding, key) = harm(&world, log).await;
            let before = world.keys("").await;
            let (audit, found) = audit(&world.admin(), true).await;
            let found: Vec<_> = found.into_iter().map(|found| (found.finding, found.key)).collect();
            assert_eq!(found, [(finding, key)], "harm {number}");
            assert_eq!(audit.is_sound(), finding == Finding::Foreign);
            assert_eq!(world.keys("").await, before);
        });
    }
}

#[test]
fn a_repair_deletes_what_is_unreachable_and_nothing_else() {
    run(3, async |simulator| {
        let world = World::new(simulator);
        let node = world.node();
        node.deliver_some(&world, "first", 70).await;
        node.deliver(world.letter("large", true).await).await;
        node.expunge((1..=60).collect()).await;
        node.deliver_some(&world, "second", 70).await;
        world.orphan().await;
        let spool = Spool::ended(&world).await;
        world.sleep(DAY).await;
        let young = world.orphan().await;
        let inbox = world.node().inbox().await;

        let before: BTreeSet<String> = world.keys("").await.into_iter().collect();
        let (told, found) = audit(&world.admin(), false).await;
        assert_eq!(world.keys("").await.into_iter().collect::<BTreeSet<_>>(), before);
        assert!(told.is_sound() && told.unreachable.objects > 60 && told.fences == 1, "{told:?}");
        assert!(found.iter().any(|found| found.finding == Finding::Waiting && found.key == young));

        let (repaired, _) = audit(&world.admin(), true).await;
        assert_eq!(repaired.deleted, told.unreachable);
        let unreachable = found.iter().filter(|found| found.finding == Finding::Unreachable);
        let unreachable: Vec<&str> = unreachable.map(|found| found.key.as_str()).collect();
        let after: BTreeSet<String> = world.keys("").await.into_iter().collect();
        for gone in before.difference(&after) {
            assert!(unreachable.iter().any(|key| gone.starts_with(key)), "{gone}");
        }
        // The fence.
        assert_eq!(after.difference(&before).count(), 1);
        let (again, _) = audit(&world.admin(), false).await;
        assert_eq!(again.unreachable.objects, 0);
        assert_eq!(world.node().inbox().await, inbox);
        spool.expect_open_untouched(&world).await;
    });
}

#[test]
fn an_audit_beside_nodes_that_write_and_collect_calls_nothing_missing() {
    for seed in 0..5 {
        run(seed, async |simulator| {
            let world = World::new(simulator);
            let (node, sweeper) = (world.node(), world.node());
            node.deliver_some(&world, "first", 70).await;
            node.deliver(world.letter("large", true).await).await;
            node.expunge((1..=60).collect()).await;
            node.deliver_some(&world, "second", 70).await;
            world.sleep(DAY * 2).await;
            let writing = async {
                node.deliver_some(&world, "third", 50).await;
                node.deliver(world.letter("larger", true).await).await;
                node.expunge(vec![61, 62, 71]).await;
            };
            let admin = world.admin();
            let auditing = async {
                for repair in [false, true, false] {
                    let (audit, found) = audit(&admin, repair).await;
                    assert!(audit.is_sound(), "{found:?}");
                }
            };
            join!(writing, sweeper.sweep(&world), auditing);
            assert_eq!(world.node().texts().await.len(), 10 + 70 + 50 + 1 - 2);
        });
    }
}
