//! Where the names in DNS lead.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use fulmar_core::model::Outcome;
use fulmar_core::platform::{DnsError, RecordKind};
use fulmar_tests::name_server::{Manner, NameServer};
use fulmar_tests::node::Ground;
use fulmar_tests::smtp_servers::{Act, Phase, Script, Sink};
use fulmar_tests::zone::Zone;

use super::{CONTENT, attempted_while_time_flies, ground, is_delivered, send};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn host(number: u8) -> [IpAddr; 1] {
    [[127, 0, 0, number].into()]
}

/// Hosts at 127.0.0.1 and on, called `mx1.far.test` and on, and a store whose nodes find them.
fn hosts(scripts: &[Script]) -> (Vec<Sink>, Ground) {
    let sinks = Sink::start_side_by_side(scripts);
    let ground = ground(|config| config.relay.port = sinks[0].address().port());
    for number in 1..=sinks.len() as u8 {
        ground.zone().host(&format!("mx{number}.far.test"), &host(number));
    }
    (sinks, ground)
}

#[test]
fn the_preferred_exchange_is_tried_first_and_the_next_where_it_does_not_serve() {
    let failing = |phase, act| Script::default().always(phase, act);
    let unable: [(&str, Script); 6] = [
        ("works", Script::default()),
        ("closes", failing(Phase::Greeting, Act::Close)),
        ("refuses", failing(Phase::Greeting, Act::Reply("554 5.3.2 no mail here"))),
        ("garbage", failing(Phase::Greeting, Act::Garbage)),
        ("closing", failing(Phase::Mail, Act::ReplyAndClose("421 4.3.2 later"))),
        ("cut", failing(Phase::Data, Act::Close)),
    ];
    for (name, script) in unable {
        let (sinks, ground) = hosts(&[script, Script::default()]);
        ground.zone().mx("far.test", &[(20, "mx2.far.test"), (10, "mx1.far.test")]);
        let node = ground.start();
        let id = send(&node, "", &["a@far.test", "b@far.test"], CONTENT);
        assert!(is_delivered(&node.attempted(&id, "a@far.test", 1)), "{name}");
        assert_eq!(sinks[0].connections().len(), 1, "{name}");
        let (first, second) = (sinks[0].accepted(), sinks[1].accepted());
        let expected = if name == "works" { (1, 0) } else { (0, 1) };
        assert_eq!((first.len(), second.len()), expected, "{name}: {first:?} {second:?}");
    }
}

#[test]
fn a_host_that_is_down_is_passed_over() {
    let (mut sinks, ground) = hosts(&[Script::default(), Script::default()]);
    ground.zone().mx("far.test", &[(10, "mx1.far.test"), (20, "mx2.far.test")]);
    drop(sinks.remove(0));
    let node = ground.start();
    let id = send(&node, "", &["a@far.test"], CONTENT);
    assert!(is_delivered(&node.attempted(&id, "a@far.test", 1)));
    assert_eq!(sinks[0].accepted().len(), 1);
}

#[test]
fn a_reply_about_a_recipient_is_not_asked_of_another_host() {
    let refusing = |reply| Script::default().always(Phase::RcptTo("a@far.test"), Act::Reply(reply));
    for reply in ["550 5.1.1 nobody", "450 4.2.1 full"] {
        let (sinks, ground) = hosts(&[refusing(reply), Script::default()]);
        ground.zone().mx("far.test", &[(10, "mx1.far.test"), (20, "mx2.far.test")]);
        let node = ground.start();
        let id = send(&node, "", &["a@far.test"], CONTENT);
        let outcome = node.attempted(&id, "a@far.test", 1);
        assert!(outcome.reply().to_string().starts_with(&reply[..9]), "{outcome:?}");
        assert!(sinks[1].connections().is_empty(), "{reply}");
    }
}

#[test]
fn exchanges_of_one_preference_share_the_load() {
    // Each message needs a connection of its own.
    let script = Script::default().always(Phase::Content, Act::ReplyAndClose("250 2.0.0 taken"));
    let (sinks, ground) = hosts(&[script.clone(), script]);
    ground.zone().mx("far.test", &[(10, "mx1.far.test"), (10, "mx2.far.test")]);
    let node = ground.start();
    for _ in 0..40 {
        let id = send(&node, "", &["a@far.test"], CONTENT);
        assert!(is_delivered(&node.attempted(&id, "a@far.test", 1)));
    }
    // All of forty at one of them is as likely as 1 in 2³⁹.
    let shares: Vec<usize> = sinks.iter().map(|sink| sink.accepted().len()).collect();
    assert!(shares.iter().sum::<usize>() == 40 && shares.iter().all(|share| *share > 0), "{shares:?}");
}

