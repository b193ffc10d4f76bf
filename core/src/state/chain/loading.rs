//! Reading a chain: the latest snapshot that can be read, then every commit after it.
//!
//! What was listed may be collected before it is read, where this node was slow or suspended. Then it starts over, and finds the snapshot
//! on whose strength that was collected. What is missing every time was lost, and is an obstacle. So is a snapshot
//! that nobody can read while the commits that it covers do not lead up to it: they may have been collected on its strength.

use bytes::Bytes;
use futures::future::FutureExt;
use futures::stream::{self, StreamExt};
use serde::Deserialize;

use super::{Chain, PROBE_RIGHT, Replayed, State};
use crate::model::Event;
use crate::platform::StoreError;
use crate::state::StateError;
use crate::state::frame::{self, FrameError};
use crate::state::layout;
use crate::state::requests::Requests;

/// Commits fetched at a time.
const READ_AHEAD: usize = 8;
/// Times that a chain which is collected meanwhile is read anew.
const READS: usize = 5;

#[derive(Deserialize)]
#[serde(bound = "S: State")]
struct Snapshot<S> {
    replayed: Replayed<S>,
}

/// How a snapshot was found.
pub(in crate::state) enum Found<S: State> {
    /// The chain as it was then.
    Chain(Chain<S>),
    /// It is not what its name says.
    Damaged(String),
    /// It has been collected since it was listed.
    Gone,
}

impl<S: State> Chain<S> {
    /// Reads the whole chain; one that is not there has tip 0 and the default state.
    pub(in crate::state) async fn load(&mut self, requests: &Requests) -> Result<(), StateError> {
        let mut reads = 1;
        loop {
            let began = requests.platform().clock.instant();
            let (mut chain, is_complete) = Self::read(requests, &self.folder).await?;
            // From when the snapshots were listed: whatever they cover may have been collected as soon as that is long ago.
            chain.confirmed = Some(began);
            let is_old = requests.platform().clock.instant().since(began) > PROBE_RIGHT;
            if is_complete && !is_old || reads == READS {
                *self = chain;
                return Ok(());
            }
            reads += 1;
        }
    }

    /// The chain, and whether all that was listed was there.
    async fn read(requests: &Requests, folder: &str) -> Result<(Self, bool), StateError> {
        let mut listed = requests.list(&layout::snapshots(folder), None).await?;
        listed.sort_by(|a, b| b.key.cmp(&a.key));
        let mut unread = None;
        let mut chain = Self::new(folder.to_owned());
        for object in listed {
            let Some(number) = layout::number(&object.key) else { continue };
            let reason = match Self::at_snapshot(requests, folder, number).await? {
                Found::Chain(found) => {
                    chain = found;
                    break;
                }
                Found::Damaged(reason) => reason,
                Found::Gone => "it is missing".to_owned(),
            };
            unread.get_or_insert((number, object.key, reason));
        }
        let mut is_complete = chain.read_on(requests, &mut |_| ()).await?;
        if let Some((number, key, reason)) = unread
            && chain.tip() < number
            && chain.obstacle.is_none()
        {
            chain.obstacle = Some((key, reason));
            is_complete = false;
        }
        Ok((chain, is_complete))
    }

    /// The chain as one of its snapshots has it. A damaged one is reported.
    pub(in crate::state) async fn at_snapshot(
        requests: &Requests,
        folder: &str,
        number: u64,
    ) -> Result<Found<S>, StateError> {
        let mut chain = Self::new(folder.to_owned());
        let key = chain.snapshot_key(number);
        let Some(object) = requests.find(&key).await? else { return Ok(Found::Gone) };
        let reason = match frame::decode::<Snapshot<S>>(&object.bytes) {
            Ok(frame) if frame.header.replayed.tip == number => {
                chain.replayed = frame.header.replayed;
                chain.snapshot = number;
                return Ok(Found::Chain(chain));
            }
            Ok(frame) => format!("it says that it is snapshot {}", frame.header.replayed.tip),
            Err(error @ FrameError::Version { .. }) => {
                return Err(StateError::Damaged { key, reason: error.to_string() });
            }
            Err(error) => error.to_string(),
        };
        requests.journal().report(&Event::ObjectDamaged { key, reason: reason.clone() });
        Ok(Found::Damaged(reason))
    }

    /// Reads every commit after the last one that is known, and shows each change to `look`. False where one was missing though
    /// later ones, or it itself, had been listed.
    pub(in crate::state) async fn read_on(
        &mut self,
        requests: &Requests,
        look: &mut (dyn FnMut(&S::Op) + Send),
    ) -> Result<bool, StateError> {
        // The listing shows the tip to be the tip; where there is an obstacle, when it was met.
        self.confirmed = Some(requests.platform().clock.instant());
        let commits = layout::commits(&self.folder);
        let after = layout::numbered(&commits, self.tip());
        let listed = requests.list(&commits, Some(&after)).await?;
        let mut numbers: Vec<u64> = listed.iter().filter_map(|object| layout::number(&object.key)).collect();
        numbers.sort_unstable();
        let read = |number| read_commit(requests, layout::numbered(&commits, number), number).boxed();
        let reads: Vec<_> = numbers.into_iter().map(read).collect();
        let mut ahead = stream::iter(reads).buffered(READ_AHEAD);
        while let Some(read) = ahead.next().await {
            let (number, found) = read?;
            let next = self.tip() + 1;
            let Some(octets) = found.filter(|_| number == next) else {
                let reason = "it is missing, though it or later ones are listed".to_owned();
                self.obstacle = Some((self.commit_key(next), reason));
                return Ok(false);
            };
            if !self.replay(&octets, look) {
                break;
            }
        }
        Ok(true)
    }
}

async fn read_commit(
    requests: &Requests,
    key: String,
    number: u64,
) -> Result<(u64, Option<Bytes>), StoreError> {
    Ok((number, requests.find(&key).await?.map(|object| object.bytes)))
}
