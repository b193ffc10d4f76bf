//! Which addresses lead back, on which node, and for how long.

use std::time::Duration;

use fulmar_core::directory::FRESH;

use super::*;

const DAY: Duration = Duration::from_hours(24);

/// The address under which a message of Ann's goes, the newest of so many.
fn forward(node: &Node, sink: &Sink, messages: usize) -> String {
    send(node, ANN, &[AWAY]);
    newest(sink, messages).0
}

#[test]
fn an_address_that_was_not_made_here_is_refused_and_an_account_of_that_name_is_not() {
    let sink = Sink::start(Script::default());
    let named = "SRS0=AAAAAAAA=AA=stranger.test=named@home.test";
    let ground = prepare(Ground::new(|config| settings(&sink, config)));
    let node = ground.account(named).alias("SRS1=x=y=z@home.test", &[ALICE]).start();
    let made_up = "SRS0=AAAAAAAA=AA=stranger.test=ann@home.test";
    // A domain that has never rewritten anything has no such addresses.
    assert!(recipient(&node, "", made_up).starts_with("550 5.1.1 "));

    let made = forward(&node, &sink, 1);
    for forged in [
        made_up.to_owned(),
        made.replace("=ann@", "=victim@"),
        made.replace("=stranger.test=", "=victim.test="),
        // Another domain of ours has other secrets, and here none.
        "SRS1=AAAAAAAA=victim.test==a=b=c=d@home.test".to_owned(),
        "SRS0=@home.test".to_owned(),
    ] {
        for reverse_path in ["", ANN, ALICE] {
            let reply = recipient(&node, reverse_path, &forged);
            assert!(reply.starts_with("550 5.7.1 "), "{forged}: {reply}");
            assert!(reply.ends_with("is no return address of ours: it was not signed here\r\n"), "{reply}");
        }
    }
    assert!(recipient(&node, "", &made.replace("@home.test", "@other.test")).starts_with("550 5.1.1 "));
    for (real, account) in [(named, named), ("srs1=x=y=z@home.test", ALICE)] {
        let id = send(&node, "", &[real]);
        node.delivered(&id, &account.to_lowercase());
    }
}

#[test]
fn a_catch_all_takes_no_address_that_may_have_been_made_here() {
    let sink = Sink::start(Script::default());
    let ground = prepare(Ground::new(|config| settings(&sink, config)));
    let node = ground.alias("*@home.test", &[ALICE]).start();
    let made = forward(&node, &sink, 1);
    send(&node, "", &[&made]);
    assert_eq!(newest(&sink, 2).1, [ANN]);
    assert!(recipient(&node, "", &made.replace("=ann@", "=eve@")).starts_with("550 5.7.1 "));
}

#[test]
fn an_address_expires_and_one_under_a_secret_that_was_replaced_does_not_before() {
    let sink = Sink::start(Script::default());
    let node = node(&sink, |_| ());
    let first = forward(&node, &sink, 1);
    node.advance(DAY * 20);
    send(&node, "", &[&first]);
    assert_eq!(newest(&sink, 2).1, [ANN]);
    node.advance(DAY * 3);
    let reply = recipient(&node, "", &first);
    assert!(reply.starts_with("550 5.7.1 ") && reply.ends_with("it was good for 21 days\r\n"), "{reply}");

    node.advance(DAY * 66);
    let before = forward(&node, &sink, 3);
    let secrets = || node.keys().iter().filter(|key| key.starts_with("domain/")).count();
    let known = secrets();
    node.advance(DAY * 2);
    let after = forward(&node, &sink, 4);
    assert_eq!(secrets(), known + 1);
    for (messages, address) in [(5, before), (6, after)] {
        send(&node, "", &[&address]);
        assert_eq!(newest(&sink, messages).1, [ANN]);
    }
}

#[test]
fn every_node_knows_what_another_has_just_made() {
    let (folder, sink) = (tempfile::tempdir().unwrap(), Sink::start(Script::default()));
    let ground = || Ground::in_directory(folder.path(), |config| settings(&sink, config));
    let nodes = [prepare(ground()).start(), ground().start()];
    // Both have read the domain when it had no secret, and both need one at the same time.
    let made = std::thread::scope(|scope| {
        for node in &nodes {
            scope.spawn(move || send(node, ANN, &[AWAY]));
        }
        sink.wait_for_accepted(2)
    });
    for (number, message) in made.iter().enumerate() {
        for (of, node) in nodes.iter().enumerate() {
            send(node, "", &[&message.reverse_path]);
            let (_, recipients) = newest(&sink, 3 + 2 * number + of);
            assert_eq!(recipients, [ANN]);
        }
    }
}

#[test]
fn an_operator_who_replaces_all_secrets_ends_every_address_that_is_out() {
    let sink = Sink::start(Script::default());
    let node = node(&sink, |_| ());
    let made = forward(&node, &sink, 1);
    let home = Domain::parse("home.test").unwrap();
    let rotate = || node.administer(async |admin| admin.srs_rotate(&home).await).unwrap();
    rotate();
    rotate();
    node.advance(FRESH * 2);
    send(&node, "", &[&made]);
    assert_eq!(newest(&sink, 2).1, [ANN]);
    rotate();
    node.advance(FRESH * 2);
    assert!(recipient(&node, "", &made).starts_with("550 5.7.1 "));
    let foreign = Domain::parse("far.test").unwrap();
    assert!(node.administer(async |admin| admin.srs_rotate(&foreign).await).is_err());
}
