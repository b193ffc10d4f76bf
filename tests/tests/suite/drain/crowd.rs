//! A thousand nodes that come and go within an hour: no storm, no pile of objects, and a bill.

use std::time::Duration;

use fulmar_core::admin::prices::dollars;
use fulmar_core::engine::{DrainSettings, Engine};
use fulmar_core::model::event::Journal;
use fulmar_core::platform::Host;
use fulmar_core::state::layout;
use fulmar_core::state::requests::RequestCounts;
use fulmar_tests::faults::{Failure, Verb, Which};
use futures::future::join_all;

use super::world::{World, in_world, send};

const NODES: usize = 1_000;
const HOUR: Duration = Duration::from_hours(1);
/// What one node may ask for: a storm would show as many more. Whoever delivers into an account reads what was committed since its last
/// snapshot, which is up to 64 objects.
const REQUESTS_A_NODE: u64 = 150;
/// What all of them may ask for, by the node, on average.
const REQUESTS_ON_AVERAGE: u64 = 45;
/// What may be left in the end of each node that had something to write, on average.
const OBJECTS_A_NODE: usize = 5;
/// After this long a node that stays has collected what they left.
const DAYS: Duration = Duration::from_hours(4 * 24);
/// What may be left in the spool then.
const OBJECTS_LEFT: usize = 20;

fn count(requests: &[(Verb, String)]) -> RequestCounts {
    requests.iter().map(|(verb, _)| verb.counted()).sum()
}

/// Every third only drains; the others send one to three messages, and every seventh of those cannot deliver what it sent.
async fn visit(world: &World, number: usize) -> (usize, RequestCounts) {
    // Spread over the hour, in no order.
    world.pass(HOUR * ((number * 7_919) % NODES) as u32 / NODES as u32).await;
    if number.is_multiple_of(3) {
        let drained =
            world.drain(DrainSettings { deadline: Some(Duration::from_secs(50)), until_empty: false });
        return (0, count(&drained.await.way.faults.requests()));
    }
    let way = world.way();
    if number.is_multiple_of(7) {
        way.faults.fail(Which::new(Verb::Put, "account/"), Failure::Refused, usize::MAX);
    }
    let (config, platform) = (world.config.clone(), way.platform.clone());
    let engine = Engine::visit(config, platform, Host::unknown(), Journal::silent()).await.unwrap();
    let messages = 1 + number % 3;
    for message in 0..messages {
        send(&engine, number * 10 + message).await.unwrap();
    }
    engine.shutdown(Duration::from_secs(5)).await;
    (messages, count(&way.faults.requests()))
}

#[test]
fn a_thousand_nodes_that_come_and_go_within_an_hour_make_no_storm_and_no_pile() {
    in_world(async |world| {
        let visits = join_all((0..NODES).map(|number| visit(&world, number))).await;
        let sent: usize = visits.iter().map(|(messages, _)| messages).sum();
        let most = visits.iter().map(|(_, bill)| bill.requests()).max().unwrap();
        let bill: RequestCounts = visits.iter().map(|(_, bill)| *bill).sum();
        let last = world.drain(DrainSettings { deadline: None, until_empty: true }).await.said();
        let (live, spool) = (world.keys(layout::LIVE).await, world.keys(layout::SPOOL).await);
        println!(
            "{NODES} nodes, {sent} messages: {} PUT, {} LIST, {} GET, {} DELETE, ${:.4} at the list prices of S3; \
             {most} requests of one node at most; {} objects in the spool",
            bill.put,
            bill.list,
            bill.get,
            bill.delete,
            dollars(&bill),
            spool.len()
        );
        assert_eq!((world.delivered().await, last.remaining, live.len()), (sent, Some(0), 0));
        assert!(most <= REQUESTS_A_NODE, "{most}");
        assert!(bill.requests() <= NODES as u64 * REQUESTS_ON_AVERAGE, "{bill:?}");
        assert!(spool.len() <= NODES * OBJECTS_A_NODE, "{}", spool.len());

        let node = world.start().await;
        world.pass(DAYS).await;
        node.engine.shutdown(Duration::from_secs(5)).await;
        let left = world.keys(layout::SPOOL).await;
        println!("{} objects in the spool {DAYS:?} later", left.len());
        assert!(left.len() <= OBJECTS_LEFT, "{left:?}");
    });
}
