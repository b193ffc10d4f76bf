//! The audit of the queue: the folders of logs, and what the entries of those that live refer to.

use std::collections::BTreeMap;

use super::{Amount, Auditor, Finding};
use crate::model::Incarnation;
use crate::state::StateError;
use crate::state::collect::Halt;
use crate::state::collect::spool::{End, Judgement, SpoolFolder, Survey};
use crate::state::layout;
use crate::state::log::{Body, Live, ScanError, read_log};

/// Times that a log which is compacted meanwhile is read anew.
const READS: usize = 5;

impl Auditor<'_> {
    pub(super) async fn logs(&mut self, folders: BTreeMap<Incarnation, SpoolFolder>) -> Result<(), Halt> {
        let survey = Survey::read(folders, &self.clearing).await?;
        for (log, folder) in &survey.folders {
            let amount = |(objects, octets)| Amount { objects, octets };
            if folder.content.0 > 0 {
                self.judged(survey.of_content(*log, self.now), &layout::spool(*log), amount(folder.content));
            }
            if folder.own.0 > 0 {
                self.judged(survey.of_owners(*log, self.now), &layout::owners(*log), amount(folder.own));
            }
            if let Judgement::Astray(into) = survey.judge(*log) {
                // It may have begun since it was passed by.
                let folder = layout::spool(into);
                if self.clearing.requests.page(&folder, None).await?.objects.is_empty() {
                    let reason = format!("the entries of {log} went there, and nothing is there");
                    self.found(Finding::Dangling, &folder, 0, &reason);
                }
            }
            if survey.ends.get(log) == Some(&End::Open) {
                self.entries(*log).await?;
            }
        }
        if self.repair {
            survey.collect(&mut self.clearing, self.now).await?;
        }
        Ok(())
    }

    /// Looks whether what the entries of a log lie in is there. Entries that are done with meanwhile need nothing.
    async fn entries(&mut self, log: Incarnation) -> Result<(), Halt> {
        let Some(live) = self.read(log).await? else { return Ok(()) };
        let mut missing = BTreeMap::new();
        for (key, octets) in needed(&live) {
            if !self.is_there(&key, octets).await? {
                missing.insert(key, octets);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let Some(live) = self.read(log).await? else { return Ok(()) };
        for key in needed(&live).into_keys().filter(|key| missing.contains_key(key)) {
            self.found(Finding::Dangling, &key, 0, &format!("log {log} needs it"));
        }
        Ok(())
    }

    /// What lives in a log; nothing where a newer version wrote it, which its own header tells.
    async fn read(&self, log: Incarnation) -> Result<Option<Live>, Halt> {
        for _ in 0..READS {
            match read_log(self.clearing.requests, log, None).await {
                Ok(scanned) => return Ok(Some(scanned.live)),
                Err(ScanError::Moved(_)) => {}
                Err(ScanError::Newer { .. }) => return Ok(None),
                Err(ScanError::Store(error)) => return Err(error.into()),
            }
        }
        Err(StateError::Unavailable(format!("log {log} changes faster than it can be read")).into())
    }
}

/// The objects that entries lie in, each with the octets that it must have at least; and those that could not be read when they should
/// have been, which are missing or damaged.
fn needed(live: &Live) -> BTreeMap<String, u64> {
    let mut needed: BTreeMap<String, u64> = live.damaged.iter().map(|key| (key.clone(), 0)).collect();
    let mut need = |key: String, octets: u64| {
        let most = needed.entry(key).or_default();
        *most = octets.max(*most);
    };
    for entry in live.entries.iter() {
        let content = &entry.envelope.content;
        let part = &content.header;
        need(layout::segment(part.inc, part.seq), part.extent.at + part.extent.len);
        match &content.body {
            Body::Inline(part) => {
                need(layout::segment(part.inc, part.seq), part.extent.at + part.extent.len);
            }
            Body::Pieces(pieces) => {
                for (index, piece) in pieces.pieces.iter().enumerate() {
                    need(layout::spool_piece(pieces.inc, pieces.body, index), piece.len);
                }
            }
        }
    }
    needed
}
