//! Names that tests make up.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fulmar_core::model::Domain;
use fulmar_core::platform::{Answer, Dns, DnsError, Question, Record, RecordKind};

/// How long its answers hold.
const TTL: Duration = Duration::from_secs(60);

/// What is answered about one name.
type Kinds = BTreeMap<RecordKind, Result<Vec<Record>, DnsError>>;

/// A table of answers. A name that is in no entry does not exist; one that is has no records of other kinds.
#[derive(Debug, Default)]
pub struct Zone {
    entries: Mutex<BTreeMap<Domain, Kinds>>,
}

impl Zone {
    /// Sets what is answered to one question.
    #[expect(clippy::expect_used, reason = "a name that is none fails the test that wrote it")]
    pub fn set(&self, name: &str, kind: RecordKind, answer: Result<Vec<Record>, DnsError>) {
        let name = Domain::parse(name).expect("a domain");
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.entry(name).or_default().insert(kind, answer);
    }

    /// Gives a name its exchanges, with their preferences.
    #[expect(clippy::expect_used, reason = "a name that is none fails the test that wrote it")]
    pub fn mx(&self, name: &str, exchanges: &[(u16, &str)]) {
        let record = |(preference, host): &(u16, &str)| Record::Mx {
            preference: *preference,
            exchange: (*host != ".").then(|| Domain::parse(host).expect("a domain")),
        };
        self.set(name, RecordKind::Mx, Ok(exchanges.iter().map(record).collect()));
    }

    /// Gives a name its addresses.
    pub fn host(&self, name: &str, addresses: &[IpAddr]) {
        for (kind, is_v4) in [(RecordKind::A, true), (RecordKind::Aaaa, false)] {
            let of_kind = addresses.iter().filter(|address| address.is_ipv4() == is_v4);
            let records: Vec<_> = of_kind.copied().map(Record::Address).collect();
            if !records.is_empty() {
                self.set(name, kind, Ok(records));
            }
        }
    }
}

#[async_trait]
impl Dns for Zone {
    async fn lookup(&self, question: &Question) -> Result<Answer, DnsError> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds = entries.get(&question.name).ok_or(DnsError::NxDomain)?;
        let records = kinds.get(&question.kind).cloned().unwrap_or(Err(DnsError::NoData))?;
        Ok(Answer { records, secure: false, ttl: TTL })
    }
}
