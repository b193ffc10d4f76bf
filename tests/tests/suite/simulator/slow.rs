//! A store that moves octets slowly is waited for by the length of what it moves.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fulmar_core::config::StoreSettings;
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Incarnation, Nonce};
use fulmar_core::platform::{Clock, Listed, Object, Page, Payload, Store, StoreError, When};
use fulmar_core::state::layout;
use fulmar_core::state::log::{Checkpoint, Live, read_log};
use fulmar_core::state::requests::{Created, Requests};
use fulmar_tests::sim::{Simulation, run};

use super::doors;

/// What it moves in a second: twice what is asked of a store at least.
const OCTETS_A_SECOND: u64 = 2 << 20;
/// Takes three times as long as a request that moves little may.
const LONG: usize = 60 << 20;

struct Slow {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Slow {
    async fn moved(&self, octets: usize) {
        self.clock
            .sleep_until(self.clock.instant() + Duration::from_secs(octets as u64 / OCTETS_A_SECOND))
            .await;
    }
}

#[async_trait]
impl Store for Slow {
    async fn put(&self, key: &str, payload: Payload, when: When) -> Result<(), StoreError> {
        self.moved(payload.len()).await;
        self.store.put(key, payload, when).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        let object = self.store.get(key, range).await?;
        self.moved(object.bytes.len()).await;
        Ok(object)
    }

    async fn head(&self, key: &str) -> Result<Listed, StoreError> {
        self.store.head(key).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        self.store.delete(keys).await
    }

    async fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.store.copy(from, to).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        self.store.list(prefix, after).await
    }
}

#[test]
fn a_checkpoint_of_many_octets_is_written_and_read_though_each_takes_half_a_minute() {
    run(0, async |simulator| {
        let mut platform = doors(&Simulation::new(simulator.clone()));
        platform.store = Arc::new(Slow { store: platform.store.clone(), clock: platform.clock.clone() });
        let (at, entropy) = platform.draw();
        let (log, nonce) = (Incarnation::draw(at, entropy), Nonce::draw(at, entropy));
        let requests = Requests::new(platform, StoreSettings::default(), Journal::silent());
        let covers = 7;
        let live = Live { damaged: [".".repeat(LONG)].into(), ..Live::default() };
        let object = Checkpoint { inc: log, covers, nonce, live }.encode();
        let created = requests.create(&layout::checkpoint(log, covers), &object.payload, nonce).await;
        assert!(matches!(created, Ok(Created::Ours)), "{created:?}");
        let scanned = read_log(&requests, log, None).await.unwrap();
        assert_eq!((scanned.from, scanned.end), (covers, covers));
        assert_eq!(requests.meter().counts().get, 1);
    });
}
