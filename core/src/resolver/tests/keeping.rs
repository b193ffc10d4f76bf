//! What is kept, for how long, and who shares a query.

use std::pin::pin;
use std::time::Duration;

use futures::future::join_all;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SOA};
use hickory_proto::rr::{RData, Record as Entry};

use super::world::{Asked, Does, World};
use super::{HOST, a, address, answers, code, empty, good, is_failure, is_host, name};
use crate::platform::Dns;
use crate::resolver::QUERIES_AT_ONCE;

fn absent(asked: &Asked, code: ResponseCode, ttl: u32, minimum: u32) -> Message {
    let mut message = empty(asked);
    message.metadata.response_code = code;
    let soa = SOA::new(name("ns.test."), name("root.test."), 1, 2, 3, 4, minimum);
    message.add_authority(Entry::from_rdata(name("test."), ttl, RData::SOA(soa)));
    message
}

/// A good answer that comes after a second.
fn slow(asked: &Asked) -> Vec<Does> {
    [vec![Does::Waits(Duration::from_secs(1))], good(asked)].concat()
}

#[test]
fn answers_and_absences_are_kept_as_long_as_they_say_within_limits() {
    const DAY: u64 = 24 * 3600;
    type Answered = fn(&Asked) -> Message;
    let cases: [(&str, Answered, u64); 9] = [
        ("a positive answer", |asked| address(asked, 60), 60),
        ("a TTL of zero", |asked| address(asked, 0), 5),
        ("a TTL of a year", |asked| address(asked, 365 * 24 * 3600), DAY),
        ("a TTL with its highest bit set", |asked| address(asked, u32::MAX), 5),
        ("no such name", |asked| absent(asked, ResponseCode::NXDomain, 300, 60), 60),
        ("no such records", |asked| absent(asked, ResponseCode::NoError, 90, 600), 90),
        ("an absence for a day", |asked| absent(asked, ResponseCode::NoError, 86_400, 86_400), 900),
        ("an absence without an SOA", empty, 0),
        (
            "an alias that holds shorter than its target",
            |asked| {
                let mut message = empty(asked);
                let alias = RData::CNAME(CNAME(name("real.test.")));
                message.add_answer(Entry::from_rdata(name("host.test."), 30, alias));
                message.add_answer(Entry::from_rdata(name("real.test."), 300, RData::A(A(HOST))));
                message
            },
            30,
        ),
    ];
    for (what, answered, seconds) in cases {
        let (world, resolver) = World::new(1, move |asked| answers(answered(asked)));
        let first = world.run(resolver.lookup(&a("host.test")));
        if seconds > 0 {
            world.pass(Duration::from_secs(seconds - 1));
            let mut again = world.run(resolver.lookup(&a("HOST.test.")));
            if let (Ok(answer), Ok(first)) = (&mut again, &first) {
                assert_eq!((first.ttl.as_secs(), answer.ttl.as_secs()), (seconds, 1), "{what}");
                answer.ttl = first.ttl;
            }
            assert_eq!(again, first, "{what}");
            world.pass(Duration::from_secs(1));
        }
        assert_eq!(world.asked().len(), 1, "{what}");
        let again = world.run(resolver.lookup(&a("host.test")));
        assert_eq!((again, world.asked().len()), (first, 2), "{what}");
    }
}

#[test]
fn failures_are_not_kept() {
    let (world, resolver) = World::new(1, |asked| code(asked, ResponseCode::ServFail));
    for asked in 1..4 {
        assert!(is_failure(&world.run(resolver.lookup(&a("host.test")))));
        assert_eq!(world.asked().len(), asked);
    }
}

#[test]
fn a_question_is_in_flight_once_however_many_ask_it() {
    let (world, resolver) = World::new(1, slow);
    let (one, other) = (a("host.test"), a("other.test"));
    let lookups = (0..100).map(|number| resolver.lookup(if number % 2 == 0 { &one } else { &other }));
    let results = world.run(join_all(lookups));
    assert!(results.iter().all(is_host));
    assert_eq!(world.asked().len(), 2);
}

#[test]
fn an_asker_who_leaves_takes_nothing_from_the_others() {
    let (world, resolver) = World::new(1, slow);
    let question = a("host.test");
    let mut waiting = pin!(resolver.lookup(&question));
    {
        let mut leaving = pin!(resolver.lookup(&question));
        assert!(world.turn(leaving.as_mut()).is_pending());
        assert!(world.turn(waiting.as_mut()).is_pending());
    }
    assert!(is_host(&world.run(waiting)));
    assert_eq!(world.asked().len(), 1);
}

#[test]
fn a_query_that_was_broken_off_is_a_failure_and_does_not_hold_up_the_next() {
    let (world, resolver) = World::new(1, slow);
    let question = a("host.test");
    let mut waiting = pin!(resolver.lookup(&question));
    assert!(world.turn(waiting.as_mut()).is_pending());
    world.end_jobs();
    assert!(is_failure(&world.run(waiting)));
    assert!(is_host(&world.run(resolver.lookup(&question))));
}

#[test]
fn queries_beyond_the_limit_wait_their_turn() {
    let (world, resolver) = World::new(1, slow);
    let questions: Vec<_> = (0..QUERIES_AT_ONCE + 1).map(|number| a(&format!("h{number}.test"))).collect();
    let mut all = pin!(join_all(questions.iter().map(|question| resolver.lookup(question))));
    assert!(world.turn(all.as_mut()).is_pending());
    assert_eq!(world.asked().len(), QUERIES_AT_ONCE);
    assert!(world.run(all).iter().all(is_host));
    assert_eq!((world.asked().len(), world.elapsed().as_secs()), (questions.len(), 2));
}
