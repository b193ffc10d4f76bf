//! What the end-to-end suite asks of a runtime: the doors, and listeners. Here for the production runtime; for tokio and for
//! the simulator in their own modules.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use fulmar_core::platform::{Platform, Stream};
use fulmar_runtime_smol::{SmolClock, SmolEntropy, SmolNet, SmolRuntime, accept, listen};
use fulmar_storage_s3::MemoryStore;
use futures::future::BoxFuture;

use crate::zone::Zone;

/// What is done with a connection that came in, and its client's address. Must not wait: it starts a job.
pub type Serve = Box<dyn FnMut(Box<dyn Stream>, SocketAddr) + Send>;

/// One that whole nodes can run on.
pub trait Runtime: Send + Sync {
    /// Doors of this runtime, a store in memory that holds nothing, and this zone for all names.
    fn platform(&self, zone: &Arc<Zone>) -> Platform;
    /// Opens a listener, on a free port where that of `address` is zero, and gives its address. It is closed when `until` is
    /// done.
    fn listen(
        &self,
        address: SocketAddr,
        until: BoxFuture<'static, ()>,
        serve: Serve,
    ) -> io::Result<SocketAddr>;
    /// Whether time passes only where there is nothing to do but wait, and then at once.
    fn is_virtual(&self) -> bool;
    /// Takes down what happens, where a record of the run is kept.
    fn note(&self, _what: &str) {}
}

impl Runtime for SmolRuntime {
    fn platform(&self, zone: &Arc<Zone>) -> Platform {
        Platform {
            store: Arc::new(MemoryStore::new()),
            dns: zone.clone(),
            net: Arc::new(SmolNet::new(self.spawn())),
            clock: Arc::new(SmolClock),
            entropy: Arc::new(SmolEntropy),
            spawn: self.spawn(),
        }
    }

    fn listen(
        &self,
        address: SocketAddr,
        until: BoxFuture<'static, ()>,
        mut serve: Serve,
    ) -> io::Result<SocketAddr> {
        let listener = listen(address)?;
        let address = listener.local_addr()?;
        let serve = move |stream, client| serve(Box::new(stream), client);
        self.spawn().spawn(Box::pin(accept(listener, until, serve)));
        Ok(address)
    }

    fn is_virtual(&self) -> bool {
        false
    }
}
