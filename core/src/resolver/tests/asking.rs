//! Whom a question goes to, how, and what counts as an answer.

use std::net::Ipv4Addr;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, MX};
use hickory_proto::rr::{DNSClass, RData, Record as Entry, RecordType};

use super::world::Way::{Tcp, Udp};
use super::world::{Asked, Does, Way, World};
use super::{a, address, answers, code, empty, good, is_failure, is_host, name};
use crate::model::{DnsName, Domain};
use crate::platform::{Answer, Dns, DnsError, Question, Record, RecordKind};
use crate::resolver::DEADLINE;

pub(super) fn truncated(asked: &Asked) -> Vec<Does> {
    let mut message = empty(asked);
    message.metadata.truncation = true;
    answers(message)
}

/// What is changed in a good answer makes it no answer at all.
pub(super) fn lie(asked: &Asked, change: impl Fn(&mut Message)) -> Vec<Does> {
    let mut message = address(asked, 60);
    message.answers[0].data = RData::A(A(Ipv4Addr::new(203, 0, 113, 66)));
    change(&mut message);
    answers(message)
}

/// One lookup of an address with that many servers: what it must come to, whom it must have asked, and for how long.
struct Case {
    behaviour: &'static str,
    servers: usize,
    script: fn(&Asked) -> Vec<Does>,
    expected: fn(&Result<Answer, DnsError>) -> bool,
    path: &'static [(usize, Way)],
    seconds: u64,
}

fn check(cases: &[Case]) {
    for case in cases {
        let (world, resolver) = World::new(case.servers, case.script);
        let result = world.run(resolver.lookup(&a("host.test")));
        assert!((case.expected)(&result), "{}: {result:?}", case.behaviour);
        assert_eq!(world.path(), case.path, "{}", case.behaviour);
        assert_eq!(world.elapsed().as_secs(), case.seconds, "{}", case.behaviour);
    }
}

#[test]
fn servers_that_fail_are_followed_by_others_and_silent_ones_are_asked_again() {
    check(&[
        Case {
            behaviour: "the first server answers",
            servers: 2,
            script: good,
            expected: is_host,
            path: &[(0, Udp)],
            seconds: 0,
        },
        Case {
            behaviour: "SERVFAIL, then a good second server",
            servers: 2,
            script: |asked| if asked.server == 0 { code(asked, ResponseCode::ServFail) } else { good(asked) },
            expected: is_host,
            path: &[(0, Udp), (1, Udp)],
            seconds: 0,
        },
        Case {
            behaviour: "all servers refuse, and none is asked twice",
            servers: 2,
            script: |asked| code(asked, ResponseCode::Refused),
            expected: is_failure,
            path: &[(0, Udp), (1, Udp)],
            seconds: 0,
        },
        Case {
            behaviour: "silence, then a good second server",
            servers: 2,
            script: |asked| if asked.server == 0 { vec![] } else { good(asked) },
            expected: is_host,
            path: &[(0, Udp), (1, Udp)],
            seconds: 2,
        },
        Case {
            behaviour: "nobody listens at the first server",
            servers: 2,
            script: |asked| if asked.server == 0 { vec![Does::Refuses] } else { good(asked) },
            expected: is_host,
            path: &[(0, Udp), (1, Udp)],
            seconds: 0,
        },
        Case {
            behaviour: "one silent server is asked in three rounds",
            servers: 1,
            script: |_| vec![],
            expected: is_failure,
            path: &[(0, Udp), (0, Udp), (0, Udp)],
            seconds: 2 + 4 + 8,
        },
        Case {
            behaviour: "three silent servers do not take longer than the deadline",
            servers: 3,
            script: |_| vec![],
            expected: is_failure,
            path: &[(0, Udp), (1, Udp), (2, Udp), (0, Udp), (1, Udp), (2, Udp), (0, Udp)],
            seconds: DEADLINE.as_secs(),
        },
        Case {
            behaviour: "an answer that takes three seconds comes in the second round",
            servers: 1,
            script: |asked| [vec![Does::Waits(Duration::from_secs(3))], good(asked)].concat(),
            expected: is_host,
            path: &[(0, Udp), (0, Udp)],
            seconds: 2 + 3,
        },
        Case {
            behaviour: "no servers",
            servers: 0,
            script: |_| vec![],
            expected: is_failure,
            path: &[],
            seconds: 0,
        },
        Case {
            behaviour: "FORMERR with EDNS: once more without",
            servers: 1,
            script: |asked| {
                if asked.message.edns.is_some() { code(asked, ResponseCode::FormErr) } else { good(asked) }
            },
            expected: is_host,
            path: &[(0, Udp), (0, Udp)],
            seconds: 0,
        },
        Case {
            behaviour: "FORMERR always",
            servers: 1,
            script: |asked| code(asked, ResponseCode::FormErr),
            expected: is_failure,
            path: &[(0, Udp), (0, Udp)],
            seconds: 0,
        },
    ]);
}

