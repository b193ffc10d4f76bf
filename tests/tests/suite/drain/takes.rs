//! What a drain takes over, and what it leaves alone.

use std::collections::BTreeSet;
use std::time::Duration;

use fulmar_core::admin::Action;
use fulmar_core::engine::DrainSettings;
use fulmar_core::model::{Event, UtcTime};
use fulmar_core::state::layout;
use fulmar_tests::faults::{Failure, Faulty, Verb, Which};

use super::world::{FIRST_PAUSE, in_world, send};

const AT_ONCE: DrainSettings = DrainSettings { deadline: None, until_empty: false };
/// Not long enough for a sweep of the store.
const NO_SWEEP: DrainSettings = DrainSettings { deadline: Some(Duration::from_mins(1)), until_empty: false };
/// What a drain may take that has nothing to wait for.
const SHORT: Duration = Duration::from_secs(15);

#[test]
fn an_empty_store_is_left_as_it_was() {
    in_world(async |world| {
        world.drain(AT_ONCE).await;
        let before = world.keys("").await;
        let drained = world.drain(AT_ONCE).await;
        let said = drained.said();
        assert_eq!((said.delivered, said.deferred, said.remaining, said.next_due), (0, 0, Some(0), None));
        assert!(said.is_done && drained.took < SHORT, "{:?}", drained.took);
        assert_eq!(world.keys("").await, before);
        assert_eq!(drained.way.faults.requests().iter().filter(|(verb, _)| verb.is_write()).count(), 0);
        assert!(drained.way.faults.requests().len() <= 4, "{:?}", drained.way.faults.requests());
    });
}

#[test]
fn a_released_log_is_left_alone_until_it_is_due_and_then_delivered() {
    in_world(async |world| {
        world.released(3).await;
        let before = world.keys("").await;
        let drained = world.drain(NO_SWEEP).await;
        let said = drained.said();
        assert_eq!((said.delivered, said.deferred, said.remaining, said.is_done), (0, 0, Some(3), true));
        let due = said.next_due.unwrap();
        let now = world.platform.clock.utc();
        assert!(due > now && due.since(now) < FIRST_PAUSE, "{due}");
        assert_eq!(world.keys("").await, before);
        assert_eq!(drained.way.faults.count(&Which::any("/log/")), 0);

        world.pass(FIRST_PAUSE).await;
        let drained = world.drain(AT_ONCE).await;
        let said = drained.said();
        assert_eq!((said.delivered, said.deferred, said.remaining, said.next_due), (3, 0, Some(0), None));
        assert!(said.is_done && drained.took < SHORT, "{:?}", drained.took);
        assert_eq!((world.delivered().await, world.keys(layout::LIVE).await.len()), (3, 0));
    });
}

#[test]
fn what_a_drain_cannot_deliver_it_releases_with_the_time_to_come_back() {
    in_world(async |world| {
        world.released(2).await;
        world.pass(FIRST_PAUSE).await;
        let fail = |faults: &fulmar_tests::faults::Faulty| {
            faults.fail(
                Which::new(Verb::Put, "account/"),
                fulmar_tests::faults::Failure::Refused,
                usize::MAX,
            );
        };
        let said = world.drain_by(AT_ONCE, fail).await.said();
        assert_eq!((said.delivered, said.deferred, said.remaining, said.is_done), (0, 2, Some(2), true));
        let live = world.keys(layout::LIVE).await;
        assert!(live.len() == 1 && live[0].ends_with(".free"), "{live:?}");
        // The second pause is five minutes.
        let wait = said.next_due.unwrap().since(world.platform.clock.utc());
        assert!((Duration::from_mins(4)..Duration::from_mins(6)).contains(&wait), "{wait:?}");
        world.pass(wait + Duration::from_secs(40)).await;
        assert_eq!(world.drain(AT_ONCE).await.said().delivered, 2);
    });
}

#[test]
fn nothing_is_taken_from_a_node_that_lives() {
    in_world(async |world| {
        let node = world.holding(2).await;
        let drained = world.drain(AT_ONCE).await;
        let said = drained.said();
        assert_eq!((said.delivered, said.deferred, said.remaining, said.is_done), (0, 0, Some(2), true));
        assert!(said.next_due.is_some_and(|due| due > UtcTime(0)));
        assert!(drained.took < Duration::from_secs(40), "{:?}", drained.took);
        assert!(!world.keys(layout::SPOOL).await.iter().any(|key| key.contains("/own/")));
        assert_eq!(world.keys(layout::LIVE).await.len(), 1);
        node.way.faults.heal();
        world.pass(FIRST_PAUSE * 6).await;
        assert_eq!(world.delivered().await, 2);
        drop(node);
    });
}