#[test]
fn where_no_host_may_be_tried_the_reason_says_whether_another_attempt_makes_sense() {
    let ground = ground(|config| config.relay.private_networks.clear());
    let zone = ground.zone();
    let serv_fail = || Err(DnsError::ServFail("no answer".to_owned()));
    zone.mx("null.test", &[(0, ".")]);
    zone.mx("localhost-mx.test", &[(0, "localhost")]);
    zone.mx("private-mx.test", &[(0, "private.test"), (5, "loopback.test")]);
    zone.host("private.test", &[[10, 0, 0, 1].into(), [169, 254, 169, 254].into()]);
    zone.host("loopback.test", &["::1".parse().unwrap(), "::ffff:127.0.0.1".parse().unwrap()]);
    zone.mx("us-first.test", &[(5, "mx.test"), (10, "mx.far.test")]);
    zone.host("mx.test", &[LOOPBACK]);
    zone.host("mx.far.test", &[[192, 0, 2, 1].into()]);
    zone.mx("empty.test", &[(5, "nowhere.test")]);
    zone.mx("address.test", &[(5, "127.0.0.1")]);
    zone.set("fails.test", RecordKind::Mx, serv_fail());
    zone.mx("hidden.test", &[(5, "fails-too.test"), (10, "nowhere.test")]);
    zone.set("fails-too.test", RecordKind::A, serv_fail());
    let node = ground.start();
    for (recipient, expected) in [
        ("a@absent.test", Err("550 5.1.2")),
        ("a@null.test", Err("556 5.1.10")),
        ("a@localhost-mx.test", Err("550 5.4.4")),
        ("a@private-mx.test", Err("550 5.4.4")),
        ("a@private.test", Err("550 5.4.4")),
        ("a@loopback.test", Err("550 5.4.4")),
        ("a@[127.0.0.1]", Err("550 5.4.4")),
        ("a@[IPv6:::1]", Err("550 5.4.4")),
        ("a@us-first.test", Err("550 5.4.6")),
        ("a@empty.test", Err("550 5.4.4")),
        ("a@address.test", Err("550 5.4.4")),
        ("a@fails.test", Ok("451 4.4.3")),
        ("a@hidden.test", Ok("451 4.4.3")),
    ] {
        let id = send(&node, "", &[recipient], CONTENT);
        let outcome = node.attempted(&id, recipient, 1);
        let (is_final, code) = match expected {
            Err(code) => (true, code),
            Ok(code) => (false, code),
        };
        assert_eq!(matches!(outcome, Outcome::Failed(_)), is_final, "{recipient}: {outcome:?}");
        assert!(outcome.reply().to_string().starts_with(&format!("{code} ")), "{recipient}: {outcome:?}");
    }
}

#[test]
fn what_is_allowed_and_found_is_delivered_to() {
    let (sinks, ground) = hosts(&[Script::default()]);
    let zone = ground.zone();
    zone.host("no-mx.test", &host(1));
    zone.alias("alias.test", "no-mx.test");
    zone.mx("localhost-mx.test", &[(0, "localhost")]);
    zone.mx("null-and-more.test", &[(0, "."), (10, "mx1.far.test")]);
    zone.mx("we-are-second.test", &[(10, "mx1.far.test"), (20, "mx.test"), (30, "mx3.far.test")]);
    zone.mx("one-private.test", &[(10, "private.test"), (20, "mx1.far.test")]);
    zone.host("private.test", &[[10, 0, 0, 1].into()]);
    let many: Vec<(u16, String)> = (0..100).map(|at| (at, format!("mx{at}.many.test"))).collect();
    let many: Vec<(u16, &str)> = many.iter().map(|(preference, name)| (*preference, &**name)).collect();
    zone.mx("many.test", &many);
    zone.host("mx11.many.test", &host(1));
    let node = ground.start();
    let recipients = [
        "a@no-mx.test",
        "a@alias.test",
        "a@localhost-mx.test",
        "a@[127.0.0.1]",
        "a@null-and-more.test",
        "a@we-are-second.test",
        "a@one-private.test",
        "a@many.test",
    ];
    for (at, recipient) in recipients.into_iter().enumerate() {
        let id = send(&node, "", &[recipient], CONTENT);
        let outcome = node.attempted(&id, recipient, 1);
        assert!(is_delivered(&outcome), "{recipient}: {outcome:?}");
        assert_eq!(sinks[0].accepted()[at].forward_paths, [recipient]);
    }
}

#[test]
fn mail_waits_for_name_servers_that_are_out_of_order() {
    let (sinks, ground) = hosts(&[Script::default()]);
    ground.zone().set("far.test", RecordKind::Mx, Err(DnsError::ServFail("no answer".to_owned())));
    let node = ground.start();
    let id = send(&node, "", &["a@far.test"], CONTENT);
    let outcome = node.attempted(&id, "a@far.test", 2);
    assert!(matches!(&outcome, Outcome::Deferred(reply) if reply.code == 451), "{outcome:?}");
    node.zone().mx("far.test", &[(10, "mx1.far.test")]);
    assert_eq!(sinks[0].wait_for_accepted(1)[0].forward_paths, ["a@far.test"]);
}

#[test]
fn a_name_server_that_lies_or_says_nothing_costs_time_and_no_mail() {
    for (manner, is_heard) in [
        (Manner::ForgedFirst, true),
        (Manner::Truncated, true),
        (Manner::Silent, false),
        (Manner::OtherName, false),
        (Manner::Garbage, false),
        (Manner::ServFail, false),
        (Manner::Refused, false),
    ] {
        let sink = Sink::start(Script::default());
        let zone = Zone::default();
        zone.mx("far.test", &[(10, "mx1.far.test")]);
        zone.host("mx1.far.test", &[LOOPBACK]);
        let server = NameServer::start(Arc::new(zone));
        let ground = ground(|config| config.relay.port = sink.address().port());
        server.misbehave(manner);
        let node = ground.resolving_by(server.address()).start();
        let id = send(&node, "", &["a@far.test"], CONTENT);
        // An answer that never comes is waited for.
        let step = if takes_time(manner) { Duration::from_secs(1) } else { Duration::ZERO };
        let attempted = attempted_while_time_flies(&node, &id, "a@far.test", step);
        assert_eq!(is_delivered(&attempted), is_heard, "{manner:?}: {attempted:?}");
        if !is_heard {
            assert!(attempted.reply().to_string().starts_with("451 4.4.3 "), "{manner:?}: {attempted:?}");
            server.misbehave(Manner::Honest);
        }
        assert_eq!(sink.wait_for_accepted(1).len(), 1, "{manner:?}");
    }
}

/// Whether the answer never comes.
fn takes_time(manner: Manner) -> bool {
    matches!(manner, Manner::Silent | Manner::OtherName | Manner::Garbage)
}
