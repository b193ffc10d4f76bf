//! Objects that cannot be read, or were written by another version: each is named, and the rest goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use fulmar_core::model::{Incarnation, Nonce, QueueId, UtcTime};
use fulmar_core::platform::{Clock, When};
use fulmar_core::state::frame::{self, Data};
use fulmar_core::state::layout;
use fulmar_core::state::log::{Record, Segment};
use fulmar_core::state::owner::{Claim, Owner};
use futures::future::join_all;

use super::ledger::{self, Answer, Ledger, Letter, assert_all_refused, send};
use super::world::{ACCOUNTS, Ground, HOSTNAME, Node, World, address};

/// How long a node believes what it has found in the directory, and a little more.
const FRESH: Duration = Duration::from_secs(11);
/// How long a heartbeat must stand still that announces nothing which can be read.
const STILL: Duration = Duration::from_mins(3);
const VERSIONS: &str = "format version 9; this program knows version 1";

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Damage {
    /// One bit of the header is flipped.
    Flipped,
    /// Only the beginning is there.
    Cut,
    /// Nothing is there.
    Emptied,
    /// It is of another version.
    Future,
}

impl Damage {
    pub(super) const ALL: [Self; 4] = [Self::Flipped, Self::Cut, Self::Emptied, Self::Future];

    pub(super) fn done_to(self, octets: &Bytes) -> Vec<u8> {
        let mut octets = octets.to_vec();
        match self {
            Self::Flipped => octets[30] ^= 4,
            Self::Cut => octets.truncate(40),
            Self::Emptied => octets.clear(),
            Self::Future => octets[4] = 9,
        }
        octets
    }

    /// What is said of it.
    pub(super) fn words(self) -> &'static str {
        if self == Self::Future { VERSIONS } else { "damaged" }
    }
}

/// Two nodes that are gone, each with entries; what is broken belongs to the first.
struct Dead {
    world: World,
    log: Incarnation,
    ledger: Ledger,
    other: Node,
    other_ledger: Ledger,
}

impl Dead {
    async fn on(ground: &Ground) -> Self {
        let world = ground.world().await;
        // Neither must find the other one gone.
        let (first, ledger) = ledger::suspended_with_entries(&world, 1).await;
        let (other, other_ledger) = ledger::suspended_with_entries(&world, 2).await;
        first.kill();
        other.kill();
        let log = first.incarnations()[0];
        Self { world, log, ledger, other, other_ledger }
    }

    async fn damage(&self, key: &str, damage: Damage) {
        let object = self.world.store.get(key, None).await.unwrap();
        self.world.overwrite(key, damage.done_to(&object.bytes)).await;
    }

    /// Waits until everything that the other node had acknowledged is in its mailboxes, and its log closed.
    async fn until_other_is_done(&self) {
        let ids: Vec<QueueId> = self.other_ledger.iter().map(|(_, answer)| id(answer)).collect();
        let other = self.other.incarnations()[0];
        self.world
            .until("the other's mail", || async {
                let queue = self.world.admin.queue().await.unwrap();
                let is_queued = queue.iter().any(|item| ids.contains(&item.queue_id));
                !is_queued && self.world.is_closed(other).await
            })
            .await;
        let delivered = self.delivered().await;
        assert!(ids.iter().all(|id| delivered.contains(id)));
    }

    async fn delivered(&self) -> BTreeSet<QueueId> {
        let mut delivered = BTreeSet::new();
        for account in ACCOUNTS.into_iter().chain([super::world::POSTMASTER]) {
            let listing = self.world.admin.mailbox(&address(account), "INBOX").await.unwrap();
            let before = delivered.len();
            let ids: BTreeSet<_> = listing.iter().filter_map(|item| item.queue_id).collect();
            assert_eq!(ids.len(), listing.len(), "{account}");
            delivered.extend(ids);
            assert!(delivered.len() >= before);
        }
        delivered
    }
}

