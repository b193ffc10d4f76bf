//! Messages and a DNS for tests.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;

use super::{BodyHasher, BodyHashes, BodyMethod, DkimReport, body_methods, verify};
use crate::model::UtcTime;
use crate::model::message::{HeaderScan, HeaderSplit};
use crate::platform::{Answer, Dns, DnsError, Question, Record, RecordKind};

/// When the messages of these tests are read.
pub(in crate::authn) const NOW: UtcTime = UtcTime(1_795_306_347_500);

/// TXT records by name.
#[derive(Default)]
pub(in crate::authn) struct Zone {
    records: BTreeMap<String, Result<Vec<Vec<u8>>, DnsError>>,
    pub(in crate::authn) asked: Mutex<Vec<String>>,
}

impl Zone {
    pub(in crate::authn) fn new<'a>(records: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut zone = Self::default();
        records.into_iter().for_each(|(name, text)| zone.add(name, text));
        zone
    }

    pub(in crate::authn) fn add(&mut self, name: &str, text: &str) {
        let records = self.records.entry(name.to_owned()).or_insert_with(|| Ok(Vec::new()));
        records.as_mut().unwrap().push(text.as_bytes().to_vec());
    }
}

#[async_trait]
impl Dns for Zone {
    async fn lookup(&self, question: &Question) -> Result<Answer, DnsError> {
        assert_eq!(question.kind, RecordKind::Txt);
        let name = question.name.as_str();
        self.asked.lock().unwrap().push(name.to_owned());
        let texts = self.records.get(name).cloned().unwrap_or(Err(DnsError::NxDomain))?;
        let records = texts.into_iter().map(Record::Txt).collect();
        Ok(Answer { records, secure: false, ttl: Duration::from_mins(5) })
    }
}

/// The header block and the body.
pub(in crate::authn) fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let mut scan = HeaderScan::default();
    let end = match scan.advance(message) {
        HeaderSplit::At(end) => end,
        HeaderSplit::Unfinished => scan.finish(message),
    };
    message.split_at(end)
}

pub(in crate::authn) fn hash(body: &[u8], methods: impl IntoIterator<Item = BodyMethod>) -> BodyHashes {
    let mut hasher = BodyHasher::new(methods);
    hasher.push(body);
    hasher.finish()
}

pub(in crate::authn) fn verify_at(message: &[u8], zone: &Zone, now: UtcTime) -> DkimReport {
    let (header, body) = split(message);
    let bodies = hash(body, body_methods(header));
    verify(header, &bodies, zone, now).now_or_never().expect("the zone answers at once")
}
