//! Connections that are kept for the next message to the same destination, and destinations that cannot be reached at the
//! moment.
//!
//! A connection is opened only where none is idle, so a destination never has more of them than attempts were under way at a
//! time. An idle one is kept for [`IDLE`], which is longer than work that follows takes to come and shorter than servers
//! mind; then the server is told QUIT.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Host;
use crate::config::Destination;
use crate::conversation::smtp_client::Client;
use crate::model::Reply;
use crate::platform::{Clock, Instant, Spawn};

/// How long a connection is kept without work.
pub const IDLE: Duration = Duration::from_secs(5);
/// Idle connections on one node. Beyond: a connection is closed after its transaction.
pub const IDLE_LIMIT: usize = 200;
/// Transactions over one connection; some servers count them.
pub const TRANSACTION_LIMIT: u32 = 100;
/// How old a connection may be at the start of its last transaction.
pub const LONGEST_LIFE: Duration = Duration::from_mins(5);
/// How long a destination that could not be reached is left alone, at most.
pub const LONGEST_REST: Duration = Duration::from_secs(30);
/// Destinations of which that is remembered. Beyond: the one that has rested longest is tried again.
pub const REST_LIMIT: usize = 1_000;

/// A session with one of the hosts of a destination.
#[derive(Debug)]
pub struct Connection {
    /// The session.
    pub client: Client,
    /// Who is at the other end.
    pub host: Host,
    /// Whether it has proved that by a certificate.
    pub is_verified: bool,
}

impl Connection {
    /// Whether the server wants no more transactions in it (RFC 9422 §4).
    pub fn is_worn(&self) -> bool {
        let limit = self.client.extensions().and_then(|offered| offered.limits.transactions);
        limit.is_some_and(|limit| self.client.transactions() >= limit)
    }
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Connections {
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
    rest: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The one that has been idle for longest first; no list is empty.
    idle: BTreeMap<Destination, Vec<Idle>>,
    /// How many these are.
    count: usize,
    /// Whether a job watches over them.
    is_watched: bool,
    /// Whether nothing is kept any more.
    is_closed: bool,
    /// Until when, and what was said of it.
    resting: BTreeMap<Destination, (Instant, Reply)>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    until: Instant,
}

impl Connections {
    /// None so far. A destination that could not be reached rests for `rest`, but not longer than [`LONGEST_REST`].
    pub fn new(clock: Arc<dyn Clock>, spawn: Arc<dyn Spawn>, rest: Duration) -> Self {
        Self { clock, spawn, rest: rest.min(LONGEST_REST), state: Arc::default() }
    }

    /// An idle connection, the one that was used last; with `needs_verified` only one whose server has proved who it is. Its server may have
    /// closed it meanwhile.
    pub fn take(&self, destination: &Destination, needs_verified: bool) -> Option<Connection> {
        let mut state = self.state();
        let list = state.idle.get_mut(destination)?;
        let last = list.iter().rposition(|idle| idle.connection.is_verified || !needs_verified);
        let last = last.map(|last| list.remove(last));
        if list.is_empty() {
            state.idle.remove(destination);
        }
        state.count -= usize::from(last.is_some());
        last.map(|idle| idle.connection)
    }

    /// Keeps a connection for the next message, or ends it where it has served its time.
    pub fn put(&self, destination: &Destination, connection: Connection) {
        let client = &connection.client;
        if !client.is_ready() {
            return;
        }
        let now = self.clock.instant();
        let is_worn = client.transactions() >= TRANSACTION_LIMIT
            || now.since(client.opened()) >= LONGEST_LIFE
            || connection.is_worn();
        let mut state = self.state();
        if is_worn || state.is_closed || state.count >= IDLE_LIMIT {
            drop(state);
            return self.quit(connection);
        }
        state.count += 1;
        state.idle.entry(destination.clone()).or_default().push(Idle { connection, until: now + IDLE });
        if !state.is_watched {
            state.is_watched = true;
            let connections = self.clone();
            self.spawn.spawn(Box::pin(async move { connections.watch().await }));
        }
    }

    /// Ends the idle connections, and from now on each one after its transaction.
    pub fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.count = 0;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        idle.into_values().flatten().for_each(|idle| self.quit(idle.connection));
    }

    /// The destination could not be reached: this is what came of trying.
    pub fn set_unreachable(&self, destination: &Destination, reply: Reply) {
        let until = self.clock.instant() + self.rest;
        let mut state = self.state();
        state.resting.insert(destination.clone(), (until, reply));
        if state.resting.len() > REST_LIMIT {
            let first = state.resting.iter().min_by_key(|(_, (until, _))| *until);
            if let Some(first) = first.map(|(destination, _)| destination.clone()) {
                state.resting.remove(&first);
            }
        }
    }

    /// What came of trying a moment ago, where the destination could not be reached then.
    pub fn unreachable(&self, destination: &Destination) -> Option<Reply> {
        let now = self.clock.instant();
        let mut state = self.state();
        let (until, reply) = state.resting.get(destination)?;
        if now < *until {
            return Some(reply.clone());
        }
        state.resting.remove(destination);
        None
    }

    /// Ends connections that have been idle for long enough, until there are none.
    async fn watch(self) {
        loop {
            let now = self.clock.instant();
            let (ended, next) = self.state().expire(now);
            ended.into_iter().for_each(|connection| self.quit(connection));
            match next {
                Some(next) => self.clock.sleep_until(next).await,
                None => return,
            }
        }
    }

    /// In a job of its own: the server may take its time.
    fn quit(&self, connection: Connection) {
        self.spawn.spawn(Box::pin(connection.client.quit()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections").field("state", &self.state).finish_non_exhaustive()
    }
}

impl State {
    /// Takes out what has been idle for long enough, and says when there is more; nothing, and no watch any more, where
    /// nothing is left.
    fn expire(&mut self, now: Instant) -> (Vec<Connection>, Option<Instant>) {
        let mut ended = Vec::new();
        for list in self.idle.values_mut() {
            let count = list.iter().take_while(|idle| idle.until <= now).count();
            ended.extend(list.drain(..count).map(|idle| idle.connection));
        }
        self.count -= ended.len();
        self.idle.retain(|_, list| !list.is_empty());
        let next = self.idle.values().filter_map(|list| list.first()).map(|idle| idle.until).min();
        self.is_watched = next.is_some();
        (ended, next)
    }
}
