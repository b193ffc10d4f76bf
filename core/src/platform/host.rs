//! What the engine is told of the process that it runs in.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Names one process among all that ever ran on any machine, as far as its operating system lets one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The machine's current boot (Linux: `/proc/sys/kernel/random/boot_id`). Empty where unknown.
    pub boot: String,
    /// The PID namespace in which `pid` counts (Linux: the target of `/proc/self/ns/pid`).
    pub pid_namespace: String,
    /// Process number.
    pub pid: u32,
    /// When the process started, in ticks since boot, as `/proc/<pid>/stat` gives it.
    pub started: u64,
}

/// The process that the engine runs in, and a way to ask after others.
#[derive(Clone)]
pub struct Host {
    /// This process.
    pub process: ProcessIdentity,
    /// Whether that process ran on this machine, in this boot and this PID namespace, and is certainly no more.
    /// In doubt: false. Lets a restarted node adopt its predecessor's log without waiting.
    pub is_gone: Arc<dyn Fn(&ProcessIdentity) -> bool + Send + Sync>,
}

impl Host {
    /// A host of which nothing is known: no process is ever taken for gone.
    pub fn unknown() -> Self {
        Self { process: ProcessIdentity::default(), is_gone: Arc::new(|_| false) }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("process", &self.process).finish_non_exhaustive()
    }
}
