//! Checkpoints: all that lives in the log, so that the segments before need not be read.

use super::{Done, Manager};
use crate::model::Nonce;
use crate::platform::StoreError;
use crate::state::layout;
use crate::state::log::Checkpoint;
use crate::state::requests::Purpose;

/// A checkpoint holds all live entries. It is written once there is a segment for so many of them, so that it costs no more than what it
/// spares: a million are written after 20,000 segments.
const ENTRIES_PER_SEGMENT: u64 = 50;

impl Manager {
    /// Writes a checkpoint once enough segments stand.
    pub(super) fn checkpoint(&mut self) {
        let Some(log) = &mut self.log else { return };
        let covers = log.lowest_unacknowledged();
        let entries = log.live.entries.len() as u64;
        if covers < log.covered + self.settings.checkpoint_segments.max(entries / ENTRIES_PER_SEGMENT) {
            return;
        }
        let (time, entropy) = self.requests.platform().draw();
        // Not tried again before as many more segments stand.
        log.covered = covers;
        let incarnation = log.incarnation;
        let nonce = Nonce::draw(time, entropy);
        let checkpoint = Checkpoint { inc: incarnation, covers, nonce, live: log.live.clone() };
        let requests = self.requests.of(Purpose::Maintain);
        self.jobs.push(Box::pin(async move {
            let encode = move || checkpoint.encode().payload;
            let result = match requests.platform().spawn.unblock(encode).await {
                Some(payload) => {
                    requests.create(&layout::checkpoint(incarnation, covers), &payload, nonce).await
                }
                None => Err(StoreError::Unavailable("the runtime is ending".to_owned())),
            };
            Done::Checkpoint { incarnation, covers, result }
        }));
    }
}
