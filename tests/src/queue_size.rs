//! A queue of very many entries: what a node keeps of each, measured on the manager that every node runs.

#![expect(clippy::expect_used, reason = "what does not go as expected fails the measurement")]

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fulmar_core::config::{Config, StoreSettings};
use fulmar_core::model::event::Journal;
use fulmar_core::model::{
    Address, BodyType, Domain, Incarnation, MailOptions, Nonce, Outcome, QueueId, RecipientOptions, Reply,
    ReversePath, UtcTime,
};
use fulmar_core::platform::{Host, Listed, Object, Page, Payload, Platform, Store, StoreError, When};
use fulmar_core::queue::{Manager, Ordered, Spool};
use fulmar_core::state::frame::Extent;
use fulmar_core::state::log::{
    Attempt, Body, Checkpoint, Class, Content, Entries, Entry, Envelope, Live, Part, Recipient, Record,
};
use fulmar_core::state::order::{Action, Order};
use fulmar_core::state::requests::Requests;
use fulmar_runtime_smol::SmolRuntime;

use crate::runtime::Runtime;

/// Destinations among which the entries are spread.
const DESTINATIONS: u64 = 1_000;
/// What the last attempt was told: 80 octets.
const LAST_REPLY: &str =
    "greylisted: this host is not known here, try again in some minutes, by the same host";

/// What a queue of so many entries takes.
#[derive(Debug)]
pub struct Figures {
    /// Entries.
    pub entries: u64,
    /// Octets that the manager has allocated for all of them, when none is due.
    pub waiting: usize,
    /// The same when all are.
    pub due: usize,
    /// How long it takes to write their Adopt record and to schedule them.
    pub adopted_in: Duration,
    /// The longest that the manager did not answer meanwhile.
    pub silence: Duration,
    /// How long an operator's order to try one of them again takes.
    pub ordered_in: Duration,
    /// How long a checkpoint of them is encoded, and decoded.
    pub checkpoint_in: [Duration; 2],
    /// Octets of that checkpoint.
    pub checkpoint: usize,
    /// What another message adds to the manager's work: to be put among the entries, looked up for its attempt, and taken out.
    pub another: Duration,
    /// How long it takes to note ten thousand outcomes of one message one by one.
    pub ten_thousand: Duration,
}

/// The `n`th of many messages, the first of which was accepted at this time: one recipient, which has been deferred twice and is to be tried
/// again within some hours.
pub fn entry(n: u64, first: UtcTime) -> Entry {
    let accepted = first.after(Duration::from_millis(n / 10));
    let after =
        Duration::from_mins(20) + Duration::from_millis(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 18_000_000);
    let mut entropy = [0; 10];
    entropy[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let id = QueueId::draw(accepted, entropy);
    // Segments of a hundred messages.
    let inc = Incarnation::draw(UtcTime(1_795_306_000_000), [7; 10]);
    let seq = n / 100;
    let at = 70_000 + (n % 100) * 10_000;
    let part = |at, len| Part { inc, seq, extent: Extent { at, len, crc: n as u32 ^ 0xdead_beef } };
    let content = Content { header: part(at, 800), body: Body::Inline(part(at + 800, 9_200)) };
    let reverse_path =
        Address::parse(&format!("sender-{:04}@origin.example", n % 10_000)).expect("an address");
    let address = format!("user-{:06}@dest{:03}.example", n % 1_000_000, n % DESTINATIONS);
    let recipient = Recipient {
        to: 0,
        address: Address::parse(&address).expect("an address"),
        alias: None,
        class: Class::Relay,
        attempts: 2,
        next: accepted.after(after),
        last_reply: Some(Reply::new(451, (4, 7, 1), &LAST_REPLY[..80])),
        options: RecipientOptions::default(),
    };
    let reverse_path = ReversePath::Address(reverse_path);
    let envelope = Envelope {
        id,
        accepted,
        reverse_path,
        options: MailOptions::of(BodyType::EightBitMime),
        verdict: None,
        size: 10_000,
        content,
    };
    Entry { envelope: Arc::new(envelope), recipients: vec![recipient] }
}

/// So many of them.
pub fn entries(count: u64, first: UtcTime) -> Entries {
    (0..count).map(|n| entry(n, first)).collect()
}

/// A store that takes everything and has nothing.
struct Nowhere;

#[async_trait]
impl Store for Nowhere {
    async fn put(&self, _: &str, _: Payload, _: When) -> Result<(), StoreError> {
        Ok(())
    }
    async fn get(&self, _: &str, _: Option<Range<u64>>) -> Result<Object, StoreError> {
        Err(StoreError::NotFound)
    }
    async fn head(&self, _: &str) -> Result<Listed, StoreError> {
        Err(StoreError::NotFound)
    }
    async fn delete(&self, _: &[String]) -> Result<(), StoreError> {
        Ok(())
    }
    async fn copy(&self, _: &str, _: &str) -> Result<(), StoreError> {
        Err(StoreError::NotFound)
    }
    async fn list(&self, _: &str, _: Option<&str>) -> Result<Page, StoreError> {
        Ok(Page::default())
    }
}

/// Measures a queue of so many entries; `allocated` tells how many octets this program has allocated.
pub fn measure(entries: u64, allocated: &dyn Fn() -> usize) -> Figures {
    let runtime = SmolRuntime::new(1).expect("threads");
    let platform = Platform { store: Arc::new(Nowhere), ..runtime.platform(&Arc::default()) };
    let world = World { runtime, platform, allocated, count: entries };
    let now = world.platform.clock.utc();
    let (waiting, adopted_in, silence, ordered_in) = world.hold(now);
    let (due, ..) = world.hold(UtcTime(now.0 - 86_400_000));
    let (checkpoint, checkpoint_in) = world.checkpoint();
    let (another, ten_thousand) = changes(entries, now);
    Figures {
        entries,
        waiting,
        due,
        adopted_in,
        silence,
        ordered_in,
        checkpoint_in,
        checkpoint,
        another,
        ten_thousand,
    }
}

struct World<'a> {
    runtime: SmolRuntime,
    platform: Platform,
    allocated: &'a dyn Fn() -> usize,
    count: u64,
}