#[test]
fn what_is_no_answer_to_the_query_is_dropped_and_the_true_one_still_counts() {
    let lies: [fn(&Asked) -> Vec<Does>; 8] = [
        |asked| lie(asked, |message| message.metadata.id ^= 1),
        |asked| lie(asked, |message| message.queries[0].name = name("other.test.")),
        |asked| lie(asked, |message| message.queries[0].query_type = RecordType::AAAA),
        |asked| lie(asked, |message| message.queries[0].query_class = DNSClass::CH),
        |asked| lie(asked, |message| message.queries.clear()),
        |asked| lie(asked, |message| message.queries.push(message.queries[0].clone())),
        |asked| lie(asked, |message| message.metadata.message_type = MessageType::Query),
        |_| vec![Does::Sends(vec![]), Does::Sends(vec![0xff; 11]), Does::Sends(b"220 garbage\r\n".to_vec())],
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let (world, resolver) = World::new(1, move |asked| [lie(asked), good(asked)].concat());
        let result = world.run(resolver.lookup(&a("host.test")));
        assert!(is_host(&result), "lie {number}: {result:?}");
        assert_eq!(world.path(), [(0, Udp)], "lie {number}");

        // Alone, it is as good as silence.
        let (world, resolver) = World::new(1, lie);
        assert!(is_failure(&world.run(resolver.lookup(&a("host.test")))), "lie {number}");
        assert_eq!(world.elapsed().as_secs(), 2 + 4 + 8, "lie {number}");
    }
}

#[test]
fn what_does_not_fit_or_was_guessed_at_comes_over_a_stream() {
    check(&[
        Case {
            behaviour: "TC, then TCP",
            servers: 1,
            script: |asked| if asked.way == Udp { truncated(asked) } else { good(asked) },
            expected: is_host,
            path: &[(0, Udp), (0, Tcp)],
            seconds: 0,
        },
        Case {
            behaviour: "a datagram cut off without TC",
            servers: 1,
            script: |asked| {
                let whole = address(asked, 60).to_vec().unwrap();
                if asked.way == Udp {
                    vec![Does::Sends(whole[..whole.len() - 14].to_vec())]
                } else {
                    good(asked)
                }
            },
            expected: is_host,
            path: &[(0, Udp), (0, Tcp)],
            seconds: 0,
        },
        Case {
            behaviour: "a flood of guesses, each before the true answer",
            servers: 1,
            script: |asked| match asked.way {
                Udp => (1..1_000).flat_map(|guess| lie(asked, |lie| lie.metadata.id ^= guess)).collect(),
                Tcp => good(asked),
            },
            expected: is_host,
            path: &[(0, Udp), (0, Tcp)],
            seconds: 0,
        },
        Case {
            behaviour: "TC over TCP as well",
            servers: 1,
            script: truncated,
            expected: is_failure,
            path: &[(0, Udp), (0, Tcp)],
            seconds: 0,
        },
        Case {
            behaviour: "TCP cut in the middle, then a good second server",
            servers: 2,
            script: |asked| match (asked.server, asked.way) {
                (0, Tcp) => {
                    vec![Does::Sends([&[0, 200][..], &address(asked, 60).to_vec().unwrap()].concat())]
                }
                (0, Udp) => truncated(asked),
                _ => good(asked),
            },
            expected: is_host,
            path: &[(0, Udp), (0, Tcp), (1, Udp)],
            seconds: 0,
        },
        Case {
            behaviour: "TCP closed at once or reset, always",
            servers: 2,
            script: |asked| match (asked.way, asked.server) {
                (Udp, _) => truncated(asked),
                (Tcp, 0) => vec![],
                (Tcp, _) => vec![Does::Refuses],
            },
            expected: is_failure,
            path: &[
                (0, Udp),
                (0, Tcp),
                (1, Udp),
                (1, Tcp),
                (0, Udp),
                (0, Tcp),
                (1, Udp),
                (1, Tcp),
                (0, Udp),
                (0, Tcp),
                (1, Udp),
                (1, Tcp),
            ],
            seconds: 0,
        },
        Case {
            behaviour: "a stream that falls silent in the middle, then a good second server",
            servers: 2,
            script: |asked| match (asked.server, asked.way) {
                (0, Tcp) => vec![Does::Sends(vec![0, 200, 1, 2, 3]), Does::Waits(Duration::ZERO)],
                (0, Udp) => truncated(asked),
                _ => good(asked),
            },
            expected: is_host,
            path: &[(0, Udp), (0, Tcp), (1, Udp)],
            seconds: 2,
        },
        Case {
            behaviour: "another question's answer over TCP",
            servers: 1,
            script: |asked| match asked.way {
                Udp => truncated(asked),
                Tcp => lie(asked, |message| message.metadata.id ^= 1),
            },
            expected: is_failure,
            path: &[(0, Udp), (0, Tcp)],
            seconds: 0,
        },
    ]);
}

