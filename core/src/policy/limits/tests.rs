use proptest::prelude::*;

use super::*;

fn at(milliseconds: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(milliseconds))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn stranger(text: &str) -> Sender<'static> {
    Sender { client: ip(text), user: None }
}

fn limits(change: impl FnOnce(&mut ClientLimits)) -> Limits {
    let mut settings = ClientLimits::default();
    change(&mut settings);
    Limits::new(settings)
}

/// How many of a thousand are let through at one moment.
fn let_through(mut take: impl FnMut() -> Result<(), Reply>) -> usize {
    (0..1000).filter(|_| take().is_ok()).count()
}

#[test]
fn connections_at_a_time_are_counted_by_address_and_by_network() {
    let limits = limits(|settings| {
        settings.connections_per_address = Some(2);
        settings.connections_per_network = Some(3);
        settings.exempt = vec!["203.0.113.0/24".parse().unwrap()];
    });
    let mut guests = Vec::new();
    for (client, is_taken) in [
        ("192.0.2.1", true),
        ("::ffff:192.0.2.1", true),
        ("192.0.2.1", false),
        ("192.0.2.2", true),
        ("192.0.2.3", false),
        ("192.0.3.1", true),
        ("2001:db8:0:1::1", true),
        ("2001:db8:0:1:ffff::1", true),
        ("2001:db8:0:1::2", false),
        ("2001:db8:0:2::1", true),
        ("2001:db8:0:3::1", false),
        ("2001:db8:1::1", true),
        ("203.0.113.1", true),
        ("203.0.113.1", true),
        ("203.0.113.1", true),
    ] {
        match limits.connect(ip(client), at(0)) {
            Ok(guest) => {
                assert!(is_taken, "{client}");
                guests.push(guest);
            }
            Err(reply) => {
                assert!(!is_taken && reply.to_string().starts_with("421 4.7.0 "), "{client}: {reply}")
            }
        }
    }
    guests.clear();
    assert!(limits.shared.present().is_empty(), "who was refused is not counted");
    assert!(limits.connect(ip("192.0.2.1"), at(0)).is_ok());
}

#[test]
fn what_was_taken_at_once_comes_back_evenly() {
    let limits = limits(|settings| settings.messages_per_minute = Some(60));
    let sender = stranger("192.0.2.1");
    let count = |milliseconds| let_through(|| limits.message(sender, at(milliseconds)));
    assert_eq!(count(0), 60);
    assert_eq!(count(999), 0);
    assert_eq!(count(1000), 1);
    assert_eq!(count(31_000), 30);
    assert_eq!(count(900_000), 60);
    let refused = limits.message(sender, at(900_000)).unwrap_err();
    assert_eq!(refused.to_string(), "450 4.7.1 too many messages, try again in 2 s");
    assert!(limits.message(stranger("192.0.2.2"), at(900_000)).is_ok(), "another one has his own");
}

#[test]
fn each_limit_holds_for_itself_and_what_one_refuses_costs_the_others_nothing() {
    let limits = limits(|settings| {
        settings.recipients_per_minute = Some(10);
        settings.recipients_per_hour = Some(25);
    });
    let count = |minute: u64| let_through(|| limits.recipient(stranger("192.0.2.1"), at(minute * 60_000)));
    // 25 an hour come back one in 144 s.
    assert_eq!([count(0), count(1), count(2), count(3)], [10, 10, 5, 1]);
    let reply = limits.recipient(stranger("192.0.2.1"), at(180_000)).unwrap_err().to_string();
    assert!(reply.starts_with("452 4.7.1 too many recipients"), "{reply}");
}

#[test]
fn connections_may_come_too_fast() {
    let limits = limits(|settings| settings.connections_per_minute = Some(3));
    assert_eq!(let_through(|| limits.connect(ip("192.0.2.1"), at(0)).map(drop)), 3);
    assert_eq!(let_through(|| limits.connect(ip("192.0.2.1"), at(20_000)).map(drop)), 1);
}

#[test]
fn users_and_their_domains_are_counted_wherever_they_connect_and_nodes_share() {
    let limits = limits(|settings| {
        settings.exempt = vec!["0.0.0.0/0".parse().unwrap()];
        settings.messages_per_hour = Some(1);
        settings.user_messages_per_hour = Some(40);
        settings.domain_messages_per_hour = Some(60);
    });
    let users = ["Alice@home.test", "bob@home.test", "carol@other.test"].map(|user| user.parse().unwrap());
    let count = |user: &Address, client: &str, hour: u64| {
        let sender = Sender { client: ip(client), user: Some(user) };
        let_through(|| limits.message(sender, at(hour * 3_600_000)))
    };
    assert_eq!(count(&users[0], "192.0.2.1", 0), 40);
    assert_eq!(count(&users[0].normalized(), "192.0.2.2", 0), 0);
    assert_eq!(count(&users[1], "192.0.2.1", 0), 20, "what is left to the domain");
    assert_eq!(count(&users[2], "192.0.2.1", 0), 40);
    limits.share(4);
    assert_eq!(count(&users[0], "192.0.2.1", 10), 10);
    limits.share(1000);
    assert_eq!(count(&users[0], "192.0.2.1", 20), 1);
    limits.share(0);
    assert_eq!(count(&users[0], "192.0.2.1", 30), 40);
}

#[test]
fn of_more_clients_than_are_kept_those_that_owe_least_are_forgotten() {
    let limits = limits(|settings| {
        settings.messages_per_hour = Some(10);
        settings.remembered = 100;
    });
    let kept = || limits.shared.rates().due.len();
    assert_eq!(let_through(|| limits.message(stranger("192.0.2.1"), at(0))), 10);
    for n in 0..10_000_u32 {
        let client = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        assert!(limits.message(Sender { client, user: None }, at(0)).is_ok());
        assert!(kept() <= 100);
    }
    assert!(limits.message(stranger("192.0.2.1"), at(0)).is_err(), "who owes most is remembered");
    assert!(limits.message(stranger("198.51.100.1"), at(4_000_000)).is_ok());
    assert_eq!(kept(), 1, "whose time has passed is not kept");
}

proptest! {
    #[test]
    fn in_no_period_is_more_taken_than_twice_the_limit(limit in 1_u32..50, steps in prop::collection::vec(0_u64..5_000, 1..400)) {
        let limits = limits(|settings| settings.messages_per_minute = Some(limit));
        let (mut now, mut taken) = (0, Vec::new());
        for step in steps {
            now += step;
            if limits.message(stranger("192.0.2.1"), at(now)).is_ok() {
                taken.push(now);
            }
        }
        for (index, first) in taken.iter().enumerate() {
            let within = taken[index..].iter().take_while(|time| **time < first + 60_000).count();
            prop_assert!(within <= 2 * limit as usize, "{within} from {first}");
        }
    }
}
