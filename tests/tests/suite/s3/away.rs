//! A server that is gone, or never answers.

use std::time::{Duration, Instant};

use fulmar_core::config::Config;
use fulmar_tests::fake_s3::{FakeS3, Fault, Times};
use fulmar_tests::faults::Which;

use super::{ALICE, assert_holds, ground, message};

/// How long the node of these tests asks again.
const DEADLINE: Duration = Duration::from_secs(1);
/// Within this a client has to be told. More than the deadline, because several requests may follow one another.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

fn impatient(config: &mut Config) {
    config.store.deadline = DEADLINE;
}

#[test]
fn a_message_amid_which_the_store_goes_away_is_put_off_and_taken_once_when_it_is_sent_again() {
    let fake = FakeS3::start();
    let node = ground(&fake, impatient).start();
    let large = message(1, 8 << 20);
    let (first, rest) = large.split_at(4 << 20);
    let mut client = node.client();
    client.begin(&[ALICE]);
    fake.hold();
    client.send(first);
    fake.wait_for_in_flight(1);
    fake.go_away();
    fake.release();
    let began = Instant::now();
    client.send(rest);
    client.send(".\r\n");
    client.expect("451 4.3.0 ");
    assert!(began.elapsed() < TOLD_WITHIN, "told after {:?}", began.elapsed());
    fake.come_back();
    let mut sent_again = 0;
    let taken = loop {
        sent_again += 1;
        client.begin(&[ALICE]);
        client.send(&large);
        client.send(".\r\n");
        let reply = client.reply();
        match reply.starts_with("250 2.0.0 ") {
            true => break reply,
            false => assert!(reply.starts_with("451 ") && sent_again < 20, "{reply}"),
        }
    };
    node.delivered_in_all(1);
    assert_holds(&node, vec![large], &taken);
    assert_eq!(node.accepted(), 1);
}

#[test]
fn a_store_that_never_answers_is_told_to_clients_in_time() {
    let fake = FakeS3::start();
    let node = ground(&fake, impatient).start();
    let mut client = node.client();
    client.deliver(&[ALICE], message(1, 500));
    node.delivered_in_all(1);
    fake.misbehave(Fault::Silence, Which::any(""), Times::Always);
    for number in 2..4 {
        client.begin(&[ALICE]);
        let began = Instant::now();
        client.send(message(number, 500));
        client.send(".\r\n");
        client.expect("451 4.3.0 ");
        assert!(began.elapsed() < TOLD_WITHIN, "told after {:?}", began.elapsed());
    }
    fake.behave();
    client.deliver(&[ALICE], message(4, 500));
    node.delivered_in_all(2);
    assert_holds(&node, vec![message(1, 500), message(4, 500)], "silence had no effect");
}
