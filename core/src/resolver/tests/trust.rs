//! What is believed, and how hard it is to forge.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, TXT};
use hickory_proto::rr::{RData, Record as Entry};

use super::asking::{lie, truncated};
use super::world::Way::{Tcp, Udp};
use super::world::{Asked, Does, World};
use super::{a, address, answers, code, empty, good, is_failure, is_host, name};
use crate::model::DnsName;
use crate::platform::{Dns, Question, Record, RecordKind};
use crate::resolver::NameServers;

/// A good answer by somebody who writes every name in small letters.
fn in_small_letters(asked: &Asked) -> Vec<Does> {
    let mut message = address(asked, 60);
    message.queries[0].name = message.queries[0].name.to_lowercase();
    answers(message)
}

/// A false answer in which all is right but for the case of letters.
fn forged(asked: &Asked) -> Vec<Does> {
    lie(asked, |message| message.queries[0].name = message.queries[0].name.to_lowercase())
}

#[test]
fn each_query_writes_the_name_in_letters_of_either_case_by_chance() {
    let (world, resolver) = World::new(1, |asked| code(asked, ResponseCode::ServFail));
    for _ in 0..100 {
        assert!(is_failure(&world.run(resolver.lookup(&a("a-long-name.host.test")))));
    }
    let asked = world.asked();
    let spellings: BTreeSet<_> = asked.iter().map(|asked| asked.message.queries[0].name.to_ascii()).collect();
    assert!(spellings.len() > 90, "{spellings:?}");
    assert!(spellings.iter().all(|name| name.eq_ignore_ascii_case("a-long-name.host.test.")));
    // Each letter comes in both cases.
    for at in
        "a-long-name.host.test".char_indices().filter(|(_, c)| c.is_ascii_alphabetic()).map(|(at, _)| at)
    {
        let cases: BTreeSet<_> = spellings.iter().map(|name| name.as_bytes()[at]).collect();
        assert_eq!(cases.len(), 2, "letter {at}");
    }
}

#[test]
fn the_names_of_records_may_be_in_any_case() {
    let (world, resolver) = World::new(1, |asked| {
        let mut message = address(asked, 60);
        message.answers[0].name = name("hOsT.tEST.");
        answers(message)
    });
    assert!(is_host(&world.run(resolver.lookup(&a("host.test")))));
    assert_eq!(world.path(), [(0, Udp)]);
}

#[test]
fn an_answer_in_other_letters_is_taken_for_forged_and_the_question_goes_over_a_stream() {
    let (world, resolver) = World::new(1, |asked| match asked.way {
        Udp => forged(asked),
        Tcp => good(asked),
    });
    for host in ["first.test", "second.test"] {
        assert!(is_host(&world.run(resolver.lookup(&a(host)))), "{host}");
    }
    // What a forger did is not held against the server.
    assert_eq!(world.path(), [(0, Udp), (0, Tcp), (0, Udp), (0, Tcp)]);
}

#[test]
fn a_server_that_changes_letters_is_asked_over_streams_for_an_hour_and_never_trusted_with_less() {
    let (world, resolver) = World::new(1, in_small_letters);
    for (host, pause) in [("first.test", 0), ("second.test", 0), ("third.test", 3_599), ("fourth.test", 1)] {
        world.pass(Duration::from_secs(pause));
        assert!(is_host(&world.run(resolver.lookup(&a(host)))), "{host}");
    }
    assert_eq!(world.path(), [(0, Udp), (0, Tcp), (0, Tcp), (0, Tcp), (0, Udp), (0, Tcp)]);

    let (world, resolver) = World::new(1, |asked| match asked.way {
        Udp => in_small_letters(asked),
        Tcp => vec![Does::Refuses],
    });
    assert!(is_failure(&world.run(resolver.lookup(&a("host.test")))));
}

#[test]
fn only_servers_that_are_marked_are_believed_about_dnssec() {
    for are_validating in [true, false] {
        let addresses = vec![SocketAddr::from(([127, 0, 0, 1], 53))];
        let (world, resolver) = World::of(NameServers { addresses, are_validating }, |asked| {
            let mut message = address(asked, 60);
            message.metadata.authentic_data = true;
            answers(message)
        });
        let answer = world.run(resolver.lookup(&a("host.test"))).unwrap();
        assert_eq!(answer.secure, are_validating);
        // The bit is asked for where it means something (RFC 6840 §5.7).
        assert_eq!(world.asked()[0].message.metadata.authentic_data, are_validating);
    }
}

#[test]
fn servers_may_have_addresses_of_either_family() {
    let addresses = ["[2001:db8::53]:53", "[fe80::1%2]:5353"].map(|text| text.parse().unwrap()).to_vec();
    let (world, resolver) = World::of(addresses.into(), |asked| match asked.server {
        0 => code(asked, ResponseCode::ServFail),
        _ if asked.way == Udp => truncated(asked),
        _ => good(asked),
    });
    assert!(is_host(&world.run(resolver.lookup(&a("host.test")))));
    assert_eq!(world.path(), [(0, Udp), (1, Udp), (1, Tcp)]);
}

#[test]
fn an_answer_for_another_type_is_none_of_the_type_that_was_asked_for() {
    let (world, resolver) = World::new(1, |asked| {
        let mut message = empty(asked);
        let owner = asked.message.queries[0].name.clone();
        message.add_answer(Entry::from_rdata(owner, 60, RData::A(A(Ipv4Addr::new(203, 0, 113, 66)))));
        answers(message)
    });
    let question = Question { name: DnsName::parse("host.test").unwrap(), kind: RecordKind::Txt };
    assert_eq!(world.run(resolver.lookup(&question)), Err(crate::platform::DnsError::NoData));
}

#[test]
fn a_text_of_nearly_64_kib_comes_whole_over_a_stream() {
    const STRINGS: usize = 250;
    let (world, resolver) = World::new(1, |asked| {
        let mut message = empty(asked);
        let strings = vec![&[b'x'; 255][..]; STRINGS];
        let text = RData::TXT(TXT::from_bytes(strings));
        message.add_answer(Entry::from_rdata(asked.message.queries[0].name.clone(), 60, text));
        if asked.way == Udp { truncated(asked) } else { answers(message) }
    });
    let question = Question { name: DnsName::parse("host.test").unwrap(), kind: RecordKind::Txt };
    let records = world.run(resolver.lookup(&question)).unwrap().records;
    assert_eq!(records, [Record::Txt(vec![b'x'; 255 * STRINGS])]);
}
