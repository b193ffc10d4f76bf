//! `probe/<hash of the endpoint>/<ulid>`: that the store was seen to let only one of racing creates win, so that not every
//! node that starts has to see for itself. Only what passed is kept.
//!
//! Some stores ignore create-if-absent without a word, or let several racers win. There, two nodes would hold one message, or
//! one would overwrite what the other has acknowledged.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::contract::{RaceError, race_probe};
use super::frame::{self, Data};
use super::layout;
use super::requests::{Purpose, Requests};
use crate::model::{Event, Nonce, UtcTime};
use crate::platform::StoreError;

/// How long a verdict stands: stores are replaced behind their endpoints.
pub const KEPT: Duration = Duration::from_hours(30 * 24);
/// How long all races may take. Beyond: the store counts as one that gives no answer.
const PROBE_LIMIT: Duration = Duration::from_secs(60);

/// Why a node may not run on a store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProbeError {
    /// It could not be asked, or gave no proof either way.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It lets more than one create win. Holds what it did.
    #[error("{0}")]
    Unsafe(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct Verdict {
    nonce: Nonce,
    endpoint: String,
    /// By the clock of the node that asked.
    at: UtcTime,
    found: Found,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Found {
    /// Of racing creates exactly one wins.
    OneWinner,
}

/// Makes sure that of racing creates one wins, where the settings ask for that: by a verdict that still stands, else by races.
pub async fn ensure(requests: &Requests) -> Result<(), ProbeError> {
    let settings = requests.settings();
    let Some(endpoint) = &settings.endpoint else { return Ok(()) };
    let requests = &requests.of(Purpose::Probe);
    if settings.single_node {
        requests.journal().report(&Event::StoreNotProbed { endpoint: endpoint.clone() });
        return Ok(());
    }
    let kept = requests.list(&layout::verdicts(endpoint), None).await?;
    let kept: Vec<String> = kept.into_iter().map(|listed| listed.key).collect();
    if let Some(newest) = kept.iter().max()
        && let Some(object) = requests.find(newest).await?
        && stands(&object.bytes, endpoint, requests.platform().clock.utc())
    {
        return Ok(());
    }
    race(requests).await?;
    keep(requests, endpoint).await?;
    // What could not be deleted is reported, and passed by next time.
    let _ = requests.delete(&kept).await;
    Ok(())
}

/// Whether an object is a verdict on this endpoint that is not too old. One from the future was written by a wrong clock.
fn stands(octets: &[u8], endpoint: &str, now: UtcTime) -> bool {
    frame::decode::<Verdict>(octets).is_ok_and(|frame| {
        let age = now.since(frame.header.at).max(frame.header.at.since(now));
        frame.header.endpoint == endpoint && age < KEPT
    })
}

async fn race(requests: &Requests) -> Result<(), ProbeError> {
    let platform = requests.platform();
    let (now, entropy) = platform.draw();
    let folder = layout::check(Nonce::draw(now, entropy));
    let (store, limit) = (requests.metered(), platform.clock.instant() + PROBE_LIMIT);
    let raced = platform.clock.before(limit, race_probe(&store, &folder)).await;
    match raced {
        Some(Ok(())) => Ok(()),
        Some(Err(RaceError::Broken(reason))) => Err(ProbeError::Unsafe(reason)),
        Some(Err(RaceError::Failed(error))) => Err(error.into()),
        None => Err(StoreError::Unknown(format!("racing creates took over {PROBE_LIMIT:?}")).into()),
    }
}

async fn keep(requests: &Requests, endpoint: &str) -> Result<(), StoreError> {
    let (at, entropy) = requests.platform().draw();
    let nonce = Nonce::draw(at, entropy);
    let verdict = Verdict { nonce, endpoint: endpoint.to_owned(), at, found: Found::OneWinner };
    let object = frame::encode(&verdict, Data::default());
    requests.create(&layout::verdict(endpoint, nonce), &object.payload, nonce).await?;
    Ok(())
}
