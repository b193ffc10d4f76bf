//! Answers of name servers, by way of the whole resolver.

mod naive;
mod world;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fulmar_core::model::{DnsName, UtcTime};
use fulmar_core::platform::{Answer, Dns, DnsError, Question, RecordKind};
use fulmar_core::resolver::{DEADLINE, Recorder, Recording};
use futures::FutureExt;

use self::naive::Says;
use self::world::{Exchange, Way, World};

const KINDS: [RecordKind; 5] =
    [RecordKind::A, RecordKind::Aaaa, RecordKind::Mx, RecordKind::Txt, RecordKind::Ptr];
/// In the first octet: what is made is the whole message behind its id. Else it is what stands in the header behind the id, and behind the question.
const IS_WHOLE: u8 = 1 << 4;
/// In the first octet: what is made is many messages, each behind an octet that says how long it is. They answer one query each of two servers, who
/// are silent then; one without octets is silence too. Else one server says the same again and again.
const IS_SERIES: u8 = 1 << 5;
/// In the first octet: the servers are marked as validating.
const IS_VALIDATING: u8 = 1 << 6;
/// Octets of a header (RFC 1035 §4.1.1).
const HEADER: usize = 12;
/// Queries of one server about one name at most: in three rounds, by datagram and over a stream, with EDNS and without.
const MOST_QUERIES: usize = 12;
/// Answers to something else that come before the one that counts: fewer than make a resolver give up.
const STRAYS: usize = 5;
const LEAST_TTL: Duration = Duration::from_secs(5);
const MOST_TTL: Duration = Duration::from_hours(24);

/// The first octet says which kind is asked for, and how servers answer. Whatever they say, the resolver comes to an end soon; what it takes for an
/// answer a naive reader finds in the last message that came, keeps, and survives being recorded; what was said besides about other names and kinds
/// nobody knows afterwards; strays before an answer change nothing; and the same under another id, about another name, or in other letters is none.
pub fn dns(octets: &[u8]) {
    let Some((first, rest)) = octets.split_first() else { return };
    let name = DnsName::parse("host.test").expect("a name");
    let question = Question { name, kind: KINDS[usize::from(first & 0xf) % KINDS.len()] };
    let servers = if first & IS_SERIES != 0 { 2 } else { 1 };
    let made = Made::read(*first, rest);
    let is_validating = first & IS_VALIDATING != 0;

    let honest = made.clone();
    let (world, resolver) =
        World::new(servers, is_validating, move |number, _, query| honest.answers(number, query));
    let result = ask(&resolver, &question);
    let exchanges = world.exchanges();
    assert!(exchanges.len() <= MOST_QUERIES * usize::from(servers), "{} queries", exchanges.len());
    assert!(world.elapsed() <= DEADLINE, "{:?}", world.elapsed());
    assert_found(&question, is_validating, &result, exchanges.last());
    if result.is_ok() {
        assert_eq!(ask(&resolver, &question), result, "another time");
        assert_eq!(world.exchanges().len(), exchanges.len(), "it was not kept");
    }
    assert_nothing_else_is_known(&question, &world, &resolver);
    assert_recordable(&question, &result);

    let strayed = made.clone();
    let (_, resolver) = World::new(servers, is_validating, move |number, way, query| {
        let answers = strayed.answers(number, query);
        // Over a stream there is nobody but the server.
        let strays = if way == Way::Datagram { STRAYS } else { 0 };
        let stray = |answer: &Vec<u8>| vec![changed(answer.clone(), 1, 1); strays];
        answers.iter().flat_map(stray).chain(answers.clone()).collect()
    });
    assert_eq!(ask(&resolver, &question), result, "behind strays");

    assert_unheard(&question, &made, &[Way::Datagram, Way::Stream], (1, 1));
    if !made.is_whole && made.messages.iter().all(|message| message.is_empty() || message.len() >= HEADER - 2)
    {
        // The second letter of the name becomes another, and the first the same in the other case.
        assert_unheard(&question, &made, &[Way::Datagram, Way::Stream], (HEADER + 2, 1));
        // Over a stream it would be the server's own way of writing.
        assert_unheard(&question, &made, &[Way::Datagram], (HEADER + 1, 0x20));
    }
}

/// What the input makes servers say.
#[derive(Clone)]
struct Made {
    is_whole: bool,
    is_series: bool,
    messages: Vec<Vec<u8>>,
}

