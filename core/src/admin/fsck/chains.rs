//! The audit of one chain: an account or a domain.

use std::collections::BTreeMap;

use super::{Amount, Auditor, Finding};
use crate::state::StateError;
use crate::state::account::{Account, Message};
use crate::state::collect::chain::{ChainFolder, Examined};
use crate::state::collect::{Fate, Halt, Holding, Numbered};
use crate::state::domain::LocalDomain;
use crate::state::layout;

/// What a state refers to.
pub(super) trait Referring: Holding {
    /// Its messages.
    fn messages(&self) -> Vec<&Message>;
}

impl Referring for Account {
    fn messages(&self) -> Vec<&Message> {
        self.mailboxes.values().flat_map(|mailbox| mailbox.messages.values()).map(AsRef::as_ref).collect()
    }
}

impl Referring for LocalDomain {
    fn messages(&self) -> Vec<&Message> {
        Vec::new()
    }
}

impl Auditor<'_> {
    pub(super) async fn chain<S: Referring>(&mut self, folder: &ChainFolder) -> Result<(), Halt> {
        let mut examined = match folder.examine::<S>(self.clearing.requests, self.now).await {
            Ok(examined) => examined,
            Err(StateError::Damaged { key, reason }) => {
                self.obstacle(&key, &reason).await?;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if let Some((key, reason)) = examined.obstacle.clone() {
            return self.obstacle(&key, &reason).await;
        }
        let has_garbage = self.judge_chain(folder, &examined);
        self.references(folder, &examined).await?;
        if self.repair && has_garbage {
            folder.clear(&mut self.clearing, &mut examined).await?;
        }
        Ok(())
    }

    /// What makes a chain unreadable: it is missing, or damaged.
    async fn obstacle(&mut self, key: &str, reason: &str) -> Result<(), Halt> {
        // What is damaged is found by its own header; what is there and sound says that it is something else.
        if !self.is_there(key, 0).await? {
            self.found(Finding::Dangling, key, 0, reason);
        } else if reason.starts_with("it says") {
            self.found(Finding::Damaged, key, 0, reason);
        }
        Ok(())
    }

    /// Gives whether anything may go.
    fn judge_chain<S: Holding>(&mut self, folder: &ChainFolder, examined: &Examined<S>) -> bool {
        let before = self.audit.unreachable.objects;
        for commit in &folder.commits {
            let key = layout::numbered(&layout::commits(&folder.name), commit.number);
            self.judged(examined.of_commit(commit), &key, Amount { objects: 1, octets: commit.size });
        }
        for snapshot in &folder.snapshots {
            let key = layout::numbered(&layout::snapshots(&folder.name), snapshot.number);
            self.judged(examined.of_snapshot(snapshot), &key, Amount { objects: 1, octets: snapshot.size });
        }
        let mut has_bodies = false;
        for (id, pieces) in &folder.bodies {
            let octets = pieces.iter().map(|piece| piece.size).sum();
            let fate = examined.of_body(*id, pieces);
            has_bodies |= matches!(fate, Fate::Now(_));
            let key = layout::chain_body(&folder.name, *id);
            self.judged(fate, &key, Amount { objects: pieces.len() as u64, octets });
        }
        self.audit.fences += u64::from(has_bodies);
        self.audit.unreachable.objects > before
    }

    /// Looks whether what the messages lie in is there.
    async fn references<S: Referring>(
        &mut self,
        folder: &ChainFolder,
        examined: &Examined<S>,
    ) -> Result<(), Halt> {
        let sizes = |objects: &[Numbered]| -> BTreeMap<u64, u64> {
            objects.iter().map(|object| (object.number, object.size)).collect()
        };
        let commits = sizes(&folder.commits);
        let nothing = Vec::new();
        for message in examined.chain.state().messages() {
            let content = &message.content;
            let end = content.extent.at + content.extent.len;
            let is_listed = commits.get(&message.commit).is_some_and(|size| *size >= end);
            let key = layout::numbered(&layout::commits(&folder.name), message.commit);
            self.reference(is_listed, &key, end, "a message lies in it").await?;
            if let Some(body) = &content.body {
                let listed = sizes(folder.bodies.get(&body.id).unwrap_or(&nothing));
                for (piece, number) in body.pieces.iter().zip(0..) {
                    let is_listed = listed.get(&number).is_some_and(|size| *size == piece.len);
                    let key = layout::numbered(&layout::chain_body(&folder.name, body.id), number);
                    self.reference(is_listed, &key, piece.len, "it is part of a message").await?;
                }
            }
        }
        Ok(())
    }

    /// Reports a reference to what is not there, or is shorter than it should be. What was not listed may have come since.
    pub(super) async fn reference(
        &mut self,
        is_listed: bool,
        key: &str,
        octets: u64,
        reason: &str,
    ) -> Result<(), Halt> {
        if !is_listed && !self.is_there(key, octets).await? {
            self.found(Finding::Dangling, key, 0, reason);
        }
        Ok(())
    }
}
