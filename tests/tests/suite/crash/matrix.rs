//! Death at every write: of the node that accepts, and of the one that adopts from it.

use std::future::Future;

use fulmar_tests::faults::{Death, Fate};
use futures::future::join_all;
use futures::stream::{self, StreamExt};

use super::ledger::{self, Ledger, dead_with_entries, scenario, send_all};
use super::world::{Ground, Node, World};

/// Worlds at a time.
const WORLDS: usize = 12;
/// Nodes in a row that outlive the scenario, after which no later death is tried.
const SURVIVORS: usize = 6;
/// More writes than any scenario has.
const WRITES: usize = 400;

/// Runs a case for the first write of each of these kinds (a part of its key), all of which there must be, and for each number of a write until some
/// in a row have had fewer: how many there are, and in which order, depends on what happens to go into one segment. Each before its effect and after it.
pub(super) async fn for_every_write<F: Future<Output = Fate>>(
    kinds: &[&'static str],
    case: impl Fn(Death) -> F,
) {
    let mut deaths = 0;
    for after_effect in [false, true] {
        let of = |among, at| Death { at, of_writes: true, among, after_effect };
        let firsts = kinds.iter().map(|kind| case(of(kind, 1)));
        let fates: Vec<Fate> = stream::iter(firsts).buffered(WORLDS).collect().await;
        for (kind, fate) in kinds.iter().zip(&fates) {
            assert!(fate.get().is_some(), "nothing was written to {kind}, after its effect: {after_effect}");
        }
        let mut ended = stream::iter((1..WRITES).map(|at| case(of("", at)))).buffered(WORLDS);
        let mut survivors = 0;
        while survivors < SURVIVORS
            && let Some(fate) = ended.next().await
        {
            (deaths, survivors) =
                if fate.get().is_some() { (deaths + 1, 0) } else { (deaths, survivors + 1) };
        }
        deaths += fates.len();
    }
    println!("{deaths} deaths");
}

/// Waits until a node has died or is done with everything.
pub(super) async fn until_dead_or_done(world: &World, node: &Node) {
    world
        .until("an end", || async {
            node.life.is_over() || world.admin.queue().await.is_ok_and(|queue| queue.is_empty())
        })
        .await;
}

async fn check_end(world: &World, dead: &[&Node], ledger: &Ledger, context: &str) {
    ledger::check(world, ledger, context).await;
    let folders: Vec<String> = world.objects("spool/").await.into_keys().collect();
    for log in dead.iter().flat_map(|node| node.incarnations()) {
        // A log without a heartbeat has acknowledged nothing, and nobody looks for it.
        let was_claimed = folders.iter().any(|key| key.contains(&format!("{log}/own/")));
        assert!(!was_claimed || world.is_closed(log).await, "{context}: {log} is not closed");
    }
}

#[test]
fn whatever_write_a_node_dies_at_its_successor_delivers_what_was_acknowledged_once() {
    let ground = Ground::new();
    smol::block_on(for_every_write(&["/log/", ".beat", "/body/", ".test/body/", "/c/"], async |death| {
        let world = ground.world().await;
        let first = world.start(1).await;
        let fate = first.faults.die(death);
        let ledger = send_all(&first, scenario()).await;
        until_dead_or_done(&world, &first).await;
        first.kill();
        let second = world.start(2).await;
        world.until_settled(&[&second]).await;
        check_end(&world, &[&first], &ledger, &format!("{death:?}")).await;
        second.kill();
        fate
    }));
}

#[test]
fn whatever_write_an_adopter_dies_at_the_third_node_delivers_what_was_acknowledged_once() {
    let ground = Ground::new();
    smol::block_on(for_every_write(&[".beat", "/own/", "/log/", ".test/body/", "/c/"], async |death| {
        let world = ground.world().await;
        let (first, ledger) = dead_with_entries(&world, 1).await;
        let mut fate = Fate::default();
        let second = world.try_start(2, |faults| fate = faults.die(death)).await.unwrap();
        until_dead_or_done(&world, &second).await;
        second.kill();
        let third = world.start(3).await;
        world.until_settled(&[&third]).await;
        check_end(&world, &[&first, &second], &ledger, &format!("{death:?}")).await;
        third.kill();
        fate
    }));
}

#[test]
fn a_row_of_adopters_that_each_die_a_little_later_leaves_nothing_behind() {
    let ground = Ground::new();
    smol::block_on(join_all((1..=8).map(async |step| {
        let world = ground.world().await;
        let (first, ledger) = dead_with_entries(&world, 1).await;
        let mut dead = vec![first];
        for number in 2..12 {
            let at = step + number as usize;
            let death = Death { at, of_writes: false, among: "", after_effect: number % 2 == 0 };
            let next = world.try_start(number, |_| ()).await.unwrap();
            next.faults.die(death);
            until_dead_or_done(&world, &next).await;
            next.kill();
            dead.push(next);
        }
        let last = world.start(20).await;
        world.until_settled(&[&last]).await;
        check_end(&world, &dead.iter().collect::<Vec<_>>(), &ledger, &format!("step {step}")).await;
        last.kill();
    })));
}

#[test]
fn two_adopters_at_once_leave_one_owner() {
    let ground = Ground::new();
    smol::block_on(join_all((0..20).map(async |case| {
        let world = ground.world().await;
        let (first, ledger) = dead_with_entries(&world, 1).await;
        let (second, third) = futures::join!(world.start(2), world.start(3));
        world.until_settled(&[&second, &third]).await;
        check_end(&world, &[&first], &ledger, &format!("case {case}")).await;
        second.kill();
        third.kill();
    })));
}
