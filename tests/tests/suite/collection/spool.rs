//! What goes from the folders of logs that ended, and what stays.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use fulmar_core::model::{BodyId, Domain, Incarnation};
use fulmar_core::platform::ProcessIdentity;
use fulmar_core::state::beat::Beat;
use fulmar_core::state::frame::Data;
use fulmar_core::state::layout;
use fulmar_core::state::log::{Checkpoint, Live, Record, Segment};
use fulmar_core::state::owner::{Claim, Owner};
use fulmar_tests::sim::run;

use super::world::{DAY, HOUR, World};

/// Logs of all kinds, with something in every part of their folders.
pub(crate) struct Spool {
    open: Incarnation,
    /// Closed into no log.
    empty: Incarnation,
    /// Closed into `empty`.
    into_empty: Incarnation,
    /// Closed into `open`.
    into_open: Incarnation,
    /// Closed into `open`, and ended.
    ended: Incarnation,
    /// Closed into `ended`.
    into_ended: Incarnation,
}

/// One link after another.
type Links<'a> = &'a [(Claim, Option<Incarnation>)];

impl Spool {
    /// The logs, ended just now.
    pub(crate) async fn ended(world: &World) -> Self {
        let [open, empty, into_empty, into_open, ended, into_ended] = [(); 6].map(|()| world.incarnation());
        let beat = Beat {
            inc: open,
            seq: 1,
            interval: 60,
            next_due: None,
            hostname: Domain::parse("mx.test").unwrap(),
            process: ProcessIdentity::default(),
            queued: 0,
        };
        world.put(&layout::beat(open), beat.encode().payload).await;
        let by = Claim::By(open);
        let logs: [(Incarnation, Links<'_>); 6] = [
            (open, &[]),
            (empty, &[(Claim::Closed, None)]),
            (into_empty, &[(by, None), (Claim::Closed, Some(empty))]),
            (into_open, &[(by, None), (Claim::GivenUp, None), (by, None), (Claim::Closed, Some(open))]),
            (ended, &[(by, None), (Claim::Closed, Some(open)), (Claim::Ended, None)]),
            (into_ended, &[(by, None), (Claim::Closed, Some(ended))]),
        ];
        for (log, links) in logs {
            write_log(world, log).await;
            write_links(world, log, links).await;
        }
        Self { open, empty, into_empty, into_open, ended, into_ended }
    }

    /// Entries of the open log may have content in these.
    pub(crate) async fn expect_open_untouched(&self, world: &World) {
        for (log, links) in [(self.open, 0), (self.into_open, 4), (self.into_ended, 2)] {
            assert_eq!(world.keys(&layout::spool(log)).await.len(), OBJECTS + links);
        }
    }

    /// Days later.
    pub(crate) async fn expect_collected(&self, world: &World) {
        self.expect_open_untouched(world).await;
        for log in [self.empty, self.into_empty] {
            assert_eq!(world.keys(&layout::spool(log)).await, [""; 0]);
        }
        // Its links stay as long as others lead to it.
        assert_eq!(
            world.keys(&layout::spool(self.ended)).await,
            world.keys(&layout::owners(self.ended)).await
        );
        assert_eq!(world.keys(&layout::spool(self.ended)).await.len(), 3);
    }
}

/// Objects of a log here, but for its links.
const OBJECTS: usize = 2 + 2 + 1 + 2;

async fn write_log(world: &World, log: Incarnation) {
    let at = world.utc();
    let seal = Record::Seal { by: log, epoch: 1 };
    for (number, records) in
        [(0, vec![]), (1, vec![Record::Close {}]), (2, vec![seal.clone()]), (3, vec![seal])]
    {
        let segment = Segment { inc: log, seq: number, nonce: world.nonce(), at, records };
        world.put(&layout::segment(log, number), segment.encode(Data::default()).payload).await;
    }
    let checkpoint = Checkpoint { inc: log, covers: 1, nonce: world.nonce(), live: Live::default() };
    world.put(&layout::checkpoint(log, 1), checkpoint.encode().payload).await;
    let body = BodyId::draw(at, [7; 10]);
    for piece in 0..2 {
        world.put(&layout::spool_piece(log, body, piece), Bytes::from_static(b"piece")).await;
    }
}

async fn write_links(world: &World, of: Incarnation, links: Links<'_>) {
    for ((claim, into), epoch) in links.iter().zip(1..) {
        let link = Owner { nonce: world.nonce(), of, at: world.utc(), claim: *claim, into: *into };
        world.put(&layout::owner(of, epoch), link.encode().payload).await;
    }
}

#[test]
fn folders_go_a_day_after_nothing_lives_in_them_and_links_go_last() {
    run(1, async |simulator| {
        let world = World::new(simulator);
        let node = world.node();
        let spool = Spool::ended(&world).await;
        // It is a few minutes past midnight. After 23 hours it is the same day still, which has been swept.
        for (hours, left, links) in [(0, OBJECTS, 2), (23, OBJECTS, 2), (24, 0, 2), (24, 0, 0)] {
            world.sleep(HOUR * hours).await;
            node.sweep(&world).await;
            let keys = world.keys(&layout::spool(spool.into_empty)).await;
            assert_eq!(keys.len(), left + links, "{keys:?}");
            spool.expect_open_untouched(&world).await;
        }
        world.sleep(DAY).await;
        node.sweep(&world).await;
        spool.expect_collected(&world).await;
        // What led to it is over at last.
        write_links_after(&world, spool.into_ended, 3, Claim::Ended).await;
        for _ in 0..4 {
            world.sleep(DAY).await;
            node.sweep(&world).await;
        }
        for log in [spool.ended, spool.into_ended] {
            assert_eq!(world.keys(&layout::spool(log)).await, [""; 0]);
        }
        assert_eq!(node.complaints(), [""; 0]);
    });
}

async fn write_links_after(world: &World, of: Incarnation, epoch: u64, claim: Claim) {
    let link = Owner { nonce: world.nonce(), of, at: world.utc(), claim, into: None };
    world.put(&layout::owner(of, epoch), link.encode().payload).await;
}

#[test]
fn a_folder_with_something_that_nobody_can_read_or_follow_is_left_and_reported() {
    run(2, async |simulator| {
        let world = World::new(simulator);
        let [segment, link, checkpoint, astray, nowhere] = [(); 5].map(|()| world.incarnation());
        for log in [segment, link, checkpoint, astray] {
            write_log(&world, log).await;
        }
        for log in [segment, checkpoint] {
            write_links(&world, log, &[(Claim::Closed, None)]).await;
        }
        write_links(&world, astray, &[(Claim::Closed, Some(nowhere))]).await;
        for key in [layout::segment(segment, 0), layout::owner(link, 1), layout::checkpoint(checkpoint, 1)] {
            world.put(&key, Bytes::from_static(b"damaged")).await;
        }
        let before = world.keys(layout::SPOOL).await;
        let node = world.node();
        for _ in 0..3 {
            world.sleep(DAY).await;
            assert_eq!(node.sweep(&world).await.unattended, []);
        }
        assert_eq!(world.keys(layout::SPOOL).await, before);
        for log in [segment, link, checkpoint, astray] {
            let folder = layout::spool(log);
            assert!(node.complaints().iter().any(|complaint| complaint.contains(&folder)), "{folder}");
        }
    });
}

#[test]
fn a_log_without_an_end_or_a_sign_of_life_is_unattended_after_two_hours() {
    run(3, async |simulator| {
        let world = World::new(simulator);
        let [silent, claimed, beating, released, late] = [(); 5].map(|()| world.incarnation());
        for log in [silent, claimed, beating, released] {
            write_log(&world, log).await;
        }
        write_links(&world, claimed, &[(Claim::By(beating), None)]).await;
        world.put(&layout::beat(beating), Bytes::from_static(b"beat")).await;
        world.put(&layout::free(released), Bytes::from_static(b"free")).await;
        world.sleep(Duration::from_hours(2)).await;
        write_log(&world, late).await;
        let unattended: BTreeSet<Incarnation> =
            world.node().sweep(&world).await.unattended.into_iter().collect();
        assert_eq!(unattended, BTreeSet::from([silent, claimed]));
    });
}
