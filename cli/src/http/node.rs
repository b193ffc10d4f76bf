//! What the pages show: this node, from the moment on at which its listeners are bound.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use fulmar_core::engine::{Engine, Readiness};
use fulmar_core::model::event::Journal;
use fulmar_core::model::{Event, UtcTime};

use super::metrics::Metrics;

/// A node that starts, serves and ends.
#[derive(Debug)]
pub(crate) struct Node {
    pub(super) metrics: Metrics,
    engine: OnceLock<Engine>,
    /// Why the engine has not started yet, where that failed.
    delay: Mutex<Option<String>>,
    is_draining: AtomicBool,
}

/// Whether new connections are welcome.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Ready,
    /// The engine does not run yet; with the reason, where the last try failed.
    Starting(Option<String>),
    /// As [`Readiness::StoreAway`].
    StoreAway {
        since: UtcTime,
        reason: String,
    },
    /// The node was told to end.
    Draining,
}

impl Node {
    /// A node that begins to start now.
    pub(crate) fn new(now: UtcTime) -> Arc<Self> {
        Arc::new(Self {
            metrics: Metrics::new(now),
            engine: OnceLock::new(),
            delay: Mutex::default(),
            is_draining: AtomicBool::new(false),
        })
    }

    /// A journal that shows this node what it passes on.
    pub(crate) fn watching(self: &Arc<Self>, journal: Journal) -> Journal {
        let node = self.clone();
        Journal::new(move |event| {
            node.metrics.count(event);
            if let Event::StartDelayed { reason, .. } = event {
                *node.delay.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.clone());
            }
            journal.report(event);
        })
    }

    /// The engine runs now.
    pub(crate) fn runs(&self, engine: Engine) {
        // There is one engine in a process.
        let _ = self.engine.set(engine);
    }

    /// The node was told to end.
    pub(crate) fn drains(&self) {
        self.is_draining.store(true, Ordering::SeqCst);
    }

    pub(super) fn engine(&self) -> Option<&Engine> {
        self.engine.get()
    }

    pub(super) fn condition(&self) -> Condition {
        if self.is_draining.load(Ordering::SeqCst) {
            return Condition::Draining;
        }
        match self.engine().map(Engine::readiness) {
            Some(Readiness::Ready) => Condition::Ready,
            Some(Readiness::StoreAway { since, reason }) => Condition::StoreAway { since, reason },
            None => Condition::Starting(self.delay.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        }
    }
}
