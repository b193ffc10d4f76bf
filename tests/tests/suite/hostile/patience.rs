//! Clients that are too slow, too early, half-closed, or gone.

use std::time::Duration;

use fulmar_core::config::Config;
use fulmar_tests::client::Client;
use fulmar_tests::node::Node;

use super::{ALICE, BOB, below_trace, ground};

/// Between two octets of a client that drips.
const DRIP: Duration = Duration::from_millis(20);

#[test]
fn a_client_that_says_nothing_is_told_so_and_let_go() {
    let node = ground(|config| config.smtp.command_timeout = Duration::from_millis(200)).start();
    for begun in ["", "MAIL FROM:<sender@"] {
        let mut client = node.client();
        client.send(begun);
        let rest = client.rest();
        assert!(rest.starts_with("421 4.4.2 ") && rest.lines().count() == 1, "{rest}");
    }
}

#[test]
fn a_command_that_drips_has_no_more_time_than_any_other() {
    let node = ground(|config| config.smtp.command_timeout = Duration::from_millis(300)).start();
    assert!(drip(&mut node.client()).starts_with("421 4.4.2 "));
}

#[test]
fn content_that_drips_is_given_up_at_the_least_rate() {
    let node = ground(|config| {
        config.smtp.least_rate = 1_000;
        config.smtp.least_rate_grace = Duration::from_millis(300);
    })
    .start();
    let mut client = node.client();
    client.begin(&[ALICE]);
    assert!(drip(&mut client).starts_with("421 4.4.2 "));
    keeps_nothing(node, "timed out");
}

/// Sends one octet after the other until something is said to it.
fn drip(client: &mut Client) -> String {
    loop {
        client.send("x");
        if let Some(reply) = client.reply_within(DRIP) {
            return reply;
        }
    }
}

#[test]
fn content_that_stops_is_given_up() {
    let node = ground(|config| config.smtp.content_timeout = Duration::from_millis(200)).start();
    let mut client = node.client();
    client.begin(&[ALICE]);
    client.send("Subject: half\r\n\r\nx");
    client.expect("421 4.4.2 ");
    keeps_nothing(node, "timed out");
}

#[test]
fn a_client_that_never_reads_is_cut_off() {
    let node = ground(|config| {
        config.smtp.content_timeout = Duration::from_millis(300);
        config.smtp.fruitless_commands = usize::MAX;
    })
    .start();
    let mut client = node.client();
    // Replies are longer than commands, so that ours stop first; then the connection ends.
    let commands = "HELP\r\n".repeat(10_000);
    while client.try_send(&commands).is_ok() {}
    node.session_closed("timed out");
}

#[test]
fn a_client_that_vanishes_amid_content_leaves_nothing() {
    for is_reset in [false, true] {
        let node = ground(|_| ()).start();
        vanish(&node, is_reset, b"Subject: half\r\n\r\nThis is not yet all.\r\n");
        assert!(!node.keys().iter().any(|key| key.contains("/body/")));
        keeps_nothing(node, "connection closed by the client or lost");
    }
}

#[test]
fn of_a_large_body_whose_client_vanishes_only_pieces_are_left() {
    let node = ground(|_| ()).start();
    // A reset would take with it what the node has not read yet.
    vanish(
        &node,
        false,
        &[b"Subject: half\r\n\r\n", &b"0123456789abcdef0123456789abcd\r\n".repeat(160_000)[..]].concat(),
    );
    assert!(node.keys().iter().any(|key| key.contains("/body/")));
    keeps_nothing(node, "connection closed by the client or lost");
}

/// A client that has sent this much content when it closes the connection, or resets it.
fn vanish(node: &Node, is_reset: bool, content: &[u8]) {
    let mut client = node.client();
    client.command("MAIL FROM:<sender@far.test>", "250 ");
    client.command(&format!("RCPT TO:<{ALICE}>"), "250 ");
    client.send("DATA\r\n");
    if is_reset {
        // Linux resets a connection that is closed with something unread in it.
        client.wait_unread();
    } else {
        client.expect("354 ");
    }
    client.send(content);
    drop(client);
    node.session_closed("connection closed by the client or lost");
}

/// Whatever a session did has left no mail, neither here nor for whoever comes after.
pub(super) fn keeps_nothing(mut node: Node, reason: &str) {
    node.session_closed(reason);
    node.shut_down(Duration::from_secs(10));
    assert!(node.queue().is_empty());
    assert!(node.inbox(ALICE).is_empty());
    assert_eq!(node.accepted(), 0);
}

#[test]
fn what_follows_data_in_its_group_is_never_executed() {
    let node = ground(|_| ()).start();
    let mut client = node.client();
    client.send(format!(
        "MAIL FROM:<sender@far.test>\r\nRCPT TO:<{ALICE}>\r\nDATA\r\nSubject: early\r\n\r\n.\r\n\
         MAIL FROM:<sender@far.test>\r\nRCPT TO:<{BOB}>\r\n"
    ));
    let rest = client.rest();
    assert!(rest.lines().last().is_some_and(|line| line.starts_with("503 5.5.0 ")), "{rest}");
    keeps_nothing(node, "input after DATA before its reply");
}

#[test]
fn a_client_that_closes_its_side_gets_every_reply_and_its_message_is_delivered() {
    let node = ground(|config: &mut Config| config.smtp.command_timeout = Duration::from_secs(20)).start();
    let content = "Subject: half-closed\r\n\r\nIt works.\r\n";
    let mut client = node.client();
    client.begin(&[ALICE]);
    client.send(format!("{content}.\r\nFROBNICATE\r\nNOOP\r\n"));
    client.finish();
    let rest = client.rest();
    let codes: Vec<&str> = rest.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["250", "500", "250"]);
    let id = rest.split(' ').nth(2).unwrap();
    node.delivered(id, ALICE);
    assert_eq!(below_trace(&node.inbox(ALICE)[0]), content.as_bytes());
}