fn id(answer: &Answer) -> QueueId {
    match answer {
        Answer::Accepted(id) => *id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_segment_costs_what_is_in_it_and_one_of_another_version_the_whole_log() {
    let ground = Ground::new();
    smol::block_on(join_all(Damage::ALL.map(async |damage| {
        let dead = Dead::on(&ground).await;
        let key = layout::segment(dead.log, 1);
        let lost = accepted_in(&dead.world, &key).await;
        dead.damage(&key, damage).await;
        let next = dead.world.start(3).await;
        dead.until_other_is_done().await;
        dead.world.until("its name", || async { next.has_told(&[&key, damage.words()]) }).await;
        let ids: BTreeSet<QueueId> = dead.ledger.iter().map(|(_, answer)| id(answer)).collect();
        let delivered = dead.delivered().await;
        if damage == Damage::Future {
            assert!(next.has_told(&["adoption_left", &dead.log.to_string(), &key]));
            assert!(!dead.world.is_closed(dead.log).await);
            assert!(dead.world.live().await.contains(&dead.log));
            assert!(delivered.is_disjoint(&ids), "{delivered:?}");
        } else {
            dead.world.until_settled(&[&next]).await;
            let delivered = dead.delivered().await;
            assert!(ids.difference(&lost).all(|id| delivered.contains(id)), "{damage:?}");
            assert!(dead.world.is_closed(dead.log).await);
        }
        next.kill();
    })));
}

#[test]
fn content_that_cannot_be_read_keeps_its_entry_in_the_queue() {
    let ground = Ground::new();
    smol::block_on(async {
        let dead = Dead::on(&ground).await;
        let segments = dead.world.objects(&layout::log(dead.log)).await;
        let holding = |octets: &Bytes| !accepted_by(octets).is_empty();
        let (key, octets) = segments.iter().rfind(|(_, octets)| holding(octets)).unwrap();
        let mut cut = octets.to_vec();
        cut.truncate(cut.len() - 100);
        dead.world.overwrite(key, cut).await;
        let next = dead.world.start(3).await;
        dead.until_other_is_done().await;
        dead.world
            .until("its name", || async { next.has_told(&["attempted", "deferred", "451", key]) })
            .await;
        // Once it is mended, it is delivered.
        dead.world.overwrite(key, octets.clone()).await;
        dead.world.until_settled(&[&next]).await;
        let delivered = dead.delivered().await;
        assert!(dead.ledger.iter().all(|(_, answer)| delivered.contains(&id(answer))));
        next.kill();
    });
}

#[test]
fn a_log_whose_owner_cannot_be_read_is_left_alone() {
    let ground = Ground::new();
    smol::block_on(join_all(Damage::ALL.map(async |damage| {
        let dead = Dead::on(&ground).await;
        let key = layout::owner(dead.log, 1);
        let nonce = Nonce::draw(UtcTime(0), [1; 10]);
        let owner = Owner { nonce, of: dead.log, at: UtcTime(0), claim: Claim::GivenUp, into: None };
        dead.world.overwrite(&key, damage.done_to(&owner.encode().payload.to_bytes())).await;
        let next = dead.world.start(3).await;
        dead.until_other_is_done().await;
        let told = ["adoption_left", &key, damage.words()];
        dead.world.until("its name", || async { next.has_told(&told) }).await;
        let segments = dead.world.objects(&layout::log(dead.log)).await;
        let seals = |octets: &&Bytes| is_seal(octets);
        assert_eq!(segments.values().filter(seals).count(), 0, "{damage:?}");
        next.kill();
    })));
}

#[test]
fn a_node_whose_last_heartbeat_cannot_be_read_is_adopted_from_after_three_minutes() {
    let ground = Ground::new();
    smol::block_on(join_all(Damage::ALL.map(async |damage| {
        let dead = Dead::on(&ground).await;
        let key = layout::beat(dead.log);
        dead.damage(&key, damage).await;
        let next = dead.world.start(3).await;
        dead.until_other_is_done().await;
        assert!(next.has_told(&["object_damaged", &key, damage.words()]));
        let began = dead.world.clock.instant();
        let is_closed = async || {
            let elapsed = dead.world.clock.instant().since(began);
            dead.world.is_closed(dead.log).await || elapsed > STILL * 2
        };
        dead.world.advance_until("its adoption", is_closed).await;
        assert!(dead.world.clock.instant().since(began) > STILL, "{damage:?}");
        if damage == Damage::Future {
            assert!(dead.world.live().await.contains(&dead.log));
        } else {
            dead.world.until_settled(&[&next]).await;
            let delivered = dead.delivered().await;
            assert!(dead.ledger.iter().all(|(_, answer)| delivered.contains(&id(answer))), "{damage:?}");
        }
        next.kill();
    })));
}

#[test]
fn an_account_with_a_commit_that_cannot_be_read_waits_and_the_others_go_on() {
    let ground = Ground::new();
    smol::block_on(join_all(Damage::ALL.map(async |damage| {
        let world = ground.world().await;
        let before = world.start(1).await;
        let mut ledger = send(&before, vec![Letter::new("before", &ACCOUNTS, &ACCOUNTS, 400)]).await;
        world.until_settled(&[&before]).await;
        before.kill();
        let key = layout::numbered(&format!("{}c/", layout::account(&address(ACCOUNTS[0]))), 2);
        let whole = world.store.get(&key, None).await.unwrap().bytes;
        world.overwrite(&key, damage.done_to(&whole)).await;

        let node = world.start(2).await;
        ledger.extend(send(&node, vec![Letter::new("amid", &ACCOUNTS, &ACCOUNTS, 400)]).await);
        assert_eq!(ledger::accepted(&ledger), 2, "{damage:?}");
        let told = ["attempted", "deferred", "451", &key, damage.words()];
        world.until("its name", || async { node.has_told(&told) }).await;
        world.until("the others' mail", || async { node.engine.statistics().delivered >= 2 }).await;
        world.overwrite(&key, whole).await;
        world.until_settled(&[&node]).await;
        ledger::check(&world, &ledger, &format!("{damage:?}")).await;
        node.kill();
    })));
}

#[test]
fn nobody_is_denied_because_of_an_account_or_domain_that_cannot_be_read() {
    let ground = Ground::new();
    let first_of = |folder: String| layout::numbered(&format!("{folder}c/"), 1);
    let account = first_of(layout::account(&address(ACCOUNTS[0])));
    let domain = first_of(layout::domain(address(ACCOUNTS[0]).domain()));
    for key in [account, domain] {
        smol::block_on(join_all(Damage::ALL.map(async |damage| {
            let world = ground.world().await;
            let whole = world.store.get(&key, None).await.unwrap().bytes;
            world.overwrite(&key, damage.done_to(&whole)).await;
            let node = world.start(1).await;
            let mut ledger = send(&node, vec![Letter::small("amid")]).await;
            assert_all_refused(&ledger, "451");
            assert!(node.has_told(&["trouble", &key, damage.words()]), "{damage:?} {key}");
            let postmaster = Letter::new("beside", &["Postmaster"], &[super::world::POSTMASTER], 300);
            ledger.extend(send(&node, vec![postmaster]).await);
            if key.starts_with(layout::ACCOUNTS) {
                let bob = Letter::new("bob", &ACCOUNTS[1..2], &ACCOUNTS[1..2], 300);
                ledger.extend(send(&node, vec![bob]).await);
            }
            assert_eq!(ledger::accepted(&ledger), ledger.len() - 1);
            world.overwrite(&key, whole).await;
            world.clock.advance(FRESH);
            ledger.extend(send(&node, vec![Letter::small("mended")]).await);
            assert!(matches!(ledger.last(), Some((_, Answer::Accepted(_)))), "{damage:?} {key}");
            world.until_settled(&[&node]).await;
            ledger::check(&world, &ledger, &format!("{damage:?}")).await;
            node.kill();
        })));
    }
}

#[test]
fn a_damaged_snapshot_costs_time_and_one_of_another_version_makes_its_account_wait() {
    let ground = Ground::new();
    smol::block_on(join_all(Damage::ALL.map(async |damage| {
        let world = ground.world().await;
        let before = world.start(1).await;
        let mut ledger = Ledger::new();
        // Each message has gone into a commit of its own before the next one comes.
        for n in 0..70 {
            ledger.extend(send(&before, vec![Letter::small(format!("before {n}"))]).await);
            world.until("its delivery", || async { before.engine.statistics().delivered > n }).await;
        }
        world.until_settled(&[&before]).await;
        before.kill();
        let folder = format!("{}snap/", layout::account(&address(ACCOUNTS[0])));
        let (key, whole) = world.objects(&folder).await.pop_last().unwrap();
        world.overwrite(&key, damage.done_to(&whole)).await;

        let node = world.start(2).await;
        ledger.extend(send(&node, vec![Letter::new("bob", &ACCOUNTS[1..2], &ACCOUNTS[1..2], 300)]).await);
        ledger.extend(send(&node, vec![Letter::small("amid")]).await);
        world.until("its name", || async { node.has_told(&[&key, damage.words()]) }).await;
        if damage == Damage::Future {
            assert!(matches!(ledger.pop(), Some((_, Answer::Refused(reply))) if reply.starts_with("451")));
            world.overwrite(&key, whole).await;
            ledger.extend(send(&node, vec![Letter::small("mended")]).await);
        }
        assert_eq!(ledger::accepted(&ledger), ledger.len(), "{damage:?}");
        world.until_settled(&[&node]).await;
        ledger::check(&world, &ledger, &format!("{damage:?}")).await;
        node.kill();
    })));
}

#[test]
fn a_store_of_another_layout_is_refused_by_name() {
    #[derive(serde::Serialize)]
    struct Format {
        nonce: Nonce,
        layout: u32,
    }
    let ground = Ground::new();
    let header = Format { nonce: Nonce::draw(UtcTime(0), [1; 10]), layout: 2 };
    let layout_2 = frame::encode(&header, Data::default()).payload.to_bytes();
    smol::block_on(async {
        for (octets, words) in [
            (layout_2.to_vec(), "layout 2; this program knows layout 1"),
            (Damage::Future.done_to(&layout_2), VERSIONS),
            (Damage::Cut.done_to(&layout_2), "damaged"),
            (b"something of somebody else's".to_vec(), "not an object of Fulmar's"),
        ] {
            let world = ground.world().await;
            world.overwrite(layout::FORMAT, octets).await;
            let error = world.try_start(1, |_| ()).await.err().unwrap().to_string();
            assert!(error.contains("`format`") && error.contains(words), "{error}");
        }
    });
}

#[test]
fn objects_that_mean_nothing_are_passed_by() {
    let ground = Ground::new();
    smol::block_on(async {
        let dead = Dead::on(&ground).await;
        let spool = layout::spool(dead.log);
        let foreign = Incarnation::draw(UtcTime(7), [7; 10]);
        let mut junk = vec![
            "junk".to_owned(),
            "format.old".to_owned(),
            "live".to_owned(),
            "live/.beat".to_owned(),
            format!("live/{foreign}.beat.old"),
            "probe/junk".to_owned(),
            "check/junk".to_owned(),
            "spool".to_owned(),
            "live/junk".to_owned(),
            "live/junk.beat".to_owned(),
            "live/a/b.beat".to_owned(),
            format!("live/{foreign}.todo"),
            "spool/junk".to_owned(),
            "spool/ab/junk/log/0000000000000000".to_owned(),
            format!("{spool}junk"),
            format!("{spool}log/junk"),
            format!("{spool}log/ffffffffffffffff"),
            format!("{spool}own/junk"),
            format!("{spool}ck/junk"),
            "account/junk".to_owned(),
            "account/ab/junk/c/0000000000000001".to_owned(),
            format!("{}junk", layout::account(&address(ACCOUNTS[0]))),
            format!("{}body/junk", layout::account(&address(ACCOUNTS[0]))),
            format!("{}c/junk", layout::account(&address(ACCOUNTS[0]))),
            format!("{}snap/junk", layout::account(&address(ACCOUNTS[0]))),
            "domain/junk".to_owned(),
            "junk/junk".to_owned(),
        ];
        // More than a page of what lies in no account's folder.
        junk.extend((0..1_100).map(|n| format!("account/zz{n:05}")));
        for key in junk {
            dead.world.store.put(&key, Bytes::from("junk").into(), When::Always).await.unwrap();
        }
        let next = dead.world.start(3).await;
        dead.until_other_is_done().await;
        dead.world.until_settled(&[&next]).await;
        let delivered = dead.delivered().await;
        assert!(dead.ledger.iter().all(|(_, answer)| delivered.contains(&id(answer))));
        let accounts = dead.world.admin.accounts().await.unwrap();
        assert_eq!(accounts.len(), ACCOUNTS.len() + 1, "{accounts:?}");
        let domains = dead.world.admin.domains().await.unwrap();
        assert_eq!(domains.len(), 1, "{domains:?} at {HOSTNAME}");
        next.kill();
    });
}

async fn accepted_in(world: &World, key: &str) -> BTreeSet<QueueId> {
    accepted_by(&world.store.get(key, None).await.unwrap().bytes)
}

fn accepted_by(octets: &Bytes) -> BTreeSet<QueueId> {
    let records = Segment::decode(octets).map(|segment| segment.records).unwrap_or_default();
    let accepted = records.iter().filter_map(|record| match record {
        Record::Accept(entry) => Some(entry.envelope.id),
        _ => None,
    });
    accepted.collect()
}

fn is_seal(octets: &Bytes) -> bool {
    let records = Segment::decode(octets).map(|segment| segment.records).unwrap_or_default();
    records.iter().any(|record| matches!(record, Record::Seal { .. }))
}