#[test]
fn a_silent_server_comes_last_for_a_while_and_then_first_again() {
    let (world, resolver) = World::new(2, |asked| {
        let is_away = asked.server == 0 && asked.message.queries[0].name == name("first.test.");
        if is_away { vec![] } else { good(asked) }
    });
    for (host, pause) in [("first.test", 0), ("second.test", 0), ("third.test", 31)] {
        world.pass(Duration::from_secs(pause));
        assert!(is_host(&world.run(resolver.lookup(&a(host)))));
    }
    assert_eq!(world.path(), [(0, Udp), (1, Udp), (1, Udp), (0, Udp)]);
}

#[test]
fn servers_that_do_not_serve_us_come_last_and_those_that_cannot_tell_do_not() {
    for (code, path) in [
        (ResponseCode::Refused, [0, 1, 1]),
        (ResponseCode::NotImp, [0, 1, 1]),
        (ResponseCode::ServFail, [0, 1, 0]),
    ] {
        let (world, resolver) = World::new(2, move |asked| match asked.server {
            0 => super::code(asked, code),
            _ => good(asked),
        });
        world.run(resolver.lookup(&a("first.test"))).unwrap();
        world.run(resolver.lookup(&a("second.test"))).unwrap();
        let path_of = |asked: &Asked| (asked.message.edns.is_some()).then_some(asked.server);
        let asked: Vec<_> = world.asked().iter().filter_map(path_of).collect();
        assert_eq!(asked[..3], path, "{code}");
    }
}

#[test]
fn a_server_that_knows_no_edns_is_asked_without_it_for_an_hour() {
    let (world, resolver) = World::new(1, |asked| match asked.message.edns {
        Some(_) => code(asked, ResponseCode::NotImp),
        None => good(asked),
    });
    for (host, pause) in [("first.test", 0), ("second.test", 0), ("third.test", 3_599), ("fourth.test", 1)] {
        world.pass(Duration::from_secs(pause));
        assert!(is_host(&world.run(resolver.lookup(&a(host)))), "{host}");
    }
    let extended: Vec<_> = world.asked().iter().map(|asked| asked.message.edns.is_some()).collect();
    assert_eq!(extended, [true, false, false, false, true, false]);
}

#[test]
fn queries_ask_for_recursion_with_room_for_an_answer_under_ever_new_ids() {
    let (world, resolver) = World::new(2, |asked| code(asked, ResponseCode::ServFail));
    for _ in 0..50 {
        assert!(is_failure(&world.run(resolver.lookup(&a("host.test")))));
    }
    let asked = world.asked();
    let mut ids: Vec<_> = asked.iter().map(|asked| asked.message.metadata.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() > 90, "{ids:?}");
    for asked in asked {
        assert!(asked.message.metadata.recursion_desired);
        assert_eq!(asked.message.max_payload(), 1232);
        assert!(!asked.message.metadata.authentic_data);
    }
}

#[test]
fn a_hundred_mx_records_come_whole_over_a_stream() {
    let (world, resolver) = World::new(1, |asked| {
        let mut message = empty(asked);
        for number in 0..100u16 {
            let exchange = RData::MX(MX::new(number, name(&format!("mx{number}.a-rather-long-name.test."))));
            message.add_answer(Entry::from_rdata(asked.message.queries[0].name.clone(), 60, exchange));
        }
        match asked.way {
            // As it would arrive: cut off where the room ends.
            Udp => vec![Does::Sends(message.to_vec().unwrap())],
            Tcp => answers(message),
        }
    });
    let question = Question { name: DnsName::parse("host.test").unwrap(), kind: RecordKind::Mx };
    let records = world.run(resolver.lookup(&question)).unwrap().records;
    let expected = (0..100).map(|number| Record::Mx {
        preference: number,
        exchange: Some(DnsName::parse(&format!("mx{number}.a-rather-long-name.test")).unwrap()),
    });
    assert!(records.into_iter().eq(expected));
    assert_eq!(world.path(), [(0, Udp), (0, Tcp)]);
}

#[test]
fn what_can_be_no_name_in_the_dns_is_not_asked_for() {
    let long = [["x".repeat(63).as_str(); 3].join("."), "y".repeat(63)].join(".");
    let (world, resolver) = World::new(1, good);
    for text in ["[192.0.2.1]", &long] {
        let question = Question { name: Domain::parse(text).unwrap().into(), kind: RecordKind::A };
        assert_eq!(world.run(resolver.lookup(&question)), Err(DnsError::NxDomain), "{text}");
    }
    assert_eq!(world.path(), []);
}
