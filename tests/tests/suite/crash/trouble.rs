//! A store that fails while mail comes in.

use std::time::{Duration, Instant};

use fulmar_tests::faults::{Failure, Verb, Which};

use super::ledger::{self, Answer, Letter, assert_all_refused, send};
use super::world::{ACCOUNTS, Ground, World, address};

const FAILURES: [Failure; 4] =
    [Failure::Unavailable, Failure::Refused, Failure::LostRequest, Failure::LostAnswer];
/// Messages that are sent until one is taken.
const ROUNDS: usize = 10_000;
/// More than a client waits for a heartbeat.
const HEARTBEAT_WAIT: Duration = Duration::from_secs(20);

/// Which writes of a node fail.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Writes {
    Segments,
    Pieces,
    Heartbeats,
    Commits,
    Snapshots,
}

impl Writes {
    const ALL: [Self; 5] = [Self::Segments, Self::Pieces, Self::Heartbeats, Self::Commits, Self::Snapshots];

    fn which(self) -> Which {
        Which::new(
            Verb::Put,
            match self {
                Self::Segments => "/log/",
                Self::Pieces => "/body/",
                Self::Heartbeats => ".beat",
                Self::Commits => "/c/",
                Self::Snapshots => "/snap/",
            },
        )
    }

    /// Whether mail can be acknowledged without them.
    fn is_needed_for_acknowledging(self) -> bool {
        !matches!(self, Self::Commits | Self::Snapshots)
    }
}

#[test]
fn mail_that_the_store_does_not_take_is_refused_and_later_mail_is_taken_again() {
    let ground = Ground::new();
    smol::block_on(futures::future::join_all(
        Writes::ALL
            .into_iter()
            .flat_map(|writes| FAILURES.map(|failure| (writes, failure)))
            .map(|(writes, failure)| check(&ground, writes, failure)),
    ));
}

async fn check(ground: &Ground, writes: Writes, failure: Failure) {
    let context = format!("{writes:?} {failure:?}");
    let world = ground.world().await;
    if writes == Writes::Snapshots {
        fill(&world).await;
    }
    let node = world.start(1).await;
    node.faults.fail(writes.which(), failure, usize::MAX);
    let to_two = |name: &str, octets| Letter::new(name, &ACCOUNTS[1..], &ACCOUNTS[1..], octets);
    let (large, small) = (to_two("large", 2_300_000), to_two("small", 500));
    let letters = match writes {
        Writes::Pieces => vec![large],
        Writes::Heartbeats => vec![small, to_two("another", 500)],
        _ => vec![large, small],
    };
    let sending = send(&node, letters);
    let waiting = async {
        if writes == Writes::Heartbeats {
            world.until("a segment", || async { node.faults.count(&Writes::Segments.which()) > 0 }).await;
            // Before that is known another message would be written.
            world.until("a failure", || async { node.has_told(&["store_trouble", ".beat"]) }).await;
            world.clock.advance(HEARTBEAT_WAIT);
        }
    };
    let (mut ledger, ()) = futures::join!(sending, waiting);
    if writes.is_needed_for_acknowledging() {
        assert_all_refused(&ledger, "451");
    } else {
        assert_eq!(ledger::accepted(&ledger), ledger.len(), "{context}: {ledger:?}");
    }
    if writes == Writes::Snapshots {
        ledger.extend(send(&node, vec![Letter::small("snapshot")]).await);
    }
    world.until("a failure", || async { node.faults.count(&writes.which()) > 0 }).await;
    node.faults.heal();
    for round in 0..ROUNDS {
        ledger.extend(send(&node, vec![to_two(&format!("later {round}"), 700)]).await);
        if matches!(ledger.last(), Some((_, Answer::Accepted(_)))) {
            break;
        }
    }
    assert!(matches!(ledger.last(), Some((_, Answer::Accepted(_)))), "{context}: never taken again");
    world.until_settled(&[&node]).await;
    assert_eq!(node.incarnations().len(), 1, "{context}: nobody had to begin anew");
    ledger::check(&world, &ledger, &context).await;

    let refused = ledger.iter().filter(|(_, answer)| matches!(answer, Answer::Refused(_))).count();
    let delivered = world.admin.mailbox(&address(ACCOUNTS[1]), "INBOX").await.unwrap().len();
    let is_certain = matches!(failure, Failure::Unavailable | Failure::Refused);
    let kept_of_refused = delivered - (ledger.len() - refused).min(delivered);
    let limit = match writes {
        // What may have been written was whole, and may come.
        Writes::Segments if !is_certain => refused,
        // Both were sent at once. They may have been written before it showed that no heartbeat stands; no later one was.
        Writes::Heartbeats => 2,
        _ => 0,
    };
    assert!(kept_of_refused <= limit, "{context}: {kept_of_refused} that were refused are there");
    node.kill();
}

