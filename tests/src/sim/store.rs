//! One machine's way to the store: requests that are sent, take effect and are answered, each at its own time.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Listed, Object, Page, Payload, Store, StoreError, When};
use fulmar_core::state::requests::RequestCounts;
use futures::channel::oneshot;
use futures::future::{join, pending};

use super::bucket::{Bucket, Objects};
use super::executor::{Simulator, lock};
use super::fate::{Answer, Fate, fate};
use super::machine::Place;
use super::measured::Sent;
use super::weather::{CreateIfAbsent, Weather};
use crate::faults::Verb;

/// How soon a process that was made to stand still goes on where all faults heal.
const HEALING: Duration = Duration::from_secs(5);
/// How likely a request that its process did not survive still takes effect.
const OUTLIVES_SENDER: f64 = 0.5;

/// A door to the store.
pub struct SimStore {
    simulator: Simulator,
    weather: Arc<Weather>,
    bucket: Bucket,
    place: Place,
    sent: AtomicU64,
}

impl SimStore {
    pub(super) fn new(simulator: Simulator, weather: Arc<Weather>, bucket: Bucket, place: Place) -> Self {
        Self { simulator, weather, bucket, place, sent: AtomicU64::new(0) }
    }

    fn count(&self, add: impl FnOnce(&mut RequestCounts)) {
        add(&mut lock(&self.place.host.requests));
    }

    /// Has the process stand still for this long, or until all faults heal.
    fn stand_still(&self, how_long: Duration) {
        let (simulator, weather, process) =
            (self.simulator.clone(), self.weather.clone(), self.place.process);
        simulator.note(format_args!("{} stands still for {how_long:?}", self.place.host.name));
        simulator.suspend(process);
        self.simulator.spawn(Box::pin(async move {
            let until = simulator.now() + how_long;
            while simulator.now() < until && weather.has_ambushes() {
                simulator.sleep_until(until.min(simulator.now() + HEALING)).await;
            }
            simulator.note("it goes on");
            simulator.resume(process);
        }));
    }

    /// Sends a request. It goes on by itself: what was sent takes effect though nobody waits for the answer any more.
    /// `size` is what is told of it, `sent.octets` what it moves.
    async fn request<T: Send + 'static>(
        &self,
        sent: Sent<'_>,
        size: usize,
        effect: impl FnOnce(&mut Objects, UtcTime) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Sent { verb, key, .. } = sent;
        let (simulator, bucket, process) = (self.simulator.clone(), self.bucket.clone(), self.place.process);
        if !simulator.is_alive(process) {
            // Only what somebody outside holds on to gets here.
            return pending().await;
        }
        let ambushed = self.weather.ambushed(verb, key);
        let is_sent_before = ambushed.is_some() && simulator.chance(|dice| dice.below(2)) == 0;
        if let Some(how_long) = ambushed {
            self.stand_still(how_long);
            if !is_sent_before {
                // Ends this step; the next one comes when the process goes on.
                simulator.sleep(Duration::from_nanos(1)).await;
            }
        }
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let machine = self.place.host.name.clone();
        simulator
            .record((verb as u8, key, size), || format!("{machine} #{number} sends {verb:?} {key} {size}"));
        let Fate { effect: takes_effect, answer } = fate(&simulator, &self.weather, &machine, sent);
        let (telling, told) = oneshot::channel();
        let world = simulator.clone();
        world.spawn(Box::pin(async move {
            let effecting = async {
                let Some(after) = takes_effect else { return Err(StoreError::Unknown(String::new())) };
                simulator.sleep(after).await;
                if !simulator.is_alive(process) && !simulator.happens(OUTLIVES_SENDER) {
                    simulator
                        .record((number, process), || format!("{machine} #{number} is lost with its sender"));
                    return Err(StoreError::Unknown(String::new()));
                }
                let now = bucket.now();
                let result = effect(&mut bucket.lock(), now);
                let error = result.as_ref().err().cloned();
                simulator.record((number, process, error.is_some()), || match error {
                    Some(error) => format!("{machine} #{number} fails: {error}"),
                    None => format!("{machine} #{number} takes effect"),
                });
                result
            };
            // Whoever asked may be gone.
            match answer {
                Answer::Told(after) => {
                    let result = effecting.await;
                    simulator.sleep(after).await;
                    let _ = telling.send(result);
                }
                Answer::Failed(after, error) => {
                    let failing = async {
                        simulator.sleep(after).await;
                        simulator.record((number, process), || format!("{machine} #{number} gets: {error}"));
                        let _ = telling.send(Err(error));
                    };
                    let _ = join(failing, effecting).await;
                }
            }
        }));
        told.await.unwrap_or_else(|_| Err(StoreError::Unknown("the simulation is over".to_owned())))
    }
}

