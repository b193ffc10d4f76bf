//! More mail than the store takes in time: the rate falls, clients are refused before they have sent their content, and no promise is
//! broken.

mod client;
mod world;

use std::time::Duration;

use fulmar_core::config::Config;
use fulmar_tests::client::Client;
use fulmar_tests::node::Ground;
use fulmar_tests::sim::Measured;

use self::world::{Outcome, Scene};

const ALICE: &str = "alice@example.test";
/// Each request takes a second, and never longer.
const SLOW: Measured = Measured {
    median: Duration::from_secs(1),
    p99: Duration::from_secs(1),
    octets_per_second: 90e6,
    writes_per_second: 3_500.0,
    reads_per_second: 5_500.0,
    partition_folders: 2,
};
/// The default.
const USUAL: Duration = Duration::from_secs(5);
/// Who comes while four segments are under way would wait for longer: till one of them is written, and for its own.
const SHORT: Duration = Duration::from_millis(1_200);
/// Longer than anybody else would be let wait.
const VERY_SLOW: Measured = Measured { median: Duration::from_secs(6), p99: Duration::from_secs(6), ..SLOW };

#[test]
fn a_store_that_takes_a_second_for_each_request_lowers_the_rate_and_breaks_no_promise() {
    let scene =
        Scene { sessions: 100, octets: 10_000, seconds: 60, seed: 1, store: SLOW, commit_wait: USUAL };
    let fast = Measured { median: Duration::from_millis(10), p99: Duration::from_millis(10), ..SLOW };
    let (slow, fast) = (scene.play(), Scene { store: fast, seconds: 5, ..scene }.play());
    println!("slow: {slow:?}\nfast: {fast:?}");
    assert!(slow.per_second() < fast.per_second() / 5.0, "it is no slow store");
    // Every client waits for two segments at the most: its own, and one before it.
    assert!(slow.accepted as u64 > scene.sessions as u64 * scene.seconds / 4, "{slow:?}");
    assert_eq!((slow.refused_early, fast.refused_early), (0, 0));
    // Nobody has taken the node for dead, nor had come near it.
    assert!(slow.longest_silence < Duration::from_secs(20), "{slow:?}");
    all_is_well(&slow);
    all_is_well(&fast);
}

#[test]
fn more_than_the_store_takes_in_time_is_refused_before_the_content_and_taken_again_later() {
    let scene =
        Scene { sessions: 200, octets: 10_000, seconds: 90, seed: 2, store: SLOW, commit_wait: SHORT };
    let outcome = scene.play();
    println!("{outcome:?}");
    assert!(outcome.refused_early > 0, "{outcome:?}");
    // One message of each client in the time of two segments and the pauses after refusals, or better.
    assert!(outcome.per_second() > scene.sessions as f64 / 10.0, "{outcome:?}");
    assert!(outcome.accepted_after_refusals > outcome.accepted / 2, "{outcome:?}");
    all_is_well(&outcome);
    assert_eq!(outcome, scene.play(), "the same seed gives the same run");
}

#[test]
fn a_lone_client_is_never_refused_however_slow_the_store_is() {
    let outcome =
        Scene { sessions: 1, octets: 10_000, seconds: 600, seed: 3, store: VERY_SLOW, commit_wait: USUAL }
            .play();
    assert!(outcome.accepted >= 10 && outcome.refused_early == 0, "{outcome:?}");
    all_is_well(&outcome);
}

#[test]
fn what_a_store_of_several_seconds_has_taken_is_delivered() {
    let store = Measured { median: Duration::from_millis(3_500), p99: Duration::from_millis(3_500), ..SLOW };
    let outcome =
        Scene { sessions: 200, octets: 10_000, seconds: 90, seed: 2, store, commit_wait: USUAL }.play();
    println!("{outcome:?}");
    assert!(outcome.accepted > 100, "{outcome:?}");
    assert_eq!((outcome.not_durable, outcome.undelivered, outcome.takeovers), (0, 0, 0), "{outcome:?}");
}

#[test]
fn who_comes_to_a_crowd_that_the_processor_does_not_keep_up_with_is_told_so_and_taken_once_it_is_gone() {
    let slow = |config: &mut Config| (config.smtp.crowd, config.smtp.turn) = (1, Duration::ZERO);
    let node = Ground::new(slow).account(ALICE).start();
    let mut alone = node.client();
    let rest = Client::connect(node.server()).rest();
    assert!(rest.starts_with("421 4.3.2 too much to do") && rest.lines().count() == 1, "{rest}");
    // The other one's place is given back just after it was told.
    loop {
        alone.send("MAIL FROM:<sender@far.test>\r\n");
        let reply = alone.reply();
        if reply.starts_with("250 ") {
            break;
        }
        assert!(reply.starts_with("452 4.3.1 too much to do"), "{reply}");
    }
    alone.command("RSET", "250 ");
    let id = alone.deliver(&[ALICE], "Subject: hello\r\n\r\nIt works.\r\n");
    node.delivered(&id, ALICE);
}

fn all_is_well(outcome: &Outcome) {
    assert_eq!(outcome.refused_late, [""; 0], "{outcome:?}");
    assert_eq!((outcome.not_durable, outcome.undelivered, outcome.takeovers), (0, 0, 0), "{outcome:?}");
}
