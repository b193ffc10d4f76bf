//! Against a table in place of DNS.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;

use super::*;

/// Where our own mail server is.
const HOSTNAME: &str = "mx.us.test";

/// `owner MX preference exchange`, `owner A address`, `owner AAAA address`, `owner KIND SERVFAIL`, or `owner KIND NODATA`;
/// an exchange of `.` is null. A name that owns nothing does not exist.
#[derive(Default)]
struct Table {
    answers: BTreeMap<Question, Result<Vec<Record>, DnsError>>,
    names: BTreeSet<DnsName>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    asked: AtomicUsize,
}

impl Table {
    fn parse(zone: &str) -> Self {
        let mut table = Self::default();
        for line in zone.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<_> = line.split_whitespace().collect();
            let name = dns_name(words[0]);
            let kind = match words[1] {
                "MX" => RecordKind::Mx,
                "A" => RecordKind::A,
                "AAAA" => RecordKind::Aaaa,
                _ => panic!("{line}"),
            };
            table.names.insert(name.clone());
            let answer = table.answers.entry(Question { name, kind }).or_insert_with(|| Ok(Vec::new()));
            match (words[2], answer) {
                ("SERVFAIL", answer) => *answer = Err(DnsError::ServFail("no server answered".into())),
                ("NODATA", answer) => *answer = Err(DnsError::NoData),
                (word, Ok(records)) => records.push(match kind {
                    RecordKind::Mx => Record::Mx {
                        preference: word.parse().unwrap(),
                        exchange: Some(words[3]).filter(|name| *name != ".").map(dns_name),
                    },
                    _ => Record::Address(word.parse().unwrap()),
                }),
                (_, Err(_)) => panic!("{line}"),
            }
        }
        table
    }
}

#[async_trait]
impl Dns for Table {
    async fn lookup(&self, question: &Question) -> Result<Answer, DnsError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let under_way = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_under_way.fetch_max(under_way, Ordering::Relaxed);
        let mut has_waited = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut has_waited, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        match self.answers.get(question).cloned() {
            Some(answer) => {
                answer.map(|records| Answer { records, secure: false, ttl: Duration::from_mins(5) })
            }
            None if self.names.contains(&question.name) => Err(DnsError::NoData),
            None => Err(DnsError::NxDomain),
        }
    }
}

struct Seed(AtomicU64);

impl Entropy for Seed {
    fn fill(&self, buffer: &mut [u8]) {
        for octet in buffer {
            let drawn = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let mixed = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            *octet = (mixed ^ (mixed >> 27)).to_le_bytes()[3];
        }
    }
}

fn dns_name(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn run<T>(future: impl Future<Output = T> + Send) -> T {
    let mut future = pin!(future);
    for _ in 0..1000 {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return result;
        }
    }
    panic!("stuck");
}

/// The hosts as `name[address]:port`, or the final (`!`) or passing (`~`) error.
fn find_in(table: &Table, destination: &Destination, relay: &RelaySettings, seed: u64) -> Vec<String> {
    let (hostname, entropy) = (domain(HOSTNAME), Seed(seed.into()));
    match run(find(destination, relay, &hostname, table, &entropy)) {
        Ok(hosts) => hosts.iter().map(ToString::to_string).collect(),
        Err(Unroutable { outcome: Outcome::Failed(reply) }) => vec![format!("! {reply}")],
        Err(Unroutable { outcome: Outcome::Deferred(reply) }) => vec![format!("~ {reply}")],
        Err(error) => panic!("{error}"),
    }
}

fn find_domain(zone: &str, destination: &str, seed: u64) -> Vec<String> {
    let destination = Destination::Domain(domain(destination));
    find_in(&Table::parse(zone), &destination, &RelaySettings::default(), seed)
}

/// Whatever chance says, mail for `to.test` goes to these hosts in this order.
fn check(zone: &str, expected: &[&str]) {
    for seed in 0..8 {
        assert_eq!(find_domain(zone, "to.test", seed), expected, "{zone}");
    }
}