#[async_trait]
impl Store for SimStore {
    async fn put(&self, key: &str, payload: Payload, when: When) -> Result<(), StoreError> {
        let bytes = payload.to_bytes();
        let size = bytes.len();
        self.count(|counts| {
            counts.put += 1;
            counts.put_bytes += size as u64;
        });
        let create = self.weather.habits().create;
        let was_absent = !self.bucket.lock().0.contains_key(key);
        let written = key.to_owned();
        let effect = move |objects: &mut Objects, now| {
            let is_free = match (when, create) {
                (When::Always, _) | (When::Absent, CreateIfAbsent::Ignored) => true,
                (When::Absent, CreateIfAbsent::Kept) => !objects.0.contains_key(&written),
                (When::Absent, CreateIfAbsent::Raced) => was_absent,
            };
            if !is_free {
                return Err(StoreError::AlreadyExists);
            }
            objects.put(written, bytes, now);
            Ok(())
        };
        self.request(Sent { verb: Verb::Put, key, octets: size as u64 }, size, effect).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        self.count(|counts| counts.get += 1);
        // What is there now: only how long the answer takes depends on it.
        let there = self.bucket.lock().0.get(key).map_or(0, |stored| stored.bytes.len() as u64);
        let asked = range.as_ref().map_or(u64::MAX, |range| range.end.saturating_sub(range.start));
        let sent = Sent { verb: Verb::Get, key, octets: asked.min(there) };
        let read = key.to_owned();
        let effect = move |objects: &mut Objects, _| {
            let stored = objects.0.get(&read).ok_or(StoreError::NotFound)?;
            let size = stored.bytes.len();
            let within = |end: u64| usize::try_from(end).unwrap_or(size).min(size);
            let bytes = match range {
                Some(Range { start, end }) if start < end => stored.bytes.slice(within(start)..within(end)),
                Some(_) => Bytes::new(),
                None => stored.bytes.clone(),
            };
            Ok(Object { bytes, size: size as u64, etag: stored.etag(), modified: stored.modified })
        };
        let object = self.request(sent, 0, effect).await?;
        self.count(|counts| counts.get_bytes += object.bytes.len() as u64);
        Ok(object)
    }

    async fn head(&self, key: &str) -> Result<Listed, StoreError> {
        self.count(|counts| counts.head += 1);
        let asked = key.to_owned();
        let effect = move |objects: &mut Objects, _| {
            objects.0.get(&asked).map(|stored| stored.listed(&asked)).ok_or(StoreError::NotFound)
        };
        self.request(Sent { verb: Verb::Head, key, octets: 0 }, 0, effect).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        self.count(|counts| counts.delete += keys.len() as u64);
        let deleted = keys.to_vec();
        let effect = move |objects: &mut Objects, _| {
            deleted.iter().for_each(|key| drop(objects.0.remove(key)));
            Ok(())
        };
        let first = keys.first().map_or("", String::as_str);
        self.request(Sent { verb: Verb::Delete, key: first, octets: 0 }, keys.len(), effect).await
    }

    async fn copy(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.count(|counts| counts.copy += 1);
        let (from, written) = (from.to_owned(), to.to_owned());
        let effect = move |objects: &mut Objects, now| {
            let bytes = objects.0.get(&from).ok_or(StoreError::NotFound)?.bytes.clone();
            objects.put(written, bytes, now);
            Ok(())
        };
        self.request(Sent { verb: Verb::Copy, key: to, octets: 0 }, 0, effect).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        self.count(|counts| counts.list += 1);
        let habits = self.weather.habits();
        let (least, most) = habits.page_objects;
        let limit = least + self.simulator.chance(|dice| dice.below(most - least + 1));
        let (folder, after) = (prefix.to_owned(), after.map(str::to_owned));
        let effect = move |objects: &mut Objects, _| {
            Ok(objects.page(&folder, after.as_deref(), limit, habits.slash_first))
        };
        self.request(Sent { verb: Verb::List, key: prefix, octets: 0 }, limit, effect).await
    }
}

impl fmt::Debug for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimStore")
    }
}
