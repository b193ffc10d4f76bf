//! Answers written down, and given again: what was decided on their strength in production can be decided once more, in a test.
//!
//! One JSON object a line. The first says when it was recorded, since signatures expire by the clock; each other is one question
//! and what came of it:
//!
//! ```text
//! {"recorded_at":"2026-11-22T00:12:27.500Z"}
//! {"name":"far.test","kind":"MX","outcome":{"found":{"records":[{"mx":{"preference":10,"exchange":"mx.far.test"}}],"secure":false,"ttl":300}}}
//! {"name":"_dmarc.far.test","kind":"TXT","outcome":"no_domain"}
//! {"name":"sel._domainkey.far.test","kind":"TXT","outcome":{"failure":"192.0.2.53:53: no answer in time"}}
//! ```
//!
//! Text that is no UTF-8 stands there as `txt_base64`.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::model::{DnsName, UtcTime};
use crate::platform::{Answer, Dns, DnsError, Question, Record, RecordKind};

/// Questions of one recording. Beyond: not recorded; the verification of a message asks a few dozen at most.
const RECORDED_QUESTIONS: usize = 1_000;
/// The TTL of an answer that was recorded with more: a year.
const MOST_TTL: u64 = 365 * 86_400;

/// Answers to questions, as of a time. As [`Dns`] it gives these and asks nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// When it was made.
    pub recorded_at: UtcTime,
    answers: BTreeMap<Question, Result<Answer, DnsError>>,
}

/// A text that is no recording: which of its lines, from 1, is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is not of a recording")]
pub struct NotARecording(pub usize);

impl Recording {
    /// Reads what [`Recording::to_lines`] has written.
    pub fn parse(lines: &str) -> Result<Self, NotARecording> {
        let mut numbered = (1..).zip(lines.lines());
        let begun = numbered.next().and_then(|(_, line)| serde_json::from_str::<Begun>(line).ok());
        let recorded_at = begun.and_then(|begun| UtcTime::from_rfc3339(&begun.recorded_at));
        let recorded_at = recorded_at.ok_or(NotARecording(1))?;
        let mut answers = BTreeMap::new();
        for (number, line) in numbered {
            let read = serde_json::from_str::<Line>(line).ok().and_then(Line::read);
            let (question, result) =
                read.filter(|_| answers.len() < RECORDED_QUESTIONS).ok_or(NotARecording(number))?;
            answers.insert(question, result);
        }
        Ok(Self { recorded_at, answers })
    }

    /// One line for the time, and one for each question, in the order of names.
    pub fn to_lines(&self) -> String {
        let begun = Begun { recorded_at: self.recorded_at.to_rfc3339() };
        let mut lines = format!("{}\n", json(&begun));
        for (question, result) in &self.answers {
            // Writing to text does not fail.
            let _ = writeln!(lines, "{}", json(&Line::write(question, result)));
        }
        lines
    }
}

#[async_trait]
impl Dns for Recording {
    async fn lookup(&self, question: &Question) -> Result<Answer, DnsError> {
        let known = self.answers.get(question).cloned();
        known.unwrap_or_else(|| {
            let Question { name, kind } = question;
            Err(DnsError::ServFail(format!("the recording has no answer about {name} ({kind:?})")))
        })
    }
}

/// Passes questions on, and writes down what comes of them. Of a question that is asked several times, what came last.
pub struct Recorder {
    dns: Arc<dyn Dns>,
    recording: Mutex<Recording>,
}

impl Recorder {
    /// Nothing recorded yet.
    pub fn new(dns: Arc<dyn Dns>, now: UtcTime) -> Self {
        Self { dns, recording: Mutex::new(Recording { recorded_at: now, answers: BTreeMap::new() }) }
    }