impl Made {
    fn read(first: u8, mut rest: &[u8]) -> Self {
        let (is_whole, is_series) = (first & IS_WHOLE != 0, first & IS_SERIES != 0);
        if !is_series {
            return Self { is_whole, is_series, messages: vec![rest.to_vec()] };
        }
        let mut messages = Vec::new();
        while let Some((length, later)) = rest.split_first() {
            let (message, later) = later.split_at(later.len().min((*length).into()));
            messages.push(message.to_vec());
            rest = later;
        }
        Self { is_whole, is_series, messages }
    }

    /// The answer to the query of this number, if there is one.
    fn answers(&self, number: usize, query: &[u8]) -> Vec<Vec<u8>> {
        let made = self.messages.get(if self.is_series { number } else { 0 });
        let Some(made) = made.filter(|made| !self.is_series || !made.is_empty()) else { return Vec::new() };
        if self.is_whole {
            return vec![[&query[..2], made].concat()];
        }
        let (header, rest) = made.split_at(made.len().min(HEADER - 2));
        vec![[&query[..2], header, question_of(query), rest].concat()]
    }
}

/// The question in a query of ours: labels, type and class.
fn question_of(query: &[u8]) -> &[u8] {
    let mut at = HEADER;
    while query[at] != 0 {
        at += usize::from(query[at]) + 1;
    }
    &query[HEADER..at + 5]
}

/// The same with these bits of one octet turned.
fn changed(mut answer: Vec<u8>, at: usize, bits: u8) -> Vec<u8> {
    if let Some(octet) = answer.get_mut(at) {
        *octet ^= bits;
    }
    answer
}

/// What is known is what a naive reader finds in the last message that came.
fn assert_found(
    question: &Question,
    is_validating: bool,
    result: &Result<Answer, DnsError>,
    last: Option<&Exchange>,
) {
    let said = last.and_then(|Exchange { way, query, answers }| {
        naive::read(query, question.kind, *way, answers.first()?)
    });
    let expected = match result {
        Err(DnsError::ServFail(_)) => return,
        Err(DnsError::NxDomain) => Says::NxDomain,
        Err(DnsError::NoData) => Says::NoData,
        Ok(answer) => {
            let Some(Says::Records(records, ttl, is_vouched_for)) = said else {
                panic!("{answer:?} of {last:?}")
            };
            let ttl = Duration::from_secs(ttl.into()).clamp(LEAST_TTL, MOST_TTL);
            let expected = Answer { records, ttl, secure: is_validating && is_vouched_for };
            return assert_eq!(answer, &expected, "{last:?}");
        }
    };
    assert_eq!(said, Some(expected), "{last:?}");
}

/// Of what the servers said besides, nothing is known: not of the name's other kinds, not of names beside it.
fn assert_nothing_else_is_known(question: &Question, world: &World, resolver: &dyn Dns) {
    world.fall_silent();
    let besides = KINDS.into_iter().filter(|kind| *kind != question.kind);
    let besides = besides.map(|kind| Question { kind, ..question.clone() });
    let names = ["a.test", "test", "a.host.test"].map(|name| DnsName::parse(name).expect("a name"));
    let elsewhere = names.into_iter().map(|name| Question { name, ..question.clone() });
    for other in besides.chain(elsewhere) {
        let known = ask(resolver, &other);
        assert!(matches!(known, Err(DnsError::ServFail(_))), "{other:?}: {known:?}");
    }
}

/// Nothing that is known about the name comes of these answers, once these bits of an octet of each are turned; where they come at all.
fn assert_unheard(question: &Question, made: &Made, ways: &'static [Way], (at, bits): (usize, u8)) {
    let made = made.clone();
    let (_, resolver) = World::new(1, false, move |number, way, query| {
        let answers = if ways.contains(&way) { made.answers(number, query) } else { Vec::new() };
        answers.into_iter().map(|answer| changed(answer, at, bits)).collect()
    });
    let result = ask(&resolver, question);
    assert!(matches!(result, Err(DnsError::ServFail(_))), "believed: {result:?}");
}

/// What came of a question is the same once it has been written down.
fn assert_recordable(question: &Question, result: &Result<Answer, DnsError>) {
    let recorder = Recorder::new(Arc::new(Known(result.clone())), UtcTime::default());
    assert_eq!(&ask(&recorder, question), result);
    let replayed = Recording::parse(&recorder.recording().to_lines()).expect("what we wrote");
    assert_eq!(&ask(&replayed, question), result);
}

fn ask(dns: &dyn Dns, question: &Question) -> Result<Answer, DnsError> {
    dns.lookup(question).now_or_never().expect("time passes whenever somebody waits")
}

struct Known(Result<Answer, DnsError>);

#[async_trait]
impl Dns for Known {
    async fn lookup(&self, _: &Question) -> Result<Answer, DnsError> {
        self.0.clone()
    }
}
