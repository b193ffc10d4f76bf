use super::*;

fn at(seconds: u64) -> Instant {
    Instant::from_origin(Duration::from_secs(seconds))
}

fn guard() -> Guard {
    Guard::new(AuthSettings::default())
}

fn visitor(address: &str, name: &str) -> Visitor {
    Visitor::new(address.parse().unwrap(), name)
}

/// Fails so often with guesses that differ.
fn fail(guard: &Guard, visitor: &Visitor, times: u32, now: Instant) {
    for guess in 0..times {
        guard.failed(visitor, Some(u64::from(guess).to_be_bytes()), now);
    }
}

#[test]
fn an_address_is_locked_by_its_tenth_failure_and_for_a_while() {
    for (attacker, sibling, stranger) in [
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
    ] {
        let guard = guard();
        let attacker = visitor(attacker, "a@x.test");
        fail(&guard, &attacker, 9, at(0));
        assert!(!guard.is_barred(&attacker, at(1)));
        let tenth = guard.failed(&attacker, None, at(1));
        assert_eq!(tenth.locked, [Subject::Address(attacker.address)]);
        assert!(guard.is_barred(&visitor(sibling, "b@x.test"), at(2)));
        assert!(!guard.is_barred(&visitor(stranger, "a@x.test"), at(2)));
        assert!(guard.is_barred(&attacker, at(900)) && !guard.is_barred(&attacker, at(902)));
        // What came before the lock is forgotten.
        fail(&guard, &attacker, 9, at(903));
        assert!(!guard.is_barred(&attacker, at(903)));
    }
}

#[test]
fn a_network_is_locked_as_a_whole() {
    let guard = guard();
    for host in 0..20 {
        fail(&guard, &visitor(&format!("192.0.2.{host}"), &format!("{host}@x.test")), 5, at(0));
    }
    assert!(guard.is_barred(&visitor("192.0.2.99", "other@x.test"), at(1)));
    assert!(!guard.is_barred(&visitor("192.0.3.99", "other@x.test"), at(1)));
}

#[test]
fn nobody_is_locked_out_of_an_account_at_the_address_it_is_used_from() {
    let guard = guard();
    let user = visitor("192.0.2.1", "a@x.test");
    guard.succeeded(&user, at(0));
    for host in 0..200 {
        fail(&guard, &visitor(&format!("198.51.{host}.1"), "A@x.test"), 5, at(10));
        // And from the user's own network, and address.
        fail(&guard, &visitor(&format!("192.0.2.{host}"), &format!("{host}@x.test")), 20, at(10));
    }
    assert!(guard.is_barred(&visitor("203.0.113.1", "a@x.test"), at(11)));
    assert!(guard.is_barred(&visitor("192.0.2.1", "b@x.test"), at(11)));
    assert!(!guard.is_barred(&user, at(11)));
    // Who guesses there, at that account, is locked out there.
    fail(&guard, &user, 10, at(12));
    assert!(guard.is_barred(&user, at(13)));
}

#[test]
fn what_is_usual_is_forgotten_after_a_month() {
    let guard = guard();
    let user = visitor("192.0.2.1", "a@x.test");
    let month = AuthSettings::default().familiar_for.as_secs();
    for (now, is_barred) in [(month, false), (month + 1, true)] {
        guard.succeeded(&user, at(0));
        for host in 0..10 {
            fail(&guard, &visitor(&format!("198.51.{host}.1"), "a@x.test"), 5, at(now));
        }
        assert_eq!(guard.is_barred(&user, at(now)), is_barred, "after {now} s");
    }
}

#[test]
fn a_login_takes_back_what_failed_at_that_account_and_no_more() {
    let guard = guard();
    let (own, victim) = (visitor("192.0.2.1", "mine@x.test"), visitor("192.0.2.1", "a@x.test"));
    fail(&guard, &own, 5, at(0));
    fail(&guard, &victim, 4, at(0));
    guard.succeeded(&own, at(1));
    fail(&guard, &victim, 5, at(2));
    assert!(!guard.is_barred(&victim, at(3)));
    guard.succeeded(&own, at(4));
    guard.failed(&victim, None, at(5));
    assert!(guard.is_barred(&victim, at(6)));
}

#[test]
fn a_program_with_an_old_password_locks_nobody_out() {
    let guard = guard();
    let user = visitor("192.0.2.1", "a@x.test");
    for now in 0..100 {
        guard.failed(&user, Some([7; 8]), at(now * 60));
    }
    assert!(!guard.is_barred(&user, at(6_000)));
}

#[test]
fn failures_slow_down_and_a_pause_forgets_them() {
    let guard = guard();
    let user = visitor("192.0.2.1", "a@x.test");
    let delays = |now| (0..6).map(|_| guard.failed(&user, None, at(now)).delay.as_secs()).collect::<Vec<_>>();
    assert_eq!(delays(0), [0, 0, 0, 1, 2, 3]);
    assert_eq!(delays(901), [0, 0, 0, 1, 2, 3]);
    for host in 0..30 {
        guard.failed(&visitor(&format!("198.51.{host}.1"), "a@x.test"), None, at(1_000));
    }
    assert_eq!(guard.failed(&visitor("203.0.113.1", "a@x.test"), None, at(1_001)).delay.as_secs(), 15);
}

#[test]
fn others_learn_of_a_lock_once_and_do_not_pass_it_on() {
    let (one, other) = (guard(), guard());
    let attacker = visitor("192.0.2.1", "a@x.test");
    assert_eq!(one.take_news(at(0)), None);
    fail(&one, &attacker, 10, at(0));
    let news = one.take_news(at(100)).unwrap();
    assert_eq!(news, [Lock { subject: Subject::Address(attacker.address), seconds: 800 }]);
    assert_eq!(one.take_news(at(100)), None);
    one.put_back_news();
    assert_eq!(one.take_news(at(100)).unwrap(), news);
    news.iter().for_each(|lock| other.learn(lock, at(5_000)));
    assert!(other.is_barred(&attacker, at(5_799)) && !other.is_barred(&attacker, at(5_801)));
    fail(&other, &visitor("203.0.113.1", "b@x.test"), 10, at(5_001));
    assert_eq!(other.take_news(at(5_001)).unwrap().len(), 1);
}

#[test]
fn no_word_of_another_node_locks_for_longer_than_this_one_is_set_to() {
    let guard = guard();
    let attacker = visitor("192.0.2.1", "a@x.test");
    guard.learn(&Lock { subject: Subject::Network(attacker.network), seconds: u64::MAX }, at(0));
    assert!(guard.is_barred(&attacker, at(899)) && !guard.is_barred(&attacker, at(901)));
}
