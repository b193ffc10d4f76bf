//! A log of 100,000 live entries changes hands, on a store that takes 20 to 50 ms for each request.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use fulmar_core::config::{Config, StoreSettings};
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Domain, Incarnation, Nonce, UtcTime};
use fulmar_core::platform::{Host, Listed, Object, Page, Payload, Platform, Store, StoreError, When};
use fulmar_core::queue::Manager;
use fulmar_core::queue::adoption::{Adopter, Adoption};
use fulmar_core::state::frame::Data;
use fulmar_core::state::layout;
use fulmar_core::state::log::{Checkpoint, Live, Record, Segment};
use fulmar_core::state::requests::{RequestCounts, Requests};
use fulmar_runtime_smol::SmolRuntime;
use fulmar_storage_s3::MemoryStore;
use fulmar_tests::queue_size;
use fulmar_tests::runtime::Runtime;

const ENTRIES: u64 = 100_000;
const SEGMENTS: u64 = 1_000;
/// What an adoption asks besides reading segments: the chain of owners, listings, seals, the Adopt record, heartbeats, closing.
const OTHER_REQUESTS: u64 = 60;
/// Three times what it may take on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// A store that answers late.
struct Slow {
    inner: MemoryStore,
    requests: AtomicU64,
}

impl Slow {
    async fn wait(&self) {
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        smol::Timer::after(Duration::from_millis(20 + request * 7 % 31)).await;
    }
}

#[async_trait]
impl Store for Slow {
    async fn put(&self, key: &str, payload: Payload, when: When) -> Result<(), StoreError> {
        self.wait().await;
        self.inner.put(key, payload, when).await
    }
    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        self.wait().await;
        self.inner.get(key, range).await
    }
    async fn head(&self, key: &str) -> Result<Listed, StoreError> {
        self.wait().await;
        self.inner.head(key).await
    }
    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        self.wait().await;
        self.inner.delete(keys).await
    }
    async fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.wait().await;
        self.inner.copy(from, to).await
    }
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        self.wait().await;
        self.inner.list(prefix, after).await
    }
}

fn dead() -> Incarnation {
    Incarnation::draw(UtcTime(1_795_306_000_000), [9; 10])
}

fn nonce(n: u64) -> Nonce {
    Nonce::draw(UtcTime(n), [9; 10])
}

/// A segment with these entries; every tenth one is too long to be read at once.
fn segment(seq: u64, entries: Range<u64>, now: UtcTime) -> Payload {
    let records = entries.map(|n| Record::Accept(queue_size::entry(n, now))).collect();
    let mut data = Data::default();
    let content = Bytes::from(vec![b'x'; if seq.is_multiple_of(10) { 400_000 } else { 10_000 }]);
    // Nobody reads the content here, nor its checksum.
    data.push(&[content], 0);
    Segment { inc: dead(), seq, nonce: nonce(seq), at: now, records }.encode(data).payload
}

/// Objects of a dead log, by name.
type Log = BTreeMap<String, Payload>;

fn in_segments(now: UtcTime) -> Log {
    let each = ENTRIES / SEGMENTS;
    let segments = (0..SEGMENTS)
        .map(|seq| (layout::segment(dead(), seq), segment(seq, seq * each..(seq + 1) * each, now)));
    segments.collect()
}

fn in_a_checkpoint(now: UtcTime) -> Log {
    let live = Live { entries: queue_size::entries(ENTRIES, now), ..Live::default() };
    let checkpoint = Checkpoint { inc: dead(), covers: SEGMENTS, nonce: nonce(0), live };
    Log::from([(layout::checkpoint(dead(), SEGMENTS), checkpoint.encode().payload)])
}

fn in_an_adopt_record(now: UtcTime) -> Log {
    let entries = queue_size::entries(ENTRIES, now);
    let of = Incarnation::draw(now, [8; 10]);
    let records = vec![Record::Adopt {
        of,
        epoch: 1,
        folders: Vec::new(),
        damaged: Vec::new(),
        entries,
        observed: Vec::new(),
    }];
    let segment = Segment { inc: dead(), seq: 0, nonce: nonce(0), at: now, records };
    Log::from([(layout::segment(dead(), 0), segment.encode(Data::default()).payload)])
}

#[test]
fn a_log_of_100_000_entries_is_adopted_within_seconds_by_two_requests_per_segment_at_most() {
    check("1,000 segments", in_segments, 2 * SEGMENTS);
    check("a checkpoint", in_a_checkpoint, 0);
    check("an Adopt record", in_an_adopt_record, 2);
}

fn check(what: &str, log: impl Fn(UtcTime) -> Log, requests_for_segments: u64) {
    let runtime = SmolRuntime::new(2).unwrap();
    let store = Arc::new(Slow { inner: MemoryStore::new(), requests: AtomicU64::new(0) });
    let platform = Platform { store: store.clone(), ..runtime.platform(&Arc::default()) };
    let requests = Requests::new(platform.clone(), StoreSettings::default(), Journal::silent());
    let (manager, spool) =
        Manager::new(&Config::new(Domain::parse("mx.test").unwrap()), requests.clone(), Host::unknown());
    platform.spawn.spawn(Box::pin(manager.run()));
    runtime.block_on(async {
        for (key, payload) in log(platform.clock.utc()) {
            store.inner.put(&key, payload, When::Absent).await.unwrap();
        }
        let dead_logs = BTreeSet::from([dead()]);
        let adopter = Adopter { requests: &requests, spool: &spool, dead: &dead_logs };
        let began = Instant::now();
        let adopted = adopter.adopt(dead()).await.unwrap();
        let (took, RequestCounts { get, list, put, delete, get_bytes, .. }) = (began.elapsed(), requests.meter().counts());
        println!("{ENTRIES} entries in {what}: adopted in {took:.1?}; {get} GET of {get_bytes} octets, {list} LIST, {put} PUT");
        assert_eq!(adopted, Adoption::Done { log: dead(), entries: ENTRIES as usize });
        assert!(get + list + put + delete <= requests_for_segments + OTHER_REQUESTS, "{what}");
        assert!(took < PATIENCE, "{what}: {took:?}");
    });
}
