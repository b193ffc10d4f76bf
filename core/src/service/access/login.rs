//! Whether a client is who it says it is.

use std::time::Duration;

use crate::mailbox::Mailboxes;
use crate::model::Address;
use crate::platform::Platform;
use crate::sasl::password::{DECOY, matches};
use crate::service::Context;
use crate::state::{StateError, layout};

/// Passwords that are compared at a time on one node: each takes a thread, and 19 MiB for some 20 ms. Beyond: a login waits.
pub const COMPARISONS: usize = 2;
/// A login is not refused sooner than this after it was asked for.
const LEAST_DELAY: Duration = Duration::from_secs(1);
/// The refusal waits a random part of this longer, in milliseconds.
const DELAY_SPAN: u16 = 2_000;

/// Whether this is the password of this account, as the store has it now. A refusal comes 1 to 3 s after the question, and
/// what is done till then is the same whether there is such an account or not: neither its time nor its words tell. An account
/// without a password refuses everybody.
pub(super) async fn is_password_of(
    context: &Context,
    mailboxes: &Mailboxes,
    account: Option<&Address>,
    password: String,
) -> Result<bool, StateError> {
    let platform = context.requests.platform();
    let due = platform.clock.instant() + delay(platform);
    let verifier = match account {
        Some(account) => verifier(mailboxes, account).await?,
        None => None,
    };
    let may_match = verifier.is_some();
    let verifier = verifier.unwrap_or_else(|| DECOY.to_owned());
    // Given back by the comparison itself: it goes on where the session is dropped.
    let permit = context.comparisons.acquire_arc().await;
    let compared = platform.spawn.unblock(move || {
        let is_match = matches(&verifier, &password);
        drop(permit);
        is_match
    });
    let interrupted = || StateError::Unavailable("the comparison was interrupted".to_owned());
    let is_match = compared.await.ok_or_else(interrupted)?;
    if may_match && is_match {
        return Ok(true);
    }
    platform.clock.sleep_until(due).await;
    Ok(false)
}

async fn verifier(mailboxes: &Mailboxes, account: &Address) -> Result<Option<String>, StateError> {
    let chain = mailboxes.accounts().hold(&layout::account(account), Duration::ZERO).await?;
    Ok(chain.state().password.clone())
}

fn delay(platform: &Platform) -> Duration {
    let mut random = [0; 2];
    platform.entropy.fill(&mut random);
    LEAST_DELAY + Duration::from_millis(u64::from(u16::from_le_bytes(random) % (DELAY_SPAN + 1)))
}