#[test]
fn exchanges_are_tried_by_preference() {
    check(
        "to.test MX 20 b.test
         to.test MX 10 a.test
         to.test MX 30 c.test
         a.test A 1.0.0.1
         b.test AAAA 2a00::2
         c.test A 1.0.0.3",
        &["a.test[1.0.0.1]:25", "b.test[2a00::2]:25", "c.test[1.0.0.3]:25"],
    );
}

#[test]
fn a_domain_without_exchanges_is_its_own() {
    check("to.test A 1.0.0.1", &["to.test[1.0.0.1]:25"]);
    check("to.test MX NODATA\n to.test AAAA 2a00::1", &["to.test[2a00::1]:25"]);
    // An answer whose records are all of another kind, as a careless server might give.
    let mut table = Table::parse("to.test A 1.0.0.1");
    let question = Question { name: dns_name("to.test"), kind: RecordKind::Mx };
    table.answers.insert(question, Ok(vec![Record::Txt(b"x".to_vec())]));
    let to = Destination::Domain(domain("to.test"));
    assert_eq!(find_in(&table, &to, &RelaySettings::default(), 0), ["to.test[1.0.0.1]:25"]);
}

#[test]
fn a_domain_that_has_exchanges_is_not_its_own() {
    check(
        "to.test MX 10 gone.test\n to.test A 1.0.0.1",
        &["! 550 5.4.4 no route to to.test: none of its hosts has an address"],
    );
}

#[test]
fn what_dns_says_decides_whether_a_failure_is_final() {
    for (zone, expected) in [
        ("", "! 550 5.1.2 the domain to.test does not exist"),
        ("to.test MX 0 .", "! 556 5.1.10 the domain to.test accepts no mail (null MX)"),
        ("to.test MX NODATA", "! 550 5.4.4 no route to to.test: none of its hosts has an address"),
        ("to.test MX SERVFAIL", "~ 451 4.4.3 looking up the exchanges of to.test: no server answered"),
        (
            "to.test MX SERVFAIL\n to.test A 1.0.0.1",
            "~ 451 4.4.3 looking up the exchanges of to.test: no server answered",
        ),
        (
            "to.test MX 1 a.test\n to.test MX 2 gone.test\n a.test A SERVFAIL",
            "~ 451 4.4.3 looking up the hosts of to.test: a.test: no server answered",
        ),
        (
            "to.test MX 1 a.test\n a.test A NODATA\n a.test AAAA SERVFAIL",
            "~ 451 4.4.3 looking up the hosts of to.test: a.test: no server answered",
        ),
        (
            "to.test MX 1 a.test\n to.test MX 2 b.test\n a.test A 127.0.0.1\n b.test A SERVFAIL",
            "~ 451 4.4.3 looking up the hosts of to.test: b.test: no server answered",
        ),
        (
            "to.test MX 1 a.test\n a.test A NODATA",
            "! 550 5.4.4 no route to to.test: none of its hosts has an address",
        ),
    ] {
        check(zone, &[expected]);
    }
}

#[test]
fn one_good_host_among_bad_ones_is_found() {
    check(
        "to.test MX 1 gone.test
         to.test MX 2 failing.test
         to.test MX 3 private.test
         to.test MX 4 localhost
         to.test MX 5 1.2.3.4
         to.test MX 6 [1.2.3.4]
         to.test MX 7 .
         to.test MX 8 half.test
         failing.test A SERVFAIL
         private.test A 10.0.0.1
         half.test A SERVFAIL
         half.test AAAA 2a00::1
         1.2.3.4 A 1.2.3.4",
        &["half.test[2a00::1]:25"],
    );
}

#[test]
fn a_name_with_two_preferences_has_the_better_one_and_an_address_is_tried_once() {
    check(
        "to.test MX 10 a.test
         to.test MX 20 b.test
         to.test MX 30 a.test
         to.test MX 40 c.test
         a.test A 1.0.0.1
         b.test A 1.0.0.2
         c.test A 1.0.0.1",
        &["a.test[1.0.0.1]:25", "b.test[1.0.0.2]:25"],
    );
}

