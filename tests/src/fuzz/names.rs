//! Name servers that say what the input says, and count what they are asked.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fulmar_core::model::DnsName;
use fulmar_core::platform::{Answer, Dns, DnsError, Question, Record, RecordKind};
use futures::FutureExt;

/// Lines `owner TYPE data`; with `SERVFAIL` or `NODATA` for data, that is what is answered. What `*` owns, every name has that has no records of
/// this type of its own. Lines that are none of this are passed over.
#[derive(Debug, Default)]
pub(super) struct Names {
    answers: BTreeMap<(Option<DnsName>, RecordKind), Result<Vec<Record>, DnsError>>,
    asked: AtomicUsize,
}

impl Names {
    pub(super) fn parse(lines: &[u8]) -> Self {
        let mut names = Self::default();
        for line in lines.split(|octet| *octet == b'\n') {
            let mut words = line.splitn(3, |octet| *octet == b' ');
            if let (Some(owner), Some(kind), Some(data)) = (words.next(), words.next(), words.next()) {
                names.add(owner, kind, data);
            }
        }
        names
    }

    /// Every name has this TXT record, and no other.
    pub(super) fn all_with_text(text: &[u8]) -> Self {
        let answers = [((None, RecordKind::Txt), Ok(vec![Record::Txt(text.to_vec())]))];
        Self { answers: answers.into(), asked: AtomicUsize::default() }
    }

    /// Gives nothing where the line is no record.
    fn add(&mut self, owner: &[u8], kind: &[u8], data: &[u8]) -> Option<()> {
        let owner = if owner == b"*" { None } else { Some(name(owner)?) };
        let (kind, record) = match kind {
            b"TXT" => (RecordKind::Txt, Some(Record::Txt(data.to_vec()))),
            b"PTR" => (RecordKind::Ptr, name(data).map(Record::Ptr)),
            b"MX" => (RecordKind::Mx, exchange(data)),
            b"A" => (RecordKind::A, address(data)),
            b"AAAA" => (RecordKind::Aaaa, address(data)),
            _ => return None,
        };
        let answer = self.answers.entry((owner, kind)).or_insert(Ok(Vec::new()));
        match (data, answer) {
            (b"SERVFAIL", answer) => *answer = Err(DnsError::ServFail("no answer".to_owned())),
            (b"NODATA", answer) => *answer = Err(DnsError::NoData),
            (_, Ok(records)) => records.extend(record),
            (_, Err(_)) => {}
        }
        Some(())
    }

    /// Questions that were asked so far.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn name(octets: &[u8]) -> Option<DnsName> {
    DnsName::parse(str::from_utf8(octets).ok()?).ok()
}

/// `preference exchange`; a dot stands for none.
fn exchange(data: &[u8]) -> Option<Record> {
    let (preference, host) = str::from_utf8(data).ok()?.split_once(' ')?;
    let exchange = if host == "." { None } else { Some(name(host.as_bytes())?) };
    Some(Record::Mx { preference: preference.parse().ok()?, exchange })
}

/// Of either kind, whatever was asked for.
fn address(data: &[u8]) -> Option<Record> {
    let address: IpAddr = str::from_utf8(data).ok()?.parse().ok()?;
    Some(Record::Address(address))
}

#[async_trait]
impl Dns for Names {
    async fn lookup(&self, question: &Question) -> Result<Answer, DnsError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let Question { name, kind } = question;
        let own = self.answers.get(&(Some(name.clone()), *kind)).or_else(|| self.answers.get(&(None, *kind)));
        let exists = self.answers.keys().any(|(owner, _)| owner.as_ref() == Some(name));
        let absent = || Err(if exists { DnsError::NoData } else { DnsError::NxDomain });
        let records = own.cloned().unwrap_or_else(absent)?;
        if records.is_empty() {
            return Err(DnsError::NoData);
        }
        Ok(Answer { records, secure: false, ttl: Duration::from_secs(60) })
    }
}

/// What comes of work that waits for nothing but such servers.
pub(super) fn done<T>(work: impl Future<Output = T>) -> T {
    work.now_or_never().expect("the names are there at once")
}
