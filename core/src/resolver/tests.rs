//! The resolver among servers that fail, lie and say too much: what all its tests need.

mod asking;
mod keeping;
mod trust;
mod world;

use std::net::Ipv4Addr;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record as Entry};

use crate::model::DnsName;
use crate::platform::{Answer, DnsError, Question, Record, RecordKind};
use world::{Asked, Does};

const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

fn a(name: &str) -> Question {
    Question { name: DnsName::parse(name).unwrap(), kind: RecordKind::A }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// An answer to the query with nothing in it yet.
fn empty(asked: &Asked) -> Message {
    let mut message = asked.message.clone();
    message.metadata.message_type = MessageType::Response;
    message.metadata.recursion_available = true;
    message.metadata.authentic_data = false;
    message
}

/// An answer that says that the name has the address `HOST`.
fn address(asked: &Asked, ttl: u32) -> Message {
    let mut message = empty(asked);
    message.add_answer(Entry::from_rdata(asked.message.queries[0].name.clone(), ttl, RData::A(A(HOST))));
    message
}

fn code(asked: &Asked, code: ResponseCode) -> Vec<Does> {
    let mut message = empty(asked);
    message.metadata.response_code = code;
    answers(message)
}

fn answers(message: Message) -> Vec<Does> {
    vec![Does::Answers(Box::new(message))]
}

fn good(asked: &Asked) -> Vec<Does> {
    answers(address(asked, 60))
}

fn is_host(result: &Result<Answer, DnsError>) -> bool {
    result.as_ref().is_ok_and(|answer| answer.records == [Record::Address(HOST.into())])
}

fn is_failure(result: &Result<Answer, DnsError>) -> bool {
    matches!(result, Err(DnsError::ServFail(_)))
}
