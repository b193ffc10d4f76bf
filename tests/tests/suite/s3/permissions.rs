//! Buckets on which the credentials may not do everything.

use fulmar_tests::fake_s3::{BUCKET, FakeS3, Fault, Times};
use fulmar_tests::faults::{Verb, Which};

use super::{ALICE, KEYS, assert_holds, ground, ground_in, message, trouble};

const DENIED: Fault = Fault::Error(403, "AccessDenied");

#[test]
fn a_node_does_not_start_where_it_may_not_list_or_delete_and_says_so() {
    for verb in [Verb::List, Verb::Delete] {
        let fake = FakeS3::start();
        fake.misbehave(DENIED, Which::new(verb, ""), Times::Always);
        let told = ground_in(&fake, BUCKET, &KEYS, |_| ()).try_start().unwrap_err().to_string();
        assert!(told.contains("AccessDenied"), "{verb:?}: {told}");
    }
}

#[test]
fn a_node_that_may_not_delete_any_more_takes_and_delivers_mail() {
    let fake = FakeS3::start();
    let node = ground(&fake, |_| ()).start();
    fake.misbehave(DENIED, Which::new(Verb::Delete, ""), Times::Always);
    let sent = vec![message(1, 500), message(2, 3 << 20)];
    let mut client = node.client();
    for message in &sent {
        client.deliver(&[ALICE], message);
    }
    node.delivered_in_all(2);
    assert_holds(&node, sent, "deleting is denied");
}

#[test]
fn a_node_that_may_not_write_any_more_puts_mail_off_and_says_why() {
    for (fault, words) in [(DENIED, "AccessDenied"), (Fault::EXPIRED_TOKEN, "ExpiredToken")] {
        let fake = FakeS3::start();
        let node = ground(&fake, |_| ()).start();
        let mut client = node.client();
        client.deliver(&[ALICE], message(1, 500));
        node.delivered_in_all(1);
        fake.misbehave(fault, Which::new(Verb::Put, ""), Times::Always);
        client.begin(&[ALICE]);
        client.send(message(2, 500));
        client.send(".\r\n");
        client.expect("451 4.3.0 ");
        let told = format!("{:?}", trouble(&node));
        assert!(told.contains(words) && told.contains("create spool/"), "{words}: {told}");
        fake.behave();
        client.deliver(&[ALICE], message(3, 500));
        node.delivered_in_all(2);
        assert_holds(&node, vec![message(1, 500), message(3, 500)], words);
    }
}