#[test]
fn what_a_killed_node_had_taken_is_adopted_by_the_drain_that_comes_next() {
    for since in [0, 5, 20, 35, 300].map(Duration::from_secs) {
        in_world(async |world| {
            let node = world.holding(2).await;
            node.way.life.end();
            // By then its mail is due, but nobody knows that it is gone.
            world.pass(since).await;
            let drained = world.drain(AT_ONCE).await;
            assert!(drained.took < Duration::from_secs(55), "{since:?}: {:?}", drained.took);
            let adopted = drained.way.events(|event| matches!(event, Event::Adopted { entries: 2, .. }));
            assert_eq!((adopted, drained.said().is_done), (1, true), "{since:?}");
            world.pass(FIRST_PAUSE).await;
            world.drain(AT_ONCE).await;
            assert_eq!(world.delivered().await, 2, "{since:?}");
            assert!(world.keys(layout::LIVE).await.is_empty(), "{since:?}");
        });
    }
}

#[test]
fn what_lies_in_pickup_is_delivered() {
    in_world(async |world| {
        world
            .put("pickup/a.eml", "From: x@y.test\nTo: alice@home.test\nBcc: alice@home.test\n\nHello\n")
            .await;
        let drained = world.drain(AT_ONCE).await;
        let said = drained.said();
        assert_eq!((said.delivered, said.remaining, said.is_done), (1, Some(0), true));
        assert!(drained.took < SHORT, "{:?}", drained.took);
        assert_eq!(world.delivered().await, 1);
        assert!(world.keys(layout::PICKUP).await.is_empty() && world.keys(layout::LIVE).await.is_empty());
    });
}

#[test]
fn more_than_one_round_takes_from_pickup_is_taken_in_several() {
    const OBJECTS: usize = 1_300;
    in_world(async |world| {
        for number in 0..OBJECTS {
            let content = format!("From: x@y.test\nTo: alice@home.test\n\n{number}\n");
            world.put(&format!("pickup/{number:04}.eml"), &content).await;
        }
        let said = world.drain(AT_ONCE).await.said();
        assert_eq!((said.delivered, said.remaining, said.is_done), (OBJECTS as u64, Some(0), true));
        assert_eq!(world.delivered().await, OBJECTS);
        assert!(world.keys(layout::PICKUP).await.is_empty());
    });
}

#[test]
fn an_order_is_carried_out_though_nothing_is_due() {
    for (action, delivered) in [(Action::Retry, 1), (Action::Cancel, 0)] {
        in_world(async |world| {
            world.released(1).await;
            let id = world.admin.queue().await.unwrap()[0].queue_id;
            world.admin.order(id, action).await.unwrap();
            let said = world.drain(AT_ONCE).await.said();
            assert_eq!((said.delivered, said.remaining), (delivered, Some(0)), "{action:?}");
            assert!(world.keys(layout::LIVE).await.is_empty(), "{action:?}");
        });
    }
}

#[test]
fn who_sends_one_message_adopts_nothing_and_leaves_nothing_behind_that_is_done() {
    in_world(async |world| {
        world.released(2).await;
        let before = world.keys(layout::LIVE).await;
        let way = world.drain_by(AT_ONCE, |_| ()).await.way;
        let engine = fulmar_core::engine::Engine::visit(
            world.config.clone(),
            way.platform.clone(),
            fulmar_core::platform::Host::unknown(),
            fulmar_core::model::event::Journal::silent(),
        );
        let engine = engine.await.unwrap();
        send(&engine, 9).await.unwrap();
        engine.shutdown(Duration::from_secs(5)).await;
        assert_eq!(world.delivered().await, 1);
        assert_eq!(world.keys(layout::LIVE).await, before);
    });
}

#[test]
fn the_chain_of_a_pickup_stays_while_its_object_does_and_goes_some_days_after_it() {
    in_world(async |world| {
        for name in ["gone", "kept"] {
            let key = format!("{}{name}.eml", layout::PICKUP);
            world
                .put(&key, &format!("From: x@y.test\nTo: alice@home.test\nSubject: {name}\n\nHello\n"))
                .await;
        }
        let cannot_delete = |faults: &Faulty| {
            faults.fail(Which::new(Verb::Delete, "pickup/kept"), Failure::Refused, usize::MAX);
        };
        let chains = async || {
            let links = world.keys(layout::PICKUP_CHAINS).await;
            links.iter().filter_map(|link| Some(link.rsplit_once('/')?.0.to_owned())).collect::<BTreeSet<_>>()
        };
        for day in 0..4 {
            let drained = world.drain_by(AT_ONCE, cannot_delete).await;
            assert_eq!(drained.way.events(|event| matches!(event, Event::Swept { .. })), 1, "day {day}");
            assert_eq!(world.delivered().await, 2, "once each");
            assert_eq!(world.keys(layout::PICKUP).await, ["pickup/kept.eml"]);
            assert_eq!(chains().await.len(), if day < 2 { 2 } else { 1 }, "day {day}");
            world.pass(Duration::from_hours(25)).await;
        }
    });
}
