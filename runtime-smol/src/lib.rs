//! Fulmar's doors on smol and async-io, and what a runtime owes the engine besides: threads, listeners, and the
//! process's identity.
//!
//! | module | what it holds |
//! |---|---|
//! | `runtime` | [`SmolRuntime`]: worker threads and [`Spawn`](fulmar_core::platform::Spawn) |
//! | `relief` | a thread that stands in for workers that are held up |
//! | `alarms` | who sleeps, and the thread that wakes them |
//! | `clock` | [`SmolClock`], which goes on while the machine is suspended |
//! | `entropy` | [`SmolEntropy`], from the operating system |
//! | `net` | [`SmolNet`]: connections and datagrams going out |
//! | `listener` | [`listen`] and [`accept`]: connections coming in |
//! | `name_servers` | [`SystemNameServers`]: whom the system asks about names |
//! | `roots` | [`system_roots`]: whose certificates the system trusts |
//! | `host` | [`host`]: which process this is, and whether another one is gone |

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod alarms;
mod boot_clock;
mod clock;
mod entropy;
mod host;
mod listener;
mod name_servers;
mod net;
mod relief;
mod roots;
mod runtime;

pub use clock::SmolClock;
pub use entropy::SmolEntropy;
pub use host::host;
pub use listener::{accept, listen, listen_when_free};
pub use name_servers::SystemNameServers;
pub use net::SmolNet;
pub use roots::system_roots;
pub use runtime::{BLOCKING_THREADS, SmolRuntime};
pub use smol::net::TcpListener;