    /// What was recorded so far.
    pub fn recording(&self) -> Recording {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Dns for Recorder {
    async fn lookup(&self, question: &Question) -> Result<Answer, DnsError> {
        let result = self.dns.lookup(question).await;
        let answers = &mut self.recording.lock().unwrap_or_else(PoisonError::into_inner).answers;
        if answers.len() < RECORDED_QUESTIONS || answers.contains_key(question) {
            answers.insert(question.clone(), result.clone());
        }
        result
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("recording", &self.recording).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Begun {
    recorded_at: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    name: String,
    kind: RecordKind,
    outcome: Outcome,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Found { records: Vec<Data>, secure: bool, ttl: u64 },
    NoDomain,
    NoRecords,
    Failure(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Data {
    Address(IpAddr),
    Mx { preference: u16, exchange: Option<String> },
    Txt(String),
    TxtBase64(String),
    Ptr(String),
}

impl Line {
    fn write(question: &Question, result: &Result<Answer, DnsError>) -> Self {
        let outcome = match result {
            Ok(answer) => Outcome::Found {
                records: answer.records.iter().map(Data::write).collect(),
                secure: answer.secure,
                ttl: answer.ttl.as_secs(),
            },
            Err(DnsError::NxDomain) => Outcome::NoDomain,
            Err(DnsError::NoData) => Outcome::NoRecords,
            Err(DnsError::ServFail(why)) => Outcome::Failure(why.clone()),
        };
        Self { name: question.name.to_string(), kind: question.kind, outcome }
    }

    fn read(self) -> Option<(Question, Result<Answer, DnsError>)> {
        let result = match self.outcome {
            Outcome::Found { records, secure, ttl } => {
                let records: Vec<_> = records.into_iter().map(Data::read).collect::<Option<_>>()?;
                // No answer is empty.
                records.first()?;
                Ok(Answer { records, secure, ttl: Duration::from_secs(ttl.min(MOST_TTL)) })
            }
            Outcome::NoDomain => Err(DnsError::NxDomain),
            Outcome::NoRecords => Err(DnsError::NoData),
            Outcome::Failure(why) => Err(DnsError::ServFail(why)),
        };
        Some((Question { name: name(&self.name)?, kind: self.kind }, result))
    }
}

impl Data {
    fn write(record: &Record) -> Self {
        match record {
            Record::Address(address) => Self::Address(*address),
            Record::Mx { preference, exchange } => {
                Self::Mx { preference: *preference, exchange: exchange.as_ref().map(ToString::to_string) }
            }
            Record::Txt(text) => match str::from_utf8(text) {
                Ok(text) => Self::Txt(text.to_owned()),
                Err(_) => Self::TxtBase64(STANDARD.encode(text)),
            },
            Record::Ptr(host) => Self::Ptr(host.to_string()),
        }
    }

    fn read(self) -> Option<Record> {
        Some(match self {
            Self::Address(address) => Record::Address(address),
            Self::Mx { preference, exchange: None } => Record::Mx { preference, exchange: None },
            Self::Mx { preference, exchange: Some(host) } => {
                Record::Mx { preference, exchange: Some(name(&host)?) }
            }
            Self::Txt(text) => Record::Txt(text.into_bytes()),
            Self::TxtBase64(text) => Record::Txt(STANDARD.decode(text).ok()?),
            Self::Ptr(host) => Record::Ptr(name(&host)?),
        })
    }
}

fn name(text: &str) -> Option<DnsName> {
    DnsName::parse(text).ok()
}

/// Types of this module have no maps and nothing else that JSON cannot hold.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const AT: UtcTime = UtcTime(1_795_306_347_500);

    fn question(name: &str, kind: RecordKind) -> Question {
        Question { name: DnsName::parse(name).unwrap(), kind }
    }

    fn host(text: &str) -> DnsName {
        DnsName::parse(text).unwrap()
    }

    /// What any source of answers may say.
    fn outcomes() -> Vec<(Question, Result<Answer, DnsError>)> {
        let found = |records| Ok(Answer { records, secure: true, ttl: Duration::from_secs(300) });
        let addresses =
            vec![Record::Address([192, 0, 2, 1].into()), Record::Address("2001:db8::1".parse().unwrap())];
        let exchanges = vec![
            Record::Mx { preference: 10, exchange: Some(host("mx.far.test")) },
            Record::Mx { preference: 0, exchange: None },
        ];
        let texts = vec![Record::Txt(b"v=spf1 \"a\" -all\n".to_vec()), Record::Txt(vec![0xff, 0])];
        vec![
            (question("a.test", RecordKind::A), found(addresses)),
            (question("a.test", RecordKind::Mx), found(exchanges)),
            (question("odd / name.test", RecordKind::Txt), found(texts)),
            (question("p.test", RecordKind::Ptr), found(vec![Record::Ptr(host("a.test"))])),
            (question("none.test", RecordKind::Aaaa), Err(DnsError::NxDomain)),
            (question("empty.test", RecordKind::Aaaa), Err(DnsError::NoData)),
            (
                question("away.test", RecordKind::Aaaa),
                Err(DnsError::ServFail("no answer in time".to_owned())),
            ),
        ]
    }

    fn ask(dns: &dyn Dns, question: &Question) -> Result<Answer, DnsError> {
        dns.lookup(question).now_or_never().unwrap()
    }

    #[test]
    fn what_was_recorded_is_written_down_and_given_again() {
        let source = Recording { recorded_at: UtcTime(0), answers: outcomes().into_iter().collect() };
        let recorder = Recorder::new(Arc::new(source), AT);
        for (question, expected) in outcomes() {
            assert_eq!(ask(&recorder, &question), expected);
        }
        let lines = recorder.recording().to_lines();
        let replayed = Recording::parse(&lines).unwrap();
        assert_eq!((replayed.recorded_at, &replayed), (AT, &recorder.recording()), "{lines}");
        for (question, expected) in outcomes() {
            assert_eq!(ask(&replayed, &question), expected);
        }
        let unknown = ask(&replayed, &question("other.test", RecordKind::Txt)).unwrap_err();
        assert_eq!(
            unknown.to_string(),
            "name server failure: the recording has no answer about other.test (Txt)"
        );
    }

    #[test]
    fn the_last_answer_to_a_question_counts_and_questions_are_bounded() {
        let nobody: Arc<dyn Dns> = Arc::new(Recording { recorded_at: AT, answers: BTreeMap::new() });
        let recorder = Recorder::new(nobody, AT);
        for number in 0..RECORDED_QUESTIONS + 10 {
            ask(&recorder, &question(&format!("h{number}.test"), RecordKind::A)).unwrap_err();
        }
        assert_eq!(recorder.recording().answers.len(), RECORDED_QUESTIONS);
        let lines = recorder.recording().to_lines();
        assert!(Recording::parse(&lines).is_ok());
        let more = lines + r#"{"name":"one-more.test","kind":"A","outcome":"no_domain"}"#;
        assert_eq!(Recording::parse(&more), Err(NotARecording(RECORDED_QUESTIONS + 2)));
    }

    #[test]
    fn a_line_that_is_damaged_is_named() {
        let begun = r#"{"recorded_at":"2026-11-22T00:12:27.500Z"}"#;
        let good = r#"{"name":"a.test","kind":"A","outcome":"no_domain"}"#;
        assert!(Recording::parse(&format!("{begun}\n{good}\n")).is_ok());
        for bad in [
            "",
            "{}",
            r#"{"name":"a..test","kind":"A","outcome":"no_domain"}"#,
            r#"{"name":"a.test","kind":"SOA","outcome":"no_domain"}"#,
            r#"{"name":"a.test","kind":"A","outcome":"lost"}"#,
            r#"{"name":"a.test","kind":"A","outcome":{"found":{"records":[],"secure":false,"ttl":1}}}"#,
            r#"{"name":"a.test","kind":"TXT","outcome":{"found":{"records":[{"txt_base64":"?"}],"secure":false,"ttl":1}}}"#,
        ] {
            assert_eq!(
                Recording::parse(&format!("{begun}\n{good}\n{bad}\n")),
                Err(NotARecording(3)),
                "{bad}"
            );
        }
        for bad in ["", good, r#"{"recorded_at":"yesterday"}"#] {
            assert_eq!(Recording::parse(bad), Err(NotARecording(1)), "{bad}");
        }
    }
}
