//! What answers are taken to say.

use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, SOA, TXT};
use proptest::prelude::*;

use super::*;

const ID: u16 = 0x4d58;

fn query(kind: RecordKind) -> Query {
    Query { id: ID, name: name("host.test."), kind, is_extended: true, is_trusted: true }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn host(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

fn entry(owner: &str, data: RData) -> Entry {
    Entry::from_rdata(name(owner), 60, data)
}

fn alias(owner: &str, target: &str) -> Entry {
    entry(owner, RData::CNAME(CNAME(name(target))))
}

fn mx(preference: u16, exchange: &str) -> Entry {
    entry("host.test.", RData::MX(MX::new(preference, name(exchange))))
}

fn address(owner: &str) -> Entry {
    entry(owner, RData::A(A::new(192, 0, 2, 1)))
}

fn message(query: &Query, answers: Vec<Entry>) -> Message {
    let mut message = Message::response(ID, OpCode::Query);
    message.add_query(Asked::query(query.name.clone(), record_type(query.kind)));
    message.add_answers(answers);
    message
}

/// The records that an answer gives, or why it gives none.
fn records(kind: RecordKind, answers: Vec<Entry>) -> Result<Vec<Record>, Reading> {
    let query = query(kind);
    match query.read(&message(&query, answers).to_vec().unwrap(), Case::Kept) {
        Reading::Known(Finding { result: Ok(answer), .. }) => Ok(answer.records),
        reading => Err(reading),
    }
}

fn absent(error: DnsError) -> Reading {
    Reading::Known(Finding { result: Err(error), keep: Duration::ZERO })
}

#[test]
fn records_of_each_kind_say_what_they_hold() {
    let v6 = AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let text = TXT::from_bytes(vec![b"v=spf1 ", b"\xff-all"]);
    for (kind, answers, expected) in [
        (RecordKind::A, vec![address("host.test.")], vec![Record::Address([192, 0, 2, 1].into())]),
        (RecordKind::Aaaa, vec![entry("host.test.", RData::AAAA(v6))], vec![Record::Address(v6.0.into())]),
        (
            RecordKind::Mx,
            vec![mx(10, "MX1.test."), mx(5, "mx2.test.")],
            vec![
                Record::Mx { preference: 10, exchange: Some(host("mx1.test")) },
                Record::Mx { preference: 5, exchange: Some(host("mx2.test")) },
            ],
        ),
        (RecordKind::Mx, vec![mx(0, ".")], vec![Record::Mx { preference: 0, exchange: None }]),
        (
            RecordKind::Txt,
            vec![entry("host.test.", RData::TXT(text))],
            vec![Record::Txt(b"v=spf1 \xff-all".to_vec())],
        ),
        (
            RecordKind::Ptr,
            vec![entry("host.test.", RData::PTR(PTR(name("a.test."))))],
            vec![Record::Ptr(host("a.test"))],
        ),
    ] {
        assert_eq!(records(kind, answers).unwrap(), expected);
    }
}

#[test]
fn what_was_not_asked_for_is_left_out() {
    let mut foreign = address("host.test.");
    foreign.dns_class = DNSClass::CH;
    let stray = vec![address("other.test."), mx(1, "mx.test."), foreign, address("host.test.")];
    assert_eq!(records(RecordKind::A, stray).unwrap().len(), 1);
    assert_eq!(records(RecordKind::A, vec![address("other.test.")]), Err(absent(DnsError::NoData)));
}

#[test]
fn names_that_cannot_be_shown_are_left_out_and_if_there_are_no_others_it_is_a_failure() {
    for labels in [&["a.b", "test"], &["\0", "test"], &["\u{e9}", "test"]] {
        let exchange = Name::from_labels(labels.iter().map(|label| label.as_bytes())).unwrap();
        let bad = || entry("host.test.", RData::MX(MX::new(1, exchange.clone())));
        let kept = records(RecordKind::Mx, vec![bad(), mx(2, "good.test.")]).unwrap();
        assert_eq!(kept, [Record::Mx { preference: 2, exchange: Some(host("good.test")) }], "{labels:?}");
        assert!(matches!(records(RecordKind::Mx, vec![bad()]), Err(Reading::Failed(_))), "{labels:?}");
    }
}

#[test]
fn aliases_are_followed_in_any_order_up_to_the_limit() {
    let chain = |aliases: usize| {
        let mut answers = vec![address(&format!("h{aliases}.test."))];
        answers.extend((0..aliases).rev().map(|number| {
            let owner = if number == 0 { "host.test.".to_owned() } else { format!("H{number}.test.") };
            alias(&owner, &format!("h{}.test.", number + 1))
        }));
        records(RecordKind::A, answers)
    };
    for aliases in [1, 2, ALIAS_LIMIT] {
        assert_eq!(chain(aliases).unwrap().len(), 1, "{aliases}");
    }
    assert!(matches!(chain(ALIAS_LIMIT + 1), Err(Reading::Failed(_))));
}

#[test]
fn a_loop_of_aliases_is_a_failure() {
    for aliases in [
        vec![alias("host.test.", "host.test.")],
        vec![alias("host.test.", "a.test."), alias("a.test.", "b.test."), alias("b.test.", "a.test.")],
    ] {
        assert!(matches!(records(RecordKind::A, aliases), Err(Reading::Failed(_))));
    }
}

#[test]
fn an_alias_without_records_at_its_end_is_no_data() {
    let answers = vec![alias("host.test.", "a.test.")];
    assert_eq!(records(RecordKind::Mx, answers), Err(absent(DnsError::NoData)));
}

#[test]
fn no_name_no_data_and_a_referral_are_told_apart() {
    let query = query(RecordKind::A);
    let soa = RData::SOA(SOA::new(name("ns.test."), name("root.test."), 1, 2, 3, 4, 30));
    let ns = RData::NS(NS(name("ns.test.")));
    let kept = |error| Reading::Known(Finding { result: Err(error), keep: Duration::from_secs(30) });
    for (code, authorities, expected) in [
        (ResponseCode::NXDomain, vec![soa.clone()], kept(DnsError::NxDomain)),
        (ResponseCode::NXDomain, vec![], absent(DnsError::NxDomain)),
        (ResponseCode::NoError, vec![soa.clone()], kept(DnsError::NoData)),
        (ResponseCode::NoError, vec![ns.clone(), soa], kept(DnsError::NoData)),
        (ResponseCode::NoError, vec![], absent(DnsError::NoData)),
        (ResponseCode::NoError, vec![ns], Reading::Unwilling("a referral to other servers".to_owned())),
    ] {
        let mut message = message(&query, vec![]);
        message.metadata.response_code = code;
        message.add_authorities(authorities.into_iter().map(|data| entry("test.", data)));
        assert_eq!(query.read(&message.to_vec().unwrap(), Case::Kept), expected);
    }
}

/// An absence of `host.test` that these records of the authority section tell of, after these aliases.
fn absence(code: ResponseCode, aliases: Vec<Entry>, authorities: Vec<Entry>) -> Reading {
    let query = query(RecordKind::A);
    let mut message = message(&query, aliases);
    message.metadata.response_code = code;
    message.add_authorities(authorities);
    query.read(&message.to_vec().unwrap(), Case::Kept)
}

fn soa(zone: &str, ttl: u32, minimum: u32) -> Entry {
    let data = RData::SOA(SOA::new(name("ns.test."), name("root.test."), 1, 2, 3, 4, minimum));
    Entry::from_rdata(name(zone), ttl, data)
}

#[test]
fn an_absence_is_kept_on_the_word_of_a_zone_that_the_name_is_in_and_no_other() {
    let kept =
        |error, seconds| Reading::Known(Finding { result: Err(error), keep: Duration::from_secs(seconds) });
    let aliases = || vec![alias("host.test.", "a.far.example.")];
    for (zone, seconds) in
        [(".", 30), ("TEST.", 30), ("host.test.", 30), ("a.host.test.", 0), ("ost.test.", 0), ("example.", 0)]
    {
        for (code, error) in
            [(ResponseCode::NXDomain, DnsError::NxDomain), (ResponseCode::NoError, DnsError::NoData)]
        {
            let reading = absence(code, vec![], vec![soa(zone, 60, 30)]);
            assert_eq!(reading, kept(error, seconds), "{zone} {code}");
        }
    }
    // It is the zone of the last name that says so, and the alias, which holds for a minute, leads there no longer.
    for (zone, ttl, seconds) in [("far.example.", 30, 30), ("far.example.", 300, 60), ("test.", 30, 0)] {
        let reading = absence(ResponseCode::NXDomain, aliases(), vec![soa(zone, ttl, 300)]);
        assert_eq!(reading, kept(DnsError::NxDomain, seconds), "{zone} {ttl}");
    }
    // A liar's record does not stand in the way of the true one.
    let reading =
        absence(ResponseCode::NXDomain, vec![], vec![soa("example.", 900, 900), soa("test.", 30, 30)]);
    assert_eq!(reading, kept(DnsError::NxDomain, 30));
}

#[test]
fn records_beside_the_answer_are_not_believed() {
    let query = query(RecordKind::A);
    let mut message =
        message(&query, vec![alias("other.test.", "host.test."), alias("a.host.test.", "b.test.")]);
    message.add_authority(address("host.test."));
    message.add_additional(address("host.test."));
    let reading = query.read(&message.to_vec().unwrap(), Case::Kept);
    assert_eq!(reading, absent(DnsError::NoData));
}

#[test]
fn the_case_of_letters_in_the_question_has_to_be_ours() {
    let query = Query { name: name("hOsT.test."), ..query(RecordKind::A) };
    for (asked, reading) in
        [("hOsT.test.", true), ("HOsT.test.", false), ("host.test.", false), ("hOsT.tesT.", false)]
    {
        let mut message = message(&query, vec![address("host.test.")]);
        message.queries[0].name = name(asked);
        let octets = message.to_vec().unwrap();
        assert_eq!(query.read(&octets, Case::Kept) != Reading::OtherCase, reading, "{asked}");
        assert!(matches!(query.read(&octets, Case::Changed), Reading::Known(_)), "{asked}");
    }
}

#[test]
fn an_extended_error_is_not_taken_for_an_empty_answer() {
    let query = query(RecordKind::A);
    let mut message = message(&query, vec![]);
    // This is 16: its lower four bits, which stand in the header, are those of success (RFC 6891 §6.1.3).
    message.metadata.response_code = ResponseCode::BADVERS;
    message.set_edns(Edns::new());
    assert!(matches!(query.read(&message.to_vec().unwrap(), Case::Kept), Reading::Failed(_)));
}

#[test]
fn an_error_without_the_question_is_heard_only_while_it_may_be_about_edns() {
    let mut message = Message::response(ID, OpCode::Query);
    message.metadata.response_code = ResponseCode::FormErr;
    let octets = message.to_vec().unwrap();
    let query = query(RecordKind::A);
    assert_eq!(query.read(&octets, Case::Kept), Reading::NoExtensions);
    assert_eq!(Query { is_extended: false, ..query.clone() }.read(&octets, Case::Kept), Reading::Stray);
    assert_eq!(Query { id: !ID, ..query }.read(&octets, Case::Kept), Reading::Stray);
}

#[test]
fn too_many_records_are_refused_before_they_are_read() {
    let exchanges = |count| (0..count).map(|number| mx(number, "mx.test.")).collect();
    assert_eq!(records(RecordKind::Mx, exchanges(RECORD_LIMIT as u16)).unwrap().len(), RECORD_LIMIT);
    let over = records(RecordKind::Mx, exchanges(RECORD_LIMIT as u16 + 1));
    assert!(matches!(over, Err(Reading::Failed(_))));
}

#[test]
fn compression_that_leads_nowhere_cannot_be_read() {
    let query = query(RecordKind::A);
    let good = message(&query, vec![]).to_vec().unwrap();
    let end = u16::try_from(good.len()).unwrap();
    // The owner of a record points to itself, ahead, behind the end, or into a chain that comes back.
    for pointers in [vec![end], vec![end + 2, end], vec![0x3fff], vec![end + 4, end, end + 2]] {
        let mut octets = good.clone();
        octets[7] = 1;
        octets.extend(pointers.iter().flat_map(|to| (0xc000 | to).to_be_bytes()));
        octets.extend([0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
        assert_eq!(query.read(&octets, Case::Kept), Reading::Incomplete, "{pointers:?}");
    }
}

proptest! {
    #[test]
    fn no_octets_make_the_reader_panic(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        // Alone, behind a header that fits, and behind a question that does.
        let query = query(RecordKind::Mx);
        let start = message(&query, vec![]).to_vec().unwrap();
        for known in [0, 2, 4, 12, start.len()] {
            let mut all = start[..known].to_vec();
            if known >= 12 {
                all[6..12].copy_from_slice(&[0, 200, 0, 20, 0, 20]);
            }
            all.extend(&octets);
            let _ = query.read(&all, Case::Kept);
        }
    }

    #[test]
    fn no_change_to_an_answer_makes_the_reader_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
    ) {
        let query = query(RecordKind::Mx);
        let answers = vec![alias("host.test.", "a.test."), mx(10, "mx.test."), mx(20, "a.mx.test."), address("mx.test.")];
        let mut octets = message(&query, answers).to_vec().unwrap();
        for (at, octet) in changes {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        octets.truncate(length.index(octets.len()) + 1);
        let _ = query.read(&octets, Case::Kept);
    }
}
