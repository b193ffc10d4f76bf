//! How the engine asks the store: with deadlines, repeated with growing pauses, and counted.
//!
//! Three things are decided here and nowhere else. An attempt that gets no answer in time is `Unknown`: it may have
//! happened. What is repeated is the same key with the same octets. And a create that meets an object compares nonces: its own means that an
//! earlier attempt had succeeded and only its answer was lost.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::frame;
use super::health::{Health, Permission, Readiness};
use super::meter::Counters;
pub use super::meter::{Meter, Purpose, PurposeCounts, RequestCounts};
use super::metered::Metered;
use crate::config::StoreSettings;
use crate::model::event::Journal;
use crate::model::{Event, Nonce};
use crate::platform::{Instant, Listed, Object, Page, Payload, Platform, Store, StoreError, When};

/// Octets that a store is given a second for, beyond what any request is given: a checkpoint of a long queue has hundreds of millions.
const OCTETS_A_SECOND: u64 = 1 << 20;
/// Objects in one listing, at most: a bound against a store that never says it is done.
const LISTING_LIMIT: usize = 10_000_000;

/// How a create ended, where it ended.
#[derive(Debug)]
pub enum Created {
    /// The object is there and it is ours.
    Ours,
    /// Somebody else's object is there, for good.
    Foreign,
}

/// The store, asked properly. Cheap to clone. Each handle counts what it asks under one purpose.
#[derive(Clone, Debug)]
pub struct Requests {
    shared: Arc<Shared>,
    purpose: Purpose,
}

#[derive(Debug)]
struct Shared {
    platform: Platform,
    settings: StoreSettings,
    meter: Meter,
    health: Health,
    journal: Journal,
}

impl Requests {
    /// Requests to the platform's store: an operator's, until [`Requests::of`] says otherwise.
    pub fn new(platform: Platform, settings: StoreSettings, journal: Journal) -> Self {
        let health = Health::new(settings.deadline);
        let shared = Shared { platform, settings, meter: Meter::default(), health, journal };
        Self { shared: Arc::new(shared), purpose: Purpose::Administer }
    }

    /// The same store, asked for this purpose.
    pub fn of(&self, purpose: Purpose) -> Self {
        Self { shared: self.shared.clone(), purpose }
    }

    /// The doors behind it.
    pub fn platform(&self) -> &Platform {
        &self.shared.platform
    }

    /// Where trouble is reported.
    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// Requests so far, of all handles.
    pub fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    /// Whether the store does as asked.
    pub fn readiness(&self) -> Readiness {
        self.shared.health.readiness()
    }

    /// What is known of the store beforehand.
    pub fn settings(&self) -> &StoreSettings {
        &self.shared.settings
    }

    /// How long an operation is repeated.
    pub fn deadline(&self) -> Duration {
        self.shared.settings.deadline
    }

