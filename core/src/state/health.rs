//! Whether the store does as asked, told from the outcomes of all requests of a node.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::event::Journal;
use crate::model::{Event, UtcTime};
use crate::platform::{Clock, Instant, StoreError};

/// Whether a node can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// As far as it knows.
    Ready,
    /// Nothing that it asked of the store has been done since, or the store has not let it list; new mail is answered `451`, or
    /// that for whomever it does not know yet.
    StoreAway {
        /// When the first of the requests failed, by this node's clock.
        since: UtcTime,
        /// What became of the latest one before the node gave up.
        reason: String,
    },
}

/// See the module. One request that fails says nothing: other keys may fare better.
#[derive(Debug)]
pub(super) struct Health {
    /// How long everything must have failed.
    patience: Duration,
    state: Mutex<State>,
    /// What the store has refused since when, and its words. Each is a permission of its own, without which everything else may go
    /// well: but where it does not list, no account can be loaded and no other node be seen, and where it does not write, nothing can be taken.
    refused: Mutex<BTreeMap<Permission, (UtcTime, String)>>,
}

/// What a store may permit or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Permission {
    /// Listing.
    List,
    /// Writing.
    Write,
}

impl Permission {
    fn name(self) -> &'static str {
        match self {
            Self::List => "listing",
            Self::Write => "writing",
        }
    }
}

#[derive(Debug)]
enum State {
    /// The latest request that was answered began then.
    Answering { asked: Instant },
    /// All that ended since has failed.
    Failing { since: Instant, at: UtcTime },
    /// And did so for long.
    Away { since: UtcTime, reason: String },
}

impl Health {
    pub(super) fn new(patience: Duration) -> Self {
        let asked = Instant::from_origin(Duration::ZERO);
        Self { patience, state: Mutex::new(State::Answering { asked }), refused: Mutex::default() }
    }

    pub(super) fn readiness(&self) -> Readiness {
        match &*self.state() {
            State::Answering { .. } | State::Failing { .. } => match self.refused().first_key_value() {
                Some((_, (since, reason))) => Readiness::StoreAway { since: *since, reason: reason.clone() },
                None => Readiness::Ready,
            },
            State::Away { since, reason } => Readiness::StoreAway { since: *since, reason: reason.clone() },
        }
    }

    /// A request that began then was done, or cannot be for a reason that lies in what is in the store.
    pub(super) fn answered(&self, began: Instant, journal: &Journal) {
        let mut state = self.state();
        let was = std::mem::replace(&mut *state, State::Answering { asked: began });
        match was {
            State::Answering { asked } => *state = State::Answering { asked: asked.max(began) },
            State::Failing { .. } => {}
            // Reported before anybody can change the state again, so that the log has the order of events.
            State::Away { since, .. } => journal.report(&Event::StoreBack { since }),
        }
    }

    /// A request that began then has failed now.
    pub(super) fn failed(&self, began: Instant, error: &StoreError, clock: &dyn Clock, journal: &Journal) {
        let mut state = self.state();
        let (since, at) = match &*state {
            // What failed may have begun long before something else was answered.
            State::Answering { asked } => (began.max(*asked), clock.utc()),
            State::Failing { since, at } => (*since, *at),
            State::Away { .. } => return,
        };
        *state = if clock.instant().since(since) < self.patience {
            State::Failing { since, at }
        } else {
            let reason = error.to_string();
            journal.report(&Event::StoreAway { since: at, reason: reason.clone() });
            State::Away { since: at, reason }
        };
    }

    /// A request that needs this permission ended now.
    pub(super) fn asked<T>(&self, permission: Permission, result: &Result<T, StoreError>, clock: &dyn Clock) {
        let mut refused = self.refused();
        match result {
            Ok(_) => drop(refused.remove(&permission)),
            Err(StoreError::Refused(reason)) => {
                let words = || (clock.utc(), format!("{} is refused: {reason}", permission.name()));
                refused.entry(permission).or_insert_with(words);
            }
            Err(_) => {}
        }
    }

    fn refused(&self) -> MutexGuard<'_, BTreeMap<Permission, (UtcTime, String)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;

    use super::*;

    /// Stands at so many seconds.
    struct Stopped(u64);

    #[async_trait]
    impl Clock for Stopped {
        fn utc(&self) -> UtcTime {
            UtcTime(self.0 * 1_000)
        }

        fn instant(&self) -> Instant {
            second(self.0)
        }

        async fn sleep_until(&self, _: Instant) {}
    }

    fn second(number: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(number))
    }

    #[derive(Debug)]
    enum Step {
        /// A request that began at a second was answered.
        Answered(u64),
        /// A request that began at a second failed at another.
        Failed(u64, u64),
    }

    #[test]
    fn a_store_is_away_when_all_requests_have_failed_for_long_and_back_with_the_first_answer() {
        use Step::{Answered, Failed};
        for (steps, away_since, changes) in [
            (&[][..], None, 0),
            (&[Failed(100, 101)], None, 0),
            (&[Failed(100, 119), Failed(119, 121)], Some(119), 1),
            (&[Failed(100, 101), Answered(102), Failed(101, 121)], None, 0),
            (&[Answered(110), Failed(100, 125)], None, 0),
            (&[Answered(110), Failed(100, 125), Failed(125, 130)], Some(125), 1),
            (&[Failed(100, 101), Failed(119, 120), Failed(120, 140)], Some(101), 1),
            (&[Failed(100, 101), Failed(101, 120), Answered(121)], None, 2),
            (&[Failed(100, 120), Answered(121), Failed(121, 122), Failed(122, 141)], Some(122), 3),
        ] {
            let health = Health::new(Duration::from_secs(20));
            let told = Arc::<Mutex<usize>>::default();
            let seen = told.clone();
            let journal = Journal::new(move |_| *seen.lock().unwrap() += 1);
            for step in steps {
                match *step {
                    Answered(began) => health.answered(second(began), &journal),
                    Failed(began, now) => {
                        let error = StoreError::Unavailable("gone".into());
                        health.failed(second(began), &error, &Stopped(now), &journal);
                    }
                }
            }
            let since = match health.readiness() {
                Readiness::Ready => None,
                Readiness::StoreAway { since, .. } => Some(since.0 / 1_000),
            };
            assert_eq!((since, *told.lock().unwrap()), (away_since, changes), "{steps:?}");
        }
    }

    #[test]
    fn a_store_that_refuses_to_list_or_write_counts_as_away_until_it_does() {
        for permission in [Permission::List, Permission::Write] {
            refused_until_done(permission);
        }
    }

    fn refused_until_done(permission: Permission) {
        let health = Health::new(Duration::from_secs(20));
        let refused = || Err(StoreError::Refused("AccessDenied".into()));
        let unanswered = || Err(StoreError::Unknown("no answer".into()));
        for (result, away_since) in [
            (unanswered(), None),
            (refused(), Some(3)),
            (refused(), Some(3)),
            (unanswered(), Some(3)),
            (Ok(()), None),
        ] {
            health.answered(second(2), &Journal::silent());
            health.asked(permission, &result, &Stopped(away_since.unwrap_or(7)));
            let since = match health.readiness() {
                Readiness::Ready => None,
                Readiness::StoreAway { since, reason } => {
                    assert_eq!(reason, format!("{} is refused: AccessDenied", permission.name()));
                    Some(since.0 / 1_000)
                }
            };
            assert_eq!(since, away_since);
        }
    }
}
