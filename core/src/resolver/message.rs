//! What a query looks like, and what an answer to it says (RFC 1035 §4). No I/O.

#[cfg(test)]
mod tests;

use std::time::Duration;

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Header, Message, MessageType, OpCode, Query as Asked, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record as Entry, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::Finding;
use crate::model::DnsName;
use crate::platform::{Answer, DnsError, Record, RecordKind};

/// Octets of a datagram that we ask servers to send at most: what passes nearly everywhere without fragments, whose tails
/// are easy to forge.
pub(super) const DATAGRAM_OCTETS: u16 = 1232;
/// Records of one message, all sections together. Beyond: the answer counts as a failure of its server.
const RECORD_LIMIT: usize = 1_000;
/// Aliases between the name that was asked for and its records. Beyond: a failure, because it is most likely a loop.
const ALIAS_LIMIT: usize = 8;
/// The least time for which an answer is kept. A TTL of 0 is meant for one transaction (RFC 1035 §3.2.1); to us, the many
/// messages for one domain that arrive together are one.
const LEAST_TTL: Duration = Duration::from_secs(5);
/// The longest time for which an answer is kept, whatever its TTL.
const MOST_TTL: Duration = Duration::from_hours(24);
/// The longest time for which the absence of a name or of its records is kept (RFC 2308 §5 advises a limit): somebody may be
/// repairing it.
const MOST_ABSENCE_TTL: Duration = Duration::from_mins(15);

/// One query as it goes to one server, once.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) id: u16,
    pub(super) name: Name,
    pub(super) kind: RecordKind,
    /// Whether it carries EDNS0 (RFC 6891 §6.1.1).
    pub(super) is_extended: bool,
    /// Whether the server's word on DNSSEC is asked for and believed.
    pub(super) is_trusted: bool,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Not an answer to this query.
    Stray,
    /// The answer did not fit its datagram, or cannot be read.
    Incomplete,
    /// An answer to this query but for the case of letters in its name.
    OtherCase,
    /// The server understands no EDNS.
    NoExtensions,
    /// The server does not serve us, whatever the question.
    Unwilling(String),
    /// The server cannot say, or what it says is of no use.
    Failed(String),
    /// The answer.
    Known(Finding),
}

/// How the name in an answer's question has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// As in the query.
    Kept,
    /// With letters of either case.
    Changed,
}

/// A name as the library has it. Nothing for an address literal or a name that is too long: neither can exist in the DNS.
pub(super) fn name_of(name: &DnsName) -> Option<Name> {
    if name.as_str().starts_with('[') {
        return None;
    }
    Name::from_labels(name.labels().map(str::as_bytes)).ok()
}

impl Query {
    /// The message without a stream's length prefix.
    pub(super) fn encode(&self) -> Result<Vec<u8>, ProtoError> {
        let mut message = Message::new(self.id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        // In a query the bit asks for the bit in the answer (RFC 6840 §5.7).
        message.metadata.authentic_data = self.is_trusted;
        message.add_query(Asked::query(self.name.clone(), record_type(self.kind)));
        if self.is_extended {
            let mut edns = Edns::new();
            edns.set_max_payload(DATAGRAM_OCTETS);
            message.set_edns(edns);
        }
        message.to_vec()
    }

    /// Reads what came from the server. Whoever can write to our socket may have sent it, so only what has the query's id
    /// and question counts (RFC 5452 §9.1).
    pub(super) fn read(&self, octets: &[u8], case: Case) -> Reading {
        let mut decoder = BinDecoder::new(octets);
        let Ok(Header { metadata, counts }) = Header::read(&mut decoder) else { return Reading::Stray };
        let is_response = metadata.message_type == MessageType::Response && metadata.op_code == OpCode::Query;
        if !is_response || metadata.id != self.id {
            return Reading::Stray;
        }
        let has_extension_error = self.is_extended
            && matches!(metadata.response_code, ResponseCode::FormErr | ResponseCode::NotImp);
        if counts.queries == 0 && has_extension_error {
            // An old server may not have read as far as the question. A forger gains nothing by it: we ask again.
            return Reading::NoExtensions;
        }
        let asked =
            Asked::read(&mut decoder).ok().filter(|asked| counts.queries == 1 && self.is_about(asked));
        let Some(asked) = asked else { return Reading::Stray };
        if case == Case::Kept && !asked.name.eq_case(&self.name) {
            return Reading::OtherCase;
        }
        if metadata.truncation {
            return Reading::Incomplete;
        }
        if has_extension_error {
            return Reading::NoExtensions;
        }
        let records = [counts.answers, counts.authorities, counts.additionals];
        if records.into_iter().map(usize::from).sum::<usize>() > RECORD_LIMIT {
            return Reading::Failed(format!("more than {RECORD_LIMIT} records"));
        }
        match Message::from_vec(octets) {
            Ok(message) => self.interpret(&message),
            // Cut off without a word, maybe. Over a stream it cannot be that.
            Err(_) => Reading::Incomplete,
        }
    }

    /// Whether a question is ours. Names are compared without regard to case (RFC 1035 §2.3.3).
    fn is_about(&self, asked: &Asked) -> bool {
        asked.name == self.name
            && asked.query_type == record_type(self.kind)
            && asked.query_class == DNSClass::IN
    }

    fn interpret(&self, message: &Message) -> Reading {
        let is_absent = match message.metadata.response_code {
            ResponseCode::NoError => false,
            ResponseCode::NXDomain => true,
            code => {
                let why = format!("{code} (code {})", u16::from(code));
                return match code {
                    ResponseCode::Refused | ResponseCode::NotImp => Reading::Unwilling(why),
                    _ => Reading::Failed(why),
                };
            }
        };
        let Some(chain) = Chain::follow(message, &self.name, record_type(self.kind)) else {
            return Reading::Failed(format!("a loop, or more than {ALIAS_LIMIT} aliases"));
        };
        if is_absent {
            return chain.absence(DnsError::NxDomain, message);
        }
        if chain.entries.is_empty() {
            return chain.no_data(message);
        }
        let records: Vec<_> = chain.entries.iter().filter_map(|entry| record(&entry.data)).collect();
        if records.is_empty() {
            // Not the same as none: a domain whose MX records are unusable must not be delivered to as if it had none
            // (RFC 5321 §5.1).
            return Reading::Failed("records that name no host".to_owned());
        }
        let ttl = seconds(chain.ttl).clamp(LEAST_TTL, MOST_TTL);
        let secure = self.is_trusted && message.metadata.authentic_data;
        Reading::Known(Finding { result: Ok(Answer { records, secure, ttl }), keep: ttl })
    }
}

/// What an answer says of the name that was asked for, and of those that it is an alias of (RFC 1034 §3.6.2). Nothing else in it is
/// looked at: not records of other names, however near, nor any of the additional section (RFC 5452 §6).
struct Chain<'a> {
    /// The name at the end of the aliases.
    name: &'a Name,
    /// Its records of the kind that was asked for.
    entries: Vec<&'a Entry>,
    /// Seconds that the whole chain holds, as the records say.
    ttl: u32,
}

