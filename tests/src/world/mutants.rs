//! Mistakes that a door can make in a node's stead. The checks must find each of them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fulmar_core::model::UtcTime;
use fulmar_core::platform::{Listed, Object, Page, Payload, Platform, Store, StoreError, When};
use fulmar_core::state::layout;

use super::{Doors, Fault, Profile};
use crate::sim::Simulator;

/// A planted mistake.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// What is done wrong.
    pub name: &'static str,
    /// The doors that do it.
    pub doors: Doors,
    /// In which scenarios it is looked for.
    pub profile: &'static Profile,
    /// The faults that bring it to light.
    pub faults: &'static [Fault],
}

/// All of them.
pub const DOOR_MUTANTS: [Mutant; 3] = [
    Mutant {
        name: "overwriting-instead-of-creating",
        doors: |platform, _| bent(platform, Bend::Overwrite),
        profile: &Profile::SHORT,
        faults: &[Fault::Kills, Fault::Suspensions, Fault::LostResponses, Fault::LateEffects],
    },
    Mutant {
        name: "250-before-the-heartbeat-stands",
        doors: |platform, _| bent(platform, Bend::SwallowBeats),
        profile: &Profile::SHORT,
        faults: &[Fault::Kills, Fault::Remotes],
    },
    Mutant {
        name: "early-collection",
        doors: |platform, _| bent(platform, Bend::OldDates),
        profile: &Profile::SIX_DAYS,
        faults: &[Fault::Kills],
    },
];

/// By so much a store that lies about dates has everything be older than it is: a day and an hour.
const AGED: Duration = Duration::from_hours(25);

#[derive(Clone, Copy, Debug)]
enum Bend {
    /// Creates replace what is there.
    Overwrite,
    /// Heartbeats are said to be written, and are not.
    SwallowBeats,
    /// Listings show everything but signs of life as older than it is.
    OldDates,
}

struct Bent {
    bend: Bend,
    store: Arc<dyn Store>,
}

fn bent(platform: Platform, bend: Bend) -> Platform {
    Platform { store: Arc::new(Bent { bend, store: platform.store.clone() }), ..platform }
}

#[async_trait]
impl Store for Bent {
    async fn put(&self, key: &str, payload: Payload, when: When) -> Result<(), StoreError> {
        match self.bend {
            Bend::Overwrite => self.store.put(key, payload, When::Always).await,
            Bend::SwallowBeats if key.ends_with(".beat") => Ok(()),
            _ => self.store.put(key, payload, when).await,
        }
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Object, StoreError> {
        self.store.get(key, range).await
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
        let mut page = self.store.list(prefix, after).await?;
        if matches!(self.bend, Bend::OldDates) {
            let counted = page.objects.iter_mut().filter(|object| !object.key.starts_with(layout::LIVE));
            let aged = AGED.as_millis() as u64;
            counted.for_each(|object| object.modified = UtcTime(object.modified.0.saturating_sub(aged)));
        }
        Ok(page)
    }
}

/// The doors as they are.
pub fn plain_doors(platform: Platform, _: &Simulator) -> Platform {
    platform
}
