//! The connections to one origin.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use async_lock::{Semaphore, SemaphoreGuardArc};

use super::ClientSettings;
use super::connection::Connection;
use crate::platform::{Clock, Instant, Spawn};

pub(super) struct Pool {
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
    settings: ClientSettings,
    slots: Arc<Semaphore>,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// With the time since when, the longest first.
    connections: VecDeque<(Instant, Connection)>,
    /// Whether a job waits to close those that nobody uses.
    is_watched: bool,
}

/// A connection while somebody uses it. Dropped, it is closed, and another may be opened in its place.
pub(super) struct Lease {
    pub(super) connection: Connection,
    pool: Arc<Pool>,
    // After the connection, so that fields are dropped in an order in which there is never one too many.
    slot: SemaphoreGuardArc,
}

impl Pool {
    pub(super) fn new(clock: Arc<dyn Clock>, spawn: Arc<dyn Spawn>, settings: ClientSettings) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(settings.connections.max(1)));
        Arc::new(Self { clock, spawn, settings, slots, idle: Mutex::default() })
    }

    /// The right to use one connection, as soon as fewer than the limit are used. Since who has it takes an idle connection
    /// where there is one, there are never more connections than slots.
    pub(super) async fn slot(&self) -> SemaphoreGuardArc {
        self.slots.acquire_arc().await
    }

    /// The idle connection that was used last and is still usable, if there is one.
    pub(super) async fn reuse(&self) -> Option<Connection> {
        loop {
            let (_, mut connection) = self.fresh().connections.pop_back()?;
            if poll_fn(|context| Poll::Ready(connection.is_usable(context))).await {
                return Some(connection);
            }
        }
    }

    pub(super) fn lease(self: &Arc<Self>, connection: Connection, slot: SemaphoreGuardArc) -> Lease {
        Lease { connection, pool: self.clone(), slot }
    }

    /// Whether there is no idle connection that would be lost with it.
    pub(super) fn is_empty(&self) -> bool {
        self.fresh().connections.is_empty()
    }

    fn keep(self: &Arc<Self>, connection: Connection) {
        let mut idle = self.fresh();
        idle.connections.push_back((self.clock.instant(), connection));
        let surplus = idle.connections.len().saturating_sub(self.settings.idle_connections);
        idle.connections.drain(..surplus);
        if !idle.is_watched && !idle.connections.is_empty() {
            idle.is_watched = true;
            self.spawn.spawn(Box::pin(watch(Arc::downgrade(self), self.clock.clone())));
        }
    }

    /// When the watch has to look again; it ends where nothing is idle.
    fn next_look(&self) -> Option<Instant> {
        let mut idle = self.fresh();
        let next = idle.connections.front().map(|(since, _)| *since + self.settings.idle_for);
        idle.is_watched = next.is_some();
        next
    }

    /// What is idle, once those are closed that have been so too long.
    fn fresh(&self) -> MutexGuard<'_, Idle> {
        let now = self.clock.instant();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let is_expired = |(since, _): &&(Instant, Connection)| *since + self.settings.idle_for <= now;
        let expired = idle.connections.iter().take_while(is_expired).count();
        idle.connections.drain(..expired);
        idle
    }
}

/// Closes idle connections in time, so that none outlives its use for long. The pool may be gone before.
async fn watch(pool: Weak<Pool>, clock: Arc<dyn Clock>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.next_look()) {
        clock.sleep_until(next).await;
    }
}

impl Lease {
    /// Gives back a connection that takes another request; closes any other.
    pub(super) fn give_back(mut self, context: &mut Context<'_>) {
        if self.connection.is_usable(context) {
            self.pool.keep(self.connection);
        }
        drop(self.slot);
    }
}