impl World<'_> {
    fn hold(&self, first: UtcTime) -> (usize, Duration, Duration, Duration) {
        let config = Config::new(Domain::parse("mx.test").expect("a domain"));
        let requests = Requests::new(self.platform.clone(), StoreSettings::default(), Journal::silent());
        let (manager, spool) = Manager::new(&config, requests, Host::unknown());
        self.platform.spawn.spawn(Box::pin(manager.run()));
        let figures = self.runtime.block_on(async {
            let me = spool.stand().await.expect("a log");
            let before = (self.allocated)();
            let entries = entries(self.count, first);
            let of = Incarnation::draw(UtcTime(1), [1; 10]);
            let record =
                Record::Adopt { of, epoch: 1, folders: vec![], damaged: vec![], entries, observed: vec![] };
            let began = Instant::now();
            let is_adopted = Cell::new(false);
            let adopting = async {
                spool.adopt(me, record).await.expect("it is adopted");
                is_adopted.set(true);
            };
            let ((), silence) = futures::future::join(adopting, longest_silence(&spool, &is_adopted)).await;
            let adopted_in = began.elapsed();
            let ordered_in = self.order(&spool, first).await;
            ((self.allocated)() - before, adopted_in, silence, ordered_in)
        });
        let end = spool.close(self.platform.clock.instant());
        self.runtime.block_on(end);
        figures
    }

    /// Has one in the midst tried again.
    async fn order(&self, spool: &Spool, first: UtcTime) -> Duration {
        let (at, entropy) = self.platform.draw();
        let queue_id = entry(self.count / 2, first).envelope.id;
        let order = Order { nonce: Nonce::draw(at, entropy), at, queue_id, action: Action::Retry };
        let began = Instant::now();
        assert_eq!(spool.order(order).await, Ok(Ordered::Done));
        began.elapsed()
    }

    fn checkpoint(&self) -> (usize, [Duration; 2]) {
        let (at, entropy) = self.platform.draw();
        let live = Live { entries: entries(self.count, at), ..Live::default() };
        let (inc, nonce) = (Incarnation::draw(at, entropy), Nonce::draw(at, entropy));
        let began = Instant::now();
        let encoded = Checkpoint { inc, covers: 1, nonce, live }.encode();
        let encoded_in = began.elapsed();
        let octets = encoded.payload.to_bytes();
        let began = Instant::now();
        let decoded = Checkpoint::decode(&octets).expect("what was encoded");
        assert_eq!(decoded.live.entries.len() as u64, self.count);
        (octets.len(), [encoded_in, began.elapsed()])
    }
}

/// See [`Figures`].
fn changes(count: u64, first: UtcTime) -> (Duration, Duration) {
    const RECIPIENTS: u32 = 10_000;
    let mut entries = entries(count, first);
    let deliver = |entries: &mut Entries, entry: &Entry| {
        let outcome = Outcome::Delivered(Reply::new(250, (2, 0, 0), "taken"));
        for Recipient { to, .. } in &entry.recipients {
            let attempt = Attempt { to: *to, outcome: outcome.clone(), next: first, is_told: false };
            let work = entries.part(entry.envelope.id, &[*to]).expect("it lives");
            entries.attempted(work.envelope.id, &[attempt]);
        }
    };
    let others: Vec<Entry> = (count..count + u64::from(RECIPIENTS)).map(|n| entry(n, first)).collect();
    let began = Instant::now();
    for other in &others {
        entries.insert(other);
        assert_eq!(entries.recipients_left(other.envelope.id), 1);
        deliver(&mut entries, other);
    }
    let another = began.elapsed() / RECIPIENTS;
    let mut large = entry(count, first);
    let recipient = large.recipients[0].clone();
    large.recipients = (0..RECIPIENTS).map(|to| Recipient { to, ..recipient.clone() }).collect();
    entries.insert(&large);
    let began = Instant::now();
    deliver(&mut entries, &large);
    assert_eq!(entries.len() as u64, count);
    (another, began.elapsed())
}

/// How long the manager leaves a question open, at most, until it has done something.
async fn longest_silence(spool: &Spool, is_done: &Cell<bool>) -> Duration {
    let mut longest = Duration::ZERO;
    while !is_done.get() {
        let began = Instant::now();
        spool.current().await;
        longest = longest.max(began.elapsed());
    }
    longest
}