#[test]
fn mail_does_not_come_back_to_us() {
    let hosts = "a.test A 1.0.0.1\n b.test A 1.0.0.2\n mx.us.test A 1.0.0.9\n";
    let loops = "! 550 5.4.6 mail for to.test loops back to this host";
    for (exchanges, expected) in [
        ("to.test MX 10 a.test\n to.test MX 20 mx.us.test\n to.test MX 30 b.test", "a.test[1.0.0.1]:25"),
        ("to.test MX 10 a.test\n to.test MX 20 MX.us.test.\n to.test MX 20 b.test", "a.test[1.0.0.1]:25"),
        ("to.test MX 10 mx.us.test\n to.test MX 10 a.test\n to.test MX 20 b.test", loops),
        ("to.test MX 0 mx.us.test", loops),
        ("to.test MX 0 mx.us.test\n to.test MX 5 .", loops),
    ] {
        check(&format!("{hosts}{exchanges}"), &[expected]);
    }
    // Our own name as a domain of mail that is not ours to deliver.
    assert_eq!(find_domain(hosts, HOSTNAME, 0), ["! 550 5.4.6 mail for mx.us.test loops back to this host"]);
}

#[test]
fn equals_are_tried_in_all_orders() {
    let zone = "to.test MX 10 a.test\n to.test MX 10 b.test\n to.test MX 10 c.test\n to.test MX 20 d.test
                a.test A 1.0.0.1\n b.test A 1.0.0.2\n c.test A 1.0.0.3\n d.test A 1.0.0.4";
    let orders: BTreeSet<_> = (0..200).map(|seed| find_domain(zone, "to.test", seed)).collect();
    assert_eq!(orders.len(), 6);
    assert!(orders.iter().all(|order| order[3] == "d.test[1.0.0.4]:25"), "{orders:?}");
}

#[test]
fn both_kinds_of_address_take_turns_and_either_begins() {
    let zone = "to.test A 1.0.0.1\n to.test A 1.0.0.2\n to.test A 1.0.0.3
                to.test AAAA 2a00::1\n to.test AAAA 2a00::2";
    let mut begun_with = BTreeSet::new();
    for seed in 0..50 {
        let hosts = find_domain(zone, "to.test", seed);
        let is_v6: Vec<_> = hosts.iter().map(|host| host.contains("2a00")).collect();
        let is_in_turn = is_v6[..4].windows(2).all(|pair| pair[0] != pair[1]);
        assert!(hosts.len() == 5 && is_in_turn, "{hosts:?}");
        assert_eq!(hosts.iter().collect::<BTreeSet<_>>().len(), 5, "{hosts:?}");
        begun_with.insert(hosts[0].clone());
    }
    assert_eq!(begun_with.len(), 5);
}

#[test]
fn a_hundred_exchanges_lead_to_a_bounded_number_of_questions_and_hosts() {
    let zone = |addresses: &str| -> String {
        let line = |n: usize| format!("to.test MX {n} m{n}.test\n{}", addresses.replace('#', &n.to_string()));
        (0..100).map(line).collect()
    };
    for (addresses, hosts) in [("m#.test A 1.0.0.#\n m#.test AAAA 2a00::#\n", ADDRESS_LIMIT), ("", 1)] {
        let table = Table::parse(&zone(addresses));
        let found = find_in(&table, &Destination::Domain(domain("to.test")), &RelaySettings::default(), 7);
        assert_eq!(found.len(), hosts);
        assert_eq!(found[0].starts_with("m0.test["), hosts > 1, "{found:?}");
        assert!(table.asked.into_inner() <= 1 + 2 * EXCHANGE_LIMIT);
        assert_eq!(table.most_under_way.into_inner(), 2 * EXCHANGES_AT_ONCE);
    }
}

