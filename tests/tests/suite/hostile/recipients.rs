//! Who may be written to, and how many at once.

use std::time::Duration;

use fulmar_core::config::Config;
use fulmar_core::platform::{DnsError, RecordKind};

use super::{ALICE, BOB, ground};

const MESSAGE: &str = "Subject: hello\r\n\r\nIt works.\r\n";

fn let_loopback_relay(config: &mut Config) {
    config.relay.networks = vec!["127.0.0.0/8".parse().unwrap()];
}

#[test]
fn a_stranger_cannot_relay() {
    let node = ground(|_| ()).start();
    let mut client = node.client();
    client.command("MAIL FROM:<alice@home.test>", "250 ");
    for (forward_path, expected) in [
        ("user@foreign.test", "550 5.7.1 "),
        ("user@[127.0.0.1]", "550 5.7.1 "),
        ("alice@[127.0.0.1]", "550 5.7.1 "),
        ("alice@[IPv6:::1]", "550 5.7.1 "),
        ("user@mx.test", "550 5.7.1 "),
        ("@home.test:user@foreign.test", "550 5.7.1 "),
        ("@home.test,@mx.test:user@foreign.test", "550 5.7.1 "),
        ("\"alice@home.test\"@foreign.test", "550 5.7.1 "),
        ("user%foreign.test@home.test", "550 5.1.1 "),
        ("foreign.test!user@home.test", "550 5.1.1 "),
        ("\"user@foreign.test\"@home.test", "550 5.1.1 "),
        ("\"<user@foreign.test>\"@home.test", "550 5.1.1 "),
        ("user@foreign.test@home.test", "501 5.1.3 "),
        ("user@foreign.test,alice@home.test", "501 5.1.3 "),
        ("user@foreign.test\\@home.test", "501 5.1.3 "),
        ("alice", "501 5.1.3 "),
        ("", "501 5.1.3 "),
    ] {
        client.command(&format!("RCPT TO:<{forward_path}>"), expected);
    }
    client.command("DATA", "554 5.5.1 ");
}

#[test]
fn a_source_route_to_an_account_of_ours_is_ignored() {
    let node = ground(|_| ()).start();
    let id = node.client().deliver(&["@relay.test,@other.test:alice@home.test"], MESSAGE);
    node.delivered(&id, ALICE);
}

#[test]
fn a_client_of_a_listed_network_may_relay() {
    let ground = ground(let_loopback_relay);
    // It stays in the queue.
    ground.zone().set("foreign.test", RecordKind::Mx, Err(DnsError::ServFail("no answer".to_owned())));
    let mut node = ground.start();
    let id = node.client().deliver(&["User@foreign.test", ALICE], MESSAGE);
    node.delivered(&id, ALICE);
    node.shut_down(Duration::from_secs(10));
    let queue = node.queue();
    let queued: Vec<String> =
        queue.iter().map(|item| format!("{} {}", item.queue_id, item.forward_path)).collect();
    assert_eq!(queued, [format!("{id} User@foreign.test")]);
}

#[test]
fn a_postmaster_is_always_there() {
    let node = ground(|_| ()).start();
    for (forward_path, account) in [
        ("Postmaster", "postmaster@mx.test"),
        ("POSTMASTER", "postmaster@mx.test"),
        ("postmaster@MX.test", "postmaster@mx.test"),
        ("@relay.test:postmaster", "postmaster@mx.test"),
        ("PostMaster@HOME.test", "postmaster@home.test"),
        ("\"postmaster\"@home.test", "postmaster@home.test"),
    ] {
        let id = node.client().deliver(&[forward_path], MESSAGE);
        node.delivered(&id, account);
    }
    assert_eq!(node.inbox("postmaster@mx.test").len(), 4);
    assert_eq!(node.inbox("postmaster@home.test").len(), 2);
}

#[test]
fn mail_for_a_postmaster_goes_where_the_settings_say_through_aliases_too() {
    for (postmaster, account) in [
        (ALICE, ALICE),
        ("Staff@home.test", BOB),
        // Who set this is not to lose the mail by it.
        ("nobody@home.test", "postmaster@mx.test"),
    ] {
        let ground = ground(|config| config.postmaster = Some(postmaster.parse().unwrap()));
        let node = ground.alias("staff@home.test", &[BOB]).start();
        let id = node.client().deliver(&["Postmaster"], MESSAGE);
        node.delivered(&id, account);
        assert_eq!(node.inbox(account).len(), 1);
    }
}

#[test]
fn aliases_that_lead_nowhere_or_in_circles_are_followed_to_their_end() {
    let node = ground(|_| ())
        .alias("missing@home.test", &["gone@home.test", "left@home.test"])
        .alias("ring-1@home.test", &["ring-2@home.test"])
        .alias("ring-2@home.test", &["ring-1@home.test"])
        .alias("self@home.test", &["Self@home.test", ALICE])
        .alias("partly@home.test", &["gone@home.test", "ring-1@home.test", BOB])
        .start();
    let mut client = node.client();
    client.command("MAIL FROM:<sender@far.test>", "250 ");
    for nobody in ["missing@home.test", "ring-1@home.test", "gone@home.test"] {
        client.command(&format!("RCPT TO:<{nobody}>"), "550 5.1.1 ");
    }
    client.command("RSET", "250 ");
    let id = client.deliver(&["self@home.test", "partly@home.test"], MESSAGE);
    for account in [ALICE, BOB] {
        node.delivered(&id, account);
        assert_eq!(node.inbox(account).len(), 1);
    }
}

