//! An account as a node loads it that has not seen it before, from a store in memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use fulmar_core::config::StoreSettings;
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Address, QueueId, UtcTime};
use fulmar_core::state::account::{Account, Arrival, INBOX, Op, Stored};
use fulmar_core::state::chain::Draft;
use fulmar_core::state::chains::Chains;
use fulmar_core::state::frame::Data;
use fulmar_core::state::layout;
use fulmar_core::state::requests::Requests;
use fulmar_runtime_smol::SmolRuntime;
use fulmar_tests::runtime::Runtime;

/// Commits between two snapshots.
const COMMITS: usize = 64;
/// Messages of a large account.
const MESSAGES: usize = 10_000;
/// Octets of a message.
const OCTETS: usize = 1 << 10;

/// Replays one message's commit after the other: there is no snapshot yet.
#[divan::bench]
fn replay_of_64_commits(bencher: Bencher<'_, '_>) {
    let bucket = Bucket::new();
    bucket.deliver(COMMITS - 1, 1);
    bencher.counter(ItemsCount::new(COMMITS)).bench_local(|| bucket.load());
}

/// Loads a snapshot, after which nothing was written.
#[divan::bench]
fn snapshot_of_10_000_messages(bencher: Bencher<'_, '_>) {
    let bucket = Bucket::new();
    bucket.deliver(MESSAGES, MESSAGES.div_ceil(COMMITS - 1));
    bucket.write_snapshot();
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| bucket.load());
}

/// A store with one account.
struct Bucket {
    runtime: SmolRuntime,
    requests: Requests,
    folder: String,
}

impl Bucket {
    /// One commit: the account.
    fn new() -> Self {
        let runtime = SmolRuntime::new(1).unwrap();
        let platform = runtime.platform(&Arc::default());
        let requests = Requests::new(platform, StoreSettings::default(), Journal::silent());
        let address = Address::parse("somebody@example.org").unwrap();
        let bucket = Self { runtime, requests, folder: layout::account(&address) };
        bucket.append(|| Draft { ops: vec![Op::Create { address: address.clone() }], data: Data::default() });
        bucket
    }

    /// Delivers so many messages, this many with each commit.
    fn deliver(&self, messages: usize, at_once: usize) {
        let ids: Vec<usize> = (0..messages).collect();
        for batch in ids.chunks(at_once) {
            self.append(|| {
                let mut data = Data::default();
                let ops = batch.iter().map(|number| arrival(*number, &mut data)).collect();
                Draft { ops, data }
            });
        }
    }

    fn append(&self, draft: impl Fn() -> Draft<Op> + Sync) {
        let chains = Chains::<Account>::new(self.requests.clone());
        self.runtime.block_on(async {
            let mut chain = chains.hold(&self.folder, Duration::ZERO).await.unwrap();
            chain.append(&self.requests, |_| draft()).await.unwrap();
        });
    }

    fn write_snapshot(&self) {
        let chains = Chains::<Account>::new(self.requests.clone());
        self.runtime.block_on(async {
            let mut chain = chains.hold(&self.folder, Duration::ZERO).await.unwrap();
            chain.snapshot_if_due(&self.requests).await;
        });
        let keys = self.runtime.block_on(self.requests.list(&layout::snapshots(&self.folder), None));
        assert_eq!(keys.unwrap().len(), 1);
    }

    /// All messages of the account, as a node counts them that begins with nothing.
    fn load(&self) -> usize {
        let chains = Chains::<Account>::new(self.requests.clone());
        let chain = self.runtime.block_on(chains.hold(&self.folder, Duration::ZERO));
        chain.unwrap().state().message_count()
    }
}

fn arrival(number: usize, data: &mut Data) -> Op {
    let content = Bytes::from(vec![b'x'; OCTETS]);
    let mut entropy = [0; 10];
    entropy[..8].copy_from_slice(&number.to_le_bytes());
    Op::Append(Arrival {
        mailbox: INBOX.to_owned(),
        queue_id: Some(QueueId::draw(UtcTime(1_795_306_347_500), entropy)),
        received: UtcTime(1_795_306_347_500),
        flags: Vec::new(),
        content: Stored { extent: data.push(&[content], 1), header: 0, body: None },
    })
}
