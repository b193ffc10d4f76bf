//! The six doors (rank 1): everything that the engine may learn of the world, and do to it.
//!
//! | door | what it opens on |
//! |---|---|
//! | [`Store`] | the object store, the only state |
//! | [`Dns`] | names that come from mail |
//! | [`Net`] | streams and datagrams going out |
//! | [`Clock`] | wall time, elapsed time, timers |
//! | [`Entropy`] | randomness |
//! | [`Spawn`] | concurrent jobs, and work that blocks a thread |
//!
//! Each is passed as `Arc<dyn Trait>`: a virtual call costs nanoseconds, type parameters through a whole engine cost more.
//! Deliberately absent: a listener (the runtime pushes connections in), a file system, the environment.

mod clock;
mod dns;
mod host;
mod net;
mod spawn;
mod store;

use std::fmt;
use std::sync::Arc;

pub use clock::{Clock, Instant};
pub use dns::{Answer, Dns, DnsError, Question, Record, RecordKind};
pub use host::{Host, ProcessIdentity};
pub use net::{Datagram, Net, Stream, Target};
pub use spawn::{Job, Spawn};
pub use store::{Listed, Object, Page, Payload, Store, StoreError, When};

use crate::model::UtcTime;
use crate::model::id::ENTROPY_OCTETS;

/// Randomness fit for secrets.
pub trait Entropy: Send + Sync {
    /// Fills the buffer with unpredictable octets.
    fn fill(&self, buffer: &mut [u8]);
}

/// All doors, together.
#[derive(Clone)]
pub struct Platform {
    /// The object store.
    pub store: Arc<dyn Store>,
    /// Names that come from mail.
    pub dns: Arc<dyn Dns>,
    /// Connections going out.
    pub net: Arc<dyn Net>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Jobs.
    pub spawn: Arc<dyn Spawn>,
}

impl Platform {
    /// The time and fresh entropy of which an identity is drawn: `QueueId::draw(now, entropy)`.
    pub fn draw(&self) -> (UtcTime, [u8; ENTROPY_OCTETS]) {
        let mut entropy = [0; ENTROPY_OCTETS];
        self.entropy.fill(&mut entropy);
        (self.clock.utc(), entropy)
    }
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Platform")
    }
}