#[test]
fn recipients_that_come_to_the_same_account_get_one_copy() {
    let mut node = ground(|_| ())
        .alias("team@home.test", &[ALICE, "ALICE@home.test", BOB])
        .alias("all@home.test", &["team@home.test", BOB, "Team@home.test"])
        .start();
    let recipients = [ALICE, "Alice@HOME.test", "team@home.test", "all@home.test", ALICE];
    let id = node.client().deliver(&recipients, MESSAGE);
    for account in [ALICE, BOB] {
        node.delivered(&id, account);
    }
    node.shut_down(Duration::from_secs(10));
    assert_eq!((node.inbox(ALICE).len(), node.inbox(BOB).len()), (1, 1));
}

#[test]
fn aliases_count_by_what_they_come_to() {
    let node = ground(|config| config.smtp.recipients = 3)
        .account("carol@home.test")
        .account("dave@home.test")
        .alias("three@home.test", &[ALICE, BOB, "carol@home.test"])
        .alias("twice@home.test", &["three@home.test", ALICE, BOB, "carol@home.test"])
        .alias("four@home.test", &["three@home.test", "dave@home.test"])
        .start();
    let mut client = node.client();
    client.command("MAIL FROM:<sender@far.test>", "250 ");
    client.command("RCPT TO:<four@home.test>", "452 4.5.3 ");
    client.command("RCPT TO:<twice@home.test>", "250 ");
    client.command("RCPT TO:<dave@home.test>", "452 4.5.3 ");
    // One that is there already takes no room.
    client.command(&format!("RCPT TO:<{ALICE}>"), "250 ");
    client.command("DATA", "354 ");
    client.send(format!("{MESSAGE}.\r\n"));
    let id = client.accepted();
    for account in [ALICE, BOB, "carol@home.test"] {
        node.delivered(&id, account);
    }
    assert!(node.inbox("dave@home.test").is_empty());
}

#[test]
fn an_alias_that_leads_deeper_than_is_followed_loses_nobody() {
    let mut ground = ground(|_| ()).alias("hop-0@home.test", &[ALICE, "hop-1@home.test"]);
    for hop in 1..20 {
        ground = ground.alias(&format!("hop-{hop}@home.test"), &[&format!("hop-{}@home.test", hop + 1)]);
    }
    let node = ground.alias("hop-20@home.test", &[BOB]).start();
    let mut client = node.client();
    client.command("MAIL FROM:<sender@far.test>", "250 ");
    client.command("RCPT TO:<hop-0@home.test>", "451 4.2.4 ");
    client.command("RCPT TO:<hop-15@home.test>", "250 ");
}

#[test]
fn the_recipient_beyond_the_limit_is_put_off_and_the_others_get_the_message() {
    let node = ground(|config| config.smtp.recipients = 2).account("carol@home.test").start();
    let mut client = node.client();
    client.command("MAIL FROM:<sender@far.test>", "250 ");
    client.command(&format!("RCPT TO:<{ALICE}>"), "250 ");
    client.command(&format!("RCPT TO:<{BOB}>"), "250 ");
    client.command("RCPT TO:<carol@home.test>", "452 4.5.3 ");
    client.command("DATA", "354 ");
    client.send(format!("{MESSAGE}.\r\n"));
    let id = client.accepted();
    for account in [ALICE, BOB] {
        node.delivered(&id, account);
    }
    assert!(node.inbox("carol@home.test").is_empty());
}

/// With the limit as it is by default. Ten thousand accounts would take as many password hashes, so the recipients are
/// foreign, and the queue is where they are looked for.
#[test]
fn ten_thousand_recipients_are_taken_and_the_next_one_is_put_off() {
    let node = ground(let_loopback_relay).start();
    let mut client = node.client();
    client.command("MAIL FROM:<sender@far.test>", "250 ");
    for batch in 0..10 {
        let line = |number| format!("RCPT TO:<user-{number}@foreign.test>\r\n");
        client.send((batch * 1000..(batch + 1) * 1000).map(line).collect::<String>());
        for _ in 0..1000 {
            client.expect("250 2.1.5 ");
        }
    }
    client.command("RCPT TO:<user-10000@foreign.test>", "452 4.5.3 ");
    client.command("DATA", "354 ");
    client.send(format!("{MESSAGE}.\r\n"));
    let id = client.accepted();
    let mut queued: Vec<String> = node
        .queue()
        .iter()
        .filter(|item| item.queue_id.to_string() == id)
        .map(|item| item.forward_path.to_string())
        .collect();
    let mut named: Vec<String> = (0..10_000).map(|number| format!("user-{number}@foreign.test")).collect();
    queued.sort();
    named.sort();
    assert!(queued == named, "{} recipients are queued", queued.len());
}
