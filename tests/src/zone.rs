//! Names that tests make up.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fulmar_core::model::DnsName;
use fulmar_core::platform::{Answer, Dns, DnsError, Question, Record, RecordKind};

/// How long its answers hold.
const TTL: Duration = Duration::from_secs(60);

/// Aliases that are followed one after the other. Beyond: a failure, as with resolvers.
const ALIAS_LIMIT: usize = 8;

/// What is answered about one name.
type Kinds = BTreeMap<RecordKind, Result<Vec<Record>, DnsError>>;

/// A table of answers. A name that is in no entry does not exist; one that is has no records of other kinds.
#[derive(Debug, Default)]
pub struct Zone {
    entries: Mutex<BTreeMap<DnsName, Kinds>>,
    aliases: Mutex<BTreeMap<DnsName, DnsName>>,
}

impl Zone {
    /// Sets what is answered to one question.
    #[expect(clippy::expect_used, reason = "a name that is none fails the test that wrote it")]
    pub fn set(&self, name: &str, kind: RecordKind, answer: Result<Vec<Record>, DnsError>) {
        let name = DnsName::parse(name).expect("a name");
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.entry(name).or_default().insert(kind, answer);
    }

    /// Gives a name its exchanges, with their preferences.
    #[expect(clippy::expect_used, reason = "a name that is none fails the test that wrote it")]
    pub fn mx(&self, name: &str, exchanges: &[(u16, &str)]) {
        let record = |(preference, host): &(u16, &str)| Record::Mx {
            preference: *preference,
            exchange: (*host != ".").then(|| DnsName::parse(host).expect("a name")),
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

    /// Makes a name an alias of another (RFC 1034 §3.6.2).
    #[expect(clippy::expect_used, reason = "a name that is none fails the test that wrote it")]
    pub fn alias(&self, name: &str, target: &str) {
        let [name, target] = [name, target].map(|name| DnsName::parse(name).expect("a name"));
        self.aliases.lock().unwrap_or_else(PoisonError::into_inner).insert(name, target);
    }

    /// The name that is asked for and those that it is an alias of, in order, and what is answered about the last.
    pub(crate) fn resolve(&self, question: &Question) -> (Vec<DnsName>, Result<Vec<Record>, DnsError>) {
        let aliases = self.aliases.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = vec![question.name.clone()];
        while let Some(target) = names.last().and_then(|name| aliases.get(name)) {
            if names.len() > ALIAS_LIMIT {
                return (names, Err(DnsError::ServFail("an endless chain of aliases".to_owned())));
            }
            names.push(target.clone());
        }
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds = names.last().and_then(|name| entries.get(name));
        let no_data = Err(DnsError::NoData);
        let answer = kinds
            .map_or(Err(DnsError::NxDomain), |kinds| kinds.get(&question.kind).cloned().unwrap_or(no_data));
        (names, answer)
    }
}

#[async_trait]
impl Dns for Zone {
    async fn lookup(&self, question: &Question) -> Result<Answer, DnsError> {
        let records = self.resolve(question).1?;
        Ok(Answer { records, secure: false, ttl: TTL })
    }
}