impl<'a> Chain<'a> {
    /// Nothing where the aliases are too many.
    fn follow(message: &'a Message, asked: &'a Name, kind: RecordType) -> Option<Self> {
        let mut name = asked;
        let mut ttl = u32::MAX >> 1;
        for _ in 0..=ALIAS_LIMIT {
            let owned = || {
                message.answers.iter().filter(|entry| entry.dns_class == DNSClass::IN && entry.name == *name)
            };
            let entries: Vec<_> = owned().filter(|entry| entry.record_type() == kind).collect();
            let alias = owned().find_map(|entry| match &entry.data {
                RData::CNAME(target) => Some((&target.0, entry.ttl)),
                _ => None,
            });
            match alias {
                Some((target, alias_ttl)) if entries.is_empty() => {
                    name = target;
                    ttl = ttl.min(valid(alias_ttl));
                }
                _ => {
                    let ttl = entries.iter().map(|entry| valid(entry.ttl)).fold(ttl, u32::min);
                    return Some(Self { name, entries, ttl });
                }
            }
        }
        None
    }

    /// A name without records of the kind, told from a server that points to others because it does not do the recursion:
    /// such a referral has NS records without an SOA (RFC 2308 §2.2).
    fn no_data(&self, message: &Message) -> Reading {
        let has = |kind| message.authorities.iter().any(|entry| entry.record_type() == kind);
        if has(RecordType::NS) && !has(RecordType::SOA) {
            return Reading::Unwilling("a referral to other servers".to_owned());
        }
        self.absence(DnsError::NoData, message)
    }

    /// An absence holds for the lesser of the SOA's TTL and its minimum, and no longer than the aliases that led to it; without an
    /// SOA of a zone that the name is in, it is not kept (RFC 2308 §5).
    fn absence(&self, error: DnsError, message: &Message) -> Reading {
        let is_above = |entry: &&Entry| entry.dns_class == DNSClass::IN && entry.name.zone_of(self.name);
        let keep = message.authorities.iter().filter(is_above).find_map(|entry| match &entry.data {
            RData::SOA(soa) => Some(valid(entry.ttl).min(valid(soa.minimum)).min(self.ttl)),
            _ => None,
        });
        let keep = keep.map_or(Duration::ZERO, |ttl| seconds(ttl).clamp(LEAST_TTL, MOST_ABSENCE_TTL));
        Reading::Known(Finding { result: Err(error), keep })
    }
}

/// A TTL is a number of 31 bits, and 0 where the highest bit is set (RFC 2181 §8).
fn valid(ttl: u32) -> u32 {
    if ttl > u32::MAX >> 1 { 0 } else { ttl }
}

fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(ttl.into())
}

/// What a record says; nothing where its name has octets that cannot be shown.
fn record(data: &RData) -> Option<Record> {
    match data {
        RData::A(address) => Some(Record::Address(address.0.into())),
        RData::AAAA(address) => Some(Record::Address(address.0.into())),
        RData::MX(mx) => {
            let exchange = if mx.exchange.is_root() { None } else { Some(host(&mx.exchange)?) };
            Some(Record::Mx { preference: mx.preference, exchange })
        }
        RData::TXT(txt) => Some(Record::Txt(txt.txt_data.concat())),
        RData::PTR(name) => host(&name.0).map(Record::Ptr),
        _ => None,
    }
}

fn host(name: &Name) -> Option<DnsName> {
    DnsName::from_labels(name.iter())
}

fn record_type(kind: RecordKind) -> RecordType {
    match kind {
        RecordKind::A => RecordType::A,
        RecordKind::Aaaa => RecordType::AAAA,
        RecordKind::Mx => RecordType::MX,
        RecordKind::Txt => RecordType::TXT,
        RecordKind::Ptr => RecordType::PTR,
    }
}
