//! Which stores a node starts on, and what it does while its store is away.

use std::sync::Arc;
use std::time::Duration;

use fulmar_core::engine::{Readiness, StartError};
use fulmar_core::platform::StoreError;
use fulmar_core::state::format::FormatError;
use fulmar_core::state::requests::Purpose;
use fulmar_storage_s3::MemoryStore;
use fulmar_tests::faults::{Failure, Verb, Which};
use smol::future::FutureExt;

use super::ledger::{self, Letter, assert_all_refused, send};
use super::world::{Ground, Node, World};
use crate::contract::{Fault, Faulty};

const ENDPOINT: &str = "http://store.test/mail";
/// Where verdicts are kept.
const VERDICTS: &str = "probe/";
const DAY: Duration = Duration::from_hours(24);

fn racers() -> Which {
    Which::new(Verb::Put, "/race-")
}

/// A world whose store has to prove itself.
async fn world(ground: &Ground) -> World {
    let mut world = ground.world().await;
    world.config.store.endpoint = Some(ENDPOINT.to_owned());
    world
}

#[test]
fn a_store_that_lets_several_creates_win_is_refused_unless_there_is_only_one_node() {
    let ground = Ground::new();
    smol::block_on(async {
        for fault in [Fault::CreateOverwrites, Fault::RacersOvertake] {
            let mut world = world(&ground).await;
            world.store = Arc::new(Faulty { store: MemoryStore::new(), fault });
            // Waiting would not help, so nobody waits.
            for refused in
                [world.try_start(1, |_| ()).await.err(), world.start_patiently(2, |_| ()).await.err()]
            {
                let error = refused.expect("it is not safe");
                assert!(matches!(error, StartError::UnsafeStore { .. }), "{fault:?}: {error}");
                let text = error.to_string();
                for words in [ENDPOINT, "creates on one key succeeded", "single_node = true"] {
                    assert!(text.contains(words), "{fault:?}: {text}");
                }
            }
            assert!(world.objects(VERDICTS).await.is_empty(), "{fault:?}");

            world.config.store.single_node = true;
            let node = world.start(3).await;
            assert_eq!(node.faults.count(&racers()), 0, "{fault:?}");
            assert!(node.has_told(&["store_not_probed", ENDPOINT]), "{fault:?}");
            node.kill();
        }
    });
}

#[test]
fn a_verdict_stands_for_thirty_days_and_for_its_endpoint() {
    let ground = Ground::new();
    smol::block_on(async {
        let mut world = world(&ground).await;
        for (what, number, has_to_prove) in [("fresh", 1, true), ("known", 2, false)] {
            check(&world, what, number, has_to_prove).await;
        }
        world.clock.advance(29 * DAY);
        check(&world, "after 29 days", 3, false).await;
        world.clock.advance(2 * DAY);
        check(&world, "after 31 days", 4, true).await;
        check(&world, "proven again", 5, false).await;
        assert_eq!(world.objects(VERDICTS).await.len(), 1, "the old verdict goes");

        let verdict = world.objects(VERDICTS).await.into_keys().next().unwrap();
        world.overwrite(&verdict, "not a verdict").await;
        check(&world, "damaged", 6, true).await;
        check(&world, "mended", 7, false).await;

        world.config.store.endpoint = Some("http://elsewhere.test/mail".to_owned());
        check(&world, "elsewhere", 8, true).await;
        world.config.store.endpoint = None;
        check(&world, "our own", 9, false).await;
        assert_eq!(world.objects("check/").await.len(), 0, "races leave nothing");
    });
}

/// Starts and ends a node, which races or does not.
async fn check(world: &World, what: &str, number: u32, has_to_prove: bool) {
    let node = world.start(number).await;
    let raced = node.faults.count(&racers());
    assert_eq!(raced >= 100, has_to_prove, "{what}");
    // And the verdict.
    let metered = node.engine.statistics().by_purpose.of(Purpose::Probe).put;
    assert_eq!(metered, raced as u64 + u64::from(has_to_prove), "{what}");
    node.kill();
}

