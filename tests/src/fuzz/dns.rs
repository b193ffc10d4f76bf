//! Answers of name servers, by way of the whole resolver.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use fulmar_core::model::{DnsName, UtcTime};
use fulmar_core::platform::{
    Answer, Clock, Datagram, Dns, DnsError, Entropy, Instant, Job, Net, Question, Record, RecordKind, Spawn,
    Stream, Target,
};
use fulmar_core::resolver::{NameServers, Recorder, Recording, Resolver};
use futures::FutureExt;
use futures::io::{AsyncRead, AsyncWrite};

const KINDS: [RecordKind; 5] =
    [RecordKind::A, RecordKind::Aaaa, RecordKind::Mx, RecordKind::Txt, RecordKind::Ptr];
/// In the first octet: the rest is the whole message behind its id. Else it is what stands in the header behind the id, and behind the question.
const IS_WHOLE: u8 = 1 << 4;
/// Octets of a header (RFC 1035 §4.1.1).
const HEADER: usize = 12;
/// Queries about one name at most: in three rounds, by datagram and over a stream, with EDNS and without.
const MOST_QUERIES: usize = 12;
const LEAST_TTL: Duration = Duration::from_secs(5);
const MOST_TTL: Duration = Duration::from_hours(24);

/// The first octet says which kind is asked for. Whatever servers answer, the resolver comes to an end soon; what it takes for an answer is
/// one, keeps, and survives being recorded; and the same under another id, about another name, or in other letters is none.
pub fn dns(octets: &[u8]) {
    let Some((first, rest)) = octets.split_first() else { return };
    let is_whole = first & IS_WHOLE != 0;
    let kind = KINDS[usize::from(first & 0xf) % KINDS.len()];
    let name = DnsName::parse("host.test").expect("a name");
    let question = Question { name, kind };
    let made = rest.to_vec();
    let answer = move |query: &[u8]| if is_whole { whole(query, &made) } else { behind(query, &made) };

    let (world, resolver) = World::new(answer.clone(), true);
    let result = ask(&resolver, &question);
    let asked = world.asked.load(Ordering::Relaxed);
    assert!(asked <= MOST_QUERIES, "{asked} queries");
    if let Ok(answer) = &result {
        assert!(!answer.records.is_empty() && answer.records.iter().all(|record| is_of(kind, record)));
        assert!((LEAST_TTL..=MOST_TTL).contains(&answer.ttl) && !answer.secure, "{answer:?}");
        assert_eq!(ask(&resolver, &question), result, "another time");
        assert_eq!(world.asked.load(Ordering::Relaxed), asked, "it was not kept");
    }
    assert_recordable(&question, &result);

    let other_id = answer.clone();
    assert_unheard(&question, true, move |query| changed(other_id(query), 1, |octet| octet ^ 1));
    if !is_whole && rest.len() >= HEADER - 2 {
        let (other_name, other_case) = (answer.clone(), answer);
        // The second letter of the name becomes another, and the first the same in the other case.
        assert_unheard(&question, true, move |query| {
            changed(other_name(query), HEADER + 2, |octet| octet ^ 1)
        });
        assert_unheard(&question, false, move |query| {
            changed(other_case(query), HEADER + 1, |octet| octet ^ 0x20)
        });
    }
}

/// The octets behind the id of the query.
fn whole(query: &[u8], made: &[u8]) -> Vec<u8> {
    [&query[..2], made].concat()
}

/// The same, with the question of the query between the header and what follows.
fn behind(query: &[u8], made: &[u8]) -> Vec<u8> {
    let (header, rest) = made.split_at(made.len().min(HEADER - 2));
    [&query[..2], header, question_of(query), rest].concat()
}

/// The question in a query of ours: labels, type and class.
fn question_of(query: &[u8]) -> &[u8] {
    let mut at = HEADER;
    while query[at] != 0 {
        at += usize::from(query[at]) + 1;
    }
    &query[HEADER..at + 5]
}

