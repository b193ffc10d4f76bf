//! A lock that is had in the order in which it was asked for.
//!
//! The common ones let whoever comes at the right moment go first, and see to those who wait too long by looking at the
//! system's clock: a run could then not be repeated.

use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::oneshot;

/// A value that is had by one at a time.
pub struct Turns<T> {
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    /// Nothing while somebody has it.
    value: Option<T>,
    waiting: VecDeque<oneshot::Sender<Turn<T>>>,
}

/// The value, for as long as this lives.
pub struct Turn<T> {
    turns: Arc<Turns<T>>,
    /// Something until it is dropped.
    value: Option<T>,
}

impl<T> Turns<T> {
    /// Nobody has it.
    pub fn new(value: T) -> Self {
        Self { inner: Mutex::new(Inner { value: Some(value), waiting: VecDeque::new() }) }
    }

    /// Waits for its turn. Whoever is dropped before has lost its place.
    pub async fn turn(self: Arc<Self>) -> Turn<T> {
        loop {
            let mine = {
                let mut inner = self.lock();
                if let Some(value) = inner.value.take() {
                    return Turn { turns: self.clone(), value: Some(value) };
                }
                let (give, mine) = oneshot::channel();
                inner.waiting.push_back(give);
                mine
            };
            // Nobody drops the other end without having given it.
            if let Ok(turn) = mine.await {
                return turn;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Turn<T> {
    /// Passes it on to the first who still waits.
    fn drop(&mut self) {
        let Some(mut value) = self.value.take() else { return };
        loop {
            let next = {
                let mut inner = self.turns.lock();
                match inner.waiting.pop_front() {
                    Some(next) => next,
                    None => {
                        inner.value = Some(value);
                        return;
                    }
                }
            };
            // Once sent, a turn that nobody takes is dropped, and so passed on, too.
            match next.send(Self { turns: self.turns.clone(), value: Some(value) }) {
                Ok(()) => return,
                Err(mut refused) => match refused.value.take() {
                    Some(back) => value = back,
                    None => return,
                },
            }
        }
    }
}

#[expect(clippy::expect_used, reason = "the value is taken out only when the turn is dropped")]
impl<T> Deref for Turn<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value.as_ref().expect("a turn that is not over")
    }
}

#[expect(clippy::expect_used, reason = "the value is taken out only when the turn is dropped")]
impl<T> DerefMut for Turn<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("a turn that is not over")
    }
}

impl<T> fmt::Debug for Turns<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}

impl<T> fmt::Debug for Turn<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turn")
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn turns_come_in_the_order_in_which_they_were_asked_for() {
        let turns = Arc::new(Turns::new(Vec::new()));
        let mut held = turns.clone().turn().now_or_never().unwrap();
        let mut waiting: Vec<_> = (0..3).map(|_| turns.clone().turn().boxed()).collect();
        assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
        for (number, next) in waiting.into_iter().enumerate() {
            held.push(number);
            drop(held);
            // Whoever comes now comes last.
            assert!(turns.clone().turn().now_or_never().is_none());
            held = next.now_or_never().unwrap();
        }
        assert_eq!(*held, [0, 1, 2]);
    }

    #[test]
    fn a_turn_that_nobody_takes_is_passed_on() {
        let turns = Arc::new(Turns::new(7));
        let held = turns.clone().turn().now_or_never().unwrap();
        let [mut gone_before, mut gone_after, mut last] = [(); 3].map(|()| turns.clone().turn().boxed());
        for turn in [&mut gone_before, &mut gone_after, &mut last] {
            assert!(turn.now_or_never().is_none());
        }
        drop(gone_before);
        drop(held);
        drop(gone_after);
        assert_eq!(*last.now_or_never().unwrap(), 7);
        assert!(turns.turn().now_or_never().is_some());
    }
}
