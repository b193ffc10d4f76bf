//! Answers as somebody reads them who has RFC 1035 §4 before him, all the time in the world, and nothing else.

use std::net::{Ipv4Addr, Ipv6Addr};

use fulmar_core::model::DnsName;
use fulmar_core::platform::{Record, RecordKind};

use super::world::Way;

/// Aliases that are followed.
const ALIASES: usize = 8;
/// Types (RFC 1035 §3.2.2) and the class IN.
const CNAME: u16 = 5;
const IN: u16 = 1;
/// Response codes (RFC 1035 §4.1.1).
const NO_ERROR: u8 = 0;
const NAME_ERROR: u8 = 3;

/// What an answer says of its question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// The records that can be shown, the seconds that all of them hold, and whether the server vouches for them.
    Records(Vec<Record>, u32, bool),
    /// That there are none of this kind.
    NoData,
    /// That there is no such name.
    NxDomain,
}

type Labels = Vec<Vec<u8>>;

/// What a message says in answer to a query that came this way; nothing where it is no answer to it, or none that is whole.
pub(super) fn read(query: &[u8], kind: RecordKind, way: Way, message: &[u8]) -> Option<Says> {
    let mut asked = Reader { message: query, at: 12 };
    let name = asked.name()?;
    let mut reader = Reader { message, at: 0 };
    let (id, flags) = (reader.number()?, reader.number()?);
    let [questions, answers, _, _] = [reader.number()?, reader.number()?, reader.number()?, reader.number()?];
    let [is_response, opcode, is_cut] = [flags >> 15, flags >> 11 & 0xf, flags >> 9 & 1];
    if id.to_be_bytes() != query[..2] || is_response != 1 || opcode != 0 || is_cut != 0 || questions != 1 {
        return None;
    }
    let about = reader.name()?;
    let is_same = if way == Way::Datagram { about == name } else { lower(&about) == lower(&name) };
    if !is_same || reader.number()? != number_of(kind) || reader.number()? != IN {
        return None;
    }
    match (flags & 0xf) as u8 {
        NO_ERROR => {}
        NAME_ERROR => return Some(Says::NxDomain),
        _ => return None,
    }
    let entries = (0..answers).map(|_| reader.entry()).collect::<Option<Vec<_>>>()?;
    let (mut name, mut ttl) = (lower(&name), u32::MAX >> 1);
    for _ in 0..=ALIASES {
        let own: Vec<_> =
            entries.iter().filter(|entry| entry.class == IN && lower(&entry.name) == name).collect();
        let found: Vec<_> = own.iter().filter(|entry| entry.kind == number_of(kind)).collect();
        let alias = own.iter().find(|entry| entry.kind == CNAME);
        match alias {
            Some(alias) if found.is_empty() => {
                name = lower(&Reader { message, at: alias.data_at }.name()?);
                ttl = ttl.min(alias.ttl);
            }
            _ if found.is_empty() => return Some(Says::NoData),
            _ => {
                let ttl = found.iter().fold(ttl, |ttl, entry| ttl.min(entry.ttl));
                let records: Vec<_> = found.iter().filter_map(|entry| entry.record(kind, message)).collect();
                return (!records.is_empty()).then_some(Says::Records(records, ttl, flags >> 5 & 1 == 1));
            }
        }
    }
    None
}

fn number_of(kind: RecordKind) -> u16 {
    match kind {
        RecordKind::A => 1,
        RecordKind::Ptr => 12,
        RecordKind::Mx => 15,
        RecordKind::Txt => 16,
        RecordKind::Aaaa => 28,
    }
}

fn lower(name: &Labels) -> Labels {
    name.iter().map(|label| label.to_ascii_lowercase()).collect()
}

/// A record as it stands in a message.
struct Entry<'a> {
    name: Labels,
    kind: u16,
    class: u16,
    ttl: u32,
    data: &'a [u8],
    data_at: usize,
}

impl Entry<'_> {
    /// What can be shown of it.
    fn record(&self, kind: RecordKind, message: &[u8]) -> Option<Record> {
        let name = |skipped: usize| Reader { message, at: self.data_at + skipped }.name();
        Some(match kind {
            RecordKind::A => Record::Address(Ipv4Addr::from(<[u8; 4]>::try_from(self.data).ok()?).into()),
            RecordKind::Aaaa => Record::Address(Ipv6Addr::from(<[u8; 16]>::try_from(self.data).ok()?).into()),
            RecordKind::Ptr => Record::Ptr(shown(&name(0)?)?),
            RecordKind::Mx => {
                let preference = u16::from_be_bytes(*self.data.first_chunk()?);
                let host = name(2)?;
                // RFC 7505 §3: the root is no exchange.
                let exchange = if host.is_empty() { None } else { Some(shown(&host)?) };
                Record::Mx { preference, exchange }
            }
            RecordKind::Txt => {
                let (mut text, mut rest) = (Vec::new(), self.data);
                while let Some((length, strings)) = rest.split_first() {
                    let (string, later) = strings.split_at_checked((*length).into())?;
                    text.extend_from_slice(string);
                    rest = later;
                }
                (!self.data.is_empty()).then_some(Record::Txt(text))?
            }
        })
    }
}

fn shown(name: &Labels) -> Option<DnsName> {
    DnsName::from_labels(name.iter().map(Vec::as_slice))
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let taken = self.message.get(self.at..self.at + octets)?;
        self.at += octets;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(*self.take(2)?.first_chunk()?))
    }

    /// Labels, of which the last ones may stand further up (RFC 1035 §4.1.4).
    fn name(&mut self) -> Option<Labels> {
        let (mut labels, start) = (Labels::new(), self.at);
        loop {
            let length = usize::from(self.take(1)?[0]);
            match length >> 6 {
                0 if length == 0 => return Some(labels),
                0 => labels.push(self.take(length)?.to_vec()),
                3 => {
                    let to = (length & 0x3f) << 8 | usize::from(self.take(1)?[0]);
                    // A prior occurrence is further up than all of this one, so that there is an end.
                    if to >= start {
                        return None;
                    }
                    labels.extend(Reader { message: self.message, at: to }.name()?);
                    return Some(labels);
                }
                _ => return None,
            }
        }
    }

    fn entry(&mut self) -> Option<Entry<'a>> {
        let (name, kind, class) = (self.name()?, self.number()?, self.number()?);
        let ttl = u32::from(self.number()?) << 16 | u32::from(self.number()?);
        let length = self.number()?.into();
        let data_at = self.at;
        let data = self.take(length)?;
        // RFC 2181 §8
        let ttl = if ttl >> 31 == 1 { 0 } else { ttl };
        Some(Entry { name, kind, class, ttl, data, data_at })
    }
}
