//! What was found, until it expires; and a while longer, for those who are content with that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Finding;
use crate::platform::{Answer, DnsError, Instant, Question, Record};

/// Questions whose results are kept. Beyond: what expires first goes.
const ENTRY_LIMIT: usize = 10_000;
/// Octets of all results together, as `weight` counts them. Beyond: likewise.
const OCTET_LIMIT: usize = 16 << 20;
/// Octets that an entry takes besides its records, and a record besides its name or text: rounded up.
const OVERHEAD: usize = 128;
/// How often a result is asked for before it is worth renewing ahead of need.
const POPULAR: u32 = 3;
/// The part of its time, the last one, in which a popular result is renewed: a tenth.
const LAST_PART: u32 = 10;
/// The TTL of an answer that has expired (RFC 8767 §4), which is also how long it is given again without asking anybody
/// once no server knew (RFC 8767 §5).
const STALE_TTL: Duration = Duration::from_secs(30);

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
    /// How long it holds altogether.
    lifetime: Duration,
    expires: Instant,
    octets: usize,
    /// How often it was asked for.
    uses: u32,
    /// Whether somebody was told that it is worth renewing.
    is_renewed: bool,
    /// Till when servers need not be asked again, because none knew.
    rests_until: Option<Instant>,
}

/// What the cache has to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It holds, with the time that is left to it.
    Fresh(Result<Answer, DnsError>),
    /// It still holds, but is asked for so often that it ought to be looked up anew before it expires. Said once.
    Ageing(Result<Answer, DnsError>),
    /// It has expired; better than nothing.
    Stale(Answer),
    /// Nothing.
    Nothing,
}

impl Cache {
    /// What is known; of that which has expired, only answers, and up to this long ago.
    pub(super) fn get(&mut self, question: &Question, now: Instant, stale: Duration) -> Known {
        let Some(entry) = self.entries.get_mut(question) else { return Known::Nothing };
        if entry.expires > now {
            return entry.fresh(entry.expires.since(now));
        }
        match &entry.result {
            // The signatures may have expired with it.
            Ok(answer) if now < entry.expires + stale => {
                let answer = Answer { secure: false, ttl: STALE_TTL, ..answer.clone() };
                match entry.rests_until {
                    Some(until) if now < until => Known::Fresh(Ok(answer)),
                    _ => Known::Stale(answer),
                }
            }
            _ => Known::Nothing,
        }
    }

    /// Keeps a finding for as long as it holds, in place of what was known. A failure takes nothing's place.
    pub(super) fn insert(&mut self, question: &Question, finding: &Finding, now: Instant) {
        if let Err(DnsError::ServFail(_)) = finding.result {
            if let Some(entry) = self.entries.get_mut(question) {
                entry.rests_until = Some(now + STALE_TTL);
            }
            return;
        }
        self.remove(question);
        if finding.keep.is_zero() {
            return;
        }
        let octets = weight(question, &finding.result);
        let entry = Entry {
            result: finding.result.clone(),
            lifetime: finding.keep,
            expires: now + finding.keep,
            octets,
            uses: 0,
            is_renewed: false,
            rests_until: None,
        };
        self.octets += octets;
        self.by_expiry.insert((entry.expires, question.clone()));
        self.entries.insert(question.clone(), entry);
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

impl Entry {
    fn fresh(&mut self, left: Duration) -> Known {
        let mut result = self.result.clone();
        if let Ok(answer) = &mut result {
            answer.ttl = left;
        }
        self.uses = self.uses.saturating_add(1);
        let is_ageing = self.uses >= POPULAR && left < self.lifetime / LAST_PART && !self.is_renewed;
        if !is_ageing {
            return Known::Fresh(result);
        }
        self.is_renewed = true;
        Known::Ageing(result)
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

    /// What is known without regard to what has expired.
    fn fresh(cache: &mut Cache, number: usize, seconds: u64) -> Option<Answer> {
        match cache.get(&question(number), at(seconds), Duration::ZERO) {
            Known::Fresh(result) | Known::Ageing(result) => Some(result.unwrap()),
            Known::Nothing => None,
            Known::Stale(answer) => panic!("not wanted: {answer:?}"),
        }
    }

    fn failure() -> Finding {
        Finding::failure("nobody knows".to_owned())
    }

    #[test]
    fn an_entry_tells_what_time_is_left_to_it_and_then_is_no_more() {
        let mut cache = Cache::default();
        cache.insert(&question(0), &finding(1, 60), at(100));
        assert_eq!(fresh(&mut cache, 0, 130).unwrap().ttl, Duration::from_secs(30));
        assert_eq!(fresh(&mut cache, 0, 160), None);
        assert_eq!(fresh(&mut cache, 1, 100), None);
    }

    #[test]
    fn what_is_not_to_be_kept_drives_out_what_was_but_a_failure_does_not() {
        let mut cache = Cache::default();
        cache.insert(&question(0), &finding(1, 60), at(0));
        cache.insert(&question(0), &failure(), at(1));
        assert!(fresh(&mut cache, 0, 2).is_some());
        cache.insert(&question(0), &finding(1, 0), at(2));
        assert_eq!(fresh(&mut cache, 0, 2), None);
        assert_eq!((cache.octets, cache.by_expiry.len()), (0, 0));
    }

    #[test]
    fn what_is_asked_for_often_is_renewed_once_in_the_last_tenth_of_its_time() {
        let ageing = |asked: &[u64]| {
            let mut cache = Cache::default();
            cache.insert(&question(0), &finding(1, 100), at(0));
            let known = asked.iter().map(|second| cache.get(&question(0), at(*second), Duration::ZERO));
            known.map(|known| matches!(known, Known::Ageing(_))).collect::<Vec<_>>()
        };
        assert_eq!(ageing(&[1, 2, 90, 91, 92]), [false, false, false, true, false]);
        assert_eq!(ageing(&[91, 92, 93, 94]), [false, false, true, false]);
        assert_eq!(ageing(&[1, 95]), [false, false]);
        assert_eq!(ageing(&[1, 2, 3, 100]), [false; 4]);
    }

    #[test]
    fn what_has_expired_is_given_within_bounds_as_if_it_held_for_a_moment_and_nobody_vouched_for_it() {
        let hour = Duration::from_hours(1);
        let mut cache = Cache::default();
        let mut found = finding(1, 60);
        found.result.as_mut().unwrap().secure = true;
        cache.insert(&question(0), &found, at(0));
        let mut stale = found.result.clone().unwrap();
        (stale.secure, stale.ttl) = (false, STALE_TTL);
        for (seconds, expected) in [(60, true), (3_659, true), (3_660, false)] {
            let known = cache.get(&question(0), at(seconds), hour);
            assert_eq!(known == Known::Stale(stale.clone()), expected, "{seconds}: {known:?}");
        }
        assert_eq!(cache.get(&question(0), at(60), Duration::ZERO), Known::Nothing);
        // Servers that did not know are not asked again at once.
        cache.insert(&question(0), &failure(), at(100));
        assert_eq!(cache.get(&question(0), at(129), hour), Known::Fresh(Ok(stale.clone())));
        assert_eq!(cache.get(&question(0), at(130), hour), Known::Stale(stale));

        let absence = Finding { result: Err(DnsError::NxDomain), keep: Duration::from_secs(60) };
        cache.insert(&question(1), &absence, at(0));
        assert_eq!(cache.get(&question(1), at(60), hour), Known::Nothing);
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
            assert!(fresh(&mut cache, 0, 1).is_some());
            assert_eq!(fresh(&mut cache, entries - 1, 1), None);
        }
    }
}
