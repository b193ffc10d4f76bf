//! Domains whose mail we take for another host: backup MX, and gateways with a list of recipients.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use fulmar_core::admin::{DomainChange, DomainKind};
use fulmar_core::config::{NextHop, Route};
use fulmar_core::model::{Domain, Outcome};
use fulmar_tests::node::{Ground, address};
use fulmar_tests::smtp_servers::{Script, Sink};

use super::{ALICE, BOB, MESSAGE};

const RETRY: Duration = Duration::from_millis(50);

/// A store with a domain that is relayed, for nobody but these where there are some; clients may relay to no other domain. Its exchanges
/// are a host that takes mail, the node itself, and one to which the node must not turn.
fn ground(sink: &Sink, recipients: &[&str]) -> Ground {
    let ground = Ground::new(|config| {
        config.relay.private_networks = vec!["127.0.0.0/8".parse().unwrap()];
        config.relay.port = sink.address().port();
        config.queue.retry = vec![RETRY];
    });
    let zone = ground.zone();
    zone.mx("backed.test", &[(5, "primary.test"), (10, "mx.test"), (20, "other.test")]);
    zone.host("primary.test", &[sink.address().ip()]);
    // Nobody listens there.
    zone.host("other.test", &[IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9))]);
    let change = DomainChange {
        kind: Some(DomainKind::Relay),
        add_recipients: recipients.iter().map(|recipient| address(recipient)).collect(),
        ..DomainChange::default()
    };
    ground.account(ALICE).account(BOB).domain("backed.test", &change)
}

#[test]
fn a_backup_mx_takes_mail_of_strangers_and_hands_it_to_the_preferred_exchange() {
    let sink = Sink::start(Script::default());
    let node = ground(&sink, &[]).start();
    let mut client = node.client();
    let id = client.deliver(&["User+Detail@backed.test"], MESSAGE);
    let outcome = node.attempted(&id, "User+Detail@backed.test", 1);
    assert!(matches!(outcome, Outcome::Delivered(_)), "{outcome:?}");
    assert_eq!(sink.accepted()[0].forward_paths, ["User+Detail@backed.test"]);
    client.command("MAIL FROM:<sender@far.test>", "250 ");
    client.command("RCPT TO:<user@elsewhere.test>", "550 5.7.1 ");
    client.command("RCPT TO:<user@sub.backed.test>", "550 5.7.1 ");
}

#[test]
fn a_backup_mx_keeps_mail_while_the_exchanges_before_it_are_away() {
    let sink = Sink::start(Script::default());
    let ground = ground(&sink, &[]);
    drop(sink);
    let node = ground.start();
    let id = node.client().deliver(&["user@backed.test"], MESSAGE);
    // The exchange after it would only hand the mail back (RFC 5321 §5.1), and is not tried.
    let outcome = node.attempted(&id, "user@backed.test", 1);
    let Outcome::Deferred(reply) = outcome else { panic!("{outcome:?}") };
    assert!(reply.text.contains("primary.test") && !reply.text.contains("other.test"), "{reply}");
}

#[test]
fn where_no_exchange_is_preferred_to_us_mail_does_not_go_round() {
    let sink = Sink::start(Script::default());
    let ground = ground(&sink, &[]);
    ground.zone().mx("backed.test", &[(10, "mx.test"), (20, "primary.test")]);
    let node = ground.start();
    let id = node.client().deliver(&["user@backed.test"], MESSAGE);
    let outcome = node.attempted(&id, "user@backed.test", 1);
    assert!(
        matches!(&outcome, Outcome::Failed(reply) if reply.to_string().starts_with("550 5.4.6 ")),
        "{outcome:?}"
    );
    assert!(sink.connections().is_empty());
}

#[test]
fn a_list_of_recipients_is_all_who_get_mail_and_aliases_come_first() {
    let sink = Sink::start(Script::default());
    let node = ground(&sink, &["Listed@backed.test"])
        .alias("alias@backed.test", &[ALICE])
        .alias("list*@backed.test", &[BOB])
        .start();
    let mut client = node.client();
    let id = client.deliver(
        &["LISTED@backed.test", "listed+x@backed.test", "alias@backed.test", "list@backed.test"],
        MESSAGE,
    );
    for recipient in ["LISTED@backed.test", "listed+x@backed.test", ALICE, BOB] {
        node.delivered(&id, recipient);
    }
    client.command("MAIL FROM:<sender@far.test>", "250 ");
    client.command("RCPT TO:<unlisted@backed.test>", "550 5.1.1 ");
    client.command("RCPT TO:<unlisted+listed@backed.test>", "550 5.1.1 ");
}

#[test]
fn a_route_leads_a_relayed_domain_to_its_host_whatever_its_exchanges_are() {
    let sink = Sink::start(Script::default());
    let ground = Ground::new(|config| {
        let next_hop = NextHop { host: sink.address().ip().to_string(), port: sink.address().port() };
        let domain = Some(Domain::parse("inside.test").unwrap());
        config.relay.routes.push(Route { domain, next_hop });
    });
    let relay = DomainChange { kind: Some(DomainKind::Relay), ..DomainChange::default() };
    let node = ground.domain("inside.test", &relay).start();
    let id = node.client().deliver(&["user@inside.test"], MESSAGE);
    node.delivered(&id, "user@inside.test");
    assert_eq!(sink.accepted().len(), 1);
}
