//! Deletion of messages.

use futures::channel::oneshot;

use super::Mailboxes;
use super::deliver::FRESH;
use crate::model::Address;
use crate::state::StateError;
use crate::state::account::{Account, Op};
use crate::state::chain::Draft;
use crate::state::frame::Data;
use crate::state::layout;

impl Mailboxes {
    /// Removes messages for good, in one commit. Messages that are gone by now stay gone, and so do all where the mailbox itself
    /// has gone or been made anew under its name.
    ///
    /// Once begun it goes on to its end, whoever asked for it may go away: what was half asked for is done or not, never
    /// in part.
    pub(super) async fn expunge(
        &self,
        account: &Address,
        mailbox: &str,
        uid_validity: u64,
        uids: Vec<u32>,
    ) -> Result<(), StateError> {
        let (done, result) = oneshot::channel();
        let (mailboxes, account, mailbox) = (self.clone(), account.clone(), mailbox.to_owned());
        self.requests().platform().spawn.spawn(Box::pin(async move {
            let expunged =
                mailboxes.commit_expunge(&account, |state| draft(state, &mailbox, uid_validity, &uids)).await;
            // Whoever asked may be gone.
            let _ = done.send(expunged);
        }));
        result
            .await
            .unwrap_or_else(|_| Err(StateError::Unavailable("the deletion was interrupted".to_owned())))
    }

    async fn commit_expunge(
        &self,
        account: &Address,
        decide: impl FnMut(&Account) -> Draft<Op> + Send,
    ) -> Result<(), StateError> {
        let mut chain = self.accounts().hold(&layout::account(account), FRESH).await?;
        chain.append(self.requests(), decide).await?;
        chain.snapshot_if_due(self.requests()).await;
        Ok(())
    }
}

fn draft(state: &Account, mailbox: &str, uid_validity: u64, uids: &[u32]) -> Draft<Op> {
    let found = state.mailboxes.get(mailbox).filter(|found| found.uid_validity == uid_validity);
    let uids: Vec<u32> = found.map_or_else(Vec::new, |found| {
        uids.iter().copied().filter(|uid| found.messages.contains_key(uid)).collect()
    });
    let ops = match uids.is_empty() {
        true => Vec::new(),
        false => vec![Op::Expunge { mailbox: mailbox.to_owned(), uids }],
    };
    Draft { ops, data: Data::default() }
}
