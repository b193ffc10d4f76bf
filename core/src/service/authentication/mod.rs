//! Whether a client is who it says it is: the same for every protocol.
//!
//! A session holds a [`crate::sasl::Exchange`] and asks its driver; the driver holds an [`Attempt`] for each exchange. It answers the
//! exchange's questions with [`Attempt::answer`], and takes the exchange's end to [`Attempt::conclude`], which gives an [`Identity`] or
//! what the client is to be told.
//!
//! - **Nothing tells whether an account is there.** A refusal comes 1 to 3 s after the first question, and what is done till then is the
//!   same: where there is no account, no password, or nobody is let in, something that nobody knows is compared. A name without an
//!   account has a salt for SCRAM that is always the same, on every node.
//! - **Guessing** is bounded by [`Guard`]. Whoever is locked out is refused like everybody else, and after the same work.
//! - **A session may be dropped at any await.** A comparison goes on without it, and a wrong guess is counted by the comparison itself.
//! - **Login names** are addresses of accounts. One without a domain is of `[auth] default_domain`, or of the only domain of ours.
//!   Aliases are no login names: who else reads an alias's mail must not change who may log in.

mod attempt;
mod locks;
mod names;
mod tokens;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use attempt::{Attempt, How, Identity};
pub(in crate::service) use locks::LockWatch;

use crate::config::AuthSettings;
use crate::policy::guard::Guard;
use crate::state::format;
use crate::state::requests::{Purpose, Requests};
use crate::state::{StateError, lock};
use locks::Publication;
use tokens::Tokens;

/// Passwords that are compared at a time on one node: each takes a thread, and 19 MiB for some 20 ms. Beyond: a login waits.
pub const COMPARISONS: usize = 2;
/// Octets of the secret that decoys are made of.
const SECRET_OCTETS: usize = 32;

/// What all attempts of a node share.
#[derive(Debug)]
pub struct Authentication {
    guard: Arc<Guard>,
    requests: Requests,
    /// Of which decoys are made; nothing until it is needed.
    secret: Mutex<Option<[u8; SECRET_OCTETS]>>,
    publication: Arc<Mutex<Publication>>,
    /// Whether anybody has tried to log in here yet: nodes that serve nobody need not know of others' locks.
    is_used: AtomicBool,
    tokens: Tokens,
}

impl Authentication {
    /// Nobody has tried to log in yet.
    pub fn new(settings: &AuthSettings, requests: Requests) -> Self {
        Self {
            guard: Arc::new(Guard::new(settings.clone())),
            requests: requests.of(Purpose::Read),
            secret: Mutex::default(),
            publication: Arc::default(),
            is_used: AtomicBool::new(false),
            tokens: Tokens::new(settings, requests.platform().clone()),
        }
    }

    /// Whether anybody can say what a token is worth: what [`crate::sasl::Channel::takes_tokens`] is to be.
    pub fn takes_tokens(&self) -> bool {
        self.tokens.are_taken()
    }

    /// Somebody tries to log in here.
    fn note_use(&self) {
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// The secret of this store: no two stores have the same, and all nodes do.
    async fn secret(&self) -> Result<[u8; SECRET_OCTETS], StateError> {
        let known = *self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = known {
            return Ok(secret);
        }
        let secret = format::secret(&self.requests).await?;
        *self.secret.lock().unwrap_or_else(PoisonError::into_inner) = Some(secret);
        Ok(secret)
    }
}
