//! A store whose requests are sent, take effect and are answered, each at its own time.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Listed, Object, Page, Payload, Store, StoreError, When};
use futures::channel::oneshot;

use super::doors::utc;
use super::executor::{Simulator, lock};

/// Objects on one page of a listing: so few at least, lest long listings take for ever, and so many at most, as S3 gives them.
const PAGE_OBJECTS: (usize, usize) = (50, 1_000);
/// How long a request or its answer usually is under way.
const USUAL_TRIP: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(10));
/// How long one in [`SLOW_ONE_IN`] is.
const SLOW_TRIP: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(800));
const SLOW_ONE_IN: usize = 20;

type Objects = BTreeMap<String, Stored>;

/// Objects in memory, by key.
#[derive(Debug)]
pub struct SimStore {
    simulator: Simulator,
    objects: Arc<Mutex<Objects>>,
}

#[derive(Clone, Debug)]
struct Stored {
    bytes: Bytes,
    modified: UtcTime,
}

impl Stored {
    fn listed(&self, key: &str) -> Listed {
        let (size, etag) = (self.bytes.len() as u64, self.etag());
        Listed { key: key.to_owned(), size, etag, modified: self.modified }
    }

    fn etag(&self) -> String {
        let mut sum = DefaultHasher::new();
        self.bytes.hash(&mut sum);
        format!("{:016x}", sum.finish())
    }
}

/// What becomes of one request.
struct Fate {
    /// From when it is sent to when it takes effect.
    request: Duration,
    /// From then to when the answer arrives.
    answer: Duration,
}

impl SimStore {
    /// An empty store.
    pub fn new(simulator: Simulator) -> Self {
        Self { simulator, objects: Arc::default() }
    }

    /// The one place that decides how a request goes.
    fn fate(&self) -> Fate {
        let trip = || {
            let (least, most) = match self.simulator.chance(|dice| dice.below(SLOW_ONE_IN)) {
                0 => SLOW_TRIP,
                _ => USUAL_TRIP,
            };
            self.simulator.between(least, most)
        };
        Fate { request: trip(), answer: trip() }
    }

    /// Sends a request. It goes on by itself: what was sent takes effect though nobody waits for the answer any more.
    async fn request<T: Send + 'static>(
        &self,
        what: String,
        effect: impl FnOnce(&mut Objects, UtcTime) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let fate = self.fate();
        let (answer, answered) = oneshot::channel();
        let (simulator, objects) = (self.simulator.clone(), self.objects.clone());
        simulator.note(format_args!("send {what}"));
        self.simulator.spawn(Box::pin(async move {
            simulator.sleep(fate.request).await;
            let result = effect(&mut lock(&objects), utc(&simulator));
            simulator.note(format_args!("done {what}: {:?}", result.as_ref().err()));
            simulator.sleep(fate.answer).await;
            // Whoever asked may be gone.
            let _ = answer.send(result);
        }));
        answered.await.unwrap_or_else(|_| Err(StoreError::Unknown("the simulation is over".to_owned())))
    }
}

#[async_trait]
impl Store for SimStore {
    async fn put(&self, key: &str, payload: Payload, when: When) -> Result<(), StoreError> {
        let (key, bytes) = (key.to_owned(), payload.to_bytes());
        let what = format!("put {when:?} {key} {} octets", bytes.len());
        let effect = move |objects: &mut Objects, modified| {
            if when == When::Absent && objects.contains_key(&key) {
                return Err(StoreError::AlreadyExists);
            }
            objects.insert(key, Stored { bytes, modified });
            Ok(())
        };
        self.request(what, effect).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        let (what, key) = (format!("get {key} {range:?}"), key.to_owned());
        let effect = move |objects: &mut Objects, _| {
            let stored = objects.get(&key).ok_or(StoreError::NotFound)?;
            let size = stored.bytes.len();
            let within = |end: u64| usize::try_from(end).unwrap_or(size).min(size);
            let bytes = match range {
                Some(Range { start, end }) if start < end => stored.bytes.slice(within(start)..within(end)),
                Some(_) => Bytes::new(),
                None => stored.bytes.clone(),
            };
            Ok(Object { bytes, size: size as u64, etag: stored.etag(), modified: stored.modified })
        };
        self.request(what, effect).await
    }

    async fn head(&self, key: &str) -> Result<Listed, StoreError> {
        let (what, key) = (format!("head {key}"), key.to_owned());
        let effect = move |objects: &mut Objects, _| {
            objects.get(&key).map(|stored| stored.listed(&key)).ok_or(StoreError::NotFound)
        };
        self.request(what, effect).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        let keys = keys.to_vec();
        let what = format!("delete {keys:?}");
        let effect = move |objects: &mut Objects, _| {
            keys.iter().for_each(|key| drop(objects.remove(key)));
            Ok(())
        };
        self.request(what, effect).await
    }

    async fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let (what, from, to) = (format!("copy {from} to {to}"), from.to_owned(), to.to_owned());
        let effect = move |objects: &mut Objects, modified| {
            let bytes = objects.get(&from).ok_or(StoreError::NotFound)?.bytes.clone();
            objects.insert(to, Stored { bytes, modified });
            Ok(())
        };
        self.request(what, effect).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        let what = format!("list {prefix} after {after:?}");
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        let (least, most) = PAGE_OBJECTS;
        let limit = least + self.simulator.chance(|dice| dice.below(most - least + 1));
        let effect = move |objects: &mut Objects, _| {
            let is_after = |key: &str| after.as_deref().is_none_or(|after| key > after);
            let mut rest = objects.iter().filter(|(key, _)| key.starts_with(&prefix) && is_after(key));
            let objects = rest.by_ref().take(limit).map(|(key, stored)| stored.listed(key)).collect();
            Ok(Page { objects, more: rest.next().is_some() })
        };
        self.request(what, effect).await
    }
}