#[test]
fn a_host_with_many_addresses_is_bounded() {
    let zone: String = (1..=100).map(|n| format!("to.test A 1.0.0.{n}\n")).collect();
    assert_eq!(find_domain(&zone, "to.test", 1).len(), ADDRESS_LIMIT);
}

#[test]
fn addresses_that_are_not_of_the_internet_are_refused_by_kind_unless_allowed() {
    let allowed = |networks: &[&str]| RelaySettings {
        private_networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        port: 2525,
        ..RelaySettings::default()
    };
    for (zone, refused, network, expected) in [
        ("to.test A 127.0.0.1", "to.test[127.0.0.1] is loopback", "127.0.0.0/8", "to.test[127.0.0.1]:2525"),
        ("to.test A 10.1.2.3", "to.test[10.1.2.3] is private", "10.0.0.0/8", "to.test[10.1.2.3]:2525"),
        (
            "to.test MX 5 a.test\n a.test AAAA fd00::1",
            "a.test[fd00::1] is unique local",
            "fd00::/8",
            "a.test[fd00::1]:2525",
        ),
        // A mapped address is the address itself, whichever way it is reached or allowed.
        (
            "to.test AAAA ::ffff:10.0.0.1",
            "to.test[10.0.0.1] is private",
            "10.0.0.0/8",
            "to.test[10.0.0.1]:2525",
        ),
        ("to.test MX 5 localhost", "localhost[", "127.0.0.0/8", "localhost[127.0.0.1]:2525"),
        ("to.test MX 5 x.localhost", "x.localhost[", "::1/128", "x.localhost[::1]:2525"),
    ] {
        let table = Table::parse(zone);
        let to = Destination::Domain(domain("to.test"));
        let error = &find_in(&table, &to, &allowed(&["192.168.0.0/16"]), 3)[0];
        let start = format!("! 550 5.4.4 no route to to.test: the address {refused}");
        assert!(error.starts_with(&start) && error.contains("private_networks"), "{error}");
        assert_eq!(find_in(&table, &to, &allowed(&[network]), 3), [expected], "{zone}");
    }
}

#[test]
fn an_address_literal_is_the_host_and_is_checked_too() {
    for (literal, expected) in [
        ("[1.0.0.1]", "[1.0.0.1]:25"),
        ("[IPv6:2a00::1]", "[2a00::1]:25"),
        ("[IPv6:::ffff:1.0.0.1]", "[1.0.0.1]:25"),
    ] {
        assert_eq!(find_domain("", literal, 0), [expected]);
    }
    for literal in ["[127.0.0.1]", "[IPv6:::1]", "[IPv6:::ffff:127.0.0.1]", "[IPv6:64:ff9b::7f00:1]"] {
        let error = &find_domain("", literal, 0)[0];
        assert!(error.starts_with("! 550 5.4.4 ") && error.contains(" is loopback"), "{error}");
    }
}

#[test]
fn the_operators_next_hop_is_taken_as_it_is() {
    let table = Table::default();
    for (host, shown, target) in [
        ("127.0.0.1", "[127.0.0.1]:26", Target::Address("127.0.0.1:26".parse().unwrap())),
        ("::1", "[::1]:26", Target::Address("[::1]:26".parse().unwrap())),
        ("smarthost", "smarthost:26", Target::Host("smarthost".into(), 26)),
        ("localhost", "localhost:26", Target::Host("localhost".into(), 26)),
        (HOSTNAME, "mx.us.test:26", Target::Host(HOSTNAME.into(), 26)),
    ] {
        let to = Destination::NextHop(NextHop { host: host.into(), port: 26 });
        let (hostname, entropy) = (domain(HOSTNAME), Seed(0.into()));
        let hosts = run(find(&to, &RelaySettings::default(), &hostname, &table, &entropy)).unwrap();
        assert_eq!(hosts, [Host { name: host.into(), target }]);
        assert_eq!(hosts[0].to_string(), shown);
    }
    assert_eq!(table.asked.into_inner(), 0);
}
