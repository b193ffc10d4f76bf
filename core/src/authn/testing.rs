//! A table in place of DNS, for the tests of all methods.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;

use crate::model::DnsName;
use crate::platform::{Answer, Dns, DnsError, Question, Record, RecordKind};

/// `owner MX preference exchange`, `owner TXT the rest of the line`, `owner A address`, `owner AAAA address`, `owner PTR name`, or with
/// `SERVFAIL` or `NODATA` in place of data. A name that owns nothing, and that nothing lies below, does not exist.
pub(super) struct Table {
    answers: BTreeMap<Question, Result<Vec<Record>, DnsError>>,
    names: BTreeSet<DnsName>,
    asked: AtomicUsize,
}

impl Table {
    pub(super) fn parse(zone: &str) -> Self {
        let mut table = Self { answers: BTreeMap::new(), names: BTreeSet::new(), asked: AtomicUsize::new(0) };
        for line in zone.lines().map(str::trim).filter(|line| !line.is_empty()) {
            table.add(line);
        }
        table
    }

    fn add(&mut self, line: &str) {
        let (owner, rest) = line.split_once(' ').unwrap();
        let (kind, data) = rest.split_once(' ').unwrap();
        let name = name(owner);
        let mut above = Some(owner);
        while let Some(text) = above {
            self.names.insert(DnsName::parse(text).unwrap());
            above = text.split_once('.').map(|(_, above)| above);
        }
        let of_kind = match kind {
            "MX" => RecordKind::Mx,
            "TXT" => RecordKind::Txt,
            "A" => RecordKind::A,
            "AAAA" => RecordKind::Aaaa,
            "PTR" => RecordKind::Ptr,
            _ => panic!("{line}"),
        };
        let answer = self.answers.entry(Question { name, kind: of_kind }).or_insert(Ok(Vec::new()));
        let record = match (of_kind, data) {
            (_, "SERVFAIL") => {
                *answer = Err(DnsError::ServFail("no server answered".to_owned()));
                return;
            }
            (_, "NODATA") => {
                *answer = Err(DnsError::NoData);
                return;
            }
            (RecordKind::Mx, data) => {
                let (preference, exchange) = data.split_once(' ').unwrap();
                let exchange = Some(exchange).filter(|exchange| *exchange != ".");
                Record::Mx { preference: preference.parse().unwrap(), exchange: exchange.map(self::name) }
            }
            (RecordKind::Txt, data) => Record::Txt(data.as_bytes().to_vec()),
            (RecordKind::Ptr, data) => Record::Ptr(self::name(data)),
            (RecordKind::A | RecordKind::Aaaa, data) => Record::Address(data.parse().unwrap()),
        };
        answer.as_mut().unwrap().push(record);
    }

    /// Questions that were asked so far.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Dns for Table {
    async fn lookup(&self, question: &Question) -> Result<Answer, DnsError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.answers.get(question).cloned() {
            Some(answer) => {
                answer.map(|records| Answer { records, secure: false, ttl: Duration::from_mins(5) })
            }
            None if self.names.contains(&question.name) => Err(DnsError::NoData),
            None => Err(DnsError::NxDomain),
        }
    }
}

/// Answers every question with the same records, whatever it is about.
pub(super) struct Liar(pub(super) Vec<Record>);

#[async_trait]
impl Dns for Liar {
    async fn lookup(&self, _: &Question) -> Result<Answer, DnsError> {
        Ok(Answer { records: self.0.clone(), secure: false, ttl: Duration::from_mins(5) })
    }
}

fn name(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

/// Runs what never waits.
pub(super) fn run<T>(future: impl Future<Output = T> + Send) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("a table answers at once"),
    }
}
