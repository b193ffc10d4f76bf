//! Messages that answer a query.

use std::net::IpAddr;

use fulmar_core::model::DnsName;
use fulmar_core::platform::{DnsError, Question, Record, RecordKind};
use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, PTR, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record as Entry, RecordType};

use super::Manner;
use crate::zone::Zone;

/// Seconds that what it says may be kept.
const TTL: u32 = 60;
/// Octets of one string of a TXT record (RFC 1035 §3.3).
const STRING_LIMIT: usize = 255;
/// What it answers about when it lies about the name.
const OTHER_NAME: &str = "other.test.";

/// What a query came over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Datagram,
    Stream,
}

pub(super) fn answers(zone: &Zone, query: &Message, manner: Manner, transport: Transport) -> Vec<Vec<u8>> {
    let is_datagram = transport == Transport::Datagram;
    let mut answer = honest(zone, query);
    match manner {
        Manner::Silent => return Vec::new(),
        Manner::Garbage => return vec![b"\x00\xffno message".to_vec()],
        Manner::ServFail => answer = failure(query, ResponseCode::ServFail),
        Manner::Refused => answer = failure(query, ResponseCode::Refused),
        Manner::OtherName => rename(&mut answer),
        Manner::Truncated if is_datagram => answer = answer.truncate(),
        Manner::Honest | Manner::Truncated | Manner::ForgedFirst => {}
    }
    if is_datagram && octets(&answer).len() > query.max_payload().into() {
        answer = answer.truncate();
    }
    let mut all = Vec::new();
    if manner == Manner::ForgedFirst && is_datagram {
        let mut forged = failure(query, ResponseCode::NXDomain);
        forged.metadata.id ^= 1;
        all.push(octets(&forged));
    }
    all.push(octets(&answer));
    all
}

/// A name in a query as zones have it; none where it is the root, or cannot be shown.
pub(super) fn dns_name(name: &Name) -> Option<DnsName> {
    DnsName::from_labels(name.iter())
}

fn honest(zone: &Zone, query: &Message) -> Message {
    let mut answer = failure(query, ResponseCode::NoError);
    let Some(asked) = query.queries.first() else { return answer };
    let Some(name) = dns_name(&asked.name) else { return failure(query, ResponseCode::NXDomain) };
    let (names, result) = match kind(asked.query_type()) {
        Some(kind) => zone.resolve(&Question { name, kind }),
        None => (vec![name], Err(DnsError::NoData)),
    };
    let names: Vec<Name> = names.iter().map(to_name).collect();
    for pair in names.windows(2) {
        let alias = RData::CNAME(CNAME(pair[1].clone()));
        answer.add_answer(Entry::from_rdata(pair[0].clone(), TTL, alias));
    }
    let last = names.last().unwrap_or(&asked.name);
    match result {
        Ok(records) => {
            let entry = |record: &Record| Entry::from_rdata(last.clone(), TTL, data(record));
            answer.add_answers(records.iter().map(entry));
        }
        Err(DnsError::ServFail(_)) => return failure(query, ResponseCode::ServFail),
        Err(absence) => {
            if absence == DnsError::NxDomain {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            let (server, mailbox) = (to_name_of("ns.test."), to_name_of("root.test."));
            let soa = RData::SOA(SOA::new(server, mailbox, 1, 3_600, 600, 86_400, TTL));
            answer.add_authority(Entry::from_rdata(last.base_name(), TTL, soa));
        }
    }
    answer
}

/// An answer that has a code, and no records.
fn failure(query: &Message, code: ResponseCode) -> Message {
    let mut answer = query.clone();
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.recursion_available = true;
    answer.metadata.response_code = code;
    answer
}

/// Puts another name in the place of the one that was asked for, everywhere.
fn rename(answer: &mut Message) {
    let other = to_name_of(OTHER_NAME);
    for question in &mut answer.queries {
        *question = Query::query(other.clone(), question.query_type());
    }
    for entry in &mut answer.answers {
        entry.name = other.clone();
    }
}

fn kind(asked: RecordType) -> Option<RecordKind> {
    Some(match asked {
        RecordType::A => RecordKind::A,
        RecordType::AAAA => RecordKind::Aaaa,
        RecordType::MX => RecordKind::Mx,
        RecordType::TXT => RecordKind::Txt,
        RecordType::PTR => RecordKind::Ptr,
        _ => return None,
    })
}

fn data(record: &Record) -> RData {
    match record {
        Record::Address(IpAddr::V4(address)) => RData::A(A(*address)),
        Record::Address(IpAddr::V6(address)) => RData::AAAA(AAAA(*address)),
        Record::Mx { preference, exchange } => {
            RData::MX(MX::new(*preference, exchange.as_ref().map_or_else(Name::root, to_name)))
        }
        Record::Txt(text) => RData::TXT(TXT::from_bytes(text.chunks(STRING_LIMIT).collect())),
        Record::Ptr(host) => RData::PTR(PTR(to_name(host))),
    }
}

fn octets(message: &Message) -> Vec<u8> {
    message.to_vec().expect("what tests put into a zone fits into a message")
}

fn to_name(name: &DnsName) -> Name {
    Name::from_labels(name.labels().map(str::as_bytes)).expect("what tests put into a zone are names")
}

fn to_name_of(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}
