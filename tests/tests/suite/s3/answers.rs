//! Answers that are errors, cut, late, garbage, or none: whether a request had an effect is then found out.

use std::collections::BTreeMap;

use fulmar_core::model::Event;
use fulmar_tests::fake_s3::{FakeS3, Fault, Times};
use fulmar_tests::faults::{Verb, Which};

use super::{ALICE, assert_holds, ground, message, trouble};

/// Small messages that each case sends, besides a large one.
const MESSAGES: usize = 12;
/// Its body goes out in three pieces.
const LARGE: usize = 5 << 20;

#[test]
fn whatever_becomes_of_answers_each_message_is_taken_and_is_there_once() {
    std::thread::scope(|scope| {
        for (fault, nth) in [
            (Fault::SLOW_DOWN, 3),
            (Fault::Error(429, "TooManyRequests"), 3),
            (Fault::Error(503, ""), 3),
            (Fault::Error(500, "InternalError"), 3),
            (Fault::FAILURE_AFTER_EFFECT, 3),
            (Fault::CutHead, 3),
            (Fault::CutBody, 3),
            (Fault::Garbage, 3),
            (Fault::Silence, 9),
            (Fault::SilenceAfterEffect, 9),
            // A server that closes connections while nobody uses them.
            (Fault::Close, 1),
        ] {
            scope.spawn(move || check(fault, nth));
        }
    });
}

fn check(fault: Fault, nth: usize) {
    let context = format!("{fault:?}");
    let fake = FakeS3::start();
    let node = ground(&fake, |_| ()).start();
    fake.misbehave(fault, Which::any(""), Times::EveryNth(nth));
    let sent: Vec<String> =
        (0..=MESSAGES).map(|number| message(number, if number == 5 { LARGE } else { 1_000 })).collect();
    let mut client = node.client();
    for message in &sent {
        client.deliver(&[ALICE], message);
    }
    node.delivered_in_all(sent.len() as u64);
    assert_holds(&node, sent, &context);
    assert!(trouble(&node).is_empty(), "{context}: {:?}", trouble(&node));
}

#[test]
fn a_segment_whose_create_is_called_failed_though_it_was_done_is_known_as_ours() {
    for fault in [Fault::FAILURE_AFTER_EFFECT, Fault::CutHead, Fault::CutBody, Fault::SilenceAfterEffect] {
        let fake = FakeS3::start();
        let node = ground(&fake, |_| ()).start();
        fake.misbehave(fault, Which::new(Verb::Put, "/log/"), Times::Next(1));
        node.client().deliver(&[ALICE], message(1, 500));
        node.delivered_in_all(1);
        assert_holds(&node, vec![message(1, 500)], &format!("{fault:?}"));
        let begun =
            node.events().iter().filter(|event| matches!(event, Event::IncarnationBegun { .. })).count();
        assert_eq!(begun, 1, "{fault:?}: nobody was taken for another");
        let mut creates = BTreeMap::<String, usize>::new();
        for (verb, key) in fake.requests() {
            if verb == Verb::Put && key.contains("/log/") {
                *creates.entry(key).or_default() += 1;
            }
        }
        let first = creates.first_key_value().map(|(_, count)| *count);
        assert_eq!(first, Some(2), "{fault:?}: {creates:?}");
    }
}