/// So many commits in the first account that the next one calls for a snapshot.
async fn fill(world: &World) {
    for _ in 0..63 {
        world.admin.account_passwd(&address(ACCOUNTS[0]), "another").await.unwrap();
    }
}

#[test]
fn a_store_that_refuses_is_not_asked_without_rest() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        let node = world.start(1).await;
        let before = send(&node, vec![Letter::small("before")]).await;
        assert_eq!(ledger::accepted(&before), 1);
        world.until_settled(&[&node]).await;
        node.faults.fail(Which::new(Verb::Put, ""), Failure::Refused, usize::MAX);
        let refused = send(&node, vec![Letter::small("refused")]).await;
        assert_all_refused(&refused, "451");
        assert!(node.has_told(&["store_trouble", "no permission", "/log/"]));

        let (began, readings) = (Instant::now(), world.clock.readings());
        let requests = node.faults.requests().len();
        world.until("another try", || async { node.faults.requests().len() >= requests + 3 }).await;
        let seconds = began.elapsed().as_secs_f64();
        let rate = 3.0 / seconds;
        let looks = (world.clock.readings() - readings) as f64 / seconds;
        println!("{rate:.1} requests and {looks:.0} looks at the clock a second");
        assert!(rate < 5.0 && looks < 1_000.0, "{rate} requests, {looks} looks at the clock a second");
        node.kill();
    });
}

#[test]
fn results_that_the_store_does_not_take_are_written_once_it_does_though_no_mail_comes() {
    let ground = Ground::new();
    smol::block_on(async {
        let world = ground.world().await;
        let node = world.start(1).await;
        let commits = Which::new(Verb::Put, "/c/");
        let hold = node.faults.hold(commits, 1);
        let ledger = send(&node, vec![Letter::small("one")]).await;
        assert_eq!(ledger::accepted(&ledger), 1);
        hold.reached(1).await;
        // The store is away exactly when the result of the delivery is to be written.
        let failing = Which::new(Verb::Put, "/log/");
        node.faults.fail(failing.clone(), Failure::Unavailable, 200);
        hold.release();
        let sent = node.faults.count(&failing);
        world.until("a failed write", || async { node.faults.count(&failing) > sent + 2 }).await;
        let (began, readings) = (Instant::now(), world.clock.readings());
        world.until("its failing for good", || async { node.has_told(&["store_trouble", "/log/"]) }).await;
        node.faults.heal();
        world.until_settled(&[&node]).await;
        let looks = (world.clock.readings() - readings) as f64 / began.elapsed().as_secs_f64();
        assert!(looks < 5_000.0, "{looks} looks at the clock a second");
        ledger::check(&world, &ledger, "results").await;
        // What was done with stays done with for whoever adopts the log.
        node.kill();
        let second = world.start(2).await;
        world.until_settled(&[&second]).await;
        assert_eq!(second.engine.statistics().delivered, 0);
        second.kill();
    });
}

#[test]
fn a_commit_whose_answer_is_lost_is_not_made_twice() {
    let ground = Ground::new();
    smol::block_on(futures::future::join_all([1, 2, 5, 40].map(async |times| {
        let world = ground.world().await;
        let node = world.start(1).await;
        node.faults.fail(Which::new(Verb::Put, "/c/"), Failure::LostAnswer, times);
        let letters = (0..5).map(|n| Letter::new(format!("{n}"), &ACCOUNTS, &ACCOUNTS, 400)).collect();
        let ledger = send(&node, letters).await;
        assert_eq!(ledger::accepted(&ledger), 5);
        world.until_settled(&[&node]).await;
        ledger::check(&world, &ledger, &format!("{times} lost answers")).await;
        node.kill();
    })));
}
