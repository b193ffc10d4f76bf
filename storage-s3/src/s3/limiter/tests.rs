use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use futures_lite::future::block_on;

use super::*;
use crate::s3::testing::Standing;

fn limiter() -> (Limiter, Arc<Standing>) {
    let clock = Standing::new();
    (Limiter::new(clock.clone()), clock)
}

fn admit(limiter: &Limiter) -> Permit<'_> {
    block_on(limiter.admit())
}

fn window(limiter: &Limiter) -> usize {
    limiter.state().window
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn pressure_halves_the_window_once_for_all_requests_that_were_under_way_together() {
    let (limiter, _) = limiter();
    let together: Vec<_> = (0..10).map(|_| admit(&limiter)).collect();
    together.into_iter().for_each(|permit| permit.end(Sign::Pressure));
    assert_eq!(window(&limiter), WINDOW_LIMIT / 2);
    admit(&limiter).end(Sign::Pressure);
    assert_eq!(window(&limiter), WINDOW_LIMIT / 4);
}

#[test]
fn the_window_never_closes() {
    let (limiter, _) = limiter();
    for _ in 0..100 {
        admit(&limiter).end(Sign::Pressure);
    }
    assert_eq!(window(&limiter), 1);
    admit(&limiter).end(Sign::Answered);
    assert_eq!(window(&limiter), 2);
}

#[test]
fn a_window_of_successes_widens_it_by_one_up_to_the_limit() {
    let (limiter, _) = limiter();
    for _ in 0..4 {
        admit(&limiter).end(Sign::Pressure);
    }
    let narrow = WINDOW_LIMIT / 16;
    assert_eq!(window(&limiter), narrow);
    (0..narrow).for_each(|_| admit(&limiter).end(Sign::Answered));
    assert_eq!(window(&limiter), narrow + 1);
    (0..narrow).for_each(|_| admit(&limiter).end(Sign::Answered));
    assert_eq!(window(&limiter), narrow + 1);
    (0..WINDOW_LIMIT * WINDOW_LIMIT).for_each(|_| admit(&limiter).end(Sign::Answered));
    assert_eq!(window(&limiter), WINDOW_LIMIT);
}

#[test]
fn a_request_that_was_given_up_counts_as_pressure_only_if_it_was_slow() {
    let (limiter, clock) = limiter();
    drop(admit(&limiter));
    assert_eq!(window(&limiter), WINDOW_LIMIT);
    let slow = admit(&limiter);
    clock.advance(SLOW_ANSWER);
    drop(slow);
    assert_eq!(window(&limiter), WINDOW_LIMIT / 2);
}

#[test]
fn requests_beyond_the_window_wait_and_are_admitted_in_their_order() {
    let (limiter, _) = limiter();
    let mut under_way: Vec<_> = (0..WINDOW_LIMIT).map(|_| admit(&limiter)).collect();
    let mut first = pin!(limiter.admit());
    let mut second = pin!(limiter.admit());
    let mut given_up = Box::pin(limiter.admit());
    let mut last = pin!(limiter.admit());
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_pending());
    assert!(poll(given_up.as_mut()).is_pending());
    assert!(poll(last.as_mut()).is_pending());
    under_way.pop();
    assert!(poll(second.as_mut()).is_pending());
    let Poll::Ready(_first) = poll(first.as_mut()) else { panic!("the first waits") };
    assert!(poll(second.as_mut()).is_pending());
    under_way.pop();
    let Poll::Ready(_second) = poll(second.as_mut()) else { panic!("the second waits") };
    drop(given_up);
    assert!(poll(last.as_mut()).is_pending());
    under_way.pop();
    assert!(poll(last.as_mut()).is_ready());
}

#[test]
fn a_halved_window_admits_nobody_until_enough_requests_have_ended() {
    let (limiter, _) = limiter();
    let mut under_way: Vec<_> = (0..WINDOW_LIMIT).map(|_| admit(&limiter)).collect();
    under_way.remove(0).end(Sign::Pressure);
    let mut next = pin!(limiter.admit());
    while under_way.len() > WINDOW_LIMIT / 2 {
        assert!(poll(next.as_mut()).is_pending(), "{} under way", under_way.len());
        under_way.pop();
    }
    assert!(poll(next.as_mut()).is_pending());
    under_way.pop();
    assert!(poll(next.as_mut()).is_ready());
}
