//! What is kept, for how long, and who shares a query.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SOA};
use hickory_proto::rr::{RData, Record as Entry};

use super::world::{Asked, Does, World};
use super::{HOST, a, address, answers, code, empty, good, is_failure, is_host, name};
use crate::platform::{Dns, DnsError};
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

#[test]
fn what_is_asked_for_often_is_looked_up_anew_before_it_expires_and_nobody_waits_for_that() {
    let (world, resolver) = World::new(1, |asked| answers(address(asked, 100)));
    let question = a("host.test");
    for (pause, queries, ttl) in [(0, 0, 100), (1, 1, 99), (1, 1, 98), (94, 1, 4), (0, 2, 100), (5, 2, 95)] {
        world.pass(Duration::from_secs(pause));
        let answer = world.run(resolver.lookup(&question)).unwrap();
        assert_eq!(answer.ttl.as_secs(), ttl, "after {} s", world.elapsed().as_secs());
        assert!(world.asked().len() >= queries, "after {} s", world.elapsed().as_secs());
    }
    assert_eq!((world.asked().len(), world.elapsed().as_secs()), (2, 101));
}

/// A server that answers the first query, and from then on does what the script says.
fn later(script: fn(&Asked) -> Vec<Does>) -> impl Fn(&Asked) -> Vec<Does> + Send + Sync {
    let asked_before = AtomicUsize::new(0);
    move |asked| match asked_before.fetch_add(1, Ordering::Relaxed) {
        0 => good(asked),
        _ => script(asked),
    }
}

#[test]
fn an_answer_that_has_expired_is_given_only_on_order_and_only_where_no_server_knows() {
    type Script = fn(&Asked) -> Vec<Does>;
    let fails: Script = |asked| code(asked, ResponseCode::ServFail);
    let is_silent: Script = |_| vec![];
    let is_absent: Script = |asked| answers(absent(asked, ResponseCode::NXDomain, 60, 60));
    for (stale, pause, script, is_given, milliseconds) in [
        (0, 60, fails, false, 0),
        (3_600, 60, fails, true, 0),
        (3_600, 3_600, fails, true, 0),
        (3_600, 3_660, fails, false, 0),
        (3_600, 60, is_silent, true, 1_800),
        (0, 60, is_silent, false, 14_000),
    ] {
        let (world, resolver) = World::new(1, later(script));
        let resolver = resolver.serving_stale(Duration::from_secs(stale));
        assert!(is_host(&world.run(resolver.lookup(&a("host.test")))));
        world.pass(Duration::from_secs(pause));
        let begun = world.elapsed();
        let result = world.run(resolver.lookup(&a("host.test")));
        let told = format!("{stale} {pause}: {result:?}");
        assert_eq!((is_host(&result), is_failure(&result)), (is_given, !is_given), "{told}");
        assert_eq!((world.elapsed() - begun).as_millis(), milliseconds, "{told}");
        if is_given && milliseconds == 0 {
            // The servers are left alone for half a minute.
            for (pause, queries) in [(0, 2), (29, 2), (1, 3)] {
                world.pass(Duration::from_secs(pause));
                let _ = world.run(resolver.lookup(&a("host.test")));
                assert_eq!(world.asked().len(), queries, "{told}");
            }
        }
    }
    let (world, resolver) = World::new(1, later(is_absent));
    let resolver = resolver.serving_stale(Duration::from_hours(1));
    assert!(is_host(&world.run(resolver.lookup(&a("host.test")))));
    world.pass(Duration::from_secs(60));
    assert_eq!(world.run(resolver.lookup(&a("host.test"))), Err(DnsError::NxDomain));
}