    /// Reads an object or a range of it.
    pub async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        let octets = range.as_ref().map_or(0, |range| range.end.saturating_sub(range.start));
        let object = self
            .repeat("get", key, octets, || {
                self.counters().get.add(1);
                self.shared.platform.store.get(key, range.clone())
            })
            .await?;
        self.counters().get_bytes.add(object.bytes.len() as u64);
        Ok(object)
    }

    /// Reads an object, or nothing where there is none.
    pub async fn find(&self, key: &str) -> Result<Option<Object>, StoreError> {
        match self.get(key, None).await {
            Ok(object) => Ok(Some(object)),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a listing would show of an object, or nothing where there is none.
    pub async fn head(&self, key: &str) -> Result<Option<Listed>, StoreError> {
        let send = || {
            self.counters().head.add(1);
            self.shared.platform.store.head(key)
        };
        match self.repeat("head", key, 0, send).await {
            Ok(listed) => Ok(Some(listed)),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes an object that nobody else writes, replacing what is there.
    pub async fn put(&self, key: &str, payload: &Payload) -> Result<(), StoreError> {
        self.repeat("put", key, payload.len() as u64, || self.send_put(key, payload, When::Always)).await
    }

    /// Creates an object on a key that is never used again, and tells one's own from others' by the nonce in its header.
    ///
    /// `Unavailable` and `Refused` promise that the object does not exist through us; `Unknown` promises nothing.
    pub async fn create(&self, key: &str, payload: &Payload, nonce: Nonce) -> Result<Created, StoreError> {
        let octets = payload.len() as u64;
        let mut repeats = self.repeats(octets);
        let mut unanswered = None;
        loop {
            let error = match self.attempt(octets, self.send_put(key, payload, When::Absent)).await {
                Ok(()) => return Ok(Created::Ours),
                Err(StoreError::AlreadyExists) => match self.find(key).await {
                    Ok(Some(object)) if frame::nonce(&object.bytes) == Some(nonce) => {
                        return Ok(Created::Ours);
                    }
                    Ok(_) => return Ok(Created::Foreign),
                    Err(error) => StoreError::Unknown(error.to_string()),
                },
                Err(error) => error,
            };
            if matches!(error, StoreError::Unknown(_)) {
                unanswered = Some(error.clone());
            }
            if !error.is_transient() || !repeats.pause().await {
                return Err(self.give_up("create", key, unanswered.unwrap_or(error)));
            }
        }
    }

    /// Copies an object of so many octets within the store.
    pub async fn copy(&self, from: &str, to: &str, octets: u64) -> Result<(), StoreError> {
        self.repeat("copy", from, 0, || {
            self.counters().copy.add(1);
            self.shared.platform.store.copy(from, to)
        })
        .await?;
        self.counters().copy_bytes.add(octets);
        Ok(())
    }

    /// Deletes objects.
    pub async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        let Some(first) = keys.first() else { return Ok(()) };
        self.repeat("delete", first, 0, || {
            self.counters().delete.add(keys.len() as u64);
            self.shared.platform.store.delete(keys)
        })
        .await
    }

    /// One page of a listing.
    pub async fn page(&self, prefix: &str, after: Option<&str>) -> Result<Page, StoreError> {
        let page = self
            .repeat("list", prefix, 0, || {
                self.counters().list.add(1);
                self.shared.platform.store.list(prefix, after)
            })
            .await;
        let Shared { health, platform, .. } = &*self.shared;
        health.asked(Permission::List, &page, &*platform.clock);
        page
    }

    /// Everything below a folder and after a key, in the store's order.
    pub async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        let mut objects: Vec<Listed> = Vec::new();
        let mut after = after.map(str::to_owned);
        while objects.len() < LISTING_LIMIT {
            let page = self.page(prefix, after.as_deref()).await?;
            objects.extend(page.objects);
            if !page.more {
                break;
            }
            after = objects.last().map(|last| last.key.clone());
        }
        Ok(objects)
    }

    /// The bare store, counted: no deadlines, and nothing is repeated.
    pub fn metered(&self) -> impl Store + '_ {
        Metered { store: &self.shared.platform.store, counters: self.counters() }
    }

    fn counters(&self) -> &Counters {
        self.shared.meter.of(self.purpose)
    }

    fn send_put<'a>(
        &'a self,
        key: &'a str,
        payload: &Payload,
        when: When,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'a {
        self.counters().put.add(1);
        self.counters().put_bytes.add(payload.len() as u64);
        let Shared { platform, health, .. } = &*self.shared;
        let writing = platform.store.put(key, payload.clone(), when);
        async move {
            let written = writing.await;
            health.asked(Permission::Write, &written, &*platform.clock);
            written
        }
    }

    async fn repeat<T, F>(
        &self,
        verb: &str,
        key: &str,
        octets: u64,
        mut send: impl FnMut() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        let mut repeats = self.repeats(octets);
        loop {
            match self.attempt(octets, send()).await {
                Err(error) if error.is_transient() => {
                    if !repeats.pause().await {
                        return Err(self.give_up(verb, key, error));
                    }
                }
                Err(error @ StoreError::Refused(_)) => return Err(self.give_up(verb, key, error)),
                result => return result,
            }
        }
    }

    async fn attempt<T>(
        &self,
        octets: u64,
        request: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let Shared { platform, settings, health, journal, .. } = &*self.shared;
        let (clock, began) = (&platform.clock, platform.clock.instant());
        let timeout = settings.attempt_timeout + moving(octets);
        let unanswered = || StoreError::Unknown(format!("no answer within {timeout:?}"));
        let answer = clock.before(began + timeout, request).await;
        let result = answer.unwrap_or_else(|| Err(unanswered()));
        match &result {
            Ok(_) | Err(StoreError::NotFound | StoreError::AlreadyExists) => health.answered(began, journal),
            Err(error) => health.failed(began, error, &**clock, journal),
        }
        result
    }

    fn repeats(&self, octets: u64) -> Repeats<'_> {
        let deadline = self.shared.platform.clock.instant() + self.shared.settings.deadline + moving(octets);
        Repeats { requests: self, deadline, pause: self.shared.settings.pause }
    }

    /// Reports what an operation ends with, and names the store in it.
    fn give_up(&self, verb: &str, key: &str, error: StoreError) -> StoreError {
        let named = |reason| match &self.shared.settings.name {
            Some(name) => format!("{reason} ({name})"),
            None => reason,
        };
        let error = match error {
            StoreError::Unavailable(reason) => StoreError::Unavailable(named(reason)),
            StoreError::Unknown(reason) => StoreError::Unknown(named(reason)),
            StoreError::Refused(reason) => StoreError::Refused(named(reason)),
            StoreError::NotFound | StoreError::AlreadyExists => error,
        };
        let operation = format!("{verb} {key}");
        self.shared.journal.report(&Event::StoreTrouble { operation, error: error.to_string() });
        error
    }
}

/// What a request is given for its octets.
fn moving(octets: u64) -> Duration {
    Duration::from_secs(octets / OCTETS_A_SECOND)
}

/// The pauses between the attempts at one operation.
struct Repeats<'a> {
    requests: &'a Requests,
    deadline: Instant,
    pause: Duration,
}

impl Repeats<'_> {
    /// Waits before the next attempt: anything up to the pause, so that nodes which failed together do not return
    /// together. False once the deadline has passed.
    async fn pause(&mut self) -> bool {
        let Shared { platform, settings, .. } = &*self.requests.shared;
        let now = platform.clock.instant();
        if now >= self.deadline {
            return false;
        }
        let mut chance = [0; 1];
        platform.entropy.fill(&mut chance);
        let pause = self.pause.mul_f64(f64::from(chance[0].max(16)) / 255.0);
        self.pause = (self.pause * 2).min(settings.pause_limit);
        platform.clock.sleep_until((now + pause).min(self.deadline)).await;
        true
    }
}