#[test]
fn races_that_the_store_does_not_answer_prove_nothing_and_are_run_again() {
    let ground = Ground::new();
    smol::block_on(async {
        for failure in [Failure::Unavailable, Failure::LostRequest, Failure::LostAnswer] {
            let world = world(&ground).await;
            let node = world.try_start(1, |faults| faults.fail(racers(), failure, 20)).await.unwrap();
            assert!(node.faults.count(&racers()) >= 170, "{failure:?}: four races more");
            node.kill();
        }
        for (failure, is_transient) in [(Failure::Unavailable, true), (Failure::Refused, false)] {
            let world = world(&ground).await;
            let started = world.try_start(1, |faults| faults.fail(racers(), failure, usize::MAX)).await;
            match started.err() {
                Some(StartError::Store(FormatError::Store(error))) => {
                    assert_eq!(error.is_transient(), is_transient, "{error}");
                    assert!(is_transient || matches!(error, StoreError::Refused(_)), "{error}");
                }
                other => panic!("{failure:?}: {other:?}"),
            }
            assert!(world.objects(VERDICTS).await.is_empty(), "{failure:?}");
        }
    });
}

#[test]
fn a_node_whose_store_is_away_begins_by_itself_when_the_store_is_back() {
    let ground = Ground::new();
    smol::block_on(async {
        for (failure, times, words) in [
            (Failure::Unavailable, 60, "out of order"),
            (Failure::LostRequest, 60, "the answer was lost"),
            (Failure::Refused, 6, "no permission"),
        ] {
            let mut world = world(&ground).await;
            world.config.store.name = Some("s3://mail at http://store.test".to_owned());
            let starting = world.start_patiently(1, |faults| faults.fail(Which::any(""), failure, times));
            let node = in_flying_time(&world, starting).await.unwrap();
            let told = ["start_delayed", words, "s3://mail at http://store.test", "\"pause_seconds\":2"];
            assert!(node.has_told(&told), "{failure:?}: {:?}", node.events.lock().unwrap());
            assert_eq!(node.engine.readiness(), Readiness::Ready, "{failure:?}");
            let ledger = send(&node, vec![Letter::small("first")]).await;
            assert_eq!(ledger::accepted(&ledger), 1, "{failure:?}: {ledger:?}");
            node.kill();
        }
    });
}

#[test]
fn a_node_does_not_wait_for_a_store_that_is_not_ours() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        world.overwrite("format", "somebody else's").await;
        let started = world.start_patiently(1, |_| ()).await;
        assert!(matches!(started.err(), Some(StartError::Store(FormatError::Foreign(_)))));
    });
}

#[test]
fn mail_is_put_off_while_the_store_is_away_and_the_node_says_so() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        let node = world.start(1).await;
        assert_eq!(node.engine.readiness(), Readiness::Ready);
        node.faults.fail(Which::any(""), Failure::Unavailable, usize::MAX);
        assert_all_refused(&send(&node, vec![Letter::small("put off")]).await, "451");
        world.until("its being away", || async { is_away(&node) }).await;
        assert!(node.has_told(&["store_away", "out of order"]));
        assert_all_refused(&send(&node, vec![Letter::small("put off again")]).await, "451");

        node.faults.heal();
        // Nobody need tell the node: whatever it asks of the store next shows that it is back.
        let mut ledger = send(&node, vec![Letter::small("taken")]).await;
        while ledger::accepted(&ledger) == 0 {
            ledger = send(&node, vec![Letter::small("taken")]).await;
        }
        assert_eq!(node.engine.readiness(), Readiness::Ready);
        assert!(node.has_told(&["store_back"]));
        world.until_settled(&[&node]).await;
        node.kill();
    });
}

fn is_away(node: &Node) -> bool {
    matches!(node.engine.readiness(), Readiness::StoreAway { reason, .. } if reason.contains("out of order"))
}

/// Does something that waits longer than a test should.
async fn in_flying_time<T>(world: &World, work: impl Future<Output = T>) -> T {
    let flying = async {
        loop {
            world.clock.advance(Duration::from_secs(1));
            smol::Timer::after(Duration::from_millis(5)).await;
        }
    };
    work.or(flying).await
}