fn changed(mut answer: Vec<u8>, at: usize, change: impl Fn(u8) -> u8) -> Vec<u8> {
    if let Some(octet) = answer.get_mut(at) {
        *octet = change(*octet);
    }
    answer
}

fn is_of(kind: RecordKind, record: &Record) -> bool {
    match record {
        Record::Address(address) => kind == if address.is_ipv4() { RecordKind::A } else { RecordKind::Aaaa },
        Record::Mx { .. } => kind == RecordKind::Mx,
        Record::Txt(_) => kind == RecordKind::Txt,
        Record::Ptr(_) => kind == RecordKind::Ptr,
    }
}

/// Nothing that is known about the name comes of these answers.
fn assert_unheard(
    question: &Question,
    has_streams: bool,
    answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
) {
    let (_, resolver) = World::new(answer, has_streams);
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

type Script = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// A network with one server, whose time passes when nothing else can happen.
struct World {
    script: Script,
    has_streams: bool,
    asked: AtomicUsize,
    drawn: AtomicU64,
    now: Mutex<Instant>,
}

impl World {
    fn new(
        script: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
        has_streams: bool,
    ) -> (Arc<Self>, Resolver) {
        let world = Arc::new(Self {
            script: Box::new(script),
            has_streams,
            asked: AtomicUsize::new(0),
            drawn: AtomicU64::new(1),
            now: Mutex::new(Instant::from_origin(Duration::ZERO)),
        });
        let servers = NameServers::from(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 53))]);
        let net = Arc::new(ScriptedNet(world.clone()));
        let resolver = Resolver::new(Arc::new(servers), net, world.clone(), world.clone(), world.clone());
        (world, resolver)
    }

    fn answer(&self, query: &[u8]) -> Vec<u8> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        (self.script)(query)
    }
}

#[async_trait]
impl Clock for World {
    fn utc(&self) -> UtcTime {
        UtcTime::default()
    }

    fn instant(&self) -> Instant {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sleep_until(&self, instant: Instant) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = instant.max(*now);
    }
}

impl Entropy for World {
    fn fill(&self, buffer: &mut [u8]) {
        for octet in buffer {
            let seed = self.drawn.fetch_add(1, Ordering::Relaxed);
            *octet = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0];
        }
    }
}

impl Spawn for World {
    fn spawn(&self, job: Job) {
        job.now_or_never().expect("time passes whenever somebody waits");
    }

    fn blocking(&self, _: Box<dyn FnOnce() + Send>) {
        unreachable!("a resolver does nothing that blocks");
    }
}

struct ScriptedNet(Arc<World>);

#[async_trait]
impl Net for ScriptedNet {
    async fn connect(&self, _: &Target, _: Instant) -> io::Result<Box<dyn Stream>> {
        if !self.0.has_streams {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok(Box::new(Connection { world: self.0.clone(), query: Vec::new(), answer: None }))
    }

    async fn datagram(&self, _: SocketAddr) -> io::Result<Box<dyn Datagram>> {
        Ok(Box::new(Exchange { world: self.0.clone(), answer: Mutex::default() }))
    }
}

/// One datagram each way.
struct Exchange {
    world: Arc<World>,
    answer: Mutex<Option<Vec<u8>>>,
}

#[async_trait]
impl Datagram for Exchange {
    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let answer = self.world.answer(datagram);
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        Ok(())
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(answer) = answer else { return pending().await };
        let length = answer.len().min(buffer.len());
        buffer[..length].copy_from_slice(&answer[..length]);
        Ok(length)
    }
}

/// A query, which comes in one piece, and its answer; then the end.
struct Connection {
    world: Arc<World>,
    query: Vec<u8>,
    answer: Option<io::Cursor<Vec<u8>>>,
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.query.extend_from_slice(octets);
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self { world, query, answer } = &mut *self;
        let answer = answer.get_or_insert_with(|| {
            let message = world.answer(&query[2..]);
            let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
            io::Cursor::new([&length.to_be_bytes()[..], &message[..usize::from(length)]].concat())
        });
        Poll::Ready(io::Read::read(answer, to))
    }
}
