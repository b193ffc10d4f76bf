//! What was found, until it expires.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use crate::platform::{Answer, DnsError, Instant, Question, Record};

/// Questions whose results are kept. Beyond: what expires first goes.
const ENTRY_LIMIT: usize = 10_000;
/// Octets of all results together, as `weight` counts them. Beyond: likewise.
const OCTET_LIMIT: usize = 16 << 20;
/// Octets that an entry takes besides its records, and a record besides its name or text: rounded up.
const OVERHEAD: usize = 128;

/// Results by question, and by when they expire.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: BTreeMap<Question, Entry>,
    by_expiry: BTreeSet<(Instant, Question)>,
    octets: usize,
}

#[derive(Debug)]
struct Entry {
    result: Result<Answer, DnsError>,
    expires: Instant,
    octets: usize,
}

impl Cache {
    /// What is known, with the time that is left to it.
    pub(super) fn get(&self, question: &Question, now: Instant) -> Option<Result<Answer, DnsError>> {
        let entry = self.entries.get(question).filter(|entry| entry.expires > now)?;
        let mut result = entry.result.clone();
        if let Ok(answer) = &mut result {
            answer.ttl = entry.expires.since(now);
        }
        Some(result)
    }

    /// Keeps a finding for as long as it holds, in place of what was known.
    pub(super) fn insert(&mut self, question: &Question, finding: &Finding, now: Instant) {
        self.remove(question);
        if finding.keep.is_zero() {
            return;
        }
        let expires = now + finding.keep;
        let octets = weight(question, &finding.result);
        self.octets += octets;
        self.by_expiry.insert((expires, question.clone()));
        self.entries.insert(question.clone(), Entry { result: finding.result.clone(), expires, octets });
        while self.entries.len() > ENTRY_LIMIT || self.octets > OCTET_LIMIT {
            let Some((_, first)) = self.by_expiry.first().cloned() else { break };
            self.remove(&first);
        }
    }

    fn remove(&mut self, question: &Question) {
        if let Some((question, entry)) = self.entries.remove_entry(question) {
            self.octets -= entry.octets;
            self.by_expiry.remove(&(entry.expires, question));
        }
    }
}

/// About how many octets an entry takes. The question stands in two tables.
fn weight(question: &Question, result: &Result<Answer, DnsError>) -> usize {
    let records = result.as_ref().map_or(&[][..], |answer| &answer.records);
    let records = records.iter().map(|record| OVERHEAD + octets(record)).sum::<usize>();
    2 * (OVERHEAD + question.name.as_str().len()) + records
}

fn octets(record: &Record) -> usize {
    match record {
        Record::Address(_) => 0,
        Record::Mx { exchange, .. } => exchange.as_ref().map_or(0, |host| host.as_str().len()),
        Record::Txt(text) => text.len(),
        Record::Ptr(host) => host.as_str().len(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::DnsName;
    use crate::platform::RecordKind;

    fn question(number: usize) -> Question {
        Question { name: DnsName::parse(&format!("h{number}.test")).unwrap(), kind: RecordKind::Txt }
    }

    fn finding(text_octets: usize, keep: u64) -> Finding {
        let ttl = Duration::from_secs(keep);
        let records = vec![Record::Txt(vec![b'x'; text_octets])];
        Finding { result: Ok(Answer { records, secure: false, ttl }), keep: ttl }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn an_entry_tells_what_time_is_left_to_it_and_then_is_no_more() {
        let mut cache = Cache::default();
        cache.insert(&question(0), &finding(1, 60), at(100));
        let left = cache.get(&question(0), at(130)).unwrap().unwrap().ttl;
        assert_eq!(left, Duration::from_secs(30));
        assert_eq!(cache.get(&question(0), at(160)), None);
        assert_eq!(cache.get(&question(1), at(100)), None);
    }

    #[test]
    fn what_is_not_to_be_kept_drives_out_what_was() {
        let mut cache = Cache::default();
        cache.insert(&question(0), &finding(1, 60), at(0));
        cache.insert(&question(0), &finding(1, 0), at(1));
        assert_eq!(cache.get(&question(0), at(2)), None);
        assert_eq!((cache.octets, cache.by_expiry.len()), (0, 0));
    }

    #[test]
    fn entries_and_octets_are_bounded_and_what_expires_first_goes_first() {
        let large = OCTET_LIMIT / 4;
        for (entries, text_octets, kept) in [(ENTRY_LIMIT + 50, 1, ENTRY_LIMIT), (10, large, 3)] {
            let mut cache = Cache::default();
            // The later ones expire sooner.
            for number in 0..entries {
                cache.insert(&question(number), &finding(text_octets, 100_000 - number as u64), at(0));
                assert!(cache.entries.len() <= ENTRY_LIMIT && cache.octets <= OCTET_LIMIT);
            }
            assert_eq!((cache.entries.len(), cache.by_expiry.len()), (kept, kept));
            assert!(cache.get(&question(0), at(1)).is_some());
            assert_eq!(cache.get(&question(entries - 1), at(1)), None);
        }
    }
}
