//! How a sweep goes through the store: folder by folder in the order of listings, never faster than agreed, and counting.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use std::vec;

use async_channel::Receiver;
use futures::future::{Either, select};
use futures::pin_mut;

use crate::platform::{Clock, Listed, StoreError};
use crate::state::StateError;
use crate::state::requests::Requests;

/// Objects deleted by one request: as many as S3 takes.
const DELETED_AT_ONCE: usize = 1_000;

/// Why a sweep ends early. What it has done stays done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The node shuts down.
    #[error("the node shuts down")]
    Stopped,
    /// The store, or an object in it.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::State(error.into())
    }
}

/// How fast one may go, and for how long.
#[derive(Clone)]
pub struct Pace {
    clock: Arc<dyn Clock>,
    pause: Duration,
    shutdown: Option<Receiver<Infallible>>,
}

impl Pace {
    /// A pause before each page of a listing and each folder that is looked into, until the node shuts down.
    pub fn new(clock: Arc<dyn Clock>, pause: Duration, shutdown: Receiver<Infallible>) -> Self {
        Self { clock, pause, shutdown: Some(shutdown) }
    }

    /// As fast as the store answers, to the end.
    pub fn unhurried(clock: Arc<dyn Clock>) -> Self {
        Self { clock, pause: Duration::ZERO, shutdown: None }
    }

    /// Waits for the next turn.
    pub async fn turn(&self) -> Result<(), Halt> {
        let Some(shutdown) = &self.shutdown else { return Ok(()) };
        let (rest, end) = (self.clock.sleep(self.pause), shutdown.recv());
        pin_mut!(rest, end);
        match select(end, rest).await {
            Either::Left(_) => Err(Halt::Stopped),
            Either::Right(_) => Ok(()),
        }
    }
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pace").field("pause", &self.pause).finish_non_exhaustive()
    }
}

/// What was seen and deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Objects listed.
    pub objects: u64,
    /// Objects deleted.
    pub deleted: u64,
    /// Octets in them.
    pub octets: u64,
}

/// Deletes, and counts.
#[derive(Debug)]
pub struct Clearing<'a> {
    /// The store.
    pub requests: &'a Requests,
    /// How fast.
    pub pace: Pace,
    /// So far.
    pub tally: Tally,
}

impl<'a> Clearing<'a> {
    /// Nothing seen and nothing deleted.
    pub fn new(requests: &'a Requests, pace: Pace) -> Self {
        Self { requests, pace, tally: Tally::default() }
    }

    /// Everything below a folder, in the store's order.
    pub fn walk(&self, prefix: &str) -> Walk<'a> {
        Walk {
            requests: self.requests,
            pace: self.pace.clone(),
            prefix: prefix.to_owned(),
            page: Vec::new().into_iter(),
            after: None,
            more: true,
        }
    }

    /// Deletes objects that do not need one another, each given with its octets.
    pub async fn delete(&mut self, objects: Vec<(String, u64)>) -> Result<(), Halt> {
        for some in objects.chunks(DELETED_AT_ONCE) {
            self.pace.turn().await?;
            let keys: Vec<String> = some.iter().map(|(key, _)| key.clone()).collect();
            self.requests.delete(&keys).await?;
            self.tally.deleted += some.len() as u64;
            self.tally.octets += some.iter().map(|(_, octets)| octets).sum::<u64>();
        }
        Ok(())
    }
}

/// A listing, of which one page is in memory.
#[derive(Debug)]
pub struct Walk<'a> {
    requests: &'a Requests,
    pace: Pace,
    prefix: String,
    page: vec::IntoIter<Listed>,
    after: Option<String>,
    more: bool,
}

impl Walk<'_> {
    /// The next object; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Listed>, Halt> {
        loop {
            if let Some(object) = self.page.next() {
                return Ok(Some(object));
            }
            if !self.more {
                return Ok(None);
            }
            self.pace.turn().await?;
            let page = self.requests.page(&self.prefix, self.after.as_deref()).await?;
            self.more = page.more && !page.objects.is_empty();
            self.after = page.objects.last().map(|last| last.key.clone());
            self.page = page.objects.into_iter();
        }
    }
}
